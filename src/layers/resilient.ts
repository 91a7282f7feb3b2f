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
 * All layers between a backend and its callers. A call is refused while the provider says wait, or is down; else it
 * has one deadline for all its tries, each of which may make the connection wait.
 */
export function resilient(backend: StorageBackend, { health, timeouts, clock }: ResilientOptions): StorageBackend {
  const { penalty, breaker } = health
  const deadlineMs = timeouts.totalMs
  const tried = withRetry(withPenaltyWatch(withPageGuard(backend), penalty), { clock, deadlineMs, penalty })
  return withPenaltyGate(withBreaker(withDeadline(tried, deadlineMs), breaker), penalty)
}
