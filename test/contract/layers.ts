import type { StorageBackend } from '../../src/core/backend.ts'
import type { Clock } from '../../src/core/time.ts'
import { ConnectionHealth } from '../../src/layers/health.ts'
import { applyLayers } from '../../src/layers/resilient.ts'
import { NO_TRACING } from '../../src/telemetry/tracing.ts'
import { ManualClock } from '../support/time/clock.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

/**
 * Returns a function that wraps a backend in the layers of a stored connection. Without re-authentication, which replaces
 * the error of refused credentials that the contract tests.
 */
export function withAllLayers(clock: Clock = new ManualClock()): (backend: StorageBackend) => StorageBackend {
  return (backend) =>
    applyLayers(backend, {
      clock,
      timeouts: TEST_TIMEOUTS,
      tracing: NO_TRACING,
      provider: backend.provider,
      detailsOf: () => ({ provider: backend.provider }),
      health: new ConnectionHealth(clock).get(backend.provider, 'one'),
      links: { assertAllowed: () => {} }
    })
}
