import { type Connection, aboutConnection, type SealedConnection } from '../domain/connection.ts'
import { isStorageError, StorageError, type StorageErrorCode } from '../domain/errors.ts'
import type { ConnectionStore } from '../domain/ports.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'

export interface VerifyPorts {
  readonly connections: Pick<ConnectionStore, 'findSealed' | 'noteCheck'>
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
  /** Drops everything cached for a connection. */
  readonly invalidate: (connection: Connection) => void
}

export interface VerifyRequest {
  readonly userId: string
  readonly id: string
  readonly signal: AbortSignal
}

/**
 * Verifies a connection at its provider. A success sets an ERROR connection to ACTIVE again.
 *
 * @throws StorageError `CONNECTION_NOT_FOUND`, `CONNECTION_INACTIVE` for a row that only an operator or its user can
 * reactivate, and the provider's failure
 */
export type Verify = (request: VerifyRequest) => Promise<Connection>

/** Failures that do not pass by themselves: the account or the server has changed. */
const LASTING: readonly StorageErrorCode[] = [
  'ACCESS_DENIED',
  'ACCOUNT_DISABLED',
  'ENDPOINT_FORBIDDEN',
  'FOLDER_NOT_FOUND',
  'INSUFFICIENT_SCOPE',
  'OBJECT_NOT_FOUND',
  'UNSUPPORTED'
]

export function createVerify({ connections, open, invalidate }: VerifyPorts): Verify {
  async function note(connection: SealedConnection, failure: StorageErrorCode | null): Promise<Connection | null> {
    const noted = await connections.noteCheck(connection, failure)
    if (noted !== null && noted.version !== connection.version) invalidate(noted)
    return noted
  }

  return async ({ userId, id, signal }) => {
    const connection = await connections.findSealed(userId, id)
    if (connection === null) throw new StorageError('CONNECTION_NOT_FOUND', 'The connection was not found.')
    if (connection.status !== 'ACTIVE' && connection.status !== 'ERROR') {
      throw new StorageError('CONNECTION_INACTIVE', 'This connection is not active.').about(aboutConnection(connection))
    }
    try {
      const backend = await open(connection)
      await backend.account({ signal })
    } catch (error) {
      if (isStorageError(error, ...LASTING)) await note(connection, error.code)
      throw error
    }
    const noted = await note(connection, null)
    if (noted === null) {
      throw new StorageError('CONNECTION_INACTIVE', 'This connection is being changed. Try again.').about(
        aboutConnection(connection)
      )
    }
    return noted
  }
}
