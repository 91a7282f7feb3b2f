import type { Clock } from '../core/time.ts'
import type { Timeouts } from '../core/stores.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { Health } from './breaker.ts'
import { withBreaker } from './breaker.ts'
import { withDeadline } from './deadline.ts'
import { withPageGuard } from './page-guard.ts'
import { withPenaltyGate, withPenaltyWatch } from './throttle.ts'
import { withRetry } from './retry.ts'

export interface ResilientOptions {
  readonly health: Health
  readonly timeouts: Timeouts
  readonly clock: Clock
}

/**
 * Applies the resilience layers, outermost first: throttle gate, circuit breaker, deadline for all attempts, retries,
 * throttle detection for each attempt, page guard.
 */
export function resilient(backend: StorageBackend, { health, timeouts, clock }: ResilientOptions): StorageBackend {
  const { penalty, breaker } = health
  const deadlineMs = timeouts.totalMs
  const tried = withRetry(withPenaltyWatch(withPageGuard(backend), penalty), { clock, deadlineMs, penalty })
  return withPenaltyGate(withBreaker(withDeadline(tried, deadlineMs), breaker), penalty)
}
