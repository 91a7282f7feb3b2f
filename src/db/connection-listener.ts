import { backoffMs } from '../core/time.ts'
import { settledWithin, sleep } from '../core/time.ts'
import { untilAborted } from '../core/time.ts'

/** A dedicated PostgreSQL connection: the members of a `pg` client in use. */
export interface ListenClient {
  query(text: string): Promise<unknown>
  on(event: 'notification', listener: (message: { channel: string; payload?: string | undefined }) => void): unknown
  on(event: 'error' | 'end', listener: () => void): unknown
  end(): Promise<unknown>
}

/** The notification of the database's trigger about a row. */
export interface ConnectionMessage {
  readonly id: string
  readonly userId: string
  readonly provider: string
  readonly version: number
  /** The row was removed, or moved to another user. */
  readonly isGone: boolean
}

export interface ConnectionListenerOptions {
  readonly listen: () => Promise<ListenClient>
  /** `null`: unknown connections may have changed. Also sent when notifications may have been missed. */
  readonly onMessage: (message: ConnectionMessage | null) => void
  readonly onTrouble: (error: unknown) => void
  /** Returns a number in [0, 1). */
  readonly random: () => number
  /** Interval of the heartbeat in milliseconds. Default 5000. */
  readonly heartbeatMs?: number
  /** Timeout of a response in milliseconds. Default 5000. */
  readonly answerMs?: number
}

const CHANNEL = 'cloud_connections'
/** Longest delay between reconnects, so that a server is found soon after an outage. */
const MAX_WAIT_MS = 10_000

/**
 * Receives change notifications. An optimisation only: correctness rests on the lease, whether notifications arrive
 * or not. Reconnects after every failure of its connection.
 */
export class ConnectionListener {
  readonly #options: Required<ConnectionListenerOptions>
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  /** The end of the latest connection. */
  #ended: Promise<unknown> = Promise.resolve()
  #isConnected = false

  constructor(options: ConnectionListenerOptions) {
    this.#options = { heartbeatMs: 5_000, answerMs: 5_000, ...options }
  }

  /** True if the listener is connected, as far as known. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Starts listening, in the background. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when the connection has ended, or after `answerMs`. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    await settledWithin(this.#ended, this.#options.answerMs)
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        await this.#session(() => {
          failures = 0
        })
      } catch (error) {
        if (this.#hasClosed()) return
        this.#options.onTrouble(error)
      }
      const waitMs = Math.min(MAX_WAIT_MS, backoffMs(failures, this.#options.random))
      await sleep(waitMs, signal).catch(() => {})
    }
  }

  /** Runs one connection until it ends. */
  async #session(onConnected: () => void): Promise<void> {
    const { listen, onMessage, heartbeatMs } = this.#options
    const client = await this.#answered(listen(), (late) => {
      this.#end(late)
    })
    const ended = new AbortController()
    const leave = (): void => {
      ended.abort(new Error('The LISTEN connection has ended'))
    }
    // An unhandled error event would end the process.
    client.on('error', leave)
    client.on('end', leave)
    client.on('notification', ({ channel, payload }) => {
      if (channel === CHANNEL) onMessage(parseMessage(payload))
    })
    this.#closing.signal.addEventListener('abort', leave, { once: true })
    if (this.#hasClosed()) leave()
    try {
      await untilAborted(this.#answered(client.query(`LISTEN ${CHANNEL}`)), ended.signal)
      onConnected()
      this.#isConnected = true
      onMessage(null)
      for (;;) {
        await sleep(heartbeatMs, ended.signal)
        // If the network drops all packets, no event reports it.
        await untilAborted(this.#answered(client.query('SELECT 1')), ended.signal)
      }
    } finally {
      this.#isConnected = false
      this.#closing.signal.removeEventListener('abort', leave)
      this.#end(client)
    }
  }

  /** Only `close` waits for the end: a dead connection never ends. */
  #end(client: ListenClient): void {
    this.#ended = client.end().catch(() => {})
  }

  async #answered<T>(work: Promise<T>, drop?: (late: T) => void): Promise<T> {
    const given = new AbortController()
    const timer = setTimeout(() => {
      given.abort(new Error('The database did not respond on the LISTEN connection'))
    }, this.#options.answerMs)
    const leave = (): void => {
      given.abort(new Error('The LISTEN connection is closed'))
    }
    this.#closing.signal.addEventListener('abort', leave, { once: true })
    if (this.#hasClosed()) leave()
    try {
      return await untilAborted(work, given.signal, drop)
    } finally {
      clearTimeout(timer)
      this.#closing.signal.removeEventListener('abort', leave)
    }
  }

  /** A method, since the value may change at every `await` of the callers. */
  #hasClosed(): boolean {
    return this.#closing.signal.aborted
  }
}

/** @returns `null` for a notification that does not say which connection has changed */
function parseMessage(payload: string | undefined): ConnectionMessage | null {
  try {
    const told = JSON.parse(payload ?? '') as Record<string, unknown> | null
    const { id, userId, provider, version, deleted } = told ?? {}
    if (typeof id !== 'string' || typeof userId !== 'string' || typeof provider !== 'string') return null
    if (typeof version !== 'number') return null
    return { id, userId, provider, version, isGone: deleted === true }
  } catch {
    return null
  }
}
