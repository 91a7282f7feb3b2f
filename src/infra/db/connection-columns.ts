import type { SealedConnection } from '../../domain/connection.ts'
import type { ConnectionColumns, ConnectionRow } from './prisma-client.ts'

/** All columns of a connection except its credentials. */
export const COLUMNS: ConnectionColumns = {
  id: true,
  userId: true,
  provider: true,
  accountId: true,
  label: true,
  isDefault: true,
  status: true,
  scopes: true,
  lastErrorCode: true,
  connectedAt: true,
  createdAt: true,
  version: true,
  credentialsRevision: true
}

export const SEALED_COLUMNS = { ...COLUMNS, credentials: true } as const

/** A row as selected by {@link SEALED_COLUMNS}. */
export type SealedRow = ConnectionRow & { readonly credentials?: string }

export function toSealed(row: SealedRow): SealedConnection {
  const { credentials = '', ...connection } = row
  return { ...connection, sealedCredentials: credentials }
}
