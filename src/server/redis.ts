import { Redis } from 'ioredis'

/**
 * A client that gives up rather than queues: what cannot be asked at once is loaded from the provider, and an
 * invalidation that could not be told is told again by the plugin, not by a queue.
 */
export function openRedis(url: string): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 5_000,
    retryStrategy: (attempts) => Math.min(5_000, 100 * 2 ** Math.min(attempts, 6))
  })
  redis.on('error', () => {
    // The plugin notices, and logs it once. Unheard, this event would be printed at each attempt.
  })
  return redis
}
