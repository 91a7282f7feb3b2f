import { Counter, Gauge, Histogram, type Metric, Registry } from 'prom-client'
import t from 'tap'
import { StorageError } from '../../src/errors.ts'
import { type CacheCounts, outcomeOf, type TrippedBreaker } from '../../src/core/telemetry.ts'
import { MetricFactory } from '../../src/telemetry/metric-factory.ts'
import { createMetrics, NO_METRICS } from '../../src/telemetry/metrics.ts'
import { compiledUrl } from '../support/source/compiled.ts'

const EMPTY: CacheCounts = {
  hits: 0,
  misses: 0,
  joins: 0,
  loads: 0,
  evictions: 0,
  invalidations: 0,
  entries: 0,
  bytes: 0,
  inFlight: 0
}

/** Returns the scraped series of one metric, without the metric's name. */
async function seriesOf(registry: Registry, name: string): Promise<string[]> {
  const text = await registry.getSingleMetricAsString(name)
  const lines = text.split('\n').filter((line) => !line.startsWith('#'))
  return lines.map((line) => line.slice(name.length).trim()).sort()
}

async function arrange(...enabled: string[]) {
  const registry = new Registry()
  return { registry, metrics: await createMetrics(registry, enabled), series: seriesOf.bind(null, registry) }
}

t.test('the counters of a cache are read on collection only', async (t) => {
  const { metrics, series } = await arrange()
  let reads = 0
  let counts = { ...EMPTY, hits: 3, misses: 2, joins: 1, loads: 2, evictions: 4, invalidations: 5 }
  metrics.watchCache(() => {
    reads += 1
    return counts
  })
  t.equal(reads, 0)
  const totals = async () =>
    await Promise.all(
      ['hits', 'misses', 'joins', 'loads', 'evictions', 'invalidations'].map((what) =>
        series(`cloud_storage_cache_${what}_total`)
      )
    )
  t.same(await totals(), [['3'], ['2'], ['1'], ['2'], ['4'], ['5']])
  t.same(await totals(), [['3'], ['2'], ['1'], ['2'], ['4'], ['5']], 'no event is counted twice')
  counts = { ...counts, hits: 10 }
  t.same(await series('cloud_storage_cache_hits_total'), ['10'])
})

t.test('the gauges of a cache are its current values', async (t) => {
  const { metrics, series } = await arrange()
  let counts = { ...EMPTY, entries: 3, bytes: 4096, inFlight: 2 }
  metrics.watchCache(() => counts)
  const levels = async () =>
    await Promise.all(['entries', 'bytes', 'in_flight'].map((what) => series(`cloud_storage_cache_${what}`)))
  t.same(await levels(), [['3'], ['4096'], ['2']])
  counts = { ...EMPTY, entries: 1, bytes: 10 }
  t.same(await levels(), [['1'], ['10'], ['0']])
})

t.test('several plugins on one registry are summed, and a closed plugin keeps its counters', async (t) => {
  const { registry, metrics, series } = await arrange('s3')
  const other = await createMetrics(registry, ['s3'])
  let counts = { ...EMPTY, hits: 3, entries: 3 }
  const end = metrics.watchCache(() => counts)
  const endOther = other.watchCache(() => ({ ...EMPTY, hits: 4, entries: 4 }))
  metrics.throttled('s3')
  other.throttled('s3')
  t.same(await series('cloud_storage_throttles_total'), ['{provider="managed"} 0', '{provider="s3"} 2'])
  t.same(await series('cloud_storage_cache_hits_total'), ['7'])
  t.same(await series('cloud_storage_cache_entries'), ['7'])

  counts = { ...EMPTY, hits: 5, entries: 5 }
  end()
  counts = { ...EMPTY, hits: 100, entries: 100 }
  end()
  t.same(await series('cloud_storage_cache_hits_total'), ['9'], 'events since the last collection are counted once')
  t.same(await series('cloud_storage_cache_entries'), ['4'])

  endOther()
  t.same(await series('cloud_storage_cache_hits_total'), ['9'])
  t.same(await series('cloud_storage_cache_entries'), [], 'without plugins there is no series')
  other.watchCache(() => ({ ...EMPTY, hits: 1, entries: 1 }))
  t.same(await series('cloud_storage_cache_hits_total'), ['10'])
  t.same(await series('cloud_storage_cache_entries'), ['1'])
})

t.test('after a reset of the registry the counters continue from there', async (t) => {
  const { registry, metrics, series } = await arrange()
  let hits = 3
  metrics.watchCache(() => ({ ...EMPTY, hits, entries: 2 }))
  t.same(await series('cloud_storage_cache_hits_total'), ['3'])
  registry.resetMetrics()
  hits = 5
  t.same(await series('cloud_storage_cache_hits_total'), ['2'])
  t.same(await series('cloud_storage_cache_entries'), ['2'])
})

t.test('loads are timed by provider and outcome, in buckets from five milliseconds to thirty seconds', async (t) => {
  const { metrics, series } = await arrange('s3', 'webdav')
  t.same(await series('cloud_storage_load_seconds'), [])
  metrics.listingLoaded('s3', 0.02, 'ok')
  metrics.listingLoaded('s3', 60, 'ok')
  metrics.listingLoaded('webdav', 1, outcomeOf(new StorageError('PROVIDER_TIMEOUT', '')))
  metrics.listingLoaded('webdav', 1, outcomeOf(new Error('private')))
  const lines = await series('cloud_storage_load_seconds')
  const s3 = lines.filter((line) => line.includes('provider="s3"'))
  t.same(
    s3.flatMap((line) => /^_bucket\{le="([^"]+)",.*\} (\d)$/.exec(line)?.slice(1).join(': ') ?? []).sort(),
    [
      ['0.005: 0', '0.01: 0', '0.025: 1', '0.05: 1', '0.1: 1', '0.25: 1', '0.5: 1', '1: 1', '2.5: 1', '5: 1'],
      ['10: 1', '30: 1', '+Inf: 2']
    ]
      .flat()
      .sort()
  )
  t.ok(s3.includes('_count{provider="s3",outcome="ok"} 2'))
  t.ok(lines.includes('_count{provider="webdav",outcome="PROVIDER_TIMEOUT"} 1'))
  t.ok(lines.includes('_count{provider="webdav",outcome="unknown"} 1'))
})

t.test('failure counters start at 0', async (t) => {
  const { metrics, series } = await arrange('s3')
  const zeros = (...outcomes: string[]) => outcomes.map((outcome) => `{outcome="${outcome}"} 0`)
  t.same(await series('cloud_storage_credentials_unreadable_total'), ['{provider="s3"} 0'])
  t.same(await series('cloud_storage_change_polls_total'), zeros('failed', 'ok', 'reset'))
  t.same(await series('cloud_storage_shared_pages_total'), zeros('failed', 'hit', 'joined', 'miss'))
  t.same(await series('cloud_storage_token_refreshes_total'), [], 'not every provider has tokens')
  metrics.credentialsUnreadable('s3')
  metrics.changesPolled('reset')
  metrics.sharedPage('joined')
  metrics.tokenRefreshed('s3', 'unneeded')
  t.same(await series('cloud_storage_credentials_unreadable_total'), ['{provider="s3"} 1'])
  t.ok((await series('cloud_storage_change_polls_total')).includes('{outcome="reset"} 1'))
  t.ok((await series('cloud_storage_shared_pages_total')).includes('{outcome="joined"} 1'))
  t.same(await series('cloud_storage_token_refreshes_total'), ['{provider="s3",outcome="unneeded"} 1'])
})

t.test('breakers are counted by provider and state, and a provider without breakers reads 0', async (t) => {
  const { registry, metrics, series } = await arrange('s3')
  const other = await createMetrics(registry, ['webdav'])
  let tripped: TrippedBreaker[] = [
    { provider: 's3', state: 'open' },
    { provider: 's3', state: 'open' },
    { provider: 'managed', state: 'half_open' }
  ]
  const end = metrics.watchBreakers(() => tripped)
  other.watchBreakers(() => [{ provider: 'managed', state: 'half_open' }])
  const lines = (s3: number, managed: number) => [
    `{provider="managed",state="half_open"} ${managed}`,
    '{provider="managed",state="open"} 0',
    '{provider="s3",state="half_open"} 0',
    `{provider="s3",state="open"} ${s3}`,
    '{provider="webdav",state="half_open"} 0',
    '{provider="webdav",state="open"} 0'
  ]
  t.same(await series('cloud_storage_breakers'), lines(2, 2))
  tripped = []
  t.same(await series('cloud_storage_breakers'), lines(0, 1))
  end()
  t.same(
    await series('cloud_storage_breakers'),
    lines(0, 1).filter((line) => !line.includes('s3'))
  )
})

t.test('the listeners of all plugins are summed, and without listeners there is no series', async (t) => {
  const { metrics, series } = await arrange()
  const connected = () => series('cloud_storage_listener_connected')
  t.same(await connected(), [])
  let isConnected = false
  const ends = [metrics.watchListener(() => isConnected), metrics.watchListener(() => true)]
  t.same(await connected(), ['1'])
  isConnected = true
  t.same(await connected(), ['2'])
  for (const end of ends) end()
  t.same(await connected(), [])
})

t.test('a provider that is not enabled has no label', async (t) => {
  const { registry, metrics } = await arrange('s3')
  for (const provider of ['gone', 'user-4711', 's3']) {
    metrics.credentialsUnreadable(provider)
    metrics.throttled(provider)
    metrics.tokenRefreshed(provider, 'failed')
    metrics.listingLoaded(provider, 1, 'ok')
  }
  metrics.watchBreakers(() => [{ provider: 'user-4711', state: 'open' }])
  const scraped = await registry.metrics()
  t.same([...new Set([...scraped.matchAll(/provider="([^"]*)"/g)].map(([, provider]) => provider))].sort(), [
    'managed',
    'other',
    's3'
  ])
  t.match(scraped, 'cloud_storage_throttles_total{provider="other"} 2')
  t.match(scraped, 'cloud_storage_breakers{provider="other",state="open"} 1')
})

t.test('a foreign metric with one of our names is an error at the start', async (t) => {
  const name = 'cloud_storage_throttles_total'
  const taken: Metric[] = [
    new Counter({ name, help: 'h', labelNames: ['tenant'], registers: [] }),
    new Gauge({ name, help: 'h', labelNames: ['provider'], registers: [] }),
    new Counter({ name: 'cloud_storage_cache_hits_total', help: 'h', registers: [] })
  ]
  for (const metric of taken) {
    const registry = new Registry()
    registry.registerMetric(metric)
    await t.rejects(createMetrics(registry, []), { message: /registry has a different metric.* cloud_storage_/ })
  }
})

t.test('another copy of this package adds to the same metrics', async (t) => {
  const { registry, metrics, series } = await arrange()
  const copy = `${compiledUrl('src/telemetry/metric-factory.ts').href}?copy`
  const { MetricFactory: OtherFactory } = (await import(copy)) as { MetricFactory: typeof MetricFactory }
  t.not(OtherFactory, MetricFactory)
  const other = new OtherFactory(registry, { Counter, Gauge, Histogram })
  metrics.watchCache(() => ({ ...EMPTY, hits: 1, entries: 1 }))
  other.summedCounter('cloud_storage_cache_hits_total', 'help')(() => 2)
  other.summedGauge('cloud_storage_cache_entries', 'help')(() => [{ labels: {}, value: 2 }])
  t.same(await series('cloud_storage_cache_hits_total'), ['3'])
  t.same(await series('cloud_storage_cache_entries'), ['3'])
})

t.test('without metrics nothing is read', async (t) => {
  const unread = (): never => t.fail('it must not be read') as never
  NO_METRICS.credentialsUnreadable('s3')
  NO_METRICS.listingLoaded('s3', 1, 'ok')
  NO_METRICS.changesPolled('ok')
  NO_METRICS.tokenRefreshed('s3', 'refreshed')
  NO_METRICS.throttled('s3')
  NO_METRICS.sharedPage('hit')
  NO_METRICS.checked('s3', 1, 'lost')
  NO_METRICS.pagesDroppedByFeed('s3', 1)
  NO_METRICS.pageUncovered('s3')
  for (const end of [
    NO_METRICS.watchCache(unread),
    NO_METRICS.watchBreakers(unread),
    NO_METRICS.watchListener(unread)
  ]) {
    end()
  }
})
