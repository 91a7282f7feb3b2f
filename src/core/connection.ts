import { type FailureDetails, StorageError } from '../errors.ts'

export type ConnectionStatus = 'ACTIVE' | 'REQUIRES_REAUTH' | 'ERROR' | 'DISABLED'

/** A user's connection to a provider: a database row without its credentials. */
export interface Connection {
  readonly id: string
  readonly userId: string
  readonly provider: string
  /** The account's id at the provider. It is shown to the user and is never a secret. */
  readonly accountId: string
  readonly label: string
  readonly isDefault: boolean
  readonly status: ConnectionStatus
  readonly scopes: readonly string[]
  readonly lastErrorCode: string | null
  readonly connectedAt: Date
  readonly createdAt: Date
  /** Incremented by the database whenever the data visible through this connection may have changed. */
  readonly version: number
  /** Incremented by the database whenever the sealed credentials change. */
  readonly credentialsRevision: number
}

/** A row with its credentials, which are still sealed. */
export interface SealedConnection extends Connection {
  readonly sealedCredentials: string
}

/** Returns the row without its credentials, for memory that outlives a request. */
export function withoutCredentials(row: Connection | SealedConnection): Connection {
  if (!('sealedCredentials' in row)) return row
  const { sealedCredentials, ...connection } = row
  return connection
}

/** The notification of the database's trigger about a row, by whichever process it was changed. */
export interface ConnectionNotification {
  readonly id: string
  readonly userId: string
  readonly provider: string
  readonly version: number
  /** The row was removed, or moved to another user. */
  readonly isRemoved: boolean
}

/** Returns the connection. @throws StorageError `CONNECTION_INACTIVE` unless its status is ACTIVE */
export function requireActive<T extends Connection>(connection: T): T {
  if (connection.status !== 'ACTIVE') {
    throw new StorageError('CONNECTION_INACTIVE').about(failureDetailsOf(connection))
  }
  return connection
}

/** Compares `connectedAt`, too: a row that was removed and restored starts with version 1 again. */
export function isSameVersion(a: Connection, b: Connection): boolean {
  return a.version === b.version && a.connectedAt.getTime() === b.connectedAt.getTime()
}

/** Returns the failure details of a connection, for the log. */
export function failureDetailsOf({
  provider,
  id,
  status
}: Pick<Connection, 'provider' | 'id' | 'status'>): FailureDetails {
  return { provider, connectionId: id, connectionStatus: status }
}

/** The user, provider and connection of a request. */
export interface ConnectionSelector {
  readonly userId: string
  readonly provider: string
  /** Default: the user's only connection to the provider, or the default one. */
  readonly connectionId: string | undefined
}

/**
 * Returns the connection.
 *
 * @param provider the provider that the request names, if it names one
 * @throws StorageError `CONNECTION_NOT_FOUND` for `null`, and for a connection to another provider
 */
export function requireFound<T extends Connection>(connection: T | null, provider = connection?.provider): T {
  if (connection === null || connection.provider !== provider) throw new StorageError('CONNECTION_NOT_FOUND')
  return connection
}

/**
 * Chooses a user's connection to a provider when the request names none: the only one, or the default.
 *
 * @throws StorageError `CONNECTION_MISSING` for none, `CONNECTION_AMBIGUOUS` for several without a default
 */
export function chooseConnection<T extends Connection>(connections: readonly T[]): T {
  const [first, ...others] = connections
  if (first === undefined) {
    throw new StorageError('CONNECTION_MISSING')
  }
  if (others.length === 0) return first
  const defaultConnection = connections.find((connection) => connection.isDefault)
  if (defaultConnection === undefined) {
    throw new StorageError('CONNECTION_AMBIGUOUS')
  }
  return defaultConnection
}
