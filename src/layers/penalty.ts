import type { StorageError } from '../domain/errors.ts'
import type { Clock } from '../domain/ports.ts'

/** No provider closes a connection for longer than this by one answer, whatever it says. */
const MAX_WAIT_MS = 3_600_000
/**
 * The wait after a throttle that names no time, doubled for each that follows without a success between. Nextcloud
 * answers 429 for up to half an hour and does not say so.
 */
const UNSTATED_MS = 5_000
const MAX_UNSTATED_MS = 300_000

/**
 * How long one connection must leave its provider alone. Counted by the monotonic clock: nobody can set it, and where
 * it stands still while the machine sleeps, the wait is longer than asked for, never shorter.
 */
export class Penalty {
  readonly #clock: Clock
  readonly #onThrottled: () => void
  readonly #heard = new WeakSet<StorageError>()
  #endsAt = -Infinity
  #unstatedInARow = 0

  /** @param onThrottled called once for each answer that asks for fewer calls */
  constructor(clock: Clock, onThrottled: () => void = () => {}) {
    this.#clock = clock
    this.#onThrottled = onThrottled
  }

  /** What a provider that throttles has answered. All who wait for one answer, as for a new token, bring it here. */
  hear(answer: StorageError): void {
    // Calls that ran side by side meet the same throttle: one wait for all of them.
    if (answer.retryAfterMs === undefined && this.remainingMs() === 0) {
      this.note(Math.min(UNSTATED_MS * 2 ** this.#unstatedInARow, MAX_UNSTATED_MS))
      this.#unstatedInARow += 1
    }
    if (answer.retryAfterMs !== undefined) this.note(answer.retryAfterMs)
    if (this.#heard.has(answer)) return
    this.#heard.add(answer)
    this.#onThrottled()
  }

  /** A call has succeeded. One that began before the throttle says nothing about it. */
  succeeded(): void {
    if (this.remainingMs() === 0) this.#unstatedInARow = 0
  }

  /**
   * The provider said: wait so long. A shorter wait never shortens a longer one: the answers of calls that ran side by
   * side come in any order, and only the longest wait keeps to all of them.
   */
  note(waitMs: number): void {
    // Not `<=`: NaN is no wait either, and would never end.
    if (!(waitMs > 0)) return
    this.#endsAt = Math.max(this.#endsAt, this.#clock.now() + Math.min(waitMs, MAX_WAIT_MS))
  }

  /** The rest of the wait in whole milliseconds, rounded up; 0 where there is none. */
  remainingMs(): number {
    return Math.max(0, Math.ceil(this.#endsAt - this.#clock.now()))
  }
}
