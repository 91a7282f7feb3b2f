import { isIP } from 'node:net'
import { resolve } from 'node:path'
import type { ManagedStoreOptions } from '../src/core/provider.ts'
import { Secret } from '../src/core/secret.ts'
import type { Timeouts } from '../src/core/stores.ts'
import type { KeyRingOptions } from '../src/crypto/key-ring.ts'
import { parseAllowHosts } from '../src/net/allow-hosts.ts'
import { parseOrigin, parsePublicUrl } from '../src/options/checks.ts'
import type { GivenCacheOptions, LimitOptions, SpoolOptions } from '../src/options/options.ts'
import {
  type JwtConfig,
  MANAGED_VARIABLES,
  readEncryption,
  readJwt,
  readManaged,
  readRegistrations,
  type Registrations,
  SECURITY_VARIABLES
} from './config-secrets.ts'
import { ConfigError, Environment, type Variables } from './env.ts'

/** The configuration of all modes of the server. The plugin's default applies to `undefined` values. */
interface CommonConfig extends InstancesConfig {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly logLevel: LogLevel
  /** Addresses and ranges of the proxies with trusted `X-Forwarded-*` headers. */
  readonly trustProxy: readonly string[]
  readonly publicUrl: string | undefined
  /** Origins of external front ends. */
  readonly allowedOrigins: readonly string[]
  /** Time for the requests in flight after SIGTERM, in milliseconds. */
  readonly shutdownTimeoutMs: number
  /** Hosts that users' connections may reach besides public servers over https, by provider. */
  readonly allowHosts: { readonly [Provider in 's3' | 'webdav' | 'nextcloud']: readonly string[] }
  /** The application's registrations at OAuth providers, by provider. */
  readonly registrations: Registrations
  readonly cache: Omit<GivenCacheOptions, 'shared'>
  readonly leaseMs: number | undefined
  readonly limits: Partial<LimitOptions>
  readonly timeouts: Partial<Timeouts>
  /** `false`: users cannot transfer content. */
  readonly transfers: false | { readonly maxBytes?: number }
  /** Temporary files for uploads of unknown size. */
  readonly spool: SpoolOptions
}

/** The complete configuration of the application, from any source. */
export interface AppConfig extends CommonConfig {
  readonly encryption: Secret<KeyRingOptions>
  readonly jwt: JwtConfig
  readonly managed: ManagedStoreOptions
}

/** A service on a PostgreSQL server. */
export interface ServiceConfig extends AppConfig, DatabaseConfig {
  readonly mode: 'service'
  /** True to apply migrations; otherwise they are only checked. */
  readonly shouldMigrate: boolean
}

/** A demo on one machine, which creates its own secrets. */
export interface DemoConfig extends CommonConfig {
  readonly mode: 'demo'
  /** An absolute path. */
  readonly dataDir: string
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Longest delay of a Node timer. */
const MAX_MS = 2_147_483_647
const MILLISECONDS = { min: 1, max: MAX_MS }
const COUNT = { min: 1, max: 1_000_000_000 }
/** Names that `trustProxy` accepts besides addresses and ranges. */
const PROXY_NAMES = new Set(['loopback', 'linklocal', 'uniquelocal'])
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/i

/**
 * Reads the configuration from the environment. `.env.example` describes each variable.
 *
 * With `DATABASE_URL` or `NODE_ENV=production` it is a service, which must be configured completely; else a demo.
 *
 * @throws ConfigError that lists all problems by variable
 */
export function readConfig(variables: Variables): ServiceConfig | DemoConfig {
  const env = new Environment(variables)
  const config = isService(env) ? readService(env) : readDemo(env)
  if (env.problems.length > 0) throw new ConfigError(env.problems)
  return config
}

/** Reads the configuration of `rotate-keys`. */
export function readRotationConfig(variables: Variables): DatabaseConfig & Pick<ServiceConfig, 'encryption'> {
  const env = new Environment(variables)
  const config = { ...readDatabase(env), encryption: new Secret(readEncryption(env)) }
  if (env.problems.length > 0) throw new ConfigError(env.problems)
  return config
}

/** Reads the configuration of `migrate`. */
export function readMigrationConfig(variables: Variables): DatabaseConfig {
  const env = new Environment(variables)
  const config = readDatabase(env)
  if (env.problems.length > 0) throw new ConfigError(env.problems)
  return config
}

function isService(env: Environment): boolean {
  // Rejects other values: a misspelt "production" would start a demo.
  const mode = env.choice('NODE_ENV', ['production', 'development', 'test'])
  return env.text('DATABASE_URL') !== undefined || mode === 'production'
}

function readService(env: Environment): ServiceConfig {
  return {
    mode: 'service',
    ...readDatabase(env),
    shouldMigrate: env.flag('MIGRATE') ?? true,
    encryption: new Secret(readEncryption(env)),
    jwt: readJwt(env),
    managed: readManaged(env),
    ...readCommon(env, 'info')
  }
}

function readDemo(env: Environment): DemoConfig {
  const unused = env.pickDefined(['DATABASE_DIRECT_URL', ...SECURITY_VARIABLES, ...MANAGED_VARIABLES])
  if (unused.length > 0) {
    // These variables are for a service. A demo would ignore them and create its own secrets.
    env.addProblem(
      'DATABASE_URL',
      `is missing, although ${unused.join(', ')} ${unused.length === 1 ? 'is' : 'are'} set: ` +
        'set it to run as a service, or unset the others for the demo'
    )
  }
  return { mode: 'demo', dataDir: resolve(env.text('DATA_DIR') ?? 'data'), ...readCommon(env, 'warn') }
}

/** @param logLevel the default; in a demo, request logs would scroll the link out of the terminal */
function readCommon(env: Environment, logLevel: LogLevel): CommonConfig {
  const registrations = readRegistrations(env)
  return {
    host: readHost(env),
    port: env.integer('PORT', { min: 0, max: 65_535 }) ?? 3000,
    logLevel: env.choice('LOG_LEVEL', LOG_LEVELS) ?? logLevel,
    trustProxy: readTrustProxy(env),
    publicUrl: readPublicUrl(env, Object.keys(registrations).length > 0),
    allowedOrigins: readOrigins(env),
    shutdownTimeoutMs: env.integer('SHUTDOWN_TIMEOUT_MS', MILLISECONDS) ?? 10_000,
    allowHosts: {
      s3: readAllowHosts(env, 'S3_ALLOW_HOSTS'),
      webdav: readAllowHosts(env, 'WEBDAV_ALLOW_HOSTS'),
      nextcloud: readAllowHosts(env, 'NEXTCLOUD_ALLOW_HOSTS')
    },
    registrations,
    cache: omitUndefined({
      max: env.integer('CACHE_MAX_ENTRIES', COUNT),
      ttlMs: env.integer('CACHE_TTL_MS', MILLISECONDS),
      maxBytes: env.integer('CACHE_MAX_BYTES', { min: 1, max: Number.MAX_SAFE_INTEGER }),
      maxSharePerUser: env.fraction('CACHE_MAX_SHARE_PER_USER'),
      maxInFlightPerUser: env.integer('CACHE_MAX_IN_FLIGHT_PER_USER', COUNT),
      readAhead: env.flag('CACHE_READ_AHEAD'),
      check: readCheck(env),
      coveredTtlMs: env.integer('CACHE_COVERED_TTL_MS', MILLISECONDS),
      staleIfErrorMs: env.integer('CACHE_STALE_IF_ERROR_MS', { min: 0, max: MAX_MS })
    }),
    leaseMs: env.integer('LEASE_MS', { min: 0, max: MAX_MS }),
    ...readInstances(env),
    limits: omitUndefined({
      refreshPerMinute: env.integer('LIMIT_REFRESH_PER_MINUTE', COUNT),
      connectionsPerUser: env.integer('LIMIT_CONNECTIONS_PER_USER', COUNT),
      transfersPerUser: env.integer('LIMIT_TRANSFERS_PER_USER', COUNT),
      connectsPerUser: env.integer('LIMIT_CONNECTS_PER_USER', COUNT),
      streamsPerUser: env.integer('LIMIT_STREAMS_PER_USER', COUNT),
      failedConnectsPerMinute: env.integer('LIMIT_FAILED_CONNECTS_PER_MINUTE', COUNT),
      minBytesPerSecond: env.integer('LIMIT_MIN_BYTES_PER_SECOND', COUNT)
    }),
    timeouts: omitUndefined({
      connectMs: env.integer('TIMEOUT_CONNECT_MS', MILLISECONDS),
      headersMs: env.integer('TIMEOUT_HEADERS_MS', MILLISECONDS),
      idleMs: env.integer('TIMEOUT_IDLE_MS', MILLISECONDS),
      totalMs: env.integer('TIMEOUT_TOTAL_MS', MILLISECONDS)
    }),
    transfers: readTransfers(env),
    spool: readSpool(env)
  }
}

/** `undefined`: the defaults. */
function readCheck(env: Environment): GivenCacheOptions['check'] {
  const isEnabled = env.flag('CACHE_CHECK') ?? true
  const check = omitUndefined({
    afterMs: env.integer('CACHE_CHECK_AFTER_MS', MILLISECONDS),
    onedrive: env.integer('CACHE_CHECK_ONEDRIVE_MS', MILLISECONDS),
    nextcloud: env.integer('CACHE_CHECK_NEXTCLOUD_MS', MILLISECONDS)
  })
  if (!isEnabled) return false
  return Object.keys(check).length === 0 ? undefined : check
}

function readTransfers(env: Environment): CommonConfig['transfers'] {
  const isEnabled = (env.choice('TRANSFERS', ['true', 'false']) ?? 'true') === 'true'
  const maxBytes = env.integer('TRANSFER_MAX_BYTES', { min: 1, max: Number.MAX_SAFE_INTEGER })
  return isEnabled && omitUndefined({ maxBytes })
}

function readSpool(env: Environment): SpoolOptions {
  const bytes = { min: 1, max: Number.MAX_SAFE_INTEGER }
  const maxBytes = env.integer('SPOOL_MAX_BYTES', bytes)
  const maxBytesPerUser = env.integer('SPOOL_MAX_BYTES_PER_USER', bytes)
  const maxTotalBytes = env.integer('SPOOL_MAX_TOTAL_BYTES', bytes)
  if (maxBytesPerUser !== undefined && maxBytesPerUser < (maxBytes ?? 0)) {
    env.addProblem('SPOOL_MAX_BYTES_PER_USER', 'must not be less than SPOOL_MAX_BYTES')
  } else if (maxTotalBytes !== undefined && maxTotalBytes < (maxBytesPerUser ?? maxBytes ?? 0)) {
    env.addProblem('SPOOL_MAX_TOTAL_BYTES', 'must not be less than SPOOL_MAX_BYTES or SPOOL_MAX_BYTES_PER_USER')
  }
  const folder = env.text('SPOOL_FOLDER')
  return omitUndefined({
    maxBytes,
    maxBytesPerUser,
    maxTotalBytes,
    folder: folder === undefined ? undefined : resolve(folder)
  })
}

function readHost(env: Environment): string {
  const host = env.text('HOST') ?? '127.0.0.1'
  if (isIP(host) === 0 && !HOST_NAME.test(host)) env.addProblem('HOST', 'must be an address or a host name')
  return host
}

function readTrustProxy(env: Environment): string[] {
  const items = env.list('TRUST_PROXY')
  if (!items.every((item) => PROXY_NAMES.has(item) || isAddressOrRange(item))) {
    env.addProblem(
      'TRUST_PROXY',
      'must list the addresses of the proxies in front of the server (10.0.0.0/8,192.168.1.5): trusting every ' +
        'address or a number of hops would let clients forge their address and the host'
    )
  }
  return items
}

function isAddressOrRange(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}

function readPublicUrl(env: Environment, hasOAuth: boolean): string | undefined {
  const text = env.text('PUBLIC_URL')
  if (text === undefined) return undefined
  try {
    parsePublicUrl(text, hasOAuth)
  } catch (error) {
    env.addProblem('PUBLIC_URL', (error as Error).message)
  }
  return text
}

function readOrigins(env: Environment): string[] {
  const origins = env.list('CORS_ORIGINS')
  for (const origin of origins) {
    try {
      parseOrigin(origin)
    } catch (error) {
      env.addProblem('CORS_ORIGINS', `has an invalid entry: it ${(error as Error).message}`)
      break
    }
  }
  return origins
}

function readAllowHosts(env: Environment, name: string): string[] {
  const entries = env.list(name)
  for (const entry of entries) {
    try {
      parseAllowHosts([entry])
    } catch (error) {
      env.addProblem(name, (error as Error).message.replace('allowHosts: ', 'entry '))
    }
  }
  return entries
}

/** Drops `undefined` values, so that the plugin's defaults apply. */
type Defined<T> = { [Key in keyof T]?: NonNullable<T[Key]> }

function omitUndefined<T extends Record<string, unknown>>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>
}

/** Settings for several instances of the server, and for monitoring. */
export interface InstancesConfig {
  /** The URL of Redis or Valkey, for pages that all instances share. */
  readonly redisUrl: Secret<string> | undefined
  /** True if changes of connections are received by LISTEN. */
  readonly isListenEnabled: boolean
  /** The port for Prometheus, on the same host; 0: any free port. */
  readonly metricsPort: number | undefined
}

/** The URLs of the database. */
export interface DatabaseConfig {
  readonly databaseUrl: Secret<string>
  /** The server behind the pooler, if `databaseUrl` names a pooler in transaction mode. */
  readonly databaseDirectUrl: Secret<string> | undefined
}

export function readInstances(env: Environment): InstancesConfig {
  return {
    redisUrl: readRedisUrl(env),
    isListenEnabled: env.flag('DATABASE_LISTEN') ?? true,
    metricsPort: readMetricsPort(env)
  }
}

export function readDatabase(env: Environment): DatabaseConfig {
  const url = env.required(
    'DATABASE_URL',
    'with NODE_ENV=production the server needs a PostgreSQL server (postgres://user:password@host:port/database)'
  )
  const directUrl = env.text('DATABASE_DIRECT_URL')
  if (url !== '') checkPostgresUrl(env, 'DATABASE_URL', url)
  if (directUrl !== undefined) checkPostgresUrl(env, 'DATABASE_DIRECT_URL', directUrl)
  return {
    databaseUrl: new Secret(url),
    databaseDirectUrl: directUrl === undefined ? undefined : new Secret(directUrl)
  }
}

function checkPostgresUrl(env: Environment, name: string, url: string): void {
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return
  env.addProblem(name, 'must look like postgres://user:password@host:port/database')
}

function readMetricsPort(env: Environment): number | undefined {
  const port = env.integer('METRICS_PORT', { min: 0, max: 65_535 })
  if (port !== undefined && port !== 0 && String(port) === (env.text('PORT') ?? '3000')) {
    env.addProblem('METRICS_PORT', 'must not be the same as PORT: metrics have their own port')
  }
  return port
}

function readRedisUrl(env: Environment): Secret<string> | undefined {
  const url = env.text('REDIS_URL')
  if (url === undefined) return undefined
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    env.addProblem('REDIS_URL', 'must look like redis://user:password@host:port/0, or rediss:// for TLS')
  }
  return new Secret(url)
}
