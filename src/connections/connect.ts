import type { Connection } from '../domain/connection.ts'
import { isStorageError, StorageError, type StorageErrorCode } from '../domain/errors.ts'
import {
  type ConnectContext,
  isOAuthProvider,
  type ParsedCredentials,
  type ProviderDefinition,
  type TypedProvider
} from '../domain/provider.ts'
import type { Secret } from '../domain/secret.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import type { MinuteLimit } from '../domain/user-limits.ts'
import type { StoreConnection } from './store-connection.ts'

export interface ConnectPorts {
  readonly openWith: (provider: TypedProvider, credentials: Secret<unknown>) => Promise<StorageBackend>
  readonly contextOf: (providerId: string) => Omit<ConnectContext, 'signal'>
  readonly store: StoreConnection
  /** The attempts of each user that a host refused. */
  readonly refusals: MinuteLimit
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

/**
 * @throws StorageError `INVALID_CREDENTIALS`, `UNSUPPORTED` where nothing can be typed, `CONNECTION_INACTIVE`;
 * `TOO_MANY_REQUESTS` after too many failed attempts of this user at this host
 */
export type Connect = (request: ConnectRequest) => Promise<Connection>

/** Failures before the host has seen the credentials, or without a word about them. Every other outcome is an attempt. */
const UNJUDGED: readonly StorageErrorCode[] = ['ENDPOINT_FORBIDDEN', 'PROVIDER_UNAVAILABLE', 'SDK_MISSING']

/** Connects with credentials that the user typed: checked at the server first, then sealed and stored. */
export function createConnect({ openWith, contextOf, store, refusals }: ConnectPorts): Connect {
  async function check({ userId, provider, fields, signal }: ConnectRequest): Promise<ParsedCredentials> {
    if (isOAuthProvider(provider)) {
      throw new StorageError('UNSUPPORTED', 'This provider is connected in the browser: ask it to authorize.')
    }
    const typed = provider.connect.parse(fields)
    const attempt = refusals.begin(userId, hostOf(provider.id, typed.credentials))
    try {
      const context = { ...contextOf(provider.id), signal }
      const parsed = (await provider.connect.complete?.(typed, context)) ?? typed
      const backend = await openWith(provider, parsed.credentials)
      await backend.account({ signal })
      attempt.end(false)
      return parsed
    } catch (error) {
      // A caller that leaves has had its attempt too: the host may have judged it by then.
      attempt.end(signal.aborted || !isStorageError(error, ...UNJUDGED))
      throw error
    }
  }

  return async (request) => {
    const { userId, provider, label } = request
    const { credentials, accountId, label: suggested } = await accepted(check(request))
    return await store({ userId, provider: provider.id, accountId, label: label ?? suggested, scopes: [] }, credentials)
  }
}

/** Names by which providers call the address of a server. */
const ADDRESSES = ['baseUrl', 'endpoint', 'url', 'server', 'host']

/**
 * The host that credentials are for, so that failed attempts there are counted together: in lower case, without scheme,
 * port and path, which lead to the same server. The provider's id if they name none.
 */
export function hostOf(providerId: string, credentials: Secret<unknown>): string {
  const fields = credentials.reveal()
  const values = ADDRESSES.map((name) => (fields as Partial<Record<string, unknown>> | null | undefined)?.[name])
  const address = values.find((value) => typeof value === 'string' && URL.canParse(value)) as string | undefined
  const host = address === undefined ? '' : new URL(address).hostname.replace(/\.$/, '')
  return host === '' ? providerId : host
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
