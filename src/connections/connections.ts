import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../core/backend.ts'
import { failureDetailsOf, type Connection, type SealedConnection } from '../core/connection.ts'
import {
  type ConnectContext,
  isOAuthProvider,
  type ParsedCredentials,
  type ProviderDefinition,
  type TypedProvider
} from '../core/provider.ts'
import type { Secret } from '../core/secret.ts'
import type { ConnectionChanges, ConnectionStore, CredentialCipher, NewConnection } from '../core/stores.ts'
import { type Clock, Moment } from '../core/time.ts'
import type { MinuteLimit } from '../core/user-limits.ts'
import { isStorageError, StorageError, type StorageErrorCode } from '../errors.ts'

export interface ChangeConnectionPorts {
  readonly connections: Pick<ConnectionStore, 'update'>
  /** Drops everything cached for a connection. */
  readonly invalidate: (connection: Connection) => void
}

/** @throws StorageError `CONNECTION_NOT_FOUND` */
export type ChangeConnection = (userId: string, id: string, changes: ConnectionChanges) => Promise<Connection>

/** Changes a connection's label, and which one is the default. */
export function createChangeConnection({ connections, invalidate }: ChangeConnectionPorts): ChangeConnection {
  return async (userId, id, changes) => {
    const connection = await connections.update(userId, id, changes)
    if (connection === null) throw new StorageError('CONNECTION_NOT_FOUND')
    invalidate(connection)
    return connection
  }
}

export interface ConnectPorts {
  readonly openWith: (provider: TypedProvider, credentials: Secret<unknown>) => Promise<StorageBackend>
  readonly contextOf: (providerId: string) => Omit<ConnectContext, 'signal'>
  readonly store: StoreConnection
  /** Limits the refused attempts of each user per host. */
  readonly failedAttempts: MinuteLimit
}

export interface ConnectRequest {
  readonly userId: string
  readonly provider: ProviderDefinition
  /** Valid against the provider's schema. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The user's name for the connection. Default: the provider's suggestion. */
  readonly label: string | undefined
  readonly signal: AbortSignal
}

/**
 * @throws StorageError `INVALID_CREDENTIALS`, `UNSUPPORTED` for a provider without a form, `CONNECTION_INACTIVE`;
 * `TOO_MANY_REQUESTS` after too many failed attempts of this user at this host
 */
export type Connect = (request: ConnectRequest) => Promise<Connection>

/** Failures in which the host did not judge the credentials. All other failures count as failed attempts. */
const INCONCLUSIVE_CODES: readonly StorageErrorCode[] = ['ENDPOINT_FORBIDDEN', 'PROVIDER_UNAVAILABLE', 'SDK_MISSING']

/** Connects with credentials that the user entered: verifies them at the server, then seals and stores them. */
export function createConnect({ openWith, contextOf, store, failedAttempts }: ConnectPorts): Connect {
  async function verifyCredentials({ userId, provider, fields, signal }: ConnectRequest): Promise<ParsedCredentials> {
    if (isOAuthProvider(provider)) {
      throw new StorageError(
        'UNSUPPORTED',
        'This provider is connected in the browser. Use POST /connections/{provider}/authorize.'
      )
    }
    const parsed = provider.connect.parse(fields)
    const attempt = failedAttempts.begin(userId, hostOf(provider.id, parsed.credentials))
    try {
      const context = { ...contextOf(provider.id), signal }
      const completed = (await provider.connect.complete?.(parsed, context)) ?? parsed
      const backend = await openWith(provider, completed.credentials)
      await backend.account({ signal })
      attempt.end(false)
      return completed
    } catch (error) {
      // An aborted attempt counts too: the host may already have judged it.
      attempt.end(signal.aborted || !isStorageError(error, ...INCONCLUSIVE_CODES))
      throw error
    }
  }

  return async (request) => {
    const { userId, provider, label } = request
    const { credentials, accountId, label: suggestedLabel } = await withCredentialErrors(verifyCredentials(request))
    return await store(
      { userId, provider: provider.id, accountId, label: label ?? suggestedLabel, scopes: [] },
      credentials
    )
  }
}

/** The fields in which providers store the address of a server. */
const ADDRESS_FIELDS = ['baseUrl', 'endpoint', 'url', 'server', 'host']

/**
 * Returns the host of the credentials, under which failed attempts are counted: in lower case, without scheme, port
 * and path, which lead to the same server. Returns the provider's id if they contain no host.
 */
export function hostOf(providerId: string, credentials: Secret<unknown>): string {
  const fields = credentials.reveal()
  const values = ADDRESS_FIELDS.map((name) => (fields as Partial<Record<string, unknown>> | null | undefined)?.[name])
  const address = values.find((value) => typeof value === 'string' && URL.canParse(value)) as string | undefined
  const host = address === undefined ? '' : new URL(address).hostname.replace(/\.$/, '')
  return host === '' ? providerId : host
}

/** @throws StorageError `INVALID_CREDENTIALS` if the server refuses them, and other errors of the check */
async function withCredentialErrors<T>(verification: Promise<T>): Promise<T> {
  try {
    return await verification
  } catch (error) {
    if (!isStorageError(error, 'ACCESS_DENIED', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND', 'UNSUPPORTED')) throw error
    const message =
      error.code === 'ACCESS_DENIED'
        ? 'The server rejected the credentials.'
        : 'No folder, bucket or service was found at this address.'
    throw new StorageError('INVALID_CREDENTIALS', message, { cause: error })
  }
}

/** A change of a user's connection, for the host application. */
export interface ConnectionEvent {
  /** `renewed`: the same account was connected again. `requiresReauth`: the provider no longer accepts it. */
  readonly type: 'connected' | 'renewed' | 'requiresReauth' | 'disconnected'
  readonly connectionId: string
  readonly userId: string
  readonly provider: string
}

export type OnConnectionChange = (event: ConnectionEvent) => void

export function connectionEvent(type: ConnectionEvent['type'], connection: Connection): ConnectionEvent {
  return { type, connectionId: connection.id, userId: connection.userId, provider: connection.provider }
}

export interface DisconnectPorts {
  readonly connections: Pick<ConnectionStore, 'remove' | 'removeAll'>
  /** Drops everything cached for a connection. */
  readonly invalidate: (connection: Connection) => void
  /** Starts revoking the credentials at the provider, in the background. */
  readonly revoke: (connection: SealedConnection) => void
  readonly onChange: OnConnectionChange
}

export interface Disconnect {
  /** @throws StorageError `CONNECTION_NOT_FOUND` */
  one(userId: string, id: string): Promise<void>
  /** Removes all connections of a user. */
  all(userId: string): Promise<void>
}

export function createDisconnect({ connections, invalidate, revoke, onChange }: DisconnectPorts): Disconnect {
  const onRemoved = (connection: SealedConnection): void => {
    invalidate(connection)
    revoke(connection)
    onChange(connectionEvent('disconnected', connection))
  }
  return {
    async one(userId, id) {
      const removed = await connections.remove(userId, id)
      if (removed === null) throw new StorageError('CONNECTION_NOT_FOUND')
      onRemoved(removed)
    },
    async all(userId) {
      for (const removed of await connections.removeAll(userId)) onRemoved(removed)
    }
  }
}

/** Precision of `lastUsedAt`. It limits writes for connections in constant use. */
const LAST_USED_PRECISION_MS = 3_600_000
const MAX_TRACKED_CONNECTIONS = 10_000

export interface RecordUsePorts {
  readonly connections: Pick<ConnectionStore, 'recordUse'>
  readonly clock: Clock
  readonly onFailure: (error: unknown) => void
}

/** Records a use of a connection, in the background. */
export type RecordUse = (connection: Pick<Connection, 'userId' | 'id'>) => void

export function createRecordUse({ connections, clock, onFailure }: RecordUsePorts): RecordUse {
  const lastRecorded = new LRUCache<string, Moment>({ max: MAX_TRACKED_CONNECTIONS })
  return ({ userId, id }) => {
    const last = lastRecorded.get(id)
    if (last !== undefined && last.ageMs(clock) < LAST_USED_PRECISION_MS) return
    lastRecorded.set(id, new Moment(clock))
    connections.recordUse(userId, id, LAST_USED_PRECISION_MS).catch(onFailure)
  }
}

export interface RequireReauthPorts {
  readonly connections: Pick<ConnectionStore, 'requireReauth'>
  /** Drops everything cached for a connection. */
  readonly invalidate: (connection: Connection) => void
  readonly onChange: OnConnectionChange
}

export type RequireReauth = (connection: SealedConnection) => Promise<void>

/** Sets a connection to REQUIRES_REAUTH, since the provider no longer accepts its credentials. */
export function createRequireReauth({ connections, invalidate, onChange }: RequireReauthPorts): RequireReauth {
  return async (connection) => {
    // Credentials that were renewed meanwhile, and removed connections, remain unchanged.
    if (!(await connections.requireReauth(connection))) return
    invalidate(connection)
    onChange(connectionEvent('requiresReauth', connection))
  }
}

export interface StoreConnectionPorts {
  readonly connections: Pick<ConnectionStore, 'saveConnected'>
  readonly cipher: CredentialCipher
  /** Drops everything cached for a connection. */
  readonly invalidate: (connection: Connection) => void
  readonly maxPerUser: number
  readonly onChange: OnConnectionChange
}

/** Seals and stores a verified connection: inserts a row, or renews the row of the same account. */
export type StoreConnection = (connection: NewConnection, credentials: Secret<unknown>) => Promise<Connection>

export function createStoreConnection(ports: StoreConnectionPorts): StoreConnection {
  const { connections, cipher, invalidate, maxPerUser, onChange } = ports
  return async (connection, credentials) => {
    const { userId, provider } = connection
    const stored = await connections.saveConnected(
      connection,
      (connectionId) => cipher.seal(credentials, { userId, connectionId, provider }),
      maxPerUser
    )
    invalidate(stored)
    // The database increments the version with each renewal: only a new row has version 1.
    onChange(connectionEvent(stored.version === 1 ? 'connected' : 'renewed', stored))
    return stored
  }
}

export interface VerifyPorts {
  readonly connections: Pick<ConnectionStore, 'findSealed' | 'recordVerification'>
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
  /** Drops everything cached for a connection. */
  readonly invalidate: (connection: Connection) => void
}

export interface VerifyRequest {
  readonly userId: string
  readonly id: string
  readonly signal: AbortSignal
}

/**
 * Verifies a connection at its provider. A success sets an ERROR connection to ACTIVE again.
 *
 * @throws StorageError `CONNECTION_NOT_FOUND`, `CONNECTION_INACTIVE` for a row that only an operator or its user can
 * reactivate, and the provider's failure
 */
export type Verify = (request: VerifyRequest) => Promise<Connection>

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

export function createVerify({ connections, open, invalidate }: VerifyPorts): Verify {
  async function recordOutcome(
    connection: SealedConnection,
    failure: StorageErrorCode | null
  ): Promise<Connection | null> {
    const updated = await connections.recordVerification(connection, failure)
    if (updated !== null && updated.version !== connection.version) invalidate(updated)
    return updated
  }

  return async ({ userId, id, signal }) => {
    const connection = await connections.findSealed(userId, id)
    if (connection === null) throw new StorageError('CONNECTION_NOT_FOUND')
    if (connection.status !== 'ACTIVE' && connection.status !== 'ERROR') {
      throw new StorageError('CONNECTION_INACTIVE').about(failureDetailsOf(connection))
    }
    try {
      const backend = await open(connection)
      await backend.account({ signal })
    } catch (error) {
      if (isStorageError(error, ...PERMANENT_FAILURES)) await recordOutcome(connection, error.code)
      throw error
    }
    const updated = await recordOutcome(connection, null)
    if (updated === null) {
      throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed. Try again.').about(
        failureDetailsOf(connection)
      )
    }
    return updated
  }
}
