import type { FastifyBaseLogger } from 'fastify'
import type { Metrics } from './core/telemetry.ts'
import type { Clock } from './core/time.ts'
import type { SharedTier } from './cache/shared-tier.ts'
import { causesOf } from './http/problem.ts'
import { createBytesSealer } from './crypto/bytes-sealer.ts'
import type { KeyRing } from './crypto/key-ring.ts'
import type { ConnectionNotification } from './core/connection.ts'
import { ConnectionListener, type ListenClient } from './db/connection-listener.ts'
import type { RedisClient } from './redis/gate.ts'
import type { CheckedOptions } from './options/options.ts'

export interface SharedTierDeps {
  readonly options: CheckedOptions
  readonly keyRing: KeyRing
  readonly clock: Clock
  readonly metrics: Metrics
  readonly log: FastifyBaseLogger
}

/** Creates the cache that this process shares with others. */
export async function createSharedTier(redis: RedisClient, deps: SharedTierDeps): Promise<SharedTier> {
  const { options, keyRing, clock, metrics, log } = deps
  const { SharedPages } = await import('./redis/shared-pages.ts')
  return new SharedPages({
    redis,
    sealer: createBytesSealer(keyRing, 'shared-pages'),
    clock,
    pageTtlMs: options.cache.ttlMs,
    ...(options.freshness.checkMsOf !== null && { coveredTtlMs: options.freshness.coveredTtlMs }),
    leaseMs: options.leaseMs,
    maxPagesPerUser: Math.max(1, Math.floor(options.cache.max * options.cache.maxSharePerUser)),
    maxBytesPerUser: Math.floor(options.cache.maxBytes * options.cache.maxSharePerUser),
    random: Math.random,
    onOutcome: (outcome) => {
      metrics.sharedPage(outcome)
    },
    onUnavailable: (error) => {
      log.warn({ causes: causesOf(error) }, 'Redis is unavailable; using the local cache only')
    },
    onRecovered: () => {
      log.info('Redis is available again')
    }
  })
}

/** Creates the listener for change notifications of all processes. */
export function createConnectionListener(
  listen: () => Promise<ListenClient>,
  onMessage: (message: ConnectionNotification | null) => void,
  log: FastifyBaseLogger
): ConnectionListener {
  const logConnectionLoss = (error: unknown): void => {
    log.warn({ causes: causesOf(error) }, 'LISTEN connection lost; changes take effect with the next poll')
  }
  return new ConnectionListener({ listen, onNotification: onMessage, logConnectionLoss, random: Math.random })
}
