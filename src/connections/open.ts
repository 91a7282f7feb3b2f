import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../core/backend.ts'
import { failureDetailsOf, type SealedConnection } from '../core/connection.ts'
import type { AccessTokens } from '../core/oauth.ts'
import type { Egress, EgressPolicy } from '../core/egress.ts'
import { HostTrail } from '../core/host-trail.ts'
import {
  isOAuthProvider,
  type OAuthProvider,
  type ProviderDefinition,
  type TypedProvider,
  type UploadSpool
} from '../core/provider.ts'
import type { Secret } from '../core/secret.ts'
import { bindingOf, type CredentialCipher, type Timeouts } from '../core/stores.ts'
import { StorageError } from '../errors.ts'
import type { ProviderCatalog } from './provider-catalog.ts'

export interface ConnectionOpenerOptions {
  readonly cipher: CredentialCipher
  readonly providers: ProviderCatalog
  /** Applies the layers to a backend that was just opened. */
  readonly applyLayers: (backend: StorageBackend, opened: OpenedConnection) => StorageBackend
  /** Returns the access tokens of a stored connection, from its opened credentials. */
  readonly tokensOf: (connection: SealedConnection, credentials: Secret<unknown>) => AccessTokens
  /** Returns a user's spool; `null` for a connection that is not stored yet and uploads nothing. */
  readonly spoolOf: (userId: string | null) => UploadSpool
  /** Reseals a row that is sealed with an older key, in the background. */
  readonly reseal: (connection: SealedConnection, credentials: Secret<unknown>) => void
}

/** What the layers of a backend may need to know. */
export interface OpenedConnection {
  /** `null`: it is verified before it is stored. */
  readonly connection: SealedConnection | null
  /** The credentials that the user entered; `undefined` for a connection with tokens. */
  readonly enteredCredentials: Secret<unknown> | undefined
  /** The provider's egress. */
  readonly egress: EgressPolicy
  /** The egress of this connection alone. */
  readonly hosts: HostTrail
}

/** Maximal number of opened backends in memory; an idle one holds no socket. */
const MAX_OPEN_BACKENDS = 500

/** Opens connections: decrypts the credentials, imports the provider's module, and caches the opened backend. */
export class ConnectionOpener {
  readonly #options: ConnectionOpenerOptions
  readonly #backends = new LRUCache<string, { row: SealedConnection; backend: StorageBackend }>({
    max: MAX_OPEN_BACKENDS
  })

  constructor(options: ConnectionOpenerOptions) {
    this.#options = options
  }

  /**
   * Returns the backend of a row that was just read and may be used.
   *
   * @throws StorageError `CREDENTIALS_UNREADABLE`, `PROVIDER_UNKNOWN` and the errors of the provider's `open`
   */
  async openStored(connection: SealedConnection): Promise<StorageBackend> {
    const cached = this.#backends.get(connection.id)
    if (cached !== undefined && isSameSeal(cached.row, connection)) return cached.backend
    try {
      const backend = await this.#openRow(connection)
      this.#backends.set(connection.id, { row: connection, backend })
      return backend
    } catch (error) {
      throw error instanceof StorageError ? error.about(failureDetailsOf(connection)) : error
    }
  }

  /** Opens a backend with credentials that are not stored yet. */
  async openEntered(provider: TypedProvider, credentials: Secret<unknown>): Promise<StorageBackend> {
    return await this.#openWithCredentials(provider, credentials, null)
  }

  /** Opens a backend with tokens that are not stored yet. */
  async openAuthorized(provider: OAuthProvider, tokens: AccessTokens): Promise<StorageBackend> {
    return await this.#openWithTokens(provider, tokens, null)
  }

  /** Removes a deleted connection. */
  forget(connectionId: string): void {
    this.#backends.delete(connectionId)
  }

  async #openRow(connection: SealedConnection): Promise<StorageBackend> {
    const { cipher, providers, tokensOf, reseal } = this.#options
    const { sealedCredentials } = connection
    const credentials = cipher.open(sealedCredentials, bindingOf(connection))
    const provider = await providers.load(connection.provider)
    const backend = isOAuthProvider(provider)
      ? await this.#openWithTokens(provider, tokensOf(connection, credentials), connection)
      : await this.#openWithCredentials(provider, credentials, connection)
    if (!cipher.isCurrent(sealedCredentials)) reseal(connection, credentials)
    return backend
  }

  #openWithCredentials(
    provider: TypedProvider,
    credentials: Secret<unknown>,
    connection: SealedConnection | null
  ): Promise<StorageBackend> {
    const userId = connection?.userId
    return this.#openBackend(provider, connection, credentials, (network) =>
      provider.open({ ...network, credentials, userId })
    )
  }

  #openWithTokens(
    provider: OAuthProvider,
    accessTokens: AccessTokens,
    connection: SealedConnection | null
  ): Promise<StorageBackend> {
    const spool = this.#options.spoolOf(connection?.userId ?? null)
    return this.#openBackend(provider, connection, undefined, (network) =>
      provider.open({ ...network, accessTokens, spool })
    )
  }

  async #openBackend(
    { id }: ProviderDefinition,
    connection: SealedConnection | null,
    enteredCredentials: Secret<unknown> | undefined,
    open: (network: { readonly egress: Egress; readonly timeouts: Timeouts }) => Promise<StorageBackend>
  ): Promise<StorageBackend> {
    const { egress, timeouts } = this.#options.providers.contextOf(id)
    const hosts = new HostTrail(egress)
    try {
      const backend = await open({ egress: hosts, timeouts })
      return this.#options.applyLayers(backend, { connection, egress, hosts, enteredCredentials })
    } catch (error) {
      if (error instanceof StorageError) throw error
      throw new StorageError('PROVIDER_ERROR', 'The provider could not be opened.', { cause: error })
    }
  }
}

/**
 * Compares everything that the seal is bound to, and the sealed text instead of a revision: a writer that bypasses
 * the table's trigger must only get a backend with credentials that the cipher opened for exactly this row.
 */
function isSameSeal(a: SealedConnection, b: SealedConnection): boolean {
  return a.userId === b.userId && a.provider === b.provider && a.sealedCredentials === b.sealedCredentials
}
