import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../core/backend.ts'
import { type Connection, failureDetailsOf, isSameVersion, type SealedConnection } from '../core/connection.ts'
import type { Egress } from '../core/egress.ts'
import { HostTrail } from '../core/host-trail.ts'
import type { AccessTokens } from '../core/oauth.ts'
import type { OpenContext, SpooledUpload } from '../core/provider.ts'
import type { Secret } from '../core/secret.ts'
import type { CredentialCipher } from '../core/stores.ts'
import type { Tracing } from '../core/telemetry.ts'
import type { Clock } from '../core/time.ts'
import type { MinuteLimit } from '../core/user-limits.ts'
import { StorageError } from '../errors.ts'
import type { ConnectionHealth } from '../layers/health.ts'
import { applyLayers, type LayerOptions } from '../layers/resilient.ts'
import type {
  PreparedOAuthProvider,
  PreparedProvider,
  PreparedTypedProvider,
  ProviderCatalog
} from './provider-catalog.ts'
import { ConnectionTokens, type ConnectionTokensOptions, parseTokens } from './tokens.ts'

export interface ConnectionOpenerOptions {
  readonly cipher: CredentialCipher
  readonly providers: ProviderCatalog
  readonly clock: Clock
  readonly tracing: Tracing
  readonly health: ConnectionHealth
  readonly failedAttempts: MinuteLimit
  /** What the access tokens of stored connections need. */
  readonly tokens: ConnectionTokensOptions
  /** Creates a user's temporary files, for uploads of unknown size. */
  readonly spool: { create(userId: string): Promise<SpooledUpload> }
  /** Reseals a row that is sealed with an older key, in the background. */
  readonly reseal: (connection: SealedConnection, credentials: Secret<unknown>) => void
  /** Stores that the provider no longer accepts the credentials. */
  readonly requireReauth: (connection: SealedConnection) => Promise<void>
}

/**
 * Maximal number of opened backends in memory, as many as there are feeds: the checks of all connections use them. An
 * idle one holds no socket, and takes 20 to 30 KiB.
 */
const MAX_OPEN_BACKENDS = 5_000

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

  /**
   * Returns the backend that is open for this version of a connection, although its row may have changed since: only for
   * calls that disclose nothing. New tokens are read from the row when they are needed.
   */
  findOpen(connection: Connection): StorageBackend | undefined {
    const cached = this.#backends.get(connection.id)
    return cached !== undefined && isSameOwner(cached.row, connection) && isSameVersion(cached.row, connection)
      ? cached.backend
      : undefined
  }

  /** Opens a backend with credentials that are not stored yet. */
  async openEntered(prepared: PreparedTypedProvider, credentials: Secret<unknown>): Promise<StorageBackend> {
    return await this.#openWithCredentials(prepared, credentials, null)
  }

  /** Opens a backend with a new access token that is not stored yet, and cannot be refreshed. */
  async openAuthorized(prepared: PreparedOAuthProvider, accessToken: Secret<string>): Promise<StorageBackend> {
    return await this.#openWithTokens(prepared, fixedTokens(accessToken), null)
  }

  /** Removes a deleted connection. */
  forget(connectionId: string): void {
    this.#backends.delete(connectionId)
  }

  async #openRow(connection: SealedConnection): Promise<StorageBackend> {
    const { cipher, providers, tokens, reseal } = this.#options
    const { sealedCredentials } = connection
    const credentials = cipher.open(sealedCredentials, connection)
    const prepared = await providers.prepare(connection.provider)
    const backend =
      prepared.client === null
        ? await this.#openWithCredentials(prepared, credentials, connection)
        : await this.#openWithTokens(
            prepared,
            new ConnectionTokens(connection, parseTokens(credentials), tokens),
            connection
          )
    if (!cipher.isCurrent(sealedCredentials)) reseal(connection, credentials)
    return backend
  }

  #openWithCredentials(
    prepared: PreparedTypedProvider,
    credentials: Secret<unknown>,
    connection: SealedConnection | null
  ): Promise<StorageBackend> {
    return this.#openBackend(prepared, connection, credentials, (context) =>
      prepared.provider.open({ ...context, credentials })
    )
  }

  #openWithTokens(
    prepared: PreparedOAuthProvider,
    accessTokens: AccessTokens,
    connection: SealedConnection | null
  ): Promise<StorageBackend> {
    // A connection that is not stored yet uploads nothing. No user has an empty id.
    const spool = { create: () => this.#options.spool.create(connection?.userId ?? '') }
    return this.#openBackend(prepared, connection, undefined, (context) =>
      prepared.provider.open({ ...context, accessTokens, spool })
    )
  }

  async #openBackend(
    { provider: { id }, network: { egress, timeouts } }: PreparedProvider,
    connection: SealedConnection | null,
    enteredCredentials: Secret<unknown> | undefined,
    open: (context: Omit<OpenContext, 'credentials'>) => Promise<StorageBackend>
  ): Promise<StorageBackend> {
    const { clock, tracing } = this.#options
    const hosts = new HostTrail(egress)
    try {
      const backend = await open({ egress: hosts, timeouts, userId: connection?.userId })
      return applyLayers(backend, {
        clock,
        timeouts,
        tracing,
        provider: id,
        hosts,
        ...(connection === null
          ? { detailsOf: () => ({ provider: id }) }
          : this.#layersOf(connection, enteredCredentials, egress, hosts))
      })
    } catch (error) {
      if (error instanceof StorageError) throw error
      throw new StorageError('PROVIDER_ERROR', 'The provider could not be opened.', { cause: error })
    }
  }

  /** Returns the details of a stored connection, and the options of the layers that only it has. */
  #layersOf(
    connection: SealedConnection,
    enteredCredentials: Secret<unknown> | undefined,
    egress: Egress,
    hosts: HostTrail
  ): Pick<LayerOptions, 'detailsOf' | 'reauth' | 'health' | 'links'> {
    const { health, failedAttempts, requireReauth } = this.#options
    const { id, userId, provider } = connection
    return {
      detailsOf: (signal) => ({ ...failureDetailsOf(connection), host: hosts.hostOf(signal) }),
      reauth: {
        requireReauth: () => requireReauth(connection),
        limit: enteredCredentials && failedAttempts.scoped(userId, hostOf(provider, enteredCredentials))
      },
      health: health.get(provider, id),
      links: egress
    }
  }
}

/** Returns the tokens of a connection that is not stored yet. They are new, and are not refreshed. */
export function fixedTokens(accessToken: Secret<string>): AccessTokens {
  return {
    current: async () => accessToken,
    renewed: async () => {
      throw new StorageError('ACCESS_DENIED')
    }
  }
}

/**
 * Compares everything that the seal is bound to, and the sealed text instead of a revision: a writer that bypasses
 * the table's trigger must only get a backend with credentials that the cipher opened for exactly this row.
 */
function isSameSeal(a: SealedConnection, b: SealedConnection): boolean {
  return isSameOwner(a, b) && a.sealedCredentials === b.sealedCredentials
}

function isSameOwner(a: Connection, b: Connection): boolean {
  return a.userId === b.userId && a.provider === b.provider
}

/** The fields in which providers store the address of a server. */
const ADDRESS_FIELDS = ['baseUrl', 'endpoint', 'url', 'server', 'host']

/**
 * Returns the host of the credentials, under which failed attempts are counted: in lower case, without scheme, port
 * and path, which lead to the same server. Returns the provider's id if they contain no host.
 */
export function hostOf(providerId: string, credentials: Secret<unknown>): string {
  const fields = credentials.reveal()
  const values = ADDRESS_FIELDS.map((name) => (fields as Partial<Record<string, unknown>> | null | undefined)?.[name])
  const address = values.find((value) => typeof value === 'string' && URL.canParse(value)) as string | undefined
  const host = address === undefined ? '' : new URL(address).hostname.replace(/\.$/, '')
  return host === '' ? providerId : host
}
