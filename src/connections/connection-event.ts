import type { Connection } from '../domain/connection.ts'

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
