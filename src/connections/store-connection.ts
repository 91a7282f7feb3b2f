import type { Connection } from '../domain/connection.ts'
import type { ConnectionStore, CredentialCipher, NewConnection } from '../domain/ports.ts'
import type { Secret } from '../domain/secret.ts'
import { connectionEvent, type OnConnectionChange } from './connection-event.ts'

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
