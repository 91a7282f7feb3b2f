import type { StorageBackend } from '../core/backend.ts'
import type { EgressPolicy } from '../core/egress.ts'
import type { HostTrail } from '../core/host-trail.ts'
import type { Timeouts } from '../core/stores.ts'
import type { Tracing } from '../core/telemetry.ts'
import type { Clock } from '../core/time.ts'
import type { FailureDetails } from '../errors.ts'
import { type Health, withBreaker, withThrottleDetection, withThrottleGate } from './health.ts'
import {
  type CallRunner,
  exceptWaits,
  interceptCalls,
  type Layer,
  runCall,
  withDetails,
  withSpans,
  withStorageErrors
} from './layer.ts'
import { withPageGuard } from './page-guard.ts'
import { type ReauthOptions, withReauth } from './reauth.ts'
import { withDeadline, withRetry } from './retry.ts'
import { withSafeLinks } from './safe-links.ts'

export interface LayerOptions {
  readonly clock: Clock
  readonly timeouts: Timeouts
  readonly tracing: Tracing
  /** The provider's name in spans. */
  readonly provider: string
  /** Returns the details of a failed call, for the log. */
  readonly detailsOf: (signal: AbortSignal) => FailureDetails
  /** Absent: credentials that are being verified. A refusal of theirs is the result. */
  readonly reauth?: ReauthOptions
  /** The state of the connection or store. Absent: credentials that are being verified, in one call. */
  readonly health?: Health
  /** Checks links for browsers. Absent: a trusted store, or credentials that are being verified. */
  readonly links?: EgressPolicy
  /** Records the hosts of calls. Absent: a managed store, which has one host. */
  readonly hosts?: HostTrail
}

/**
 * Applies the layers to a backend that was just opened. This is the list, outermost first, and its order matters:
 *
 * - Details and storage errors enclose every layer that may fail.
 * - Re-authentication encloses the resilience layers: it acts on the outcome of all attempts.
 * - Spans cover all attempts and waits.
 * - A call that the throttle or the breaker rejects takes no time, so both enclose the deadline.
 * - Throttles are detected in each attempt, inside the retries: other calls must not wait for the last one.
 * - Pages and links are checked before anything caches them.
 * - Waits for an announcement have no span, no retry, and no effect on the throttle and the breaker.
 * - Only the innermost layer sees the signal that the egress gets, which identifies the host.
 *
 * `Connections.openSelected` puts `withLease` around the result, once per opening, since all openings of a connection
 * share the layers below.
 */
export function applyLayers(backend: StorageBackend, options: LayerOptions): StorageBackend {
  const { clock, timeouts, tracing, provider, detailsOf, reauth, health, links, hosts } = options
  const deadlineMs = timeouts.totalMs
  const layers: (Layer | undefined)[] = [
    (next) => withDetails(next, detailsOf),
    withStorageErrors,
    reauth && ((next) => withReauth(next, (call) => backend.account(call), reauth)),
    (next) => withSpans(next, tracing, provider),
    health && ((next) => withThrottleGate(next, health.throttle)),
    health && exceptWaits((next) => withBreaker(next, health.breaker)),
    (next) => withDeadline(next, deadlineMs),
    health && ((next) => withRetry(next, { clock, deadlineMs, throttle: health.throttle })),
    health && exceptWaits((next) => withThrottleDetection(next, health.throttle)),
    health && withPageGuard,
    links && ((next) => withSafeLinks(next, links)),
    hosts && ((next) => withDetails(next, (signal) => ({ host: hosts.hostOf(signal) })))
  ]
  const runner = layers.reduceRight<CallRunner>((next, layer) => layer?.(next) ?? next, runCall)
  return interceptCalls(backend, runner)
}
