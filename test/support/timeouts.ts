import type { Timeouts } from '../../src/domain/ports.ts'

export const TEST_TIMEOUTS: Timeouts = { connectMs: 5000, headersMs: 10_000, idleMs: 15_000, totalMs: 30_000 }
