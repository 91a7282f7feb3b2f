import { createRequire } from 'node:module'
import type { FastifyBaseLogger } from 'fastify'
import type { OAuthClientSettings } from '../core/oauth.ts'
import {
  isOAuthProvider,
  isProviderDefinition,
  type ManagedStoreOptions,
  type ProviderDefinition
} from '../core/provider.ts'
import { Secret } from '../core/secret.ts'
import { PROVIDERS } from '../providers/registry.ts'
import { readSettings } from '../providers/s3/settings.ts'
import { assertOption, rejectUnknownKeys, optionError, requireObject, requireString } from './checks.ts'

/** A scope (RFC 6749, 3.3). */
export const SCOPE_PATTERN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** One path segment. */
export const TENANT_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/

/** The options of a built-in provider. */
export interface ProviderOptions {
  /**
   * Hosts that the provider may reach on behalf of users besides public ones over https: CIDRs (`10.0.0.0/24`),
   * addresses or names, with or without a port (`nas.lan:8443`). They may be private, and plain http.
   */
  readonly allowHosts?: readonly string[]
}

/** The options of an OAuth provider, with the application's registration at it. */
export interface OAuthProviderOptions extends ProviderOptions {
  readonly clientId: string
  readonly clientSecret: string
  /** Default: the minimal scopes for listing and downloading. */
  readonly scopes?: readonly string[]
  /**
   * For `onedrive`: the accounts that may be connected. `common` (the default), `organizations`, `consumers`, or the
   * id or a domain of the only organisation of the registration.
   */
  readonly tenant?: string
}

/** The options of the host's own provider, if it needs more than the public internet. */
export interface OwnProviderOptions extends ProviderOptions, Partial<OAuthProviderOptions> {
  readonly provider: ProviderDefinition
}

/** A value of `providers`. `true` enables a provider without options. */
export type ProviderOption = boolean | ProviderOptions | OAuthProviderOptions | ProviderDefinition | OwnProviderOptions

/** The validated options of an enabled provider. */
export interface EnabledProviderOptions {
  /** The host's own provider; `undefined` for a built-in one. */
  readonly provider: ProviderDefinition | undefined
  readonly allowHosts: readonly string[]
  /** Defined exactly for OAuth providers. */
  readonly oauth: OAuthClientSettings | undefined
}

/** Checks the option `providers`. @throws TypeError that names the option */
export function checkProviders(
  given: Readonly<Record<string, ProviderOption>> | undefined
): ReadonlyMap<string, EnabledProviderOptions> {
  const enabled = new Map<string, EnabledProviderOptions>()
  for (const [id, value] of Object.entries(requireObject('providers', given ?? {}))) {
    if (value !== false) enabled.set(id, checkProvider(id, value))
  }
  return enabled
}

function checkProvider(id: string, value: unknown): EnabledProviderOptions {
  const path = `providers.${id}`
  const given = isProviderDefinition(value) ? { provider: value } : value === true ? {} : requireObject(path, value)
  const { provider, allowHosts = [], ...registration } = given
  if (isProviderDefinition(provider)) {
    assertOption(provider.id === id, path, `contains a provider with the id "${provider.id}"`)
  } else {
    assertOption(
      provider === undefined && Object.hasOwn(PROVIDERS, id),
      path,
      'is neither a built-in provider nor a value of defineProvider()'
    )
  }
  requireStrings(`${path}.allowHosts`, allowHosts)
  const hostProvider = isProviderDefinition(provider) ? provider : undefined
  const isOAuth = hostProvider === undefined ? PROVIDERS[id]?.oauth === true : isOAuthProvider(hostProvider)
  if (!isOAuth) rejectUnknownKeys(path, registration, [])
  if (!isOAuth) return { provider: hostProvider, allowHosts, oauth: undefined }
  const hasTenants = hostProvider === undefined ? PROVIDERS[id]?.tenants === true : hasTenant(hostProvider)
  return { provider: hostProvider, allowHosts, oauth: readRegistration(path, registration, hasTenants) }
}

function hasTenant({ connect }: ProviderDefinition): boolean {
  return connect.type === 'oauth2' && connect.tenant !== undefined
}

function readRegistration(
  path: string,
  registration: Record<string, unknown>,
  hasTenants: boolean
): OAuthClientSettings {
  rejectUnknownKeys(path, registration, ['clientId', 'clientSecret', 'scopes', ...(hasTenants ? ['tenant'] : [])])
  const { clientId, clientSecret, scopes, tenant } = registration
  requireString(`${path}.clientId`, clientId)
  requireString(`${path}.clientSecret`, clientSecret)
  if (scopes !== undefined) {
    requireStrings(`${path}.scopes`, scopes)
    const areValidScopes = scopes.length > 0 && scopes.every((scope) => SCOPE_PATTERN.test(scope))
    assertOption(areValidScopes, `${path}.scopes`, 'must be a list of scopes without spaces or quotes')
  }
  if (tenant !== undefined) {
    const isTenant = typeof tenant === 'string' && TENANT_PATTERN.test(tenant)
    assertOption(
      isTenant,
      `${path}.tenant`,
      'must be common, organizations, consumers, or the id or a domain of a tenant'
    )
  }
  return {
    clientId,
    clientSecret: new Secret(clientSecret),
    ...(scopes !== undefined && { scopes }),
    ...(tenant !== undefined && { tenant })
  }
}

function requireStrings(name: string, value: unknown): asserts value is readonly string[] {
  assertOption(
    Array.isArray(value) && value.every((item) => typeof item === 'string'),
    name,
    'must be a list of strings'
  )
}

/** Checks the option `managed`. @throws TypeError that names the option */
export function checkManagedStores(
  given: Readonly<Record<string, ManagedStoreOptions>> | undefined
): Map<string, ManagedStoreOptions> {
  const stores = new Map<string, ManagedStoreOptions>()
  for (const [name, value] of Object.entries(requireObject('managed', given ?? {}))) {
    const path = `managed.${name}`
    const store = requireObject(path, value)
    if (store.type === 'disk') {
      rejectUnknownKeys(path, store, ['type', 'directory'])
      requireString(`${path}.directory`, store.directory)
    } else {
      assertOption(store.type === 's3', `${path}.type`, 'must be "s3" or "disk"')
      checkManagedS3(path, store)
    }
    stores.set(name, value as ManagedStoreOptions)
  }
  return stores
}

function checkManagedS3(path: string, store: Record<string, unknown>): void {
  const { type, credentials: given, ...settings } = store
  rejectUnknownKeys(path, settings, ['endpoint', 'publicEndpoint', 'region', 'bucket', 'prefix', 'forcePathStyle'])
  const credentials = requireObject(`${path}.credentials`, given)
  rejectUnknownKeys(`${path}.credentials`, credentials, ['accessKeyId', 'secretAccessKey'])
  try {
    readSettings({ ...settings, ...credentials })
  } catch (error) {
    throw optionError(path, (error as Error).message)
  }
}

/**
 * Returns the function that imports a provider's module.
 *
 * @param definition the host's own provider; `undefined`: a built-in one
 */
export function createLoader(
  id: string,
  definition: ProviderDefinition | undefined
): () => Promise<ProviderDefinition> {
  if (definition !== undefined) return async () => definition
  const registered = PROVIDERS[id]
  if (registered === undefined) throw new TypeError(`Unknown provider: ${id}`)
  return async () => (await registered.load()).provider
}

const { resolve } = createRequire(import.meta.url)

/**
 * Returns the packages of a provider that are not installed. Imports nothing.
 *
 * @param resolvePackage throws an error with the code `MODULE_NOT_FOUND` for a package that is not installed
 */
export function missingPackages(providerId: string, resolvePackage: (name: string) => unknown = resolve): string[] {
  return (PROVIDERS[providerId]?.packages ?? []).filter((name) => {
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
  {
    providers,
    managed
  }: {
    readonly providers: ReadonlyMap<string, EnabledProviderOptions>
    readonly managed: ReadonlyMap<string, ManagedStoreOptions>
  },
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
