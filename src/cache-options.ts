import { REDIS_METHODS, type RedisClient } from './infra/redis/redis-client.ts'
import { check, known, numbers, record } from './option-checks.ts'

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

export interface GivenCacheOptions extends Partial<CacheOptions> {
  /**
   * Loads the next page in advance, once a reader has turned a page. It costs the provider one additional call per
   * reader that stops after that. Default true.
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

/** Checks the option `cache`. @throws TypeError that names the option */
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
