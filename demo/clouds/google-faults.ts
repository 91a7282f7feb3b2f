import { sendError } from '../../test/fakes/drive/failure.ts'
import type { FakeDrive } from '../../test/fakes/drive/fake-drive.ts'
import type { GoogleTokens } from '../../test/fakes/google/emulate-tokens.ts'
import type { EmulatedGoogle } from '../../test/fakes/google/emulate.ts'
import type { Clock } from '../../src/core/time.ts'

/** The duration of throttling or slowness. */
export const FAULT_DURATION_MS = 20_000
/** The duration of a slow response. A listing needs two or three responses. */
export const SLOW_RESPONSE_MS = 3000

/** The usual age at which a change appears in Google's log of changes. */
export const CHANGE_LAG_MS = 1000
/** The age while changes are reported late. Google documents none; minutes have been seen. */
export const LATE_CHANGE_LAG_MS = 10_000

interface GoogleServices {
  readonly emulated: EmulatedGoogle
  readonly drive: FakeDrive
  readonly tokens: GoogleTokens
  readonly clock: Pick<Clock, 'now'>
}

/** Faults of the emulated Google, for use while it runs. */
export class GoogleFaults {
  readonly #services: GoogleServices
  #throttledUntil = -Infinity
  #slowUntil = -Infinity

  constructor(services: GoogleServices) {
    this.#services = services
    const { drive } = services
    const throttled = {
      reason: 'userRateLimitExceeded',
      status: 429,
      headers: { 'retry-after': String(FAULT_DURATION_MS / 1000) }
    }
    drive.failNext(
      Infinity,
      (_request, response) => {
        sendError(response, throttled)
      },
      { matching: () => this.throttledForMs > 0 }
    )
    drive.knobs.changeLagMs = CHANGE_LAG_MS
    drive.delayMs = () => (this.slowForMs > 0 ? SLOW_RESPONSE_MS : 0)
  }

  /** 0: no throttling. */
  get throttledForMs(): number {
    return this.#remainingMs(this.#throttledUntil)
  }

  /** 0: normal speed. */
  get slowForMs(): number {
    return this.#remainingMs(this.#slowUntil)
  }

  get changeLagMs(): number {
    return this.#services.drive.knobs.changeLagMs
  }

  /** Makes each call fail with 429 and the `Retry-After` that users see. */
  throttle(): void {
    this.#throttledUntil = this.#services.clock.now() + FAULT_DURATION_MS
  }

  slowDown(): void {
    this.#slowUntil = this.#services.clock.now() + FAULT_DURATION_MS
  }

  /** Makes Google's log show changes late, until `reset`. */
  reportChangesLate(): void {
    this.#services.drive.knobs.changeLagMs = LATE_CHANGE_LAG_MS
  }

  reset(): void {
    this.#services.drive.knobs.changeLagMs = CHANGE_LAG_MS
    this.#throttledUntil = -Infinity
    this.#slowUntil = -Infinity
  }

  /** Returns the number of grants that the user has given and not revoked. */
  async grants(): Promise<number> {
    return (await this.#activeGrants()).length
  }

  /** Revokes the application's access, as its user can on a page of Google. */
  async revokeAccess(): Promise<void> {
    const { emulated, tokens } = this.#services
    for (const refreshToken of await this.#activeGrants()) await emulated.removeApplication(refreshToken)
    tokens.expireAccessTokens()
  }

  async #activeGrants(): Promise<string[]> {
    const { emulated, tokens } = this.#services
    const issued = tokens.grants.map(({ refreshToken }) => refreshToken)
    const areActive = await Promise.all(issued.map((refreshToken) => emulated.isGrantActive(refreshToken)))
    return issued.filter((_, index) => areActive[index])
  }

  #remainingMs(until: number): number {
    return Math.max(0, until - this.#services.clock.now())
  }
}
