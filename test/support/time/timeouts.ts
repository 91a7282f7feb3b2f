import type { Timeouts } from '../../../src/core/stores.ts'

/** Longer than any call takes, even on a busy machine. Tests of deadlines set their own. */
export const TEST_TIMEOUTS: Timeouts = {
  connectMs: 300_000,
  headersMs: 300_000,
  idleMs: 300_000,
  totalMs: 300_000
}
