import type { Timeouts } from '../../src/domain/ports.ts'

/** Longer than anything takes, even on a busy machine: where a test passes, no deadline has ended a call. */
export const TEST_TIMEOUTS: Timeouts = {
  connectMs: 300_000,
  headersMs: 300_000,
  idleMs: 300_000,
  totalMs: 300_000
}
