import type { StorageBackend } from '../core/backend.ts'
import type { PageFreshness } from '../core/change-feed.ts'
import { type Clock, Moment, raceSignal, type Timers } from '../core/time.ts'

/** Calls of all connections of the process that wait for announcements. */
const MAX_LOOPS = 1_000
/** Marks of one connection. A scope needs one call however many folders are watched. */
export const MAX_MARK_LOOPS = 4
/** Least time between the starts of two calls: a provider may respond at once. */
const MIN_CALL_MS = 2_000
/** A mark that was announced is out of date: the provider would announce it again at once. */
const ANNOUNCED_MARK_MS = 30_000
const MIN_RETRY_MS = 30_000
const MAX_RETRY_MS = 600_000

/** Where announcements are waited for: the scope or the mark of a cached page. */
export interface PushTarget {
  /** Distinguishes the targets of a connection. */
  readonly key: string
  readonly isMark: boolean
  readonly freshness: PageFreshness
  readonly open: () => Promise<StorageBackend>
}

export interface PushLoopsOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: () => number
  /** The loops of all connections. */
  readonly total: { count: number }
  readonly onAnnounced: () => void
}

interface Loop {
  readonly isMark: boolean
  readonly controller: AbortController
}

/**
 * Waits for the announcements of one connection's provider while its folders are watched. A failure only delays the
 * next attempt: without announcements, changes are found by the checks.
 */
export class PushLoops {
  readonly #options: PushLoopsOptions
  readonly #loops = new Map<string, Loop>()
  #isUnsupported = false
  #isEnded = false

  constructor(options: PushLoopsOptions) {
    this.#options = options
  }

  /** Waits for these targets too. Ends the loops of marks that are not among them; those of scopes go on. */
  update(targets: readonly PushTarget[]): void {
    if (this.#isUnsupported || this.#isEnded) return
    const keys = new Set(targets.map(({ key }) => key))
    for (const [key, { isMark, controller }] of this.#loops) {
      if (isMark && !keys.has(key)) controller.abort()
    }
    for (const target of targets) this.#begin(target)
  }

  end(): void {
    this.#isEnded = true
    for (const { controller } of this.#loops.values()) controller.abort()
  }

  #begin(target: PushTarget): void {
    const { total } = this.#options
    if (this.#loops.has(target.key) || total.count >= MAX_LOOPS) return
    if (target.isMark && [...this.#loops.values()].filter(({ isMark }) => isMark).length >= MAX_MARK_LOOPS) return
    const controller = new AbortController()
    this.#loops.set(target.key, { isMark: target.isMark, controller })
    total.count += 1
    void this.#run(target, controller.signal).finally(() => {
      this.#loops.delete(target.key)
      total.count -= 1
    })
  }

  /** Never rejects. */
  async #run({ freshness, isMark, open }: PushTarget, signal: AbortSignal): Promise<void> {
    const { clock, random, onAnnounced } = this.#options
    let failures = 0
    while (!signal.aborted) {
      const startedAt = new Moment(clock)
      let delayMs: number
      try {
        const backend = await raceSignal(open(), signal)
        if (backend.waitForChange === undefined) {
          this.#isUnsupported = true
          return
        }
        const isAnnounced = await raceSignal(backend.waitForChange(freshness, { signal }), signal)
        failures = 0
        if (isAnnounced) onAnnounced()
        delayMs = isAnnounced && isMark ? ANNOUNCED_MARK_MS : MIN_CALL_MS - startedAt.ageMs(clock)
      } catch {
        delayMs = Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** failures) * (0.75 + random() / 2)
        failures += 1
      }
      if (delayMs > 0) await this.#wait(delayMs, signal)
    }
  }

  /** Resolves after some time, or when the signal aborts. */
  #wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve()
        return
      }
      const onAbort = (): void => {
        cancel()
        resolve()
      }
      const cancel = this.#options.timers.after(ms, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
