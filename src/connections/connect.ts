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
  /** Limits the refused attempts of each user per host. */
  readonly refusals: MinuteLimit
}

export interface ConnectRequest {
  readonly userId: string
  readonly provider: ProviderDefinition
  /** Valid against the provider's schema. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The user's name for the connection. Default: the provider's suggestion. */
  readonly label: string | undefined
  readonly signal: AbortSignal
}

/**
 * @throws StorageError `INVALID_CREDENTIALS`, `UNSUPPORTED` for a provider without a form, `CONNECTION_INACTIVE`;
 * `TOO_MANY_REQUESTS` after too many failed attempts of this user at this host
 */
export type Connect = (request: ConnectRequest) => Promise<Connection>

/** Failures in which the host did not judge the credentials. All other failures count as failed attempts. */
const UNJUDGED: readonly StorageErrorCode[] = ['ENDPOINT_FORBIDDEN', 'PROVIDER_UNAVAILABLE', 'SDK_MISSING']

/** Connects with credentials that the user entered: verifies them at the server, then seals and stores them. */
export function createConnect({ openWith, contextOf, store, refusals }: ConnectPorts): Connect {
  async function check({ userId, provider, fields, signal }: ConnectRequest): Promise<ParsedCredentials> {
    if (isOAuthProvider(provider)) {
      throw new StorageError(
        'UNSUPPORTED',
        'This provider is connected in the browser. Use POST /connections/{provider}/authorize.'
      )
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
      // An aborted attempt counts too: the host may already have judged it.
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

/** The fields in which providers store the address of a server. */
const ADDRESSES = ['baseUrl', 'endpoint', 'url', 'server', 'host']

/**
 * Returns the host of the credentials, under which failed attempts are counted: in lower case, without scheme, port
 * and path, which lead to the same server. Returns the provider's id if they contain no host.
 */
export function hostOf(providerId: string, credentials: Secret<unknown>): string {
  const fields = credentials.reveal()
  const values = ADDRESSES.map((name) => (fields as Partial<Record<string, unknown>> | null | undefined)?.[name])
  const address = values.find((value) => typeof value === 'string' && URL.canParse(value)) as string | undefined
  const host = address === undefined ? '' : new URL(address).hostname.replace(/\.$/, '')
  return host === '' ? providerId : host
}

/** @throws StorageError `INVALID_CREDENTIALS` if the server refuses them, and other errors of the check */
async function accepted<T>(check: Promise<T>): Promise<T> {
  try {
    return await check
  } catch (error) {
    if (!isStorageError(error, 'ACCESS_DENIED', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND', 'UNSUPPORTED')) throw error
    const message =
      error.code === 'ACCESS_DENIED'
        ? 'The server rejected the credentials.'
        : 'No folder, bucket or service was found at this address.'
    throw new StorageError('INVALID_CREDENTIALS', message, { cause: error })
  }
}
