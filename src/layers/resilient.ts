import type { Clock, Timeouts } from '../domain/ports.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import type { Health } from './health.ts'
import { withBreaker } from './with-breaker.ts'
import { withDeadline } from './with-deadline.ts'
import { withPageGuard } from './with-page-guard.ts'
import { withPenaltyGate, withPenaltyWatch } from './with-penalty.ts'
import { withRetry } from './with-retry.ts'

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
