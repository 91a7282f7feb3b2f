import type { StorageBackend } from '../../src/domain/storage-backend.ts'
import { ConnectionHealth } from '../../src/layers/health.ts'
import { resilient } from '../../src/layers/resilient.ts'
import { withKnownErrors } from '../../src/layers/with-known-errors.ts'
import { withSafeLinks } from '../../src/layers/with-safe-links.ts'
import { ManualClock } from '../support/clock.ts'
import { TEST_TIMEOUTS } from '../support/timeouts.ts'

/** Returns a function that wraps a backend in all layers, as the plugin does. */
export function throughAllLayers(clock = new ManualClock()): (backend: StorageBackend) => StorageBackend {
  return (backend) => {
    const health = new ConnectionHealth(clock).of(backend.provider, 'one')
    const safe = withSafeLinks(backend, { assertAllowed: () => {} })
    return withKnownErrors(resilient(safe, { health, timeouts: TEST_TIMEOUTS, clock }), (error) => error)
  }
}
