import type { Secret } from '../../core/secret.ts'
import { Diagnosis, StorageError } from '../../errors.ts'

/**
 * Validates credentials that a user entered.
 *
 * @throws StorageError `INVALID_CREDENTIALS` that names the invalid field
 */
export function readEnteredCredentials<T>(read: () => T): T {
  return mapErrors(read, (error) => new StorageError('INVALID_CREDENTIALS', error.message))
}

/** Validates stored credentials as strictly as entered ones. @throws StorageError `CREDENTIALS_UNREADABLE` */
export function readStoredCredentials<T>(
  credentials: Secret<unknown>,
  read: (fields: Readonly<Record<string, unknown>>) => T
): T {
  const value = credentials.reveal()
  const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  return mapErrors(
    () => read(fields),
    (error) => {
      const cause = new Diagnosis(`Invalid stored credentials: ${error.message}`)
      return new StorageError('CREDENTIALS_UNREADABLE', 'Invalid stored credentials. Connect again.', { cause })
    }
  )
}

function mapErrors<T>(read: () => T, toError: (error: InvalidSettingError) => StorageError): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof InvalidSettingError ? toError(error) : error
  }
}

/** Names an invalid field and the reason; callers convert it to their own error. */
export class InvalidSettingError extends Error {
  override readonly name = 'InvalidSettingError'
}
