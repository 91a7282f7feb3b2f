import t from 'tap'
import { ConnectionHealth } from '../../src/layers/health.ts'
import { resilient } from '../../src/layers/resilient.ts'
import { withKnownErrors } from '../../src/layers/with-known-errors.ts'
import { backendContract } from '../contract/backend.ts'
import { harness } from '../contract/harness/google-drive.ts'
import { ManualClock } from '../support/clock.ts'
import { TEST_TIMEOUTS } from '../support/timeouts.ts'

t.test('the contract through all layers', async (t) => {
  const clock = new ManualClock()
  backendContract(t, harness, {
    wrap(backend) {
      const health = new ConnectionHealth(clock).of(backend.provider, 'one')
      return withKnownErrors(resilient(backend, { health, timeouts: TEST_TIMEOUTS, clock }), (error) => error)
    }
  })
})
