import { LRUCache } from 'lru-cache'
import { aboutConnection, requireActive, type SealedConnection } from '../domain/connection.ts'
import { isStorageError, StorageError } from '../domain/errors.ts'
import type { Metrics, TokenRefresh } from '../domain/metrics.ts'
import type { OAuthClient } from '../domain/oauth.ts'
import type { Clock, ConnectionStore, CredentialBinding, CredentialCipher } from '../domain/ports.ts'
import type { Secret } from '../domain/secret.ts'
import type { Tracing } from '../domain/tracing.ts'
import { parseTokens, serialiseTokens, storeTokens, type StoredTokens } from './stored-tokens.ts'

export interface RefreshPorts {
  readonly connections: Pick<ConnectionStore, 'withRefreshLock'>
  readonly cipher: CredentialCipher
  readonly clock: Clock
  /** @throws StorageError `PROVIDER_UNKNOWN` */
  readonly clientOf: (providerId: string) => Promise<OAuthClient>
  /** The grant has ended, and the row says so. */
  readonly onEnded: (connection: SealedConnection) => void
  /** The row was removed while the provider made tokens for it: nobody will ever use them. */
  readonly onOrphaned: (connection: Row, tokens: StoredTokens) => void
  /** How long the token endpoint may take. The transaction around it may take longer. */
  readonly deadlineMs: number
  readonly metrics: Pick<Metrics, 'tokenRefreshed'>
  readonly tracing: Tracing
}

/** Whether what is stored will do; else it is refreshed. */
export type IsGood = (tokens: StoredTokens) => boolean

type Row = Pick<SealedConnection, 'id' | 'userId' | 'provider'>

/**
 * How one refresh ends: by value, since a transaction that throws takes back what it has stored. `changed`: the row was
 * renewed, disabled or removed while the provider was asked, and what came is for a row that is no more.
 */
type Outcome =
  | { readonly tokens: StoredTokens; readonly as: 'refreshed' | 'unneeded' }
  | { readonly ended: SealedConnection }
  | { readonly error: unknown }
  | 'changed'

/** Tokens that the provider has given and that the database has not: the old ones may be worth nothing by now. */
interface Unstored {
  /** What was stored when they came, and is still: not by its age, since other processes have other clocks. */
  readonly before: StoredTokens
  readonly tokens: StoredTokens
}

/** Such an accident concerns the connections that were being refreshed when the database went away. */
const MAX_UNSTORED = 1000
/** A row that changes again and again while it is refreshed is given up. */
const ATTEMPTS = 3

/**
 * Refreshes the tokens of a connection, for all processes: under a lock the row is read again, and only where what it
 * holds still will not do the token endpoint is asked. What it gives is stored before anybody uses it.
 *
 * A refresh belongs to no caller. To end it half-way could lose the only token that still works.
 */
export class TokenRefresher {
  readonly #ports: RefreshPorts
  readonly #unstored = new LRUCache<string, Unstored>({ max: MAX_UNSTORED })

  constructor(ports: RefreshPorts) {
    this.#ports = ports
  }

  /**
   * @param beforeAsking called before the token endpoint is asked; what it throws is what the refresh fails with
   * @throws StorageError `CONNECTION_INACTIVE` where the grant has ended or the row is not ACTIVE, `CONNECTION_MISSING`,
   * and what the token endpoint and the database fail with
   */
  async refresh(connection: Row, isGood: IsGood, beforeAsking: () => void = () => {}): Promise<StoredTokens> {
    const { metrics, tracing } = this.#ports
    const { provider } = connection
    let outcome: TokenRefresh = 'failed'
    try {
      return await tracing.span('cloud_storage.refresh_token', { 'cloud_storage.provider': provider }, () =>
        this.#refresh(connection, isGood, beforeAsking, (known) => {
          outcome = known
        })
      )
    } finally {
      metrics.tokenRefreshed(provider, outcome)
    }
  }

  async #refresh(
    connection: Row,
    isGood: IsGood,
    beforeAsking: () => void,
    note: (outcome: Exclude<TokenRefresh, 'failed'>) => void
  ): Promise<StoredTokens> {
    const { connections, deadlineMs, onEnded } = this.#ports
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const outcome = await connections.withRefreshLock<Outcome>(connection, deadlineMs, async (row, store) => {
        try {
          return await this.#underLock(row, store, isGood, beforeAsking)
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
        note('ended')
        onEnded(outcome.ended)
        throw new StorageError(
          'CONNECTION_INACTIVE',
          'The provider no longer accepts this connection: connect again.'
        ).about(aboutConnection({ ...outcome.ended, status: 'REQUIRES_REAUTH' }))
      }
      this.#unstored.delete(connection.id)
      note(outcome.as)
      return outcome.tokens
    }
    throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed.')
  }

  #dropOrphan(connection: Row): void {
    const orphan = this.#unstored.get(connection.id)
    if (orphan === undefined) return
    this.#unstored.delete(connection.id)
    this.#ports.onOrphaned(connection, orphan.tokens)
  }

  async #underLock(
    row: SealedConnection | null,
    store: Pick<ConnectionStore, 'reseal' | 'requireReauth'>,
    isGood: IsGood,
    beforeAsking: () => void
  ): Promise<Outcome> {
    if (row === null) throw new StorageError('CONNECTION_MISSING', 'This connection is gone.')
    // One in ERROR is asked who it is now and then, which needs a token that works.
    if (row.status !== 'ERROR') requireActive(row)
    const { cipher, clock } = this.#ports
    const stored = parseTokens(cipher.open(row.sealedCredentials, bindingOf(row)))
    const rescued = this.#rescued(row.id, stored)
    // What is stored may still do for now, but with a refresh token that is spent.
    if (rescued === undefined && isGood(stored)) return { tokens: stored, as: 'unneeded' }

    let newest = rescued ?? stored
    if (!isGood(newest)) {
      const askedAt = clock.date()
      const { refreshToken, expiresAt } = newest
      if (refreshToken === null && (expiresAt === null || expiresAt > clock.date())) throw refusedForNow()
      if (refreshToken !== null) beforeAsking()
      const set = refreshToken === null ? null : await this.#ask(row, refreshToken)
      if (refreshToken === null || set === null) {
        return (await store.requireReauth(row)) ? { ended: row } : 'changed'
      }
      newest = storeTokens(set, askedAt, newest)
      this.#unstored.set(row.id, { before: stored, tokens: newest })
    }
    const sealed = cipher.seal(serialiseTokens(newest), bindingOf(row))
    return (await store.reseal(row, sealed)) ? { tokens: newest, as: 'refreshed' } : 'changed'
  }

  /**
   * What an earlier refresh could not store: the database went away, or the row was sealed anew meanwhile, with the
   * token that had just been spent.
   */
  #rescued(connectionId: string, stored: StoredTokens): StoredTokens | undefined {
    const unstored = this.#unstored.get(connectionId)
    return unstored !== undefined && areSame(unstored.before, stored) ? unstored.tokens : undefined
  }

  async #ask(row: Row, refreshToken: Secret<string>) {
    const { clientOf, deadlineMs } = this.#ports
    const controller = new AbortController()
    const timer = setTimeout(() => {
      controller.abort(new StorageError('PROVIDER_UNAVAILABLE', 'The provider does not renew its access in time.'))
    }, deadlineMs)
    try {
      const client = await clientOf(row.provider)
      return await client.refresh(refreshToken, controller.signal)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** There is nobody to ask for another token, and this one should work: `account()` may say that it does not. */
function refusedForNow(): StorageError {
  return new StorageError('ACCESS_DENIED', 'The provider denies access.', { credentialsRefused: true })
}

function areSame(a: StoredTokens, b: StoredTokens): boolean {
  return a.accessToken.reveal() === b.accessToken.reveal() && a.refreshToken?.reveal() === b.refreshToken?.reveal()
}

function bindingOf({ id, userId, provider }: Row): CredentialBinding {
  return { userId, provider, connectionId: id }
}
