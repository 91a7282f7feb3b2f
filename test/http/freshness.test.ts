import { setTimeout } from 'node:timers/promises'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import type { Change, FeedPage } from '../../src/core/change-feed.ts'
import { StorageError } from '../../src/errors.ts'
import type { CloudStorageOptions } from '../../src/index.ts'
import { testApp } from '../support/app/app.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'

const UNCHANGED = { position: 'p', changes: [], hasMore: false }
const NEW_FILE: Change = {
  id: 'new',
  path: null,
  parentId: 'f',
  isFolder: false,
  isGone: false,
  concerns: 'item'
}

/** A check takes less, even on a busy machine. */
const CHECK_MS = 500
const CHECKED = { check: { scripted: CHECK_MS } }

/** An app with a scripted feed, and a client that lists the folder `f`. */
async function feedApp(t: Test, cache: CloudStorageOptions['cache']) {
  const registry = new Registry()
  const { scripted, as, connect } = await testApp(t, { cache: { ...cache }, metrics: { registry } })
  const { backend } = scripted
  let loaded = 0
  backend.list = async () => {
    loaded += 1
    return { ...page([entry(`x${loaded}`)]), freshness: { scope: '' } }
  }
  // The methods of a backend are bound when it is opened.
  const feed = { position: async () => 'p', changes: async (): Promise<FeedPage> => UNCHANGED }
  backend.position = () => feed.position()
  backend.changes = () => feed.changes()
  await connect('ann')
  const list = async (query = '', headers: Record<string, string> = {}) => {
    const { statusCode, headers: received } = await as('ann').get(`/cloud/scripted/listing?folder=f${query}`, headers)
    const { age, etag } = received
    const cacheStatus = String(received['cache-status']).replace('fastify-cloud-storage; ', '')
    return { status: statusCode, age, etag: String(etag), cacheStatus }
  }
  const metric = async (series: string) => {
    const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.slice(series.length))
  }
  /** Lists when the page is older than the interval. */
  const listLater: typeof list = async (...args) => {
    await setTimeout(CHECK_MS + 10)
    return await list(...args)
  }
  return { backend, feed, list, listLater, metric }
}

t.test('a page is served as a hit until it must be checked', async (t) => {
  const { list, backend } = await feedApp(t, { check: { afterMs: 60_000 } })
  t.match(await list(), { status: 200, age: '0', cacheStatus: 'fwd=miss; stored' })
  const hit = await list()
  t.match(hit, { status: 200, age: '0', cacheStatus: 'hit; ttl=59' })
  t.match(await list('', { 'if-none-match': hit.etag }), { status: 304, etag: hit.etag })
  t.equal(backend.listCalls.length, 1)
})

t.test('a page that a check has confirmed is stale and forwarded, with the same ETag', async (t) => {
  const { list, listLater, backend, feed, metric } = await feedApp(t, CHECKED)
  const { etag } = await list()
  const confirmed = await listLater()
  t.same(confirmed, { status: 200, age: '0', etag, cacheStatus: 'fwd=stale; fwd-status=304; stored' })
  t.match(await listLater('', { 'if-none-match': etag }), {
    status: 304,
    cacheStatus: 'fwd=stale; fwd-status=304; stored'
  })
  t.equal(backend.listCalls.length, 1)
  const checks = 'cloud_storage_checks_total{provider="scripted",outcome='
  t.equal(await metric(`${checks}"unchanged"}`), 2)

  feed.changes = async () => ({ ...UNCHANGED, changes: [NEW_FILE] })
  const reloaded = await listLater('', { 'if-none-match': etag })
  t.match(reloaded, { status: 200, age: '0', cacheStatus: 'fwd=miss; stored' })
  t.not(reloaded.etag, etag)
  t.equal(await metric(`${checks}"changes"}`), 1)
  t.equal(await metric('cloud_storage_pages_dropped_by_feed_total{provider="scripted"}'), 1)
  t.equal(await metric('cloud_storage_check_seconds_count{provider="scripted"}'), 3)
  t.equal(await metric('cloud_storage_uncovered_pages_total{provider="scripted"}'), 0)
})

t.test('refresh loads the page without a check', async (t) => {
  const { list, listLater, backend, feed } = await feedApp(t, CHECKED)
  await list()
  feed.changes = () => Promise.reject(new Error('must not be called'))
  t.match(await listLater('&refresh=true'), { status: 200, cacheStatus: 'fwd=request; stored' })
  t.equal(backend.listCalls.length, 2)
})

t.test('a page is loaded again if its check fails', async (t) => {
  const { list, listLater, feed, metric } = await feedApp(t, CHECKED)
  await list()
  feed.changes = () => Promise.reject(new StorageError('ACCESS_DENIED'))
  t.match(await listLater(), { status: 200, cacheStatus: 'fwd=miss; stored' })
  t.equal(await metric('cloud_storage_checks_total{provider="scripted",outcome="failed"}'), 1)
})

t.test('during an outage a stale page is marked', async (t) => {
  const { list, listLater, backend, feed } = await feedApp(t, { ...CHECKED, staleIfErrorMs: 60_000 })
  const { etag } = await list()
  feed.changes = () => Promise.reject(new StorageError('PROVIDER_ERROR'))
  t.match(await listLater(), { status: 200, etag, cacheStatus: /^hit; ttl=-\d+; detail=stale-if-error$/ })
  t.equal(backend.listCalls.length, 1)
})

t.test('without checks a page expires by time', async (t) => {
  const { list, feed } = await feedApp(t, { check: false, ttlMs: 60_000 })
  feed.position = () => Promise.reject(new Error('must not be called'))
  await list()
  t.match(await list(), { cacheStatus: 'hit; ttl=59' })
})
