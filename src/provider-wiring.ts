import type { Timeouts } from './domain/ports.ts'
import { createEgress, type ClosableEgress } from './infra/net/egress.ts'
import { optionError } from './option-checks.ts'
import type { CheckedOptions } from './options.ts'
import { PROVIDERS } from './providers/registry.ts'
import { type EnabledProvider, ProviderCatalog } from './resolver/provider-catalog.ts'

export interface WiredProviders {
  readonly catalog: ProviderCatalog
  /** Ends the sockets of all providers. */
  readonly close: () => Promise<void>
}

/**
 * The providers that the host enabled, each with a way out of its own: a socket that was opened under the rules of
 * one provider never carries a call of another.
 *
 * @throws TypeError that names the option at fault
 */
export function wireProviders(providers: CheckedOptions['providers'], timeouts: Timeouts): WiredProviders {
  const enabled = new Map<string, EnabledProvider>()
  const egresses: ClosableEgress[] = []
  for (const [id, { provider, allowHosts = [] }] of providers) {
    const egress = egressOf(id, allowHosts, timeouts)
    egresses.push(egress)
    enabled.set(id, { egress, load: provider === undefined ? loaderOf(id) : async () => provider })
  }
  return {
    catalog: new ProviderCatalog(enabled),
    close: async () => {
      await Promise.all(egresses.map((egress) => egress.close()))
    }
  }
}

function loaderOf(id: string): EnabledProvider['load'] {
  const load = PROVIDERS[id]
  if (load === undefined) throw new TypeError(`No such provider: ${id}`)
  return async () => (await load()).provider
}

function egressOf(id: string, allowHosts: readonly string[], timeouts: Timeouts): ClosableEgress {
  try {
    return createEgress({ allowHosts, timeouts })
  } catch (error) {
    throw optionError(`providers.${id}.allowHosts`, (error as Error).message)
  }
}
