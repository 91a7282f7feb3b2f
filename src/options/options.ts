import { isAbsolute } from 'node:path'
import type { FastifyRequest } from 'fastify'
import type { OnConnectionChange } from '../connections/connections.ts'
import type { ManagedStoreOptions } from '../core/provider.ts'
import type { Timeouts } from '../core/stores.ts'
import type { KeyRingOptions } from '../crypto/key-ring.ts'
import type { ListenClient } from '../db/connection-listener.ts'
import type { PrismaLike } from '../db/prisma-client.ts'
import { REDIS_METHODS, type RedisClient } from '../redis/gate.ts'
import type { MetricsRegistry } from '../telemetry/metrics.ts'
import {
  assertOption,
  rejectUnknownKeys,
  readNumbers,
  optionError,
  parseOrigin,
  parsePublicUrl,
  requirePositiveInteger,
  requireObject,
  requireString
} from './checks.ts'
import { type EnabledProviderOptions, checkProviders, checkManagedStores, type ProviderOption } from './providers.ts'

export interface LimitOptions {
  /** Requests per user that may bypass the cache with `refresh=true` within a minute. Default 30. */
  readonly refreshPerMinute: number
  /** Connections per user. Default 20. */
  readonly connectionsPerUser: number
  /**
   * Concurrent downloads, uploads and other content requests (`HEAD`, removals, new folders) of one user in total,
   * also in routes with a `storageBackendHook`. Further ones are refused with 429. Per process. Default 32.
   */
  readonly transfersPerUser: number
  /**
   * Concurrent connects, verifies, authorizes, OAuth callbacks and login polls of one user in total. Further ones are
   * refused with 429. Per process. Default 32.
   */
  readonly connectsPerUser: number
  /** Open streams of events of one user. Further ones are refused with 429. Per process. Default 4. */
  readonly streamsPerUser: number
  /**
   * Connection attempts of one user at one host that may fail within a minute; attempts in flight count. Further ones
   * are refused with 429: services such as Nextcloud lock out the whole server after failed logins of one user. Per
   * process. Default 5.
   */
  readonly failedConnectsPerMinute: number
  /**
   * Minimal rate of bodies in bytes per second. Slower ones are aborted: an upload after 30 seconds of waiting for
   * its client, a download after 5 minutes of waiting for its client. Default 1024.
   */
  readonly minBytesPerSecond: number
}

/** The plugin's options. */
export interface CloudStorageOptions {
  /**
   * A client with the models of `prisma/schema.prisma`, connected to the primary: read replicas are rejected. The host
   * closes it in an `onClose` hook, preferably added before the plugin is registered. The plugin ends its use of the
   * database before any `onClose` hook runs.
   */
  readonly prisma: PrismaLike
  /**
   * Opens a dedicated PostgreSQL connection (a `pg` client) for LISTEN; the plugin ends it when the application
   * begins to close. With it changes take effect at once, without it within `leaseMs`. Not through a pooler that
   * shares sessions.
   */
  readonly listen?: () => Promise<ListenClient>
  /**
   * Returns the id of the request's user, never empty. `null`, `undefined`, `''` or an error cause a 401, an error
   * with a `statusCode` of 500 or more a 503. The error's `headers['www-authenticate']` is sent along.
   */
  readonly authenticate: (request: FastifyRequest) => string | null | undefined | Promise<string | null | undefined>
  /** The keys that seal users' credentials. */
  readonly encryption: KeyRingOptions
  /**
   * The URL of the application for browsers. It is required with an OAuth provider, since redirect URIs start with
   * it, and must be https then, except on a loopback host.
   */
  readonly publicUrl?: string
  /**
   * Origins of external front ends (`https://app.example.org`): their pages may send changes, and logins may return
   * to them. https, or http on a loopback host; without a path or a wildcard. CORS headers are left to the host, with
   * `@fastify/cors`. Default: none.
   */
  readonly allowedOrigins?: readonly string[]
  /** The host's own stores, by the name in the `storageBackend` of documents. */
  readonly managed?: Readonly<Record<string, ManagedStoreOptions>>
  /** The providers that users may connect: ours by id, or values of `defineProvider()`. */
  readonly providers?: Readonly<Record<string, ProviderOption>>
  readonly cache?: GivenCacheOptions
  /**
   * How long this instance trusts what it has read about connections, in milliseconds from the start of its last poll of
   * the change log: no response relies on older data. A poll or a read may always take 250 ms, even if the lease is
   * shorter; with 0 each request reads its connection, without that limit. Default 2000.
   */
  readonly leaseMs?: number
  readonly limits?: Partial<LimitOptions>
  /** Timeouts of remote calls, in milliseconds. Default: 5000, 10,000, 15,000, 30,000. */
  readonly timeouts?: Partial<Timeouts>
  /** Enables the routes that download, upload and remove content. Default `false`: only listings. */
  readonly transfers?: boolean | TransferOptions
  /** Temporary files for uploads of unknown size. Default: 256 MiB per upload and user, 1 GiB in total. */
  readonly spool?: SpoolOptions
  /** Called after each change. Its errors are logged. */
  readonly onConnectionChange?: OnConnectionChange
  /** The host's registry of `prom-client` for our metrics. Default: no metrics. */
  readonly metrics?: { readonly registry: MetricsRegistry }
  /**
   * The path of the routes, below the `prefix` of `register` if there is one. Default `/cloud`; `false`: decorators
   * only, no routes. Redirect URIs start with `publicUrl`, followed by both prefixes.
   */
  readonly routePrefix?: string | false
}

const DEFAULT_LEASE_MS = 2000
export const LIMIT_DEFAULTS: LimitOptions = {
  refreshPerMinute: 30,
  connectionsPerUser: 20,
  transfersPerUser: 32,
  connectsPerUser: 32,
  streamsPerUser: 4,
  failedConnectsPerMinute: 5,
  minBytesPerSecond: 1024
}
export const TIMEOUT_DEFAULTS: Timeouts = { connectMs: 5000, headersMs: 10_000, idleMs: 15_000, totalMs: 30_000 }

const OPTION_NAMES: readonly (keyof CloudStorageOptions)[] = [
  'prisma',
  'listen',
  'authenticate',
  'encryption',
  'publicUrl',
  'allowedOrigins',
  'managed',
  'providers',
  'cache',
  'leaseMs',
  'limits',
  'timeouts',
  'transfers',
  'spool',
  'onConnectionChange',
  'metrics',
  'routePrefix'
]

/** Fastify passes the options of `register` to the plugin, too. */
const REGISTER_OPTIONS = ['prefix', 'logLevel', 'logSerializers']

/** The validated options with all defaults. */
export interface CheckedOptions extends CheckedCacheOptions {
  readonly prisma: PrismaLike
  readonly listen: CloudStorageOptions['listen'] | undefined
  readonly leaseMs: number
  readonly authenticate: CloudStorageOptions['authenticate']
  readonly encryption: KeyRingOptions
  readonly publicUrl: URL | undefined
  readonly allowedOrigins: ReadonlySet<string>
  readonly managed: ReadonlyMap<string, ManagedStoreOptions>
  readonly providers: ReadonlyMap<string, EnabledProviderOptions>
  readonly limits: LimitOptions
  readonly timeouts: Timeouts
  readonly transfers: CheckedTransfers
  readonly spool: CheckedSpool
  readonly onConnectionChange: OnConnectionChange | undefined
  readonly metrics: MetricsRegistry | undefined
  readonly routePrefix: string | false
}

/** Checks all options, and adds the defaults. @throws TypeError that names the option */
export function checkOptions(options: CloudStorageOptions): CheckedOptions {
  rejectUnknownKeys('', requireObject('options', options), [...OPTION_NAMES, ...REGISTER_OPTIONS])
  const prisma = requireObject('prisma', options.prisma)
  for (const name of ['cloudConnection', 'oAuthState', '$transaction', '$queryRaw', '$executeRaw']) {
    assertOption(prisma[name] !== undefined && prisma[name] !== null, 'prisma', `must have ${name}`)
  }
  for (const name of ['authenticate', 'listen', 'onConnectionChange'] as const) {
    const given = options[name] as unknown
    const isOptional = name !== 'authenticate'
    assertOption((isOptional && given === undefined) || typeof given === 'function', name, 'must be a function')
  }
  rejectUnknownKeys('encryption', requireObject('encryption', options.encryption), ['current', 'keys'])
  assertOption(
    options.leaseMs === undefined || (Number.isSafeInteger(options.leaseMs) && options.leaseMs >= 0),
    'leaseMs',
    'must be a whole number of milliseconds'
  )
  const managed = checkManagedStores(options.managed)
  const providers = checkProviders(options.providers)
  for (const name of providers.keys()) {
    assertOption(!managed.has(name), `managed.${name}`, 'must not have the name of a provider')
  }
  const { prefix: registeredPrefix } = options as { prefix?: unknown }
  const isPath =
    registeredPrefix === undefined ||
    (typeof registeredPrefix === 'string' && /^(?:\/[^/\s?#]+)*\/?$/.test(registeredPrefix))
  assertOption(isPath, 'prefix', 'must be a path like "/api"')
  const prefix = routePrefix(options.routePrefix)
  const isOAuth = [...providers.values()].some(({ oauth }) => oauth !== undefined)
  return {
    prisma: options.prisma,
    listen: options.listen,
    leaseMs: options.leaseMs ?? DEFAULT_LEASE_MS,
    authenticate: options.authenticate,
    encryption: options.encryption,
    publicUrl: publicUrl(options.publicUrl, isOAuth && prefix !== false),
    allowedOrigins: allowedOrigins(options.allowedOrigins),
    managed,
    providers,
    ...checkCacheOptions(options.cache, providers),
    limits: readNumbers('limits', options.limits, LIMIT_DEFAULTS),
    timeouts: readNumbers('timeouts', options.timeouts, TIMEOUT_DEFAULTS),
    transfers: checkTransferOptions(options.transfers),
    spool: checkSpoolOptions(options.spool),
    onConnectionChange: options.onConnectionChange,
    metrics: checkMetricsRegistry(options.metrics),
    routePrefix: prefix
  }
}

function publicUrl(given: string | undefined, isOAuth: boolean): URL | undefined {
  if (given === undefined) {
    assertOption(!isOAuth, 'publicUrl', 'is required with an OAuth provider: redirect URIs begin with it')
    return undefined
  }
  try {
    return parsePublicUrl(given, isOAuth)
  } catch (error) {
    throw optionError('publicUrl', (error as Error).message)
  }
}

function allowedOrigins(given: CloudStorageOptions['allowedOrigins']): ReadonlySet<string> {
  if (given === undefined) return new Set()
  assertOption(Array.isArray(given), 'allowedOrigins', 'must be a list of origins')
  return new Set(
    given.map((origin, index) => {
      try {
        return parseOrigin(origin)
      } catch (error) {
        throw optionError(`allowedOrigins[${index}]`, (error as Error).message)
      }
    })
  )
}

function checkMetricsRegistry(given: CloudStorageOptions['metrics']): MetricsRegistry | undefined {
  if (given === undefined) return undefined
  rejectUnknownKeys('metrics', requireObject('metrics', given), ['registry'])
  const { registerMetric, getSingleMetric } = requireObject('metrics.registry', given.registry)
  const isRegistry = typeof registerMetric === 'function' && typeof getSingleMetric === 'function'
  assertOption(isRegistry, 'metrics.registry', 'must be a registry of prom-client')
  return given.registry
}

function routePrefix(given: string | false | undefined): string | false {
  if (given === undefined) return '/cloud'
  const isValid = given === false || (typeof given === 'string' && /^(\/[\w.~-]+)+$/.test(given))
  assertOption(isValid, 'routePrefix', 'must be false, or a path like "/cloud"')
  return given
}

export interface CacheOptions {
  /** Maximal number of listings. Default 1000. */
  readonly max: number
  /** Lifetime of a listing in milliseconds, from the start of its load. Default 60,000. */
  readonly ttlMs: number
  /** Maximal total size of all representations, as JSON and compressed. Default 64 MiB. */
  readonly maxBytes: number
  /**
   * The share of `max` and of `maxBytes` that one user's listings may take, above 0 and up to 1. It also limits a
   * user's data of one instance in Redis. Beyond it that user's least recently used listings are evicted, even if
   * there are no other users. Default 0.25: 250 listings and 16 MiB.
   */
  readonly maxSharePerUser: number
  /** Concurrent loads per user. Default 32. */
  readonly maxInFlightPerUser: number
}

/** A cache of pages shared by all processes. */
export interface SharedCacheOptions {
  /** A client of Redis or Valkey, such as `ioredis`. The host connects it, handles its errors and ends it. */
  readonly redis: RedisClient
}

/** How long a covered page is used without a check, in milliseconds: `afterMs`, or a value of a provider by its id. */
export interface CheckOptions {
  /** Default 15,000. */
  readonly afterMs?: number
  /** Default of `onedrive` and `nextcloud`: `afterMs`, and at least 30,000. */
  readonly [provider: string]: number | undefined
}

export interface GivenCacheOptions extends Partial<CacheOptions> {
  /**
   * Checks for changes at providers that report them. Their pages stay cached for `coveredTtlMs`, and are used only
   * while the latest check is recent. `false`: all pages expire after `ttlMs`.
   */
  readonly check?: CheckOptions | false
  /** Lifetime of a page of which changes are checked, in milliseconds. Default 3,600,000. */
  readonly coveredTtlMs?: number
  /** How long such a page may be used if a check fails because its provider is unavailable. Default 0: not at all. */
  readonly staleIfErrorMs?: number
  /**
   * Loads the next page in advance, once a reader has turned a page. It costs the provider one additional call per
   * reader that stops after that. Default true.
   */
  readonly readAhead?: boolean
  readonly shared?: SharedCacheOptions
}

export interface CheckedFreshness {
  /** Returns how long a covered page of a provider is used without a check, in milliseconds. `null`: no checks. */
  readonly checkMsOf: ((provider: string) => number) | null
  readonly coveredTtlMs: number
  readonly staleIfErrorMs: number
}

export interface CheckedCacheOptions {
  readonly cache: CacheOptions
  readonly freshness: CheckedFreshness
  readonly readAhead: boolean
  readonly redis: RedisClient | undefined
}

const COUNT_DEFAULTS = { max: 1000, ttlMs: 60_000, maxBytes: 64 * 1024 * 1024, maxInFlightPerUser: 32 }
export const CACHE_DEFAULTS: CacheOptions = { ...COUNT_DEFAULTS, maxSharePerUser: 0.25 }

const CHECK_AFTER_MS = 15_000
const LIFETIME_DEFAULTS = { coveredTtlMs: 3_600_000, staleIfErrorMs: 0 }
/** These services throttle frequent checks, or are slowed down by them. */
const CHECK_FLOORS: Readonly<Record<string, number>> = { onedrive: 30_000, nextcloud: 30_000 }

/**
 * Checks the option `cache`.
 *
 * @param providers the ids of the enabled providers
 * @throws TypeError that names the option
 */
export function checkCacheOptions(
  given: GivenCacheOptions | undefined,
  providers: ReadonlyMap<string, unknown>
): CheckedCacheOptions {
  const {
    shared,
    readAhead = true,
    check = {},
    coveredTtlMs = LIFETIME_DEFAULTS.coveredTtlMs,
    staleIfErrorMs = LIFETIME_DEFAULTS.staleIfErrorMs,
    maxSharePerUser = CACHE_DEFAULTS.maxSharePerUser,
    ...numericOptions
  } = requireObject('cache', given ?? {})
  const isShare = typeof maxSharePerUser === 'number' && maxSharePerUser > 0 && maxSharePerUser <= 1
  assertOption(isShare, 'cache.maxSharePerUser', 'must be above 0 and at most 1')
  const cache = { ...readNumbers('cache', numericOptions, COUNT_DEFAULTS), maxSharePerUser }
  assertOption(typeof readAhead === 'boolean', 'cache.readAhead', 'must be true or false')
  requirePositiveInteger('cache.coveredTtlMs', coveredTtlMs)
  assertOption(
    staleIfErrorMs === 0 || (Number.isSafeInteger(staleIfErrorMs) && (staleIfErrorMs as number) > 0),
    'cache.staleIfErrorMs',
    'must be a whole number of milliseconds'
  )
  const freshness = {
    checkMsOf: check === false ? null : readCheckOption(check, providers),
    coveredTtlMs: coveredTtlMs as number,
    staleIfErrorMs: staleIfErrorMs as number
  }
  if (shared === undefined) return { cache, freshness, readAhead, redis: undefined }
  rejectUnknownKeys('cache.shared', requireObject('cache.shared', shared), ['redis'])
  const redis = requireObject('cache.shared.redis', (shared as SharedCacheOptions).redis)
  for (const name of REDIS_METHODS) {
    assertOption(typeof redis[name] === 'function', 'cache.shared.redis', `must have ${name}, as a client of ioredis`)
  }
  return { cache, freshness, readAhead, redis: redis as unknown as RedisClient }
}

function readCheckOption(given: unknown, providers: ReadonlyMap<string, unknown>): (provider: string) => number {
  const check = requireObject('cache.check', given)
  rejectUnknownKeys('cache.check', check, ['afterMs', ...Object.keys(CHECK_FLOORS), ...providers.keys()])
  for (const [name, value] of Object.entries(check)) {
    if (value !== undefined) requirePositiveInteger(`cache.check.${name}`, value)
  }
  const { afterMs = CHECK_AFTER_MS, ...byProvider } = check as CheckOptions
  return (provider) => byProvider[provider] ?? Math.max(afterMs, CHECK_FLOORS[provider] ?? 0)
}

/** The options of the transfer routes. */
export interface TransferOptions {
  /** Largest upload, in bytes. Default: the provider's limit. */
  readonly maxBytes?: number
}

/** `false`: there are no transfer routes. */
export type CheckedTransfers = false | { readonly maxBytes: number | undefined }

/** Checks the option `transfers`. @throws TypeError that names the option */
export function checkTransferOptions(given: boolean | TransferOptions | undefined): CheckedTransfers {
  if (given === undefined || given === false) return false
  if (given === true) return { maxBytes: undefined }
  const isObject = typeof given === 'object' && (given as unknown) !== null && !Array.isArray(given)
  assertOption(isObject, 'transfers', 'must be true, false or an object')
  const { maxBytes } = given
  rejectUnknownKeys('transfers', requireObject('transfers', given), ['maxBytes'])
  if (maxBytes !== undefined) requirePositiveInteger('transfers.maxBytes', maxBytes)
  return { maxBytes }
}

/**
 * Temporary files for uploads of unknown size to OneDrive and Box, which need the size in advance. The first 4 MiB of
 * such an upload are held in memory and do not count. Also applies to uploads with `storageBackendHook`.
 */
export interface SpoolOptions {
  /** Largest upload, in bytes; beyond it `PAYLOAD_TOO_LARGE`. Default 256 MiB. */
  readonly maxBytes?: number
  /**
   * Total size of one user's concurrent uploads in bytes; beyond it `TOO_MANY_REQUESTS`. At least `maxBytes`, which
   * is the default.
   */
  readonly maxBytesPerUser?: number
  /**
   * Total size of this process's concurrent uploads in bytes; beyond it, or if the disk is full,
   * `INSUFFICIENT_STORAGE`. At least `maxBytesPerUser`. Default four times that.
   */
  readonly maxTotalBytes?: number
  /** The absolute path of an existing folder. Default: the system's folder for temporary files. */
  readonly folder?: string
}

export interface CheckedSpool {
  readonly maxBytes: number
  readonly maxBytesPerUser: number
  readonly maxTotalBytes: number
  readonly folder: string | undefined
}

const SPOOL_MAX_BYTES = 256 * 1024 * 1024
const SPOOL_TOTAL_FACTOR = 4

/** Checks the option `spool`. @throws TypeError that names the option */
export function checkSpoolOptions(given: SpoolOptions | undefined): CheckedSpool {
  const options = requireObject('spool', given ?? {})
  rejectUnknownKeys('spool', options, ['maxBytes', 'maxBytesPerUser', 'maxTotalBytes', 'folder'])
  for (const name of ['maxBytes', 'maxBytesPerUser', 'maxTotalBytes']) {
    if (options[name] !== undefined) requirePositiveInteger(`spool.${name}`, options[name])
  }
  const { folder } = options
  if (folder !== undefined) {
    requireString('spool.folder', folder)
    assertOption(isAbsolute(folder), 'spool.folder', 'must be an absolute path')
  }
  const { maxBytes: uploadLimit, maxBytesPerUser: userLimit, maxTotalBytes: totalLimit } = given ?? {}
  // Missing limits are derived from the given ones, so that they do not contradict each other.
  const maxBytes = uploadLimit ?? Math.min(SPOOL_MAX_BYTES, userLimit ?? Infinity, totalLimit ?? Infinity)
  const maxBytesPerUser = userLimit ?? maxBytes
  const maxTotalBytes = totalLimit ?? SPOOL_TOTAL_FACTOR * maxBytesPerUser
  assertOption(maxBytes <= maxBytesPerUser, 'spool.maxBytesPerUser', `must not be less than maxBytes, ${maxBytes}`)
  assertOption(maxBytesPerUser <= maxTotalBytes, 'spool.maxTotalBytes', `must not be less than ${maxBytesPerUser}`)
  return { maxBytes, maxBytesPerUser, maxTotalBytes, folder }
}
