import { LRUCache } from 'lru-cache'
import pLimit from 'p-limit'
import type { SealedConnection } from '../core/connection.ts'
import type { AccessTokens, TokenSet } from '../core/oauth.ts'
import { Secret } from '../core/secret.ts'
import { type Clock, raceSignal } from '../core/time.ts'
import { isStorageError, StorageError } from '../errors.ts'

/** The sealed tokens of a connection. Times are in wall-clock milliseconds, since other processes read them. */
export interface StoredTokens {
  readonly accessToken: Secret<string>
  readonly refreshToken: Secret<string> | null
  readonly obtainedAt: number
  /** `null` if the provider did not report it. */
  readonly expiresAt: number | null
}

/**
 * @param requestedAt time of the request: the lifetime counts from then, even if the response took long
 * @param previous provides the refresh token if the response contains none
 */
export function toStoredTokens(tokenSet: TokenSet, requestedAt: number, previous?: StoredTokens): StoredTokens {
  return {
    accessToken: tokenSet.accessToken,
    refreshToken: tokenSet.refreshToken ?? previous?.refreshToken ?? null,
    obtainedAt: requestedAt,
    expiresAt: tokenSet.lifetimeMs === null ? null : requestedAt + tokenSet.lifetimeMs
  }
}

/** Returns the JSON value that is sealed. */
export function serialiseTokens({ accessToken, refreshToken, obtainedAt, expiresAt }: StoredTokens): Secret<unknown> {
  return new Secret({
    accessToken: accessToken.reveal(),
    refreshToken: refreshToken?.reveal() ?? null,
    obtainedAt,
    expiresAt
  })
}

/** @throws StorageError `CREDENTIALS_UNREADABLE` for a value that {@link serialiseTokens} did not create */
export function parseTokens(credentials: Secret<unknown>): StoredTokens {
  const value = credentials.reveal()
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const { accessToken, refreshToken, obtainedAt, expiresAt } = fields
  const isReadable =
    typeof accessToken === 'string' &&
    (typeof refreshToken === 'string' || refreshToken === null) &&
    typeof obtainedAt === 'number' &&
    (typeof expiresAt === 'number' || expiresAt === null)
  if (!isReadable) {
    throw new StorageError('CREDENTIALS_UNREADABLE')
  }
  return {
    accessToken: new Secret(accessToken),
    refreshToken: refreshToken === null ? null : new Secret(refreshToken),
    obtainedAt,
    expiresAt
  }
}

export interface ConnectionTokensOptions {
  readonly refreshes: RefreshCoordinator
  readonly clock: Clock
  /** Returns a number in [0, 1). */
  readonly random: () => number
}

/** Tokens are refreshed at a random time between these before expiry, to spread the refreshes of all processes. */
const MIN_SKEW_MS = 60_000
const MAX_SKEW_MS = 300_000
/** For short-lived tokens, refresh at most this share of the lifetime early. */
const MAX_SKEW_SHARE = 0.25
/** Remaining lifetime that a token needs for one call. */
const MIN_LIFETIME_MS = 5_000
/** Minimal delay between refreshes while the token endpoint fails and the token is still valid. */
const RETRY_AFTER_MS = 30_000
/** A token that another process has just stored may be refused, too. */
const MAX_RENEWALS = 2

/** The access tokens of a stored connection. */
export class ConnectionTokens implements AccessTokens {
  readonly #row: RefreshTarget
  readonly #options: ConnectionTokensOptions
  readonly #skewMs: number
  #tokens: StoredTokens
  #retryAt = -Infinity

  constructor(row: RefreshTarget, tokens: StoredTokens, options: ConnectionTokensOptions) {
    this.#row = row
    this.#tokens = tokens
    this.#options = options
    this.#skewMs = MIN_SKEW_MS + options.random() * (MAX_SKEW_MS - MIN_SKEW_MS)
  }

  async current(signal: AbortSignal): Promise<Secret<string>> {
    const { refreshes, clock } = this.#options
    const isFresh = (tokens: StoredTokens): boolean => this.#isValidFor(tokens, this.#skewOf(tokens))
    const isStillValid = (): boolean => this.#isValidFor(this.#tokens, MIN_LIFETIME_MS)
    if (isFresh(this.#tokens)) return this.#tokens.accessToken
    if (clock.now() < this.#retryAt && isStillValid()) return this.#tokens.accessToken
    try {
      this.#tokens = await refreshes.join(this.#row, isFresh, signal)
    } catch (error) {
      // The refresh was ahead of expiry: a transient failure may pass in time.
      if (!isStorageError(error) || !error.retryable || !isStillValid()) throw error
      this.#retryAt = clock.now() + Math.max(RETRY_AFTER_MS, error.retryAfterMs ?? 0)
    }
    return this.#tokens.accessToken
  }

  async renewed(rejectedToken: Secret<string>, signal: AbortSignal): Promise<Secret<string>> {
    const isReplacement = (tokens: StoredTokens): boolean =>
      tokens.accessToken.reveal() !== rejectedToken.reveal() && this.#isValidFor(tokens, 0)
    for (let attempt = 0; attempt < MAX_RENEWALS && !isReplacement(this.#tokens); attempt += 1) {
      this.#tokens = await this.#options.refreshes.join(this.#row, isReplacement, signal, { isRejected: true })
    }
    if (isReplacement(this.#tokens)) return this.#tokens.accessToken
    throw new StorageError('ACCESS_DENIED')
  }

  /** Returns how long before expiry to refresh. Tokens without a refresh token are used until they expire. */
  #skewOf({ refreshToken, obtainedAt, expiresAt }: StoredTokens): number {
    if (refreshToken === null || expiresAt === null) return 0
    return Math.min(this.#skewMs, (expiresAt - obtainedAt) * MAX_SKEW_SHARE)
  }

  #isValidFor({ expiresAt }: StoredTokens, durationMs: number): boolean {
    return expiresAt === null || this.#options.clock.date() < expiresAt - durationMs
  }
}

export type RefreshTarget = Pick<SealedConnection, 'id' | 'userId' | 'provider'>

/** Returns true if the stored tokens are usable. Otherwise they are refreshed. */
export type IsUsable = (tokens: StoredTokens) => boolean

/** Refreshes the stored tokens of one connection. @param beforeRequest called before the token endpoint */
export interface Refresher {
  refresh(row: RefreshTarget, isUsable: IsUsable, beforeRequest: () => void): Promise<StoredTokens>
}

/** Concurrent refreshes. Each holds a connection of the host's pool while it waits for a provider. */
const MAX_CONCURRENT = 2
/** Limits refreshes of a provider that refuses each new token. Otherwise every call would cause one. */
const MAX_REJECTIONS = 3
const REJECTION_WINDOW_MS = 60_000
const MAX_TRACKED_CONNECTIONS = 5_000

interface InFlightRefresh {
  readonly done: Promise<StoredTokens>
  waiters: number
}

/** The refreshes of this process: one per connection, shared by all callers, and two at a time. */
export class RefreshCoordinator {
  readonly #refresher: Refresher
  readonly #clock: Clock
  readonly #limit = pLimit(MAX_CONCURRENT)
  readonly #inFlight = new Map<string, InFlightRefresh>()
  /** Times of a connection's refreshes after refused tokens, by the monotonic clock. */
  readonly #rejections = new LRUCache<string, number[]>({ max: MAX_TRACKED_CONNECTIONS })

  constructor(refresher: Refresher, clock: Clock) {
    this.#refresher = refresher
    this.#clock = clock
  }

  /**
   * @param isUsable returns true for usable stored tokens; a caller that joins another's flight must check again
   * @param options `isRejected`: the provider refused an unexpired token
   * @throws StorageError `ACCESS_DENIED` if that happens too often, and the errors of the refresh
   */
  async join(
    row: RefreshTarget,
    isUsable: IsUsable,
    signal: AbortSignal,
    { isRejected = false }: { readonly isRejected?: boolean } = {}
  ): Promise<StoredTokens> {
    const inFlight = this.#inFlight.get(row.id) ?? this.#begin(row, isUsable, isRejected)
    inFlight.waiters += 1
    try {
      return await raceSignal(inFlight.done, signal)
    } finally {
      inFlight.waiters -= 1
    }
  }

  /** Resolves when the refreshes in flight have ended: a token that is being rotated must not be lost. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#inFlight.values()].map(({ done }) => done))
  }

  #begin(row: RefreshTarget, isUsable: IsUsable, isRejected: boolean): InFlightRefresh {
    const beforeRequest = (): void => {
      if (isRejected) this.#recordRejection(row.id)
    }
    const inFlight: InFlightRefresh = {
      waiters: 0,
      done: this.#limit(() => {
        // A queue behind a provider that hangs must not send requests for callers that have left.
        if (inFlight.waiters === 0) throw new StorageError('PROVIDER_UNAVAILABLE', 'No caller waits for this refresh.')
        return this.#refresher.refresh(row, isUsable, beforeRequest)
      }).finally(() => {
        this.#inFlight.delete(row.id)
      })
    }
    // Each caller gets the error. After all have left it must not be an unhandled rejection.
    inFlight.done.catch(() => {})
    this.#inFlight.set(row.id, inFlight)
    return inFlight
  }

  #recordRejection(connectionId: string): void {
    const now = this.#clock.now()
    const recent = (this.#rejections.get(connectionId) ?? []).filter((at) => now - at < REJECTION_WINDOW_MS)
    if (recent.length >= MAX_REJECTIONS) throw new StorageError('ACCESS_DENIED')
    this.#rejections.set(connectionId, [...recent, now])
  }
}
