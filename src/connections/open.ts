import { LRUCache } from 'lru-cache'
import { failureDetailsOf, type SealedConnection } from '../core/connection.ts'
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
   * @param enteredCredentials the opened credentials that the user entered; `undefined` for a connection with tokens
   */
  readonly applyLayers: (
    backend: StorageBackend,
    connection: SealedConnection,
    hosts: HostTrail,
    enteredCredentials: Secret<unknown> | undefined
  ) => StorageBackend
  /** Applies the layers to the backend of a connection that is verified before it is stored. */
  readonly applyLayersToNew: (backend: StorageBackend, hosts: HostTrail) => StorageBackend
  /** Returns the access tokens of a stored connection, from its opened credentials. */
  readonly tokensOf: (connection: SealedConnection, credentials: Secret<unknown>) => AccessTokens
  /** Returns a user's spool; `null` for a connection that is not stored yet and uploads nothing. */
  readonly spoolOf: (userId: string | null) => UploadSpool
  /** Reseals a row that is sealed with an older key, in the background. */
  readonly reseal: (connection: SealedConnection, credentials: Secret<unknown>) => void
}

/** Maximal number of opened backends in memory; an idle one holds no socket. */
const MAX_OPEN_BACKENDS = 500

interface OpenBackend {
  readonly row: SealedConnection
  readonly backend: StorageBackend
}

/** Opens connections: decrypts the credentials, imports the provider's module, and caches the opened backend. */
export class ConnectionOpener {
  readonly #ports: OpenConnectionPorts
  readonly #backends = new LRUCache<string, OpenBackend>({ max: MAX_OPEN_BACKENDS })

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
      throw error instanceof StorageError ? error.about(failureDetailsOf(connection)) : error
    }
  }

  async #open(connection: SealedConnection): Promise<StorageBackend> {
    const { id, userId, provider: providerId, sealedCredentials } = connection
    const { cipher, providers, applyLayers, tokensOf, reseal } = this.#ports
    const cached = this.#backends.get(id)
    if (cached !== undefined && isSameSeal(cached.row, connection)) return cached.backend
    const credentials = cipher.open(sealedCredentials, { userId, connectionId: id, provider: providerId })
    const provider = await providers.load(providerId)
    const hosts = this.#trackHosts(providerId)
    const rawBackend = isOAuthProvider(provider)
      ? await this.#openOAuth(provider, tokensOf(connection, credentials), hosts, userId)
      : await this.#openWithCredentials(provider, credentials, hosts, userId)
    const backend = applyLayers(rawBackend, connection, hosts, isOAuthProvider(provider) ? undefined : credentials)
    this.#backends.set(id, { row: connection, backend })
    if (!cipher.isCurrent(sealedCredentials)) reseal(connection, credentials)
    return backend
  }

  /** Opens a backend with given credentials, for a connection that is being made. */
  async openWith(provider: TypedProvider, credentials: Secret<unknown>): Promise<StorageBackend> {
    const hosts = this.#trackHosts(provider.id)
    return this.#ports.applyLayersToNew(await this.#openWithCredentials(provider, credentials, hosts), hosts)
  }

  /** Does the same with tokens. */
  async openWithTokens(provider: OAuthProvider, tokens: AccessTokens): Promise<StorageBackend> {
    const hosts = this.#trackHosts(provider.id)
    return this.#ports.applyLayersToNew(await this.#openOAuth(provider, tokens, hosts, null), hosts)
  }

  /** Removes a deleted connection. */
  forget(connectionId: string): void {
    this.#backends.delete(connectionId)
  }

  #trackHosts(providerId: string): HostTrail {
    return new HostTrail(this.#ports.providers.get(providerId).egress)
  }

  async #openWithCredentials(
    provider: TypedProvider,
    credentials: Secret<unknown>,
    egress: HostTrail,
    userId?: string
  ): Promise<StorageBackend> {
    return await wrapOpenErrors(() => provider.open({ credentials, egress, timeouts: this.#ports.timeouts, userId }))
  }

  async #openOAuth(
    provider: OAuthProvider,
    accessTokens: AccessTokens,
    egress: HostTrail,
    userId: string | null
  ): Promise<StorageBackend> {
    const { timeouts, spoolOf } = this.#ports
    return await wrapOpenErrors(() => provider.open({ accessTokens, egress, timeouts, spool: spoolOf(userId) }))
  }
}

async function wrapOpenErrors(open: () => Promise<StorageBackend>): Promise<StorageBackend> {
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
