import { Deferred } from '../../support/deferred.ts'

/** Keeps the requests to an endpoint until the test lets go of all of them. */
export class OAuthGate {
  /** Whether they are performed before they are kept: only their answers wait. */
  readonly isPerformed: boolean
  /** How many came so far. */
  held = 0
  readonly #reached = new Deferred<void>()
  readonly #released = new Deferred<void>()
  readonly #onRelease: () => void

  constructor(isPerformed: boolean, onRelease: () => void) {
    this.isPerformed = isPerformed
    this.#onRelease = onRelease
  }

  /** Once the first request is kept. */
  get reached(): Promise<void> {
    return this.#reached.promise
  }

  /** Lets go of those that are kept, and keeps no more. */
  release(): void {
    this.#onRelease()
    this.#released.resolve()
  }

  async pass(): Promise<void> {
    this.held++
    this.#reached.resolve()
    await this.#released.promise
  }
}
