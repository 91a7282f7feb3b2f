import type { Egress } from '../core/egress.ts'
import { StorageError } from '../errors.ts'
import type { OAuthClient, OAuthConnect } from '../core/oauth.ts'
import {
  type ConnectContext,
  isOAuthProvider,
  type OAuthProvider,
  type ProviderDefinition,
  type TypedProvider
} from '../core/provider.ts'
import type { Timeouts } from '../core/stores.ts'

/** A provider that the host application has enabled. */
export interface EnabledProvider {
  /** Imports the provider's module. */
  readonly load: () => Promise<ProviderDefinition>
  /** The provider's egress, under the operator's rules for it. */
  readonly egress: Egress
  /** Creates the client of the application's registration. Defined exactly for OAuth providers. */
  readonly oauth: ((connect: OAuthConnect) => OAuthClient) | undefined
}

/** An enabled provider whose module is imported, with what its remote calls need. */
export type PreparedProvider = PreparedOAuthProvider | PreparedTypedProvider

export interface PreparedOAuthProvider {
  readonly provider: OAuthProvider
  readonly network: Omit<ConnectContext, 'signal'>
  /** The client of the application's registration. */
  readonly client: OAuthClient
}

export interface PreparedTypedProvider {
  readonly provider: TypedProvider
  readonly network: Omit<ConnectContext, 'signal'>
  readonly client: null
}

/** The enabled providers, by id. */
export class ProviderCatalog {
  readonly #enabled: ReadonlyMap<string, EnabledProvider>
  readonly #timeouts: Timeouts
  readonly #prepared = new Map<string, PreparedProvider>()

  /** @param timeouts of their remote calls */
  constructor(enabled: ReadonlyMap<string, EnabledProvider>, timeouts: Timeouts) {
    this.#enabled = enabled
    this.#timeouts = timeouts
  }

  has(id: string): boolean {
    return this.#enabled.has(id)
  }

  /** @throws StorageError `PROVIDER_UNKNOWN` */
  assertEnabled(id: string): void {
    if (!this.has(id)) throw new StorageError('PROVIDER_UNKNOWN')
  }

  /** Imports a provider's module on first use. @throws StorageError `PROVIDER_UNKNOWN` */
  async prepare(id: string): Promise<PreparedProvider> {
    const known = this.#prepared.get(id)
    if (known !== undefined) return known
    const enabled = this.#enabled.get(id)
    if (enabled === undefined) throw new StorageError('PROVIDER_UNKNOWN')
    const { load, egress, oauth } = enabled
    const provider = await load()
    const network = { egress, timeouts: this.#timeouts }
    const prepared = isOAuthProvider(provider)
      ? { provider, network, client: createClient(provider, oauth) }
      : { provider, network, client: null }
    this.#prepared.set(id, prepared)
    return prepared
  }

  /** Imports a provider's module on first use. @throws StorageError `PROVIDER_UNKNOWN` */
  async load(id: string): Promise<ProviderDefinition> {
    return (await this.prepare(id)).provider
  }

  /**
   * Returns the client of the application's registration at an OAuth provider.
   *
   * @throws StorageError `PROVIDER_UNKNOWN`, `UNSUPPORTED` for a provider without OAuth
   */
  async getOAuthClient(id: string): Promise<OAuthClient> {
    const { client } = await this.prepare(id)
    if (client === null) throw new StorageError('UNSUPPORTED', 'This provider does not use OAuth.')
    return client
  }

  /** Imports the modules of all providers. */
  async loadAll(): Promise<ProviderDefinition[]> {
    return await Promise.all([...this.#enabled.keys()].map((id) => this.load(id)))
  }

  /** Returns a provider whose module has already been imported. */
  getLoaded(id: string): ProviderDefinition | undefined {
    return this.#prepared.get(id)?.provider
  }
}

function createClient({ id, connect }: OAuthProvider, create: EnabledProvider['oauth']): OAuthClient {
  if (create === undefined) throw new TypeError(`The provider ${id} has no registration`)
  return create(connect)
}
