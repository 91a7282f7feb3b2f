import { Deferred } from '../../support/time/deferred.ts'

/** Holds the requests to an endpoint until the test releases all of them. */
export class OAuthGate {
  /** Whether requests are performed before they are held, so that only their responses wait. */
  readonly isPerformed: boolean
  /** The number of requests held so far. */
  heldCount = 0
  readonly #reached = new Deferred<void>()
  readonly #released = new Deferred<void>()
  readonly #onRelease: () => void

  constructor(isPerformed: boolean, onRelease: () => void) {
    this.isPerformed = isPerformed
    this.#onRelease = onRelease
  }

  /** Resolves when the first request is held. */
  get reached(): Promise<void> {
    return this.#reached.promise
  }

  /** Releases the held requests, and holds no further ones. */
  release(): void {
    this.#onRelease()
    this.#released.resolve()
  }

  async wait(): Promise<void> {
    this.heldCount++
    this.#reached.resolve()
    await this.#released.promise
  }
}
