import { StorageError } from '../errors.ts'
import type { TokenSet } from '../core/oauth.ts'
import { Secret } from '../core/secret.ts'

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
