import type { Call } from '../../core/backend.ts'
import type { HttpRequest } from '../../core/egress.ts'
import { SharedWork } from '../../core/shared-work.ts'
import { Deadline } from '../../core/time.ts'
import { isStorageError, StorageError } from '../../errors.ts'

/** The end of a wait without an announcement. Longer than the long polls of all services. */
const MAX_WAIT_MS = 480_000
/** The number of remembered refusals. A forgotten one costs a request. */
const MAX_REFUSALS = 100

/** The settings of a request that the server answers after minutes, when something changes. */
export const LONG_POLL = {
  purpose: 'transfer',
  workMs: MAX_WAIT_MS,
  redirects: 'manual'
} as const satisfies Partial<HttpRequest>

/** The longest silence of a push server in milliseconds: Nextcloud and Engine.IO send a ping every 25 to 30 seconds. */
export const PUSH_IDLE_MS = 90_000

/** The waits of one connection for announcements of changes. */
export class Waits {
  readonly #inFlight = new Map<string, SharedWork<boolean>>()
  readonly #refused = new Set<string>()
  readonly #maxWaitMs: number

  /** @param maxWaitMs the end of a wait without an announcement */
  constructor(maxWaitMs = MAX_WAIT_MS) {
    this.#maxWaitMs = maxWaitMs
  }

  /**
   * Waits for one announcement, together with all callers that wait for the same. Returns false if there is none for
   * some minutes. If `run` rejects with `UNSUPPORTED`, it is not called again for this key.
   *
   * @param key what is watched
   * @param run waits until the signal aborts
   */
  async wait(key: string, { signal }: Call, run: (signal: AbortSignal) => Promise<boolean>): Promise<boolean> {
    signal.throwIfAborted()
    if (this.#refused.has(key)) throw noAnnouncements()
    return await (this.#inFlight.get(key) ?? this.#begin(key, run)).wait(signal)
  }

  #begin(key: string, run: (signal: AbortSignal) => Promise<boolean>): SharedWork<boolean> {
    const forget = (): void => {
      if (this.#inFlight.get(key) === work) this.#inFlight.delete(key)
    }
    const work = new SharedWork<boolean>(forget)
    this.#inFlight.set(key, work)
    work.begin(async (signal) => {
      const ended = new Error('nothing was announced')
      const deadline = new Deadline(this.#maxWaitMs, signal, () => ended)
      try {
        return await run(deadline.signal)
      } catch (error) {
        if (deadline.signal.reason === ended) return false
        if (isStorageError(error, 'UNSUPPORTED')) this.#refuse(key)
        throw error
      } finally {
        deadline.clear()
        forget()
      }
    })
    return work
  }

  #refuse(key: string): void {
    const [oldest] = this.#refused
    if (this.#refused.size >= MAX_REFUSALS && oldest !== undefined) this.#refused.delete(oldest)
    this.#refused.add(key)
  }
}

/** The error of a service or account without announcements, which is remembered. */
export function noAnnouncements(): StorageError {
  return new StorageError('UNSUPPORTED', 'The provider does not announce changes.', { responded: true })
}
