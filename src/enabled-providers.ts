import { createRequire } from 'node:module'
import type { FastifyBaseLogger } from 'fastify'
import type { OAuthClient, OAuthClientSettings } from './core/oauth.ts'
import type { Timeouts } from './core/stores.ts'
import { isOAuthProvider, type ProviderDefinition } from './core/provider.ts'
import { createEgress, type ClosableEgress } from './net/egress.ts'
import { createOAuthClient } from './oauth/client.ts'
import { optionError } from './options/checks.ts'
import type { CheckedOptions } from './options/options.ts'
import { PROVIDERS, SDK_PACKAGES } from './providers/registry.ts'
import { type EnabledProvider, ProviderCatalog } from './connections/provider-catalog.ts'

export interface ProviderServices {
  readonly catalog: ProviderCatalog
  /** Destroys the sockets of all providers. */
  readonly close: () => Promise<void>
}

/**
 * Creates the enabled providers. Each has its own egress: a socket that was opened under the rules of one provider is
 * never used for calls of another.
 *
 * @throws TypeError that names the invalid option
 */
export function createProviderServices(providers: CheckedOptions['providers'], timeouts: Timeouts): ProviderServices {
  const enabled = new Map<string, EnabledProvider>()
  const egresses: ClosableEgress[] = []
  for (const [id, { provider, allowHosts, oauth }] of providers) {
    const egress = createProviderEgress(id, allowHosts, timeouts)
    egresses.push(egress)
    const load = createLoader(id, provider)
    enabled.set(id, { egress, load, oauth: oauth && (async () => createClient(await load(), oauth, egress)) })
  }
  return {
    catalog: new ProviderCatalog(enabled),
    close: async () => {
      await Promise.all(egresses.map((egress) => egress.close()))
    }
  }
}

/** @param definition the host's own provider; `undefined`: a built-in one */
export function createLoader(id: string, definition: ProviderDefinition | undefined): EnabledProvider['load'] {
  if (definition !== undefined) return async () => definition
  const load = PROVIDERS[id]
  if (load === undefined) throw new TypeError(`Unknown provider: ${id}`)
  return async () => (await load()).provider
}

function createClient(
  provider: ProviderDefinition,
  settings: OAuthClientSettings,
  egress: ClosableEgress
): OAuthClient {
  if (!isOAuthProvider(provider)) throw new TypeError(`${provider.id} is not an OAuth provider`)
  return createOAuthClient(provider.connect, settings, egress)
}

function createProviderEgress(id: string, allowHosts: readonly string[], timeouts: Timeouts): ClosableEgress {
  try {
    return createEgress({ allowHosts, timeouts })
  } catch (error) {
    throw optionError(`providers.${id}.allowHosts`, (error as Error).message)
  }
}

const { resolve } = createRequire(import.meta.url)

/**
 * Returns the packages of a provider that are not installed. Imports nothing.
 *
 * @param resolvePackage throws an error with the code `MODULE_NOT_FOUND` for a package that is not installed
 */
export function missingPackages(providerId: string, resolvePackage: (name: string) => unknown = resolve): string[] {
  return (SDK_PACKAGES[providerId] ?? []).filter((name) => {
    try {
      resolvePackage(name)
      return false
    } catch (error) {
      // Any other error concerns the entry points of an installed package.
      return (error as { code?: unknown }).code === 'MODULE_NOT_FOUND'
    }
  })
}

/** Logs the enabled providers and managed stores that will fail because a package is not installed. */
export function warnAboutMissingPackages(
  { providers, managed }: Pick<CheckedOptions, 'providers' | 'managed'>,
  log: Pick<FastifyBaseLogger, 'warn'>,
  resolvePackage?: (name: string) => unknown
): void {
  const hostProviders = [...providers].filter(([, { provider }]) => provider !== undefined).map(([id]) => id)
  const ids = [...providers.keys(), ...[...managed.values()].map(({ type }) => type)]
  for (const id of new Set(ids.filter((each) => !hostProviders.includes(each)))) {
    const packages = missingPackages(id, resolvePackage)
    if (packages.length > 0) {
      log.warn(
        { provider: id, packages },
        `The provider "${id}" needs packages that are not installed: npm install ${packages.join(' ')}`
      )
    }
  }
}
