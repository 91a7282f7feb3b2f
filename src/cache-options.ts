import { REDIS_METHODS, type RedisClient } from './infra/redis/redis-client.ts'
import { check, known, numbers, record } from './option-checks.ts'

export interface CacheOptions {
  /** At most so many listings. Default 1000. */
  readonly max: number
  /** How long a listing lives, in milliseconds from the start of its load. Default 60,000. */
  readonly ttlMs: number
  /** In all forms that a listing is kept in: as JSON, and compressed. Default 64 MiB. */
  readonly maxBytes: number
  /**
   * The share of `max` and of `maxBytes` that one user's listings may take, above 0 and up to 1; also of what one
   * instance stores for a user in Redis. Beyond it that user's least recently used listings are evicted. It applies to
   * a user who is alone, too. Default 0.25: 250 listings and 16 MiB.
   */
  readonly maxSharePerUser: number
  /** Loads that one user may have in flight. Default 32. */
  readonly maxInFlightPerUser: number
}

/** Pages that all processes keep together. */
export interface SharedCacheOptions {
  /** A client of Redis or Valkey, as `ioredis` has it. The host connects it, hears its errors and ends it. */
  readonly redis: RedisClient
}

export interface GivenCacheOptions extends Partial<CacheOptions> {
  /**
   * Whether the next page is loaded before it is asked for, once a reader has turned a page. It costs the provider one
   * call more for each who reads on and then stops. Default true.
   */
  readonly readAhead?: boolean
  readonly shared?: SharedCacheOptions
}

export interface CheckedCacheOptions {
  readonly cache: CacheOptions
  readonly readAhead: boolean
  readonly redis: RedisClient | undefined
}

const COUNT_DEFAULTS = { max: 1000, ttlMs: 60_000, maxBytes: 64 * 1024 * 1024, maxInFlightPerUser: 32 }
export const CACHE_DEFAULTS: CacheOptions = { ...COUNT_DEFAULTS, maxSharePerUser: 0.25 }

/** @throws TypeError that names the option */
export function cacheOptions(given: GivenCacheOptions | undefined): CheckedCacheOptions {
  const {
    shared,
    readAhead = true,
    maxSharePerUser = CACHE_DEFAULTS.maxSharePerUser,
    ...own
  } = record('cache', given ?? {})
  const isShare = typeof maxSharePerUser === 'number' && maxSharePerUser > 0 && maxSharePerUser <= 1
  check(isShare, 'cache.maxSharePerUser', 'must be above 0 and at most 1')
  const cache = { ...numbers('cache', own, COUNT_DEFAULTS), maxSharePerUser }
  check(typeof readAhead === 'boolean', 'cache.readAhead', 'must be true or false')
  if (shared === undefined) return { cache, readAhead, redis: undefined }
  known('cache.shared', record('cache.shared', shared), ['redis'])
  const redis = record('cache.shared.redis', (shared as SharedCacheOptions).redis)
  for (const name of REDIS_METHODS) {
    check(typeof redis[name] === 'function', 'cache.shared.redis', `must have ${name}, as a client of ioredis`)
  }
  return { cache, readAhead, redis: redis as unknown as RedisClient }
}
