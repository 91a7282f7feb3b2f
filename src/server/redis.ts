import { Redis } from 'ioredis'

/**
 * Opens a client that fails instead of queueing commands. Entries that cannot be read are loaded from the provider,
 * and the plugin itself repeats failed invalidations.
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
    // The plugin logs failures once. Without a listener, ioredis would print this event at each attempt.
  })
  return redis
}
