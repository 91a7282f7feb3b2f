import type { Connection, SealedConnection } from '../domain/connection.ts'
import type { ConnectionStore } from '../domain/ports.ts'
import { connectionEvent, type OnConnectionChange } from './connection-event.ts'

export interface RequireReauthPorts {
  readonly connections: Pick<ConnectionStore, 'requireReauth'>
  /** Drops all that is believed of a connection. */
  readonly invalidate: (connection: Connection) => void
  readonly onChange: OnConnectionChange
}

export type RequireReauth = (connection: SealedConnection) => Promise<void>

/** The provider no longer accepts a connection's credentials: it waits for its user to connect again. */
export function createRequireReauth({ connections, invalidate, onChange }: RequireReauthPorts): RequireReauth {
  return async (connection) => {
    // Credentials that were renewed meanwhile, and a connection that is gone, are left alone.
    if (!(await connections.requireReauth(connection))) return
    invalidate(connection)
    onChange(connectionEvent('requiresReauth', connection))
  }
}
