import type { Connection } from '../domain/connection.ts'
import { isStorageError, StorageError } from '../domain/errors.ts'
import type { ConnectionStore, CredentialCipher } from '../domain/ports.ts'
import type { ConnectContext, ParsedCredentials, ProviderDefinition } from '../domain/provider.ts'
import type { Secret } from '../domain/secret.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { connectionEvent, type OnConnectionChange } from './connection-event.ts'

export interface ConnectPorts {
  readonly connections: ConnectionStore
  readonly cipher: CredentialCipher
  readonly openWith: (providerId: string, credentials: Secret<unknown>) => Promise<StorageBackend>
  readonly contextOf: (providerId: string) => Omit<ConnectContext, 'signal'>
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
  const { connections, cipher, openWith, contextOf, invalidate, maxPerUser, onChange } = ports

  async function check({ provider, fields, signal }: ConnectRequest): Promise<ParsedCredentials> {
    const typed = provider.connect.parse(fields)
    const context = { ...contextOf(provider.id), signal }
    const parsed = (await provider.connect.complete?.(typed, context)) ?? typed
    const backend = await openWith(provider.id, parsed.credentials)
    await backend.account({ signal })
    return parsed
  }

  return async (request) => {
    const { userId, provider, label } = request
    const parsed = await accepted(check(request))
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

/** @throws StorageError `INVALID_CREDENTIALS` where the server says no, and what else the check fails with */
async function accepted<T>(check: Promise<T>): Promise<T> {
  try {
    return await check
  } catch (error) {
    if (!isStorageError(error, 'ACCESS_DENIED', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND', 'UNSUPPORTED')) throw error
    throw new StorageError('INVALID_CREDENTIALS', 'The server does not accept these credentials.', { cause: error })
  }
}
