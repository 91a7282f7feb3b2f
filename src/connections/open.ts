import { LRUCache } from 'lru-cache'
import { aboutConnection, type SealedConnection } from '../core/connection.ts'
import { StorageError } from '../errors.ts'
import { HostTrail } from '../core/egress.ts'
import type { AccessTokens } from '../core/oauth.ts'
import type { CredentialCipher, Timeouts } from '../core/stores.ts'
import { isOAuthProvider, type OAuthProvider, type TypedProvider, type UploadSpool } from '../core/provider.ts'
import type { Secret } from '../core/secret.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { ProviderCatalog } from './provider-catalog.ts'

export interface OpenConnectionPorts {
  readonly cipher: CredentialCipher
  readonly providers: ProviderCatalog
  readonly timeouts: Timeouts
  /**
   * Applies the layers to a connection's backend.
   *
   * @param typed the opened credentials that the user entered; `undefined` for a connection with tokens
   */
  readonly dress: (
    backend: StorageBackend,
    connection: SealedConnection,
    hosts: HostTrail,
    typed: Secret<unknown> | undefined
  ) => StorageBackend
  /** Applies the layers to the backend of a connection that is verified before it is stored. */
  readonly dressNew: (backend: StorageBackend, hosts: HostTrail) => StorageBackend
  /** Returns the access tokens of a stored connection, from its opened credentials. */
  readonly tokensOf: (connection: SealedConnection, credentials: Secret<unknown>) => AccessTokens
  /** Returns a user's spool; `null` for a connection that is not stored yet and uploads nothing. */
  readonly spoolOf: (userId: string | null) => UploadSpool
  /** Reseals a row that is sealed with an older key, in the background. */
  readonly renewSeal: (connection: SealedConnection, credentials: Secret<unknown>) => void
}

/** Maximal number of opened backends in memory; an idle one holds no socket. */
const MAX_OPENED = 500

interface Opened {
  readonly row: SealedConnection
  readonly backend: StorageBackend
}

/** Opens connections: decrypts the credentials, imports the provider's module, and caches the opened backend. */
export class ConnectionOpener {
  readonly #ports: OpenConnectionPorts
  readonly #opened = new LRUCache<string, Opened>({ max: MAX_OPENED })

  constructor(ports: OpenConnectionPorts) {
    this.#ports = ports
  }

  /**
   * Returns the backend of a row that was just read and may be used.
   *
   * @throws StorageError `CREDENTIALS_UNREADABLE`, `PROVIDER_UNKNOWN` and the errors of the provider's `open`
   */
  async open(connection: SealedConnection): Promise<StorageBackend> {
    try {
      return await this.#open(connection)
    } catch (error) {
      throw error instanceof StorageError ? error.about(aboutConnection(connection)) : error
    }
  }

  async #open(connection: SealedConnection): Promise<StorageBackend> {
    const { id, userId, provider: providerId, sealedCredentials } = connection
    const { cipher, providers, dress, tokensOf, renewSeal } = this.#ports
    const known = this.#opened.get(id)
    if (known !== undefined && isSameSeal(known.row, connection)) return known.backend
    const credentials = cipher.open(sealedCredentials, { userId, connectionId: id, provider: providerId })
    const provider = await providers.load(providerId)
    const hosts = this.#trailOf(providerId)
    const bare = isOAuthProvider(provider)
      ? await this.#openOAuth(provider, tokensOf(connection, credentials), hosts, userId)
      : await this.#openTyped(provider, credentials, hosts, userId)
    const backend = dress(bare, connection, hosts, isOAuthProvider(provider) ? undefined : credentials)
    this.#opened.set(id, { row: connection, backend })
    if (!cipher.isCurrent(sealedCredentials)) renewSeal(connection, credentials)
    return backend
  }

  /** Opens a backend with given credentials, for a connection that is being made. */
  async openWith(provider: TypedProvider, credentials: Secret<unknown>): Promise<StorageBackend> {
    const hosts = this.#trailOf(provider.id)
    return this.#ports.dressNew(await this.#openTyped(provider, credentials, hosts), hosts)
  }

  /** Does the same with tokens. */
  async openWithTokens(provider: OAuthProvider, tokens: AccessTokens): Promise<StorageBackend> {
    const hosts = this.#trailOf(provider.id)
    return this.#ports.dressNew(await this.#openOAuth(provider, tokens, hosts, null), hosts)
  }

  /** Removes a deleted connection. */
  forget(connectionId: string): void {
    this.#opened.delete(connectionId)
  }

  #trailOf(providerId: string): HostTrail {
    return new HostTrail(this.#ports.providers.get(providerId).egress)
  }

  async #openTyped(
    provider: TypedProvider,
    credentials: Secret<unknown>,
    egress: HostTrail,
    userId?: string
  ): Promise<StorageBackend> {
    return await opened(() => provider.open({ credentials, egress, timeouts: this.#ports.timeouts, userId }))
  }

  async #openOAuth(
    provider: OAuthProvider,
    accessTokens: AccessTokens,
    egress: HostTrail,
    userId: string | null
  ): Promise<StorageBackend> {
    const { timeouts, spoolOf } = this.#ports
    return await opened(() => provider.open({ accessTokens, egress, timeouts, spool: spoolOf(userId) }))
  }
}

async function opened(open: () => Promise<StorageBackend>): Promise<StorageBackend> {
  try {
    return await open()
  } catch (error) {
    if (error instanceof StorageError) throw error
    throw new StorageError('PROVIDER_ERROR', 'The provider could not be opened.', { cause: error })
  }
}

/**
 * Compares everything that the seal is bound to, and the sealed text instead of a revision: a writer that bypasses
 * the table's trigger must only get a backend with credentials that the cipher opened for exactly this row.
 */
function isSameSeal(a: SealedConnection, b: SealedConnection): boolean {
  return a.userId === b.userId && a.provider === b.provider && a.sealedCredentials === b.sealedCredentials
}
