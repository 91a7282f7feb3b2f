import { LRUCache } from 'lru-cache'
import { failureDetailsOf, requireActive, type SealedConnection } from '../core/connection.ts'
import type { OAuthClient } from '../core/oauth.ts'
import type { Secret } from '../core/secret.ts'
import type { ConnectionStore, CredentialCipher } from '../core/stores.ts'
import type { Metrics, TokenRefresh, Tracing } from '../core/telemetry.ts'
import { type Clock, Deadline } from '../core/time.ts'
import { isStorageError, StorageError } from '../errors.ts'
import {
  type IsUsable,
  parseTokens,
  type RefreshTarget,
  serialiseTokens,
  type StoredTokens,
  toStoredTokens
} from './tokens.ts'

export interface TokenRefresherOptions {
  readonly connections: Pick<ConnectionStore, 'withRefreshLock'>
  readonly cipher: CredentialCipher
  readonly clock: Clock
  /** @throws StorageError `PROVIDER_UNKNOWN` */
  readonly clientOf: (providerId: string) => Promise<OAuthClient>
  /** Called when the grant has ended and the row is REQUIRES_REAUTH. */
  readonly onGrantEnded: (connection: SealedConnection) => void
  /** Called with new tokens of a row that was removed meanwhile: they will never be used. */
  readonly onOrphaned: (connection: RefreshTarget, tokens: StoredTokens) => void
  /** Timeout of the token endpoint. The transaction around it may take longer. */
  readonly timeoutMs: number
  readonly metrics: Pick<Metrics, 'tokenRefreshed'>
  readonly tracing: Tracing
}

/**
 * The outcome of a refresh. Returned, not thrown: throwing would roll the transaction back. `changed`: the row was
 * renewed, disabled or removed during the request, so the response belongs to an outdated row.
 */
type Outcome =
  | { readonly tokens: StoredTokens; readonly result: 'refreshed' | 'unneeded' }
  | { readonly ended: SealedConnection }
  | { readonly error: unknown }
  | 'changed'

/** Tokens that the provider has issued but that are not stored. The stored ones may be invalid by now. */
interface UnstoredTokens {
  /** The tokens stored then, compared by value: other processes have other clocks. */
  readonly previous: StoredTokens
  readonly tokens: StoredTokens
}

/** Bounds the connections that are being refreshed when the database fails. */
const MAX_UNSTORED = 1000
/** Attempts to refresh a row that keeps changing meanwhile. */
const MAX_ATTEMPTS = 3

/**
 * Refreshes the tokens of a connection for all processes. It reads the row again under a lock, and calls the token
 * endpoint only if the stored tokens are not usable. New tokens are stored before they are used.
 *
 * A refresh belongs to no caller: aborting it could lose the only valid token.
 */
export class TokenRefresher {
  readonly #options: TokenRefresherOptions
  readonly #unstored = new LRUCache<string, UnstoredTokens>({ max: MAX_UNSTORED })

  constructor(options: TokenRefresherOptions) {
    this.#options = options
  }

  /**
   * @param beforeRequest called before the token endpoint; if it throws, the refresh fails with its error
   * @throws StorageError `CONNECTION_INACTIVE` if the grant has ended or the row is not ACTIVE, `CONNECTION_MISSING`,
   * and the errors of the token endpoint and the database
   */
  async refresh(
    connection: RefreshTarget,
    isUsable: IsUsable,
    beforeRequest: () => void = () => {}
  ): Promise<StoredTokens> {
    const { metrics, tracing } = this.#options
    const { provider } = connection
    let outcome: TokenRefresh = 'failed'
    try {
      return await tracing.span('cloud_storage.refresh_token', { 'cloud_storage.provider': provider }, () =>
        this.#refresh(connection, isUsable, beforeRequest, (reported) => {
          outcome = reported
        })
      )
    } finally {
      metrics.tokenRefreshed(provider, outcome)
    }
  }

  async #refresh(
    connection: RefreshTarget,
    isUsable: IsUsable,
    beforeRequest: () => void,
    report: (outcome: Exclude<TokenRefresh, 'failed'>) => void
  ): Promise<StoredTokens> {
    const { connections, timeoutMs, onGrantEnded } = this.#options
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const outcome = await connections.withRefreshLock<Outcome>(connection, timeoutMs, async (row, store) => {
        try {
          return await this.#refreshLocked(row, store, isUsable, beforeRequest)
        } catch (error) {
          return { error }
        }
      })
      if (outcome === 'changed') continue
      if ('error' in outcome) {
        if (isStorageError(outcome.error, 'CONNECTION_MISSING')) this.#dropOrphan(connection)
        throw outcome.error
      }
      if ('ended' in outcome) {
        report('ended')
        onGrantEnded(outcome.ended)
        throw new StorageError(
          'CONNECTION_INACTIVE',
          'The provider no longer accepts this connection. Connect again.'
        ).about(failureDetailsOf({ ...outcome.ended, status: 'REQUIRES_REAUTH' }))
      }
      this.#unstored.delete(connection.id)
      report(outcome.result)
      return outcome.tokens
    }
    throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed. Try again.')
  }

  #dropOrphan(connection: RefreshTarget): void {
    const orphan = this.#unstored.get(connection.id)
    if (orphan === undefined) return
    this.#unstored.delete(connection.id)
    this.#options.onOrphaned(connection, orphan.tokens)
  }

  async #refreshLocked(
    row: SealedConnection | null,
    store: Pick<ConnectionStore, 'reseal' | 'requireReauth'>,
    isUsable: IsUsable,
    beforeRequest: () => void
  ): Promise<Outcome> {
    if (row === null) throw new StorageError('CONNECTION_MISSING', 'The connection no longer exists.')
    // Connections in ERROR are verified from time to time, which takes a valid token.
    if (row.status !== 'ERROR') requireActive(row)
    const { cipher, clock } = this.#options
    const stored = parseTokens(cipher.open(row.sealedCredentials, row))
    const unstoredTokens = this.#findUnstored(row.id, stored)
    // The stored access token may still be valid, but its refresh token is spent.
    if (unstoredTokens === undefined && isUsable(stored)) return { tokens: stored, result: 'unneeded' }

    let newest = unstoredTokens ?? stored
    if (!isUsable(newest)) {
      const requestedAt = clock.date()
      const { refreshToken, expiresAt } = newest
      if (refreshToken === null && (expiresAt === null || expiresAt > clock.date())) throw tokenRejected()
      if (refreshToken !== null) beforeRequest()
      const tokenSet = refreshToken === null ? null : await this.#requestTokens(row, refreshToken)
      if (refreshToken === null || tokenSet === null) {
        return (await store.requireReauth(row)) ? { ended: row } : 'changed'
      }
      newest = toStoredTokens(tokenSet, requestedAt, newest)
      this.#unstored.set(row.id, { previous: stored, tokens: newest })
    }
    const sealed = cipher.seal(serialiseTokens(newest), row)
    return (await store.reseal(row, sealed)) ? { tokens: newest, result: 'refreshed' } : 'changed'
  }

  /**
   * Returns tokens that an earlier refresh could not store: the database failed, or the row was resealed meanwhile,
   * with the spent refresh token.
   */
  #findUnstored(connectionId: string, stored: StoredTokens): StoredTokens | undefined {
    const unstored = this.#unstored.get(connectionId)
    return unstored !== undefined && areTokensEqual(unstored.previous, stored) ? unstored.tokens : undefined
  }

  async #requestTokens(row: RefreshTarget, refreshToken: Secret<string>) {
    const { clientOf, timeoutMs } = this.#options
    const toError = (): StorageError =>
      new StorageError('PROVIDER_UNAVAILABLE', 'The provider did not refresh the token in time.')
    // Not raced against its timeout: tokens that have arrived must be stored, since the old refresh token is spent.
    const deadline = new Deadline(timeoutMs, null, toError)
    try {
      const client = await clientOf(row.provider)
      return await client.refresh(refreshToken, deadline.signal)
    } finally {
      deadline.clear()
    }
  }
}

/** The token cannot be refreshed but has not expired. `account()` finds out whether it is still valid. */
function tokenRejected(): StorageError {
  return new StorageError('ACCESS_DENIED', 'The provider denies access.', { credentialsRefused: true })
}

function areTokensEqual(a: StoredTokens, b: StoredTokens): boolean {
  return a.accessToken.reveal() === b.accessToken.reveal() && a.refreshToken?.reveal() === b.refreshToken?.reveal()
}
