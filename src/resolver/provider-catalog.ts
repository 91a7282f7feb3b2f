import type { Egress } from '../domain/egress.ts'
import { StorageError } from '../domain/errors.ts'
import type { ProviderDefinition } from '../domain/provider.ts'

/** A provider that the host enabled. */
export interface EnabledProvider {
  /** Imports the provider's module when it is first asked for. */
  readonly load: () => Promise<ProviderDefinition>
  /** The provider's way out, under the operator's rules for it. */
  readonly egress: Egress
}

/** The providers that the host enabled, by id. */
export class ProviderCatalog {
  readonly #enabled: ReadonlyMap<string, EnabledProvider>

  constructor(enabled: ReadonlyMap<string, EnabledProvider>) {
    this.#enabled = enabled
  }

  ids(): string[] {
    return [...this.#enabled.keys()]
  }

  has(id: string): boolean {
    return this.#enabled.has(id)
  }

  /** @throws StorageError `PROVIDER_UNKNOWN` */
  get(id: string): EnabledProvider {
    const provider = this.#enabled.get(id)
    if (provider === undefined) throw new StorageError('PROVIDER_UNKNOWN', 'There is no such provider.')
    return provider
  }
}
