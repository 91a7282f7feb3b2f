import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'
import type { Breaker } from './breaker.ts'

/**
 * Stops calls to a provider that is down. It must enclose the deadline and the retries, so that a call counts as one
 * outcome. A download has succeeded once its body begins.
 */
export function withBreaker(backend: StorageBackend, breaker: Breaker): StorageBackend {
  return aroundEach(backend, (call, signal, run) => {
    const work = (): ReturnType<typeof run> => run(signal)
    return call === 'upload' ? breaker.runLong(signal, work) : breaker.run(signal, work)
  })
}
