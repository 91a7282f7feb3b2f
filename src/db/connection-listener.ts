import type { ConnectionNotification } from '../core/connection.ts'
import { backoffMs, sleep, waitUntilSettled, withTimeout } from '../core/time.ts'

/** A dedicated PostgreSQL connection: the members of a `pg` client in use. */
export interface ListenClient {
  query(text: string): Promise<unknown>
  on(event: 'notification', listener: (message: { channel: string; payload?: string | undefined }) => void): unknown
  on(event: 'error' | 'end', listener: () => void): unknown
  end(): Promise<unknown>
}

export interface ConnectionListenerOptions {
  readonly listen: () => Promise<ListenClient>
  /** `null`: unknown connections may have changed. Also sent when notifications may have been missed. */
  readonly onNotification: (notification: ConnectionNotification | null) => void
  readonly logConnectionLoss: (error: unknown) => void
  /** Returns a number in [0, 1). */
  readonly random: () => number
  /** Interval of the heartbeat in milliseconds. Default 5000. */
  readonly heartbeatMs?: number
  /** Timeout of a response in milliseconds. Default 5000. */
  readonly responseTimeoutMs?: number
}

const CHANNEL = 'cloud_connections'
/** Longest delay between reconnects, so that a server is found soon after an outage. */
const MAX_BACKOFF_MS = 10_000

/**
 * Receives change notifications. An optimisation only: correctness rests on the lease, whether notifications arrive
 * or not. Reconnects after every failure of its connection.
 */
export class ConnectionListener {
  readonly #options: Required<ConnectionListenerOptions>
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  /** The end of the latest connection. */
  #disconnected: Promise<unknown> = Promise.resolve()
  #isConnected = false

  constructor(options: ConnectionListenerOptions) {
    this.#options = { heartbeatMs: 5_000, responseTimeoutMs: 5_000, ...options }
  }

  /** True if the listener is connected, as far as known. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Starts listening, in the background. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when the connection has ended, or after `responseTimeoutMs`. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    await waitUntilSettled(this.#disconnected, this.#options.responseTimeoutMs)
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        await this.#runSession(() => {
          failures = 0
        })
      } catch (error) {
        if (this.#isClosing()) return
        this.#options.logConnectionLoss(error)
      }
      const delayMs = Math.min(MAX_BACKOFF_MS, backoffMs(failures, this.#options.random))
      await sleep(delayMs, signal).catch(() => {})
    }
  }

  /** Runs one connection until it ends. */
  async #runSession(onConnected: () => void): Promise<void> {
    const { listen, onNotification, heartbeatMs } = this.#options
    const client = await this.#withTimeout(this.#closing.signal, async (signal) => {
      const opened = await listen()
      if (signal.aborted) this.#disconnect(opened)
      return opened
    })
    const sessionController = new AbortController()
    const abortSession = (): void => {
      sessionController.abort(new Error('The LISTEN connection has ended'))
    }
    // An unhandled error event would end the process.
    client.on('error', abortSession)
    client.on('end', abortSession)
    client.on('notification', ({ channel, payload }) => {
      if (channel === CHANNEL) onNotification(parseNotification(payload))
    })
    this.#closing.signal.addEventListener('abort', abortSession, { once: true })
    if (this.#isClosing()) abortSession()
    try {
      await this.#withTimeout(sessionController.signal, () => client.query(`LISTEN ${CHANNEL}`))
      onConnected()
      this.#isConnected = true
      onNotification(null)
      for (;;) {
        await sleep(heartbeatMs, sessionController.signal)
        // If the network drops all packets, no event reports it.
        await this.#withTimeout(sessionController.signal, () => client.query('SELECT 1'))
      }
    } finally {
      this.#isConnected = false
      this.#closing.signal.removeEventListener('abort', abortSession)
      this.#disconnect(client)
    }
  }

  /** Only `close` waits for the end: a dead connection never ends. */
  #disconnect(client: ListenClient): void {
    this.#disconnected = client.end().catch(() => {})
  }

  #withTimeout<T>(signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const toError = (): Error => new Error('The database did not respond on the LISTEN connection')
    return withTimeout(this.#options.responseTimeoutMs, signal, toError, run)
  }

  /** A method, since the value may change at every `await` of the callers. */
  #isClosing(): boolean {
    return this.#closing.signal.aborted
  }
}

/** @returns `null` for a notification that does not say which connection has changed */
function parseNotification(payload: string | undefined): ConnectionNotification | null {
  try {
    const parsed = JSON.parse(payload ?? '') as Record<string, unknown> | null
    const { id, userId, provider, version, deleted } = parsed ?? {}
    if (typeof id !== 'string' || typeof userId !== 'string' || typeof provider !== 'string') return null
    if (typeof version !== 'number') return null
    return { id, userId, provider, version, isRemoved: deleted === true }
  } catch {
    return null
  }
}
