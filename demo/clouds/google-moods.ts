import { sendError } from '../../test/fakes/drive/failure.ts'
import type { FakeDrive } from '../../test/fakes/drive/fake-drive.ts'
import type { GoogleTokens } from '../../test/fakes/google/emulate-tokens.ts'
import type { EmulatedGoogle } from '../../test/fakes/google/emulate.ts'
import type { Clock } from '../../src/core/time.ts'

/** The duration of throttling or slowness. */
export const MOOD_MS = 20_000
/** The duration of a slow response. A listing needs two or three responses. */
export const SLOW_ANSWER_MS = 3000

interface Parts {
  readonly emulated: EmulatedGoogle
  readonly drive: FakeDrive
  readonly tokens: GoogleTokens
  readonly clock: Pick<Clock, 'now'>
}

/** Faults of the emulated Google, for use while it runs. */
export class GoogleMoods {
  readonly #parts: Parts
  #throttledUntil = -Infinity
  #slowUntil = -Infinity

  constructor(parts: Parts) {
    this.#parts = parts
    const { drive } = parts
    const throttled = {
      reason: 'userRateLimitExceeded',
      status: 429,
      headers: { 'retry-after': String(MOOD_MS / 1000) }
    }
    drive.failNext(
      Infinity,
      (_request, response) => {
        sendError(response, throttled)
      },
      { matching: () => this.throttledForMs > 0 }
    )
    drive.delayMs = () => (this.slowForMs > 0 ? SLOW_ANSWER_MS : 0)
  }

  /** 0: no throttling. */
  get throttledForMs(): number {
    return this.#left(this.#throttledUntil)
  }

  /** 0: normal speed. */
  get slowForMs(): number {
    return this.#left(this.#slowUntil)
  }

  /** Makes each call fail with 429 and the `Retry-After` that users see. */
  throttle(): void {
    this.#throttledUntil = this.#parts.clock.now() + MOOD_MS
  }

  slowDown(): void {
    this.#slowUntil = this.#parts.clock.now() + MOOD_MS
  }

  calmDown(): void {
    this.#throttledUntil = -Infinity
    this.#slowUntil = -Infinity
  }

  /** Returns the number of grants that the user has given and not revoked. */
  async grants(): Promise<number> {
    return (await this.#living()).length
  }

  /** Revokes the application's access, as its user can on a page of Google. */
  async takeAccessAway(): Promise<void> {
    const { emulated, tokens } = this.#parts
    for (const refreshToken of await this.#living()) await emulated.removeApplication(refreshToken)
    tokens.endAccessTokens()
  }

  async #living(): Promise<string[]> {
    const { emulated, tokens } = this.#parts
    const given = tokens.grants.map(({ refreshToken }) => refreshToken)
    const known = await Promise.all(given.map((refreshToken) => emulated.knows(refreshToken)))
    return given.filter((_, at) => known[at])
  }

  #left(until: number): number {
    return Math.max(0, until - this.#parts.clock.now())
  }
}
