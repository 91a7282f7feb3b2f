import type { Connection } from '../domain/connection.ts'
import { StorageError } from '../domain/errors.ts'

/** Returns the public fields. They exclude credentials, even sealed, and all of the last failure except its code. */
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

/** Rejects a label that PostgreSQL cannot store as text. */
export function parseLabel(label: string): string
export function parseLabel(label: string | undefined): string | undefined
export function parseLabel(label: string | undefined): string | undefined {
  if (label !== undefined && (label.includes('\0') || !label.isWellFormed())) {
    throw new StorageError('INVALID_REQUEST', 'body/label contains invalid characters.')
  }
  return label
}
