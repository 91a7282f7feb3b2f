import type {
  CacheCounts,
  ChangePollOutcome,
  CheckOutcome,
  Metrics,
  SharedPageOutcome,
  TrippedBreaker
} from '../core/telemetry.ts'
import { type GaugeSample, MetricFactory, type MetricsRegistry } from './metric-factory.ts'

export type { MetricsRegistry } from './metric-factory.ts'

/** From a local server's response to the default total timeout. */
const LOAD_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** From a local server's response to the timeout of a check. */
const CHECK_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3]
/** Label of the host's own stores. */
const MANAGED = 'managed'
/** Label of providers that are not enabled: rows may name any provider of the past. */
const OTHER = 'other'

const CACHE_TOTALS = {
  hits: 'Listings served from the cache',
  misses: 'Listings that were neither cached nor being loaded',
  joins: 'Listings that joined the load of another request',
  loads: 'Loads started',
  evictions: 'Listings evicted because a limit of the cache was reached',
  invalidations: 'Listings and loads that were invalidated'
} as const satisfies Partial<Record<keyof CacheCounts, string>>

const POLL_OUTCOMES: readonly ChangePollOutcome[] = ['ok', 'reset', 'failed']
const SHARED_PAGE_OUTCOMES: readonly SharedPageOutcome[] = ['hit', 'miss', 'joined', 'failed']
const CHECK_OUTCOMES: readonly CheckOutcome[] = ['unchanged', 'changes', 'lost', 'failed']
const BREAKER_STATES: readonly TrippedBreaker['state'][] = ['open', 'half_open']

/**
 * Records metrics on the host's registry. Plugins that share a registry add up their values.
 *
 * @param enabled the providers that may be label values
 * @throws Error if the registry has a different metric with one of our names
 */
export async function createMetrics(registry: MetricsRegistry, enabled: Iterable<string>): Promise<Metrics> {
  const factory = new MetricFactory(registry, await import('prom-client'))
  const connectable = [...enabled]
  const providers = new Set([...connectable, MANAGED])
  const labelOf = (provider: string): string => (providers.has(provider) ? provider : OTHER)

  const unreadable = factory.counter(
    'cloud_storage_credentials_unreadable_total',
    'Stored credentials that cannot be decrypted: unknown key, or modified',
    'provider'
  )
  const loads = factory.histogram(
    'cloud_storage_load_seconds',
    'Duration of loads, retries included',
    LOAD_SECONDS,
    'provider',
    'outcome'
  )
  const polls = factory.counter('cloud_storage_change_polls_total', 'Polls of the change log of connections', 'outcome')
  const refreshes = factory.counter(
    'cloud_storage_token_refreshes_total',
    'Refreshes of access tokens',
    'provider',
    'outcome'
  )
  const throttles = factory.counter('cloud_storage_throttles_total', 'Throttling responses of providers', 'provider')
  const sharedPages = factory.counter(
    'cloud_storage_shared_pages_total',
    'Page requests to the shared cache',
    'outcome'
  )
  const checks = factory.counter('cloud_storage_checks_total', 'Checks for changes at providers', 'provider', 'outcome')
  const checkSeconds = factory.histogram(
    'cloud_storage_check_seconds',
    'Duration of checks for changes',
    CHECK_SECONDS,
    'provider'
  )
  const droppedByFeed = factory.counter(
    'cloud_storage_pages_dropped_by_feed_total',
    'Listings dropped because the provider reported a change',
    'provider'
  )
  const uncovered = factory.counter(
    'cloud_storage_uncovered_pages_total',
    'Loaded listings that cannot be checked for changes, of providers that support it',
    'provider'
  )
  const events = factory.counter(
    'cloud_storage_events_sent_total',
    'Events about changed folders that were sent to clients',
    'provider'
  )
  const eventStreams = factory.summedGauge('cloud_storage_event_streams', 'Open streams of events')
  const totals = Object.entries(CACHE_TOTALS).map(
    ([key, help]) =>
      [key as keyof typeof CACHE_TOTALS, factory.summedCounter(`cloud_storage_cache_${key}_total`, help)] as const
  )
  const entries = factory.summedGauge('cloud_storage_cache_entries', 'Listings in the cache')
  const bytes = factory.summedGauge('cloud_storage_cache_bytes', 'Size of the listings in the cache')
  const inFlight = factory.summedGauge('cloud_storage_cache_in_flight', 'Loads in flight')
  const breakers = factory.summedGauge(
    'cloud_storage_breakers',
    'Connections with an open or half-open circuit breaker',
    'provider',
    'state'
  )
  const listeners = factory.summedGauge('cloud_storage_listener_connected', 'LISTEN connections to the database')

  // Start every series at 0, or `increase()` misses its first event.
  for (const provider of connectable) unreadable.inc({ provider }, 0)
  for (const provider of providers) throttles.inc({ provider }, 0)
  for (const provider of connectable) {
    for (const outcome of CHECK_OUTCOMES) checks.inc({ provider, outcome }, 0)
    droppedByFeed.inc({ provider }, 0)
    uncovered.inc({ provider }, 0)
    events.inc({ provider }, 0)
  }
  for (const outcome of POLL_OUTCOMES) polls.inc({ outcome }, 0)
  for (const outcome of SHARED_PAGE_OUTCOMES) sharedPages.inc({ outcome }, 0)

  return {
    credentialsUnreadable: (provider) => {
      unreadable.inc({ provider: labelOf(provider) })
    },
    listingLoaded: (provider, seconds, outcome) => {
      loads.observe({ provider: labelOf(provider), outcome }, seconds)
    },
    changesPolled: (outcome) => {
      polls.inc({ outcome })
    },
    tokenRefreshed: (provider, outcome) => {
      refreshes.inc({ provider: labelOf(provider), outcome })
    },
    throttled: (provider) => {
      throttles.inc({ provider: labelOf(provider) })
    },
    sharedPage: (outcome) => {
      sharedPages.inc({ outcome })
    },
    checked: (provider, seconds, outcome) => {
      checks.inc({ provider: labelOf(provider), outcome })
      checkSeconds.observe({ provider: labelOf(provider) }, seconds)
    },
    pagesDroppedByFeed: (provider, count) => {
      droppedByFeed.inc({ provider: labelOf(provider) }, count)
    },
    pageUncovered: (provider) => {
      uncovered.inc({ provider: labelOf(provider) })
    },
    eventSent: (provider) => {
      events.inc({ provider: labelOf(provider) })
    },
    watchEventStreams: (read) => eventStreams(() => [unlabelledSample(read())]),
    watchCache: (read) => {
      const stops = [
        ...totals.map(([key, watch]) => watch(() => read()[key])),
        entries(() => [unlabelledSample(read().entries)]),
        bytes(() => [unlabelledSample(read().bytes)]),
        inFlight(() => [unlabelledSample(read().inFlight)])
      ]
      return () => {
        for (const stop of stops) stop()
      }
    },
    watchBreakers: (read) => breakers(() => breakerSamples(providers, read())),
    watchListener: (isConnected) => listeners(() => [unlabelledSample(isConnected() ? 1 : 0)])
  }

  function breakerSamples(providerIds: Iterable<string>, tripped: Iterable<TrippedBreaker>): GaugeSample[] {
    const zeroSamples = [...providerIds].flatMap((provider) =>
      BREAKER_STATES.map((state) => ({ labels: { provider, state }, value: 0 }))
    )
    const trippedSamples = [...tripped].map(({ provider, state }) => ({
      labels: { provider: labelOf(provider), state },
      value: 1
    }))
    return [...zeroSamples, ...trippedSamples]
  }
}

function unlabelledSample(value: number): GaugeSample {
  return { labels: {}, value }
}

const noop = (): void => {}

/** Used without a registry. */
export const NO_METRICS: Metrics = {
  credentialsUnreadable: noop,
  listingLoaded: noop,
  changesPolled: noop,
  tokenRefreshed: noop,
  throttled: noop,
  sharedPage: noop,
  checked: noop,
  pagesDroppedByFeed: noop,
  pageUncovered: noop,
  eventSent: noop,
  watchEventStreams: () => noop,
  watchCache: () => noop,
  watchBreakers: () => noop,
  watchListener: () => noop
}
