import t from 'tap'
import { readCacheStatus, CacheMonitor } from '../../../web/page/cache-monitor.ts'
import { PickerClock } from '../../support/picker/clock.ts'
import { readToken, Session } from '../../../web/page/session.ts'

const headers = (status: string | null, age = '0') =>
  new Headers(status === null ? {} : { 'cache-status': `fastify-cloud-storage; ${status}`, age })
const listing = (query = '') => `http://127.0.0.1/cloud/s3/listing?${query}`

t.test('Cache-Status is parsed', async (t) => {
  t.match(readCacheStatus(headers('hit; ttl=48', '12')), { isHit: true, isStored: true, ttlMs: 48_000, ageMs: 12_000 })
  t.match(readCacheStatus(headers('hit; ttl=48; detail=shared')), { isHit: true, ttlMs: 48_000 })
  t.match(readCacheStatus(headers('fwd=miss; stored')), { isHit: false, isStored: true, ttlMs: null, ageMs: 0 })
  t.match(readCacheStatus(headers('fwd=request')), { isHit: false, isStored: false })
  t.match(readCacheStatus(headers('hit; ttl=x', 'y')), { ttlMs: null, ageMs: 0 })
  t.equal(readCacheStatus(headers(null)), null)
})

t.test('hits and misses are counted, and other responses are not', async (t) => {
  const watch = new CacheMonitor(new PickerClock())
  t.equal(watch.record(listing(), headers('fwd=miss; stored')), true)
  t.equal(watch.record(listing(), headers('hit; ttl=60')), true)
  t.equal(watch.record(listing('folder=a'), headers('fwd=miss; stored; collapsed')), true)
  t.equal(watch.record('http://127.0.0.1/cloud/connections', headers('hit; ttl=60')), false)
  t.equal(watch.record(listing(), headers(null)), false, 'a failure')
  t.same([watch.hits, watch.misses, watch.entries], [1, 2, 2])
})

t.test('a listing counts until its lifetime has ended, which the first hit reveals for all', async (t) => {
  const clock = new PickerClock()
  const watch = new CacheMonitor(clock)
  watch.record(listing('folder=a&limit=5'), headers('fwd=miss; stored'))
  await clock.advance(100_000)
  t.equal(watch.entries, 1, 'the lifetime is not known yet')
  watch.record(listing('folder=b'), headers('fwd=miss; stored'))
  await clock.advance(10_000)
  watch.record(listing('folder=b'), headers('hit; ttl=50', '10'))
  t.equal(watch.entries, 1, 'the first one has expired')
  await clock.advance(49_999)
  t.equal(watch.entries, 1)
  await clock.advance(1)
  t.equal(watch.entries, 0)
})

t.test('a refresh counts for the same listing, and a response that was not stored is not counted', async (t) => {
  const watch = new CacheMonitor(new PickerClock())
  watch.record(listing('limit=5&folder=a'), headers('hit; ttl=60'))
  watch.record(listing('folder=a&limit=5&refresh=true'), headers('fwd=request; stored'))
  t.equal(watch.entries, 1)
  watch.record(listing('folder=a&limit=5'), headers('fwd=miss'))
  t.equal(watch.entries, 0)
})

t.test('the displayed age is that of the first page, and increases', async (t) => {
  const clock = new PickerClock()
  const watch = new CacheMonitor(clock)
  t.equal(watch.ageMs, null)
  watch.record(listing('folder=a'), headers('hit; ttl=30', '30'))
  await clock.advance(1500)
  watch.record(listing('folder=a&cursor=x'), headers('fwd=miss; stored'))
  t.equal(watch.ageMs, 31_500)
  watch.record(listing('folder=b'), headers('fwd=miss; stored'))
  t.equal(watch.ageMs, 0)
})

function createBrowser(hash = '', storedToken?: string) {
  const items = new Map<string, string>(storedToken === undefined ? [] : [['token', storedToken]])
  const location = { hash, pathname: '/', search: '?a=b' }
  const ports = {
    storage: {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key)
    },
    location,
    history: {
      replaceState: (_state: null, _unused: string, url: string) => {
        location.hash = url.includes('#') ? url.slice(url.indexOf('#')) : ''
      }
    }
  }
  return { items, location, ports }
}

const tokenOf = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`

t.test('in a demo a token is removed from the URL at once and stored', async (t) => {
  const { items, location, ports } = createBrowser('#token=abc.def.ghi')
  const session = new Session(ports, true)
  t.equal(session.token, 'abc.def.ghi')
  t.equal(location.hash, '')
  t.same([...items], [['token', 'abc.def.ghi']])
  t.same(session.headers, { authorization: 'Bearer abc.def.ghi' })
})

t.test('a link with another user’s token does not replace a signed-in user', async (t) => {
  const { items, location, ports } = createBrowser('#token=of.an.attacker', 'own')
  const session = new Session(ports, true)
  t.equal(session.token, 'own')
  t.equal(location.hash, '', 'the token is removed anyway')
  location.hash = '#token=of.an.attacker'
  t.equal(session.signInFromFragment(), false, 'pasted while the page is open')
  t.same([session.token, ...items], ['own', ['token', 'own']])
  session.signOut('left')
  location.hash = '#token=another.demo.link'
  t.equal(session.signInFromFragment(), true)
  t.equal(session.token, 'another.demo.link')
})

t.test('outside of a demo a token in a link is ignored, and the fragment is unchanged', async (t) => {
  for (const stored of [undefined, 'own']) {
    const { items, location, ports } = createBrowser('#token=of.an.attacker', stored)
    const session = new Session(ports, false)
    t.equal(session.signInFromFragment(), false)
    t.equal(session.token, stored ?? null)
    t.equal(location.hash, '#token=of.an.attacker')
    t.same([...items.values()], stored === undefined ? [] : [stored])
  }
})

t.test('without a token in the link the token of the tab is used, and other fragments are unchanged', async (t) => {
  for (const hash of ['', '#documents', '#token']) {
    const { location, ports } = createBrowser(hash, 'kept')
    t.equal(new Session(ports, true).token, 'kept', hash)
    t.equal(location.hash, hash === '#token' ? '' : hash)
  }
  const session = new Session(createBrowser().ports, true)
  t.same([session.token, session.headers, session.signOutReason], [null, {}, 'never'])
})

t.test('signing out removes all data', async (t) => {
  const { items, ports } = createBrowser('', 'kept')
  const session = new Session(ports, true)
  session.signOut('expired')
  t.same([session.token, session.user, session.signOutReason, items.size], [null, null, 'expired', 0])
})

t.test('the user name is read from the token, and other text has none', async (t) => {
  for (const [token, user] of [
    [tokenOf({ sub: 'Zoë ✓' }), 'Zoë ✓'],
    [tokenOf({ sub: 5 }), null],
    [tokenOf({}), null],
    ['nonsense', null],
    ['a.%%%.c', null]
  ] as const) {
    t.equal(new Session(createBrowser('', token).ports, true).user, user, token)
  }
})

t.test('a token can be pasted with its header or from a terminal', async (t) => {
  for (const pasted of ['a.b.c', ' a.b.c\n', 'Bearer a.b.c', 'bearer  a.b\n.c']) t.equal(readToken(pasted), 'a.b.c')
  t.equal(readToken(' \n'), '')
})
