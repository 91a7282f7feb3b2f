import { isStorageError, StorageError } from '../errors.ts'
import type { AccessTokens } from '../core/oauth.ts'
import type { Clock } from '../core/time.ts'
import type { Secret } from '../core/secret.ts'
import type { RefreshCoordinator, RefreshTarget } from './refresh.ts'
import type { StoredTokens } from './tokens.ts'

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
const MAX_ATTEMPTS = 2

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
    for (let attempt = 0; attempt < MAX_ATTEMPTS && !isReplacement(this.#tokens); attempt += 1) {
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

/** Returns the tokens of a connection that is not stored yet. They are new, and are not refreshed. */
export function fixedTokens({ accessToken }: Pick<StoredTokens, 'accessToken'>): AccessTokens {
  return {
    current: async () => accessToken,
    renewed: async () => {
      throw new StorageError('ACCESS_DENIED')
    }
  }
}
