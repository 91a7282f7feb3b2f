import type { Connection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'

/** Never a secret: not the credentials, sealed or not, and of the last failure its code alone. */
export function viewOf(connection: Connection): object {
  return {
    id: connection.id,
    provider: connection.provider,
    label: connection.label,
    account: connection.accountId,
    status: connection.status,
    default: connection.isDefault,
    createdAt: connection.createdAt.toISOString(),
    lastError: connection.lastErrorCode
  }
}

/** What PostgreSQL can store as text. */
export function parseLabel(label: string): string
export function parseLabel(label: string | undefined): string | undefined
export function parseLabel(label: string | undefined): string | undefined {
  if (label !== undefined && (label.includes('\0') || !label.isWellFormed())) {
    throw new StorageError('INVALID_REQUEST', 'body/label holds characters that no name has.')
  }
  return label
}
