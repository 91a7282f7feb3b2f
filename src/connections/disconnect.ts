import type { Connection, SealedConnection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'
import type { ConnectionStore } from '../domain/ports.ts'
import { connectionEvent, type OnConnectionChange } from './connection-event.ts'

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
  const gone = (connection: SealedConnection): void => {
    invalidate(connection)
    revoke(connection)
    onChange(connectionEvent('disconnected', connection))
  }
  return {
    async one(userId, id) {
      const removed = await connections.remove(userId, id)
      if (removed === null) throw new StorageError('CONNECTION_NOT_FOUND', 'The connection was not found.')
      gone(removed)
    },
    async all(userId) {
      for (const removed of await connections.removeAll(userId)) gone(removed)
    }
  }
}
