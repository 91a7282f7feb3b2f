import type { Connection } from '../domain/connection.ts'
import { isStorageError, StorageError } from '../domain/errors.ts'
import {
  type ConnectContext,
  isOAuthProvider,
  type ParsedCredentials,
  type ProviderDefinition,
  type TypedProvider
} from '../domain/provider.ts'
import type { Secret } from '../domain/secret.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import type { StoreConnection } from './store-connection.ts'

export interface ConnectPorts {
  readonly openWith: (provider: TypedProvider, credentials: Secret<unknown>) => Promise<StorageBackend>
  readonly contextOf: (providerId: string) => Omit<ConnectContext, 'signal'>
  readonly store: StoreConnection
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

/** @throws StorageError `INVALID_CREDENTIALS`, `UNSUPPORTED` where nothing can be typed, `CONNECTION_INACTIVE` */
export type Connect = (request: ConnectRequest) => Promise<Connection>

/** Connects with credentials that the user typed: checked at the server first, then sealed and stored. */
export function createConnect({ openWith, contextOf, store }: ConnectPorts): Connect {
  async function check({ provider, fields, signal }: ConnectRequest): Promise<ParsedCredentials> {
    if (isOAuthProvider(provider)) {
      throw new StorageError('UNSUPPORTED', 'This provider is connected in the browser: ask it to authorize.')
    }
    const typed = provider.connect.parse(fields)
    const context = { ...contextOf(provider.id), signal }
    const parsed = (await provider.connect.complete?.(typed, context)) ?? typed
    const backend = await openWith(provider, parsed.credentials)
    await backend.account({ signal })
    return parsed
  }

  return async (request) => {
    const { userId, provider, label } = request
    const { credentials, accountId, label: suggested } = await accepted(check(request))
    return await store({ userId, provider: provider.id, accountId, label: label ?? suggested, scopes: [] }, credentials)
  }
}

/** @throws StorageError `INVALID_CREDENTIALS` where the server says no, and what else the check fails with */
async function accepted<T>(check: Promise<T>): Promise<T> {
  try {
    return await check
  } catch (error) {
    if (!isStorageError(error, 'ACCESS_DENIED', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND', 'UNSUPPORTED')) throw error
    const message =
      error.code === 'ACCESS_DENIED'
        ? 'The server does not accept these credentials.'
        : 'There is no such folder, bucket or service at this address.'
    throw new StorageError('INVALID_CREDENTIALS', message, { cause: error })
  }
}
