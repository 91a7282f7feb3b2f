import { Secret } from '../domain/secret.ts'
import type { Environment } from './environment.ts'

/** Settings for several instances of the server, and for monitoring. */
export interface InstancesConfig {
  /** The URL of Redis or Valkey, for pages that all instances share. */
  readonly redisUrl: Secret<string> | undefined
  /** True if changes of connections are received by LISTEN. */
  readonly listens: boolean
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
    listens: env.flag('DATABASE_LISTEN') ?? true,
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
  env.problem(name, 'must look like postgres://user:password@host:port/database')
}

function readMetricsPort(env: Environment): number | undefined {
  const port = env.integer('METRICS_PORT', { min: 0, max: 65_535 })
  if (port !== undefined && port !== 0 && String(port) === (env.text('PORT') ?? '3000')) {
    env.problem('METRICS_PORT', 'must not be the same as PORT: metrics have their own port')
  }
  return port
}

function readRedisUrl(env: Environment): Secret<string> | undefined {
  const url = env.text('REDIS_URL')
  if (url === undefined) return undefined
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    env.problem('REDIS_URL', 'must look like redis://user:password@host:port/0, or rediss:// for TLS')
  }
  return new Secret(url)
}
