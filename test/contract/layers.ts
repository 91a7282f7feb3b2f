import type { StorageBackend } from '../../src/core/backend.ts'
import { ConnectionHealth } from '../../src/layers/breaker.ts'
import { withResilience } from '../../src/layers/resilient.ts'
import { withStorageErrors } from '../../src/layers/errors.ts'
import { withSafeLinks } from '../../src/layers/safe-links.ts'
import { ManualClock } from '../support/time/clock.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

/** Returns a function that wraps a backend in all layers, as the plugin does. */
export function withAllLayers(clock = new ManualClock()): (backend: StorageBackend) => StorageBackend {
  return (backend) => {
    const health = new ConnectionHealth(clock).get(backend.provider, 'one')
    const linkChecked = withSafeLinks(backend, { assertAllowed: () => {} })
    return withStorageErrors(withResilience(linkChecked, { health, timeouts: TEST_TIMEOUTS, clock }))
  }
}
