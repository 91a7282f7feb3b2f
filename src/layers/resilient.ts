import type { Clock } from '../core/time.ts'
import type { Timeouts } from '../core/stores.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { Health } from './breaker.ts'
import { withBreaker } from './breaker.ts'
import { withDeadline } from './deadline.ts'
import { withPageGuard } from './page-guard.ts'
import { withThrottleGate, withThrottleDetection } from './throttle.ts'
import { withRetry } from './retry.ts'

export interface ResilienceOptions {
  readonly health: Health
  readonly timeouts: Timeouts
  readonly clock: Clock
}

/**
 * Applies the resilience layers, outermost first: throttle gate, circuit breaker, deadline for all attempts, retries,
 * throttle detection for each attempt, page guard.
 */
export function withResilience(
  backend: StorageBackend,
  { health, timeouts, clock }: ResilienceOptions
): StorageBackend {
  const { throttle, breaker } = health
  const deadlineMs = timeouts.totalMs
  const retried = withRetry(withThrottleDetection(withPageGuard(backend), throttle), { clock, deadlineMs, throttle })
  return withThrottleGate(withBreaker(withDeadline(retried, deadlineMs), breaker), throttle)
}
