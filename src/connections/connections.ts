import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../core/backend.ts'
import {
  failureDetailsOf,
  requireFound,
  type Connection,
  type ConnectionSelector,
  type SealedConnection
} from '../core/connection.ts'
import type { ParsedCredentials } from '../core/provider.ts'
import type { Secret } from '../core/secret.ts'
import type { ConnectionChanges, ConnectionStore, CredentialCipher, NewConnection } from '../core/stores.ts'
import { type Clock, Moment } from '../core/time.ts'
import type { MinuteLimit } from '../core/user-limits.ts'
import { isStorageError, StorageError, type StorageErrorCode } from '../errors.ts'
import { interceptCalls, runCall, withStorageErrors } from '../layers/layer.ts'
import { withLease } from '../layers/lease.ts'
import type { Leases } from './leases.ts'
import { type ConnectionOpener, hostOf } from './open.ts'
import type { PreparedProvider, ProviderCatalog } from './provider-catalog.ts'

/** A change of a user's connection, for the host application. */
export interface ConnectionEvent {
  /** `renewed`: the same account was connected again. `requiresReauth`: the provider no longer accepts it. */
  readonly type: 'connected' | 'renewed' | 'requiresReauth' | 'disconnected'
  readonly connectionId: string
  readonly userId: string
  readonly provider: string
}

export type OnConnectionChange = (event: ConnectionEvent) => void

export interface ConnectionsOptions {
  readonly store: ConnectionStore
  readonly cipher: CredentialCipher
  readonly clock: Clock
  readonly providers: ProviderCatalog
  readonly opener: Pick<ConnectionOpener, 'openStored' | 'openEntered' | 'findOpen'>
  readonly leases: Leases
  readonly maxPerUser: number
  /** Limits the failed attempts of each user per host. */
  readonly failedAttempts: MinuteLimit
  /** Drops everything that this process has cached for a connection. */
  readonly invalidate: (connection: Connection) => void
  /** Called after a connection was removed, with the credentials that the provider may still accept. */
  readonly onRemoved: (connection: SealedConnection) => void
  readonly onChange: OnConnectionChange
  /** Called if a use could not be recorded. */
  readonly onRecordFailure: (error: unknown) => void
}

/** A connection, and its opened backend. */
export interface OpenConnection {
  readonly connection: Connection
  readonly backend: StorageBackend
}

export interface ConnectRequest {
  readonly userId: string
  readonly prepared: PreparedProvider
  /** Valid against the provider's schema. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The user's name for the connection. Default: the provider's suggestion. */
  readonly label: string | undefined
  readonly signal: AbortSignal
}

export interface VerifyRequest {
  readonly userId: string
  readonly id: string
  readonly signal: AbortSignal
}

/** Failures in which the host did not judge the credentials. All other failures count as failed attempts. */
const INCONCLUSIVE_CODES: readonly StorageErrorCode[] = ['ENDPOINT_FORBIDDEN', 'PROVIDER_UNAVAILABLE', 'SDK_MISSING']

/** Failures that do not pass by themselves: the account or the server has changed. */
const PERMANENT_FAILURES: readonly StorageErrorCode[] = [
  'ACCESS_DENIED',
  'ACCOUNT_DISABLED',
  'ENDPOINT_FORBIDDEN',
  'FOLDER_NOT_FOUND',
  'INSUFFICIENT_SCOPE',
  'OBJECT_NOT_FOUND',
  'UNSUPPORTED'
]

/** Precision of `lastUsedAt`. It limits writes for connections in constant use. */
const LAST_USED_PRECISION_MS = 3_600_000
const MAX_TRACKED_CONNECTIONS = 10_000

/** The users' connections. Every change drops the connection's cached data, and is reported to the host. */
export class Connections {
  readonly #options: ConnectionsOptions
  /** The last recorded use of each connection. */
  readonly #lastUses = new LRUCache<string, Moment>({ max: MAX_TRACKED_CONNECTIONS })

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  /** Returns the user's connections, oldest first. */
  async list(userId: string): Promise<Connection[]> {
    return await this.#options.store.list(userId)
  }

  /** Opens a row that was just read and may be used, and records the use. @throws StorageError as the opener */
  async open(connection: SealedConnection): Promise<StorageBackend> {
    const backend = await this.#options.opener.openStored(connection)
    this.recordUse(connection)
    return backend
  }

  /** Returns the backend that is open for a leased connection, as the opener, and records the use. */
  findOpen(connection: Connection): StorageBackend | undefined {
    const backend = this.#options.opener.findOpen(connection)
    if (backend !== undefined) this.recordUse(connection)
    return backend
  }

  /**
   * Opens the connection that a request names, or the default one, with a row that is read now. The backend returns
   * no data of a connection that has been changed or removed meanwhile.
   *
   * @throws StorageError `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `CONNECTION_MISSING`, `CONNECTION_AMBIGUOUS`,
   * `CONNECTION_INACTIVE`, and the errors of {@link open}
   */
  async openSelected(selector: ConnectionSelector): Promise<OpenConnection> {
    const { providers, leases } = this.#options
    // Checked first: a provider that is not enabled has no connections either.
    providers.assertEnabled(selector.provider)
    const connection = await leases.selectSealed(selector)
    const backend = await this.open(connection)
    // The lease encloses the layers of the connection, and reads the database, which may fail in its own ways.
    const runner = withStorageErrors(withLease(runCall, leases.verifierOf(connection)))
    return { connection, backend: interceptCalls(backend, runner) }
  }

  /**
   * Connects with credentials that the user entered: verifies them at the server, then seals and stores them.
   *
   * @throws StorageError `INVALID_CREDENTIALS`, `UNSUPPORTED` for a provider without a form, `CONNECTION_INACTIVE`;
   * `TOO_MANY_REQUESTS` after too many failed attempts of this user at this host
   */
  async connect(request: ConnectRequest): Promise<Connection> {
    const { userId, prepared, label } = request
    const { credentials, accountId, label: suggestedLabel } = await this.#verifyEntered(request)
    return await this.store(
      { userId, provider: prepared.provider.id, accountId, label: label ?? suggestedLabel, scopes: [] },
      credentials
    )
  }

  /** Seals and stores a verified connection: inserts a row, or renews the row of the same account. */
  async store(connection: NewConnection, credentials: Secret<unknown>): Promise<Connection> {
    const { store, cipher, maxPerUser, invalidate, onChange } = this.#options
    const stored = await store.saveConnected(
      connection,
      (id) => cipher.seal(credentials, { ...connection, id }),
      maxPerUser
    )
    invalidate(stored)
    // The database increments the version with each renewal: only a new row has version 1.
    onChange(toEvent(stored.version === 1 ? 'connected' : 'renewed', stored))
    return stored
  }

  /** Changes a connection's label, and which one is the default. @throws StorageError `CONNECTION_NOT_FOUND` */
  async change(userId: string, id: string, changes: ConnectionChanges): Promise<Connection> {
    const { store, invalidate } = this.#options
    const connection = requireFound(await store.update(userId, id, changes))
    invalidate(connection)
    return connection
  }

  /**
   * Verifies a connection at its provider. A success sets an ERROR connection to ACTIVE again.
   *
   * @throws StorageError `CONNECTION_NOT_FOUND`, `CONNECTION_INACTIVE` for a row that only an operator or its user can
   * reactivate, and the provider's failure
   */
  async verify({ userId, id, signal }: VerifyRequest): Promise<Connection> {
    const connection = requireFound(await this.#options.store.findSealed(userId, id))
    if (connection.status !== 'ACTIVE' && connection.status !== 'ERROR') {
      throw new StorageError('CONNECTION_INACTIVE').about(failureDetailsOf(connection))
    }
    try {
      const backend = await this.open(connection)
      await backend.account({ signal })
    } catch (error) {
      if (isStorageError(error, ...PERMANENT_FAILURES)) await this.#recordVerification(connection, error.code)
      throw error
    }
    const updated = await this.#recordVerification(connection, null)
    if (updated === null) {
      throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed. Try again.').about(
        failureDetailsOf(connection)
      )
    }
    return updated
  }

  /** Removes a connection. @throws StorageError `CONNECTION_NOT_FOUND` */
  async disconnect(userId: string, id: string): Promise<void> {
    this.#finishRemoval(requireFound(await this.#options.store.remove(userId, id)))
  }

  /** Removes all connections of a user. */
  async disconnectAll(userId: string): Promise<void> {
    for (const removed of await this.#options.store.removeAll(userId)) this.#finishRemoval(removed)
  }

  /** Sets a connection to REQUIRES_REAUTH, since the provider no longer accepts its credentials. */
  async requireReauth(connection: SealedConnection): Promise<void> {
    // Credentials that were renewed meanwhile, and removed connections, remain unchanged.
    if (await this.#options.store.requireReauth(connection)) this.onReauthRequired(connection)
  }

  /** Called when a row has become REQUIRES_REAUTH in another way. */
  onReauthRequired(connection: Connection): void {
    this.#options.invalidate(connection)
    this.#options.onChange(toEvent('requiresReauth', connection))
  }

  /** Reseals a row that is sealed with an older key, unless it has changed since it was read. */
  async reseal(connection: SealedConnection, credentials: Secret<unknown>): Promise<void> {
    const { store, cipher } = this.#options
    await store.reseal(connection, cipher.seal(credentials, connection))
  }

  /** Records a use of a connection, in the background. */
  recordUse({ userId, id }: Pick<Connection, 'userId' | 'id'>): void {
    const { store, clock, onRecordFailure } = this.#options
    const last = this.#lastUses.get(id)
    if (last !== undefined && last.ageMs(clock) < LAST_USED_PRECISION_MS) return
    this.#lastUses.set(id, new Moment(clock))
    store.recordUse(userId, id, LAST_USED_PRECISION_MS).catch(onRecordFailure)
  }

  async #verifyEntered({ userId, prepared, fields, signal }: ConnectRequest): Promise<ParsedCredentials> {
    const { opener, failedAttempts } = this.#options
    if (prepared.client !== null) {
      throw new StorageError(
        'UNSUPPORTED',
        'This provider is connected in the browser. Use POST /connections/{provider}/authorize.'
      )
    }
    const { provider, network } = prepared
    try {
      const parsed = provider.connect.parse(fields)
      const attempt = failedAttempts.begin(userId, hostOf(provider.id, parsed.credentials))
      try {
        const completed = (await provider.connect.complete?.(parsed, { ...network, signal })) ?? parsed
        const backend = await opener.openEntered(prepared, completed.credentials)
        await backend.account({ signal })
        attempt.end(false)
        return completed
      } catch (error) {
        // An aborted attempt counts too: the host may already have judged it.
        attempt.end(signal.aborted || !isStorageError(error, ...INCONCLUSIVE_CODES))
        throw error
      }
    } catch (error) {
      throw toCredentialError(error)
    }
  }

  async #recordVerification(
    connection: SealedConnection,
    failure: StorageErrorCode | null
  ): Promise<Connection | null> {
    const { store, invalidate } = this.#options
    const updated = await store.recordVerification(connection, failure)
    if (updated !== null && updated.version !== connection.version) invalidate(updated)
    return updated
  }

  #finishRemoval(connection: SealedConnection): void {
    const { invalidate, onRemoved, onChange } = this.#options
    invalidate(connection)
    onRemoved(connection)
    onChange(toEvent('disconnected', connection))
  }
}

function toEvent(type: ConnectionEvent['type'], { id, userId, provider }: Connection): ConnectionEvent {
  return { type, connectionId: id, userId, provider }
}

/** Returns `INVALID_CREDENTIALS` if the server refused the credentials, and any other error unchanged. */
function toCredentialError(error: unknown): unknown {
  if (!isStorageError(error, 'ACCESS_DENIED', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND', 'UNSUPPORTED')) return error
  const message =
    error.code === 'ACCESS_DENIED'
      ? 'The server rejected the credentials.'
      : 'No folder, bucket or service was found at this address.'
  return new StorageError('INVALID_CREDENTIALS', message, { cause: error })
}
