import type { Egress } from '../core/egress.ts'
import { StorageError } from '../errors.ts'
import type { OAuthClient } from '../core/oauth.ts'
import type { ConnectContext, ProviderDefinition } from '../core/provider.ts'
import type { Timeouts } from '../core/stores.ts'

/** A provider that the host application has enabled. */
export interface EnabledProvider {
  /** Imports the provider's module on first use. */
  readonly load: () => Promise<ProviderDefinition>
  /** The provider's egress, under the operator's rules for it. */
  readonly egress: Egress
  /** Defined exactly for OAuth providers. */
  readonly oauth: (() => Promise<OAuthClient>) | undefined
}

/** The enabled providers, by id. */
export class ProviderCatalog {
  readonly #enabled: ReadonlyMap<string, EnabledProvider>
  readonly #timeouts: Timeouts
  readonly #loaded = new Map<string, ProviderDefinition>()

  /** @param timeouts of their remote calls */
  constructor(enabled: ReadonlyMap<string, EnabledProvider>, timeouts: Timeouts) {
    this.#enabled = enabled
    this.#timeouts = timeouts
  }

  has(id: string): boolean {
    return this.#enabled.has(id)
  }

  /** @throws StorageError `PROVIDER_UNKNOWN` */
  get(id: string): EnabledProvider {
    const provider = this.#enabled.get(id)
    if (provider === undefined) throw new StorageError('PROVIDER_UNKNOWN')
    return provider
  }

  /** Returns what a provider needs for its remote calls. @throws StorageError `PROVIDER_UNKNOWN` */
  contextOf(id: string): Omit<ConnectContext, 'signal'> {
    return { egress: this.get(id).egress, timeouts: this.#timeouts }
  }

  /** Returns a provider that {@link load} has already loaded. */
  getLoaded(id: string): ProviderDefinition | undefined {
    return this.#loaded.get(id)
  }

  /** Imports a provider's module on first use. @throws StorageError `PROVIDER_UNKNOWN` */
  async load(id: string): Promise<ProviderDefinition> {
    const provider = await this.get(id).load()
    this.#loaded.set(id, provider)
    return provider
  }

  /** Imports the modules of all providers. */
  async loadAll(): Promise<ProviderDefinition[]> {
    return await Promise.all([...this.#enabled.keys()].map((id) => this.load(id)))
  }

  /**
   * Returns the client of the application's registration at an OAuth provider.
   *
   * @throws StorageError `PROVIDER_UNKNOWN`, `UNSUPPORTED` for a provider without OAuth
   */
  async getOAuthClient(id: string): Promise<OAuthClient> {
    const { oauth } = this.get(id)
    if (oauth === undefined) throw new StorageError('UNSUPPORTED', 'This provider does not use OAuth.')
    return await oauth()
  }
}
