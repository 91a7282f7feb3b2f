import t from 'tap'
import type { StorageBackend } from '../../src/core/backend.ts'
import { NO_TRACING } from '../../src/telemetry/tracing.ts'
import { Breaker } from '../../src/core/breaker.ts'
import { withBreaker } from '../../src/layers/breaker.ts'
import { Throttle, withThrottleDetection, withThrottleGate } from '../../src/layers/throttle.ts'
import { withDeadline } from '../../src/layers/deadline.ts'
import { withSpans, withStorageErrors } from '../../src/layers/layer.ts'
import { withPageGuard } from '../../src/layers/page-guard.ts'
import { withRetry } from '../../src/layers/retry.ts'
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

type Layer = (backend: StorageBackend) => StorageBackend

const LAYERS: Readonly<Record<string, (throttle: Throttle) => Layer>> = {
  spans: () => (backend) => withSpans(backend, NO_TRACING, 'managed'),
  'storage errors': () => (backend) => withStorageErrors(backend),
  'throttle gate': (throttle) => (backend) => withThrottleGate(backend, throttle),
  breaker: () => (backend) => withBreaker(backend, new Breaker(clock)),
  deadline: () => (backend) => withDeadline(backend, deadlineMs),
  retry: (throttle) => (backend) => withRetry(backend, { clock, deadlineMs, throttle }),
  'throttle detection': (throttle) => (backend) => withThrottleDetection(backend, throttle),
  'page guard': () => (backend) => withPageGuard(backend)
}

for (const [name, layer] of Object.entries(LAYERS)) {
  t.test(`the contract holds through ${name} alone`, async (t) => {
    backendContract(t, harness, { wrap: layer(new Throttle(clock)) })
  })
}

// Google Drive, OneDrive, Dropbox and Box have the same test next to their other tests.
for (const each of [harness, nextcloud, s3, webdav]) {
  t.test(`the contract holds through all layers at ${each.name}`, async (t) => {
    backendContract(t, each, { wrap: withAllLayers(clock) })
  })
}
