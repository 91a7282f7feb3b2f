import { backoffMs } from '../../domain/backoff.ts'
import { settledWithin, sleep } from '../../domain/sleep.ts'
import { untilAborted } from '../../domain/until-aborted.ts'

/** A connection of its own to PostgreSQL, as `pg` has it: what of it is used. */
export interface ListenClient {
  query(text: string): Promise<unknown>
  on(event: 'notification', listener: (message: { channel: string; payload?: string | undefined }) => void): unknown
  on(event: 'error' | 'end', listener: () => void): unknown
  end(): Promise<unknown>
}

/** What the database's trigger tells of a row. */
export interface ConnectionMessage {
  readonly id: string
  readonly userId: string
  readonly provider: string
  readonly version: number
  /** Removed, or handed to another user. */
  readonly isGone: boolean
}

export interface ConnectionListenerOptions {
  readonly listen: () => Promise<ListenClient>
  /** `null`: something has changed, and nobody knows what. So it is told too when messages may have been missed. */
  readonly onMessage: (message: ConnectionMessage | null) => void
  readonly onTrouble: (error: unknown) => void
  /** Between 0 and 1. */
  readonly random: () => number
  /** So often it is asked whether the connection still is one. Default 5000. */
  readonly heartbeatMs?: number
  /** So long an answer may take. Default 5000. */
  readonly answerMs?: number
}

const CHANNEL = 'cloud_connections'
/** A server that is back is found soon, whatever the backoff has come to. */
const MAX_WAIT_MS = 10_000

/**
 * Hears at once that a connection has changed. It is a shortcut and no more: whoever believes something does so for a
 * lease at most, whether this hears anything or not. It comes back by itself from whatever happens to its connection.
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

  /** Whether it hears, as far as is known. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Begins to listen, and does not wait for it. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when the connection has ended, or has not ended within `answerMs`. */
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

  /** One connection, from its beginning to whatever ends it. */
  async #session(onConnected: () => void): Promise<void> {
    const { listen, onMessage, heartbeatMs } = this.#options
    const client = await this.#answered(listen(), (late) => {
      this.#end(late)
    })
    const ended = new AbortController()
    const leave = (): void => {
      ended.abort(new Error('The connection that listens has ended'))
    }
    // Unheard, an error would end the process.
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
        // A network that swallows everything closes nothing.
        await untilAborted(this.#answered(client.query('SELECT 1')), ended.signal)
      }
    } finally {
      this.#isConnected = false
      this.#closing.signal.removeEventListener('abort', leave)
      this.#end(client)
    }
  }

  /** Only closing waits for it: a connection that is dead never ends. */
  #end(client: ListenClient): void {
    this.#ended = client.end().catch(() => {})
  }

  async #answered<T>(work: Promise<T>, drop?: (late: T) => void): Promise<T> {
    const given = new AbortController()
    const timer = setTimeout(() => {
      given.abort(new Error('The database does not answer the connection that listens'))
    }, this.#options.answerMs)
    const leave = (): void => {
      given.abort(new Error('The connection that listens is closed'))
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

  /** A call, since it may become true wherever the code above awaits. */
  #hasClosed(): boolean {
    return this.#closing.signal.aborted
  }
}

/** @returns `null` for a message that says that something has changed, and not what */
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
