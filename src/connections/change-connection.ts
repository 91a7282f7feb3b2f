import type { Connection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'
import type { ConnectionChanges, ConnectionStore } from '../domain/ports.ts'

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
    if (connection === null) throw new StorageError('CONNECTION_NOT_FOUND', 'The connection was not found.')
    invalidate(connection)
    return connection
  }
}
