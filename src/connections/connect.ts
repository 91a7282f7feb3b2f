import type { Connection } from '../domain/connection.ts'
import { isStorageError, StorageError } from '../domain/errors.ts'
import type { ConnectionStore, CredentialCipher } from '../domain/ports.ts'
import type { ProviderDefinition } from '../domain/provider.ts'
import type { Secret } from '../domain/secret.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { connectionEvent, type OnConnectionChange } from './connection-event.ts'

export interface ConnectPorts {
  readonly connections: ConnectionStore
  readonly cipher: CredentialCipher
  readonly openWith: (providerId: string, credentials: Secret<unknown>) => Promise<StorageBackend>
  /** Drops all that is believed of a connection. */
  readonly invalidate: (connection: Connection) => void
  readonly maxPerUser: number
  readonly onChange: OnConnectionChange
}

export interface ConnectRequest {
  readonly userId: string
  readonly provider: ProviderDefinition
  /** Valid against the provider's schema. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The user's name for the connection; left out: the provider's suggestion. */
  readonly label: string | undefined
  readonly signal: AbortSignal
}

export type Connect = (request: ConnectRequest) => Promise<Connection>

/** Connects with credentials that the user typed: checked at the server first, then sealed and stored. */
export function createConnect(ports: ConnectPorts): Connect {
  const { connections, cipher, openWith, invalidate, maxPerUser, onChange } = ports
  return async ({ userId, provider, fields, label, signal }) => {
    const parsed = provider.connect.parse(fields)
    await check(await openWith(provider.id, parsed.credentials), signal)
    const connection = await connections.saveConnected(
      { userId, provider: provider.id, accountId: parsed.accountId, label: label ?? parsed.label, scopes: [] },
      (connectionId) => cipher.seal(parsed.credentials, { userId, connectionId, provider: provider.id }),
      maxPerUser
    )
    invalidate(connection)
    // The database raises the version with each renewal: only a new row has the first one.
    onChange(connectionEvent(connection.version === 1 ? 'connected' : 'renewed', connection))
    return connection
  }
}

/** @throws StorageError `INVALID_CREDENTIALS` where the server says no, and what else `account()` fails with */
async function check(backend: StorageBackend, signal: AbortSignal): Promise<void> {
  try {
    await backend.account({ signal })
  } catch (error) {
    if (!isStorageError(error, 'ACCESS_DENIED', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND')) throw error
    throw new StorageError('INVALID_CREDENTIALS', 'The server does not accept these credentials.', { cause: error })
  }
}
