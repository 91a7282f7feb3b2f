import t from 'tap'
import { NO_TRACING } from '../../src/telemetry/tracing.ts'
import { Breaker } from '../../src/core/breaker.ts'
import { Throttle, withBreaker, withThrottleDetection, withThrottleGate } from '../../src/layers/health.ts'
import { interceptCalls, type Layer, runCall, withSpans, withStorageErrors } from '../../src/layers/layer.ts'
import { withPageGuard } from '../../src/layers/page-guard.ts'
import { withDeadline, withRetry } from '../../src/layers/retry.ts'
import { ManualClock } from '../support/time/clock.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'
import { backendContract } from './backend.ts'
import { harness } from './harness/disk.ts'
import { harness as nextcloud } from './harness/nextcloud.ts'
import { harness as s3 } from './harness/s3-strict.ts'
import { harness as webdav } from './harness/webdav.ts'
import { withAllLayers } from './layers.ts'

const clock = new ManualClock()
const deadlineMs = TEST_TIMEOUTS.totalMs

const LAYERS: Readonly<Record<string, (throttle: Throttle) => Layer>> = {
  spans: () => (next) => withSpans(next, NO_TRACING, 'managed'),
  'storage errors': () => (next) => withStorageErrors(next),
  'throttle gate': (throttle) => (next) => withThrottleGate(next, throttle),
  breaker: () => (next) => withBreaker(next, new Breaker(clock)),
  deadline: () => (next) => withDeadline(next, deadlineMs),
  retry: (throttle) => (next) => withRetry(next, { clock, deadlineMs, throttle }),
  'throttle detection': (throttle) => (next) => withThrottleDetection(next, throttle),
  'page guard': () => (next) => withPageGuard(next)
}

for (const [name, layer] of Object.entries(LAYERS)) {
  t.test(`the contract holds through ${name} alone`, async (t) => {
    backendContract(t, harness, { wrap: (backend) => interceptCalls(backend, layer(new Throttle(clock))(runCall)) })
  })
}

// Google Drive, OneDrive, Dropbox and Box have the same test next to their other tests.
for (const each of [harness, nextcloud, s3, webdav]) {
  t.test(`the contract holds through all layers at ${each.name}`, async (t) => {
    backendContract(t, each, { wrap: withAllLayers(clock) })
  })
}
