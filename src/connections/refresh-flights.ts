import { LRUCache } from 'lru-cache'
import pLimit from 'p-limit'
import type { SealedConnection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'
import type { Clock } from '../domain/ports.ts'
import { untilAborted } from '../domain/until-aborted.ts'
import type { IsGood, TokenRefresher } from './refresh-tokens.ts'
import type { StoredTokens } from './stored-tokens.ts'

export type RefreshedRow = Pick<SealedConnection, 'id' | 'userId' | 'provider'>

/** Concurrent refreshes. Each holds a connection of the host's pool while it waits for a provider. */
const MAX_AT_ONCE = 2
/** Limits refreshes of a provider that refuses each new token. Otherwise every call would cause one. */
const MAX_REFUSALS = 3
const REFUSALS_MS = 60_000
const MAX_REMEMBERED = 5_000

interface Flight {
  readonly done: Promise<StoredTokens>
  waiting: number
}

/** The refreshes of this process: one per connection, shared by all callers, and two at a time. */
export class RefreshFlights {
  readonly #refresher: Pick<TokenRefresher, 'refresh'>
  readonly #clock: Clock
  readonly #limit = pLimit(MAX_AT_ONCE)
  readonly #flights = new Map<string, Flight>()
  /** Times of a connection's refreshes after refused tokens, by the monotonic clock. */
  readonly #refusals = new LRUCache<string, number[]>({ max: MAX_REMEMBERED })

  constructor(refresher: Pick<TokenRefresher, 'refresh'>, clock: Clock) {
    this.#refresher = refresher
    this.#clock = clock
  }

  /**
   * @param isGood returns true for usable stored tokens; a caller that joins another's flight must check again
   * @param isRefused the provider refused an unexpired token
   * @throws StorageError `ACCESS_DENIED` if that happens too often, and the errors of the refresh
   */
  async join(
    row: RefreshedRow,
    isGood: IsGood,
    signal: AbortSignal,
    { isRefused = false }: { readonly isRefused?: boolean } = {}
  ): Promise<StoredTokens> {
    const flight = this.#flights.get(row.id) ?? this.#begin(row, isGood, isRefused)
    flight.waiting += 1
    try {
      return await untilAborted(flight.done, signal)
    } finally {
      flight.waiting -= 1
    }
  }

  /** Resolves when the refreshes in flight have ended: a token that is being rotated must not be lost. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#flights.values()].map(({ done }) => done))
  }

  #begin(row: RefreshedRow, isGood: IsGood, isRefused: boolean): Flight {
    const noteAsking = (): void => {
      if (isRefused) this.#noteRefusal(row.id)
    }
    const flight: Flight = {
      waiting: 0,
      done: this.#limit(() => {
        // A queue behind a provider that hangs must not send requests for callers that have left.
        if (flight.waiting === 0) throw new StorageError('PROVIDER_UNAVAILABLE', 'No caller waits for this refresh.')
        return this.#refresher.refresh(row, isGood, noteAsking)
      }).finally(() => {
        this.#flights.delete(row.id)
      })
    }
    // Each caller gets the error. After all have left it must not be an unhandled rejection.
    flight.done.catch(() => {})
    this.#flights.set(row.id, flight)
    return flight
  }

  #noteRefusal(connectionId: string): void {
    const now = this.#clock.now()
    const lately = (this.#refusals.get(connectionId) ?? []).filter((at) => now - at < REFUSALS_MS)
    if (lately.length >= MAX_REFUSALS) throw new StorageError('ACCESS_DENIED', 'The provider denies access.')
    this.#refusals.set(connectionId, [...lately, now])
  }
}
