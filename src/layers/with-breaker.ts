import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'
import type { Breaker } from './breaker.ts'

/**
 * Leaves a provider alone that is down. Put it around a whole call, outside of deadline and retries, so that what they
 * make of it is one outcome. A download is one once its body begins.
 */
export function withBreaker(backend: StorageBackend, breaker: Breaker): StorageBackend {
  return aroundEach(backend, (call, signal, run) => {
    const work = (): ReturnType<typeof run> => run(signal)
    return call === 'upload' ? breaker.runLong(signal, work) : breaker.run(signal, work)
  })
}
