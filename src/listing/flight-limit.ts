import { StorageError } from '../domain/errors.ts'

/** How many fetches each user has in flight, and may have. */
export class FlightLimit {
  readonly #max: number
  readonly #inFlight = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  /** `undefined` where the user may have one more. */
  refusal(userId: string): StorageError | undefined {
    if ((this.#inFlight.get(userId) ?? 0) < this.#max) return undefined
    return new StorageError('TOO_MANY_REQUESTS', 'Too many folders are being loaded for this user.', {
      retryAfterMs: 1000
    })
  }

  begin(userId: string): void {
    this.#inFlight.set(userId, (this.#inFlight.get(userId) ?? 0) + 1)
  }

  end(userId: string): void {
    const left = (this.#inFlight.get(userId) ?? 1) - 1
    if (left === 0) this.#inFlight.delete(userId)
    else this.#inFlight.set(userId, left)
  }
}
