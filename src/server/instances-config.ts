import { Secret } from '../domain/secret.ts'
import type { Environment } from './environment.ts'

/** What concerns several instances of the server, and who watches them. */
export interface InstancesConfig {
  /** Redis or Valkey, for pages that all instances share. */
  readonly redisUrl: Secret<string> | undefined
  /** Whether changes of connections are heard of by LISTEN. */
  readonly listens: boolean
  /** Where Prometheus reads, on the same host; 0: any that is free. */
  readonly metricsPort: number | undefined
}

export function readInstances(env: Environment): InstancesConfig {
  return {
    redisUrl: readRedisUrl(env),
    listens: env.flag('DATABASE_LISTEN') ?? true,
    metricsPort: env.integer('METRICS_PORT', { min: 0, max: 65_535 })
  }
}

function readRedisUrl(env: Environment): Secret<string> | undefined {
  const url = env.text('REDIS_URL')
  if (url === undefined) return undefined
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    env.problem('REDIS_URL', 'must look like redis://user:password@host:port/0, or rediss:// for TLS')
  }
  return new Secret(url)
}
