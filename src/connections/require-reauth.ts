import type { Connection, SealedConnection } from '../domain/connection.ts'
import type { ConnectionStore } from '../domain/ports.ts'
import { connectionEvent, type OnConnectionChange } from './connection-event.ts'

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
