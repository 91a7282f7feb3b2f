import { type FailureContext, StorageError } from './errors.ts'

export type ConnectionStatus = 'ACTIVE' | 'REQUIRES_REAUTH' | 'ERROR' | 'DISABLED'

/** One user's link to one provider: a row without its credentials. */
export interface Connection {
  readonly id: string
  readonly userId: string
  readonly provider: string
  /** Which account this is at the provider; shown to the user, never a secret. */
  readonly accountId: string
  readonly label: string
  readonly isDefault: boolean
  readonly status: ConnectionStatus
  readonly scopes: readonly string[]
  readonly lastErrorCode: string | null
  readonly connectedAt: Date
  readonly createdAt: Date
  /** Raised by the database whenever what may be seen through this connection has changed. */
  readonly version: number
  /** Raised by the database whenever the sealed credentials change. */
  readonly credentialsRevision: number
}

/** A row with its credentials, still sealed. */
export interface SealedConnection extends Connection {
  readonly sealedCredentials: string
}

/** @throws StorageError `CONNECTION_INACTIVE` unless the connection may be used. */
export function requireActive<T extends Connection>(connection: T): T {
  if (connection.status !== 'ACTIVE') {
    throw new StorageError('CONNECTION_INACTIVE', 'This connection is not active.').about(aboutConnection(connection))
  }
  return connection
}

/** What a failure of a connection tells the log. */
export function aboutConnection({
  provider,
  id,
  status
}: Pick<Connection, 'provider' | 'id' | 'status'>): FailureContext {
  return { provider, connectionId: id, connectionStatus: status }
}

/**
 * Which of a user's connections for one provider is meant when none is named: the only one, or the default.
 *
 * @throws StorageError `CONNECTION_MISSING` for none, `CONNECTION_AMBIGUOUS` for several without a default
 */
export function chooseConnection<T extends Connection>(connections: readonly T[]): T {
  const [first, ...others] = connections
  if (first === undefined) {
    throw new StorageError('CONNECTION_MISSING', 'There is no connection to this provider.')
  }
  if (others.length === 0) return first
  const marked = connections.find((connection) => connection.isDefault)
  if (marked === undefined) {
    throw new StorageError(
      'CONNECTION_AMBIGUOUS',
      'There are several connections to this provider and none is the default: name one.'
    )
  }
  return marked
}
