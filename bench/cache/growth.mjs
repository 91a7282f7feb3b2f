// Measures how the cost of an operation grows with the number of entries, the number of users and the size of pages.
// In each case the cache is full, and the order is random. Run `npm run build` first.
import { LRUCache } from 'lru-cache'
import { compare, nsPerCall, nsPerCallOfChunks, showWhenAlone } from './compare.mjs'
import { BATCHES, DROPS, FilledCache } from './filled-cache.mjs'
import { asText, fresh, makeKeys, Page, randomOrder } from './folders.mjs'
import { median } from '../statistics.mjs'

const CALLS = 20_000
const USERS = 10_000
const GROUP = 20
const OPERATIONS = { get: 'a hit', set: 'a load', drop: 'dropping 20 folders', evict: 'a load that evicts' }
const DROPPED = 'dropping 20 folders'
const KB = 1024
const MB = 1024 * KB

export async function rows({ rounds, wanted = () => true }) {
  const found = []
  const add = async (name, a, b, target) => {
    if (wanted(name)) found.push(await compare(name, rounds, a, b, target))
  }
  await byEntries(add)
  await byUsers(add)
  await byPageSize(add)
  return found
}

async function byEntries(add) {
  const small = await FilledCache.of({ entries: 1000 })
  const smallLru = bareLru(1000)
  const smallMap = bareMapDrops(1000)
  for (const entries of [10_000, 100_000]) {
    const large = await FilledCache.of({ entries })
    const largeLru = bareLru(entries)
    const largeMap = bareMapDrops(entries)
    const name = (what) => `${what}: ${entries.toLocaleString('en')} entries against 1,000`
    await add(`${name('a hit of a bare lru-cache')}, ns`, largeLru, smallLru)
    for (const [operation, what] of Object.entries(OPERATIONS)) {
      const [a, b] =
        operation === 'evict'
          ? [await FilledCache.of({ entries }), await FilledCache.of({ entries: 1000 })]
          : [large, small]
      await add(
        `${name(what)}, ns`,
        () => a[operation](),
        () => b[operation]()
      )
    }
    await add(`${name('deleting 20 keys of a bare Map')}, ns`, largeMap, smallMap)
    await add(
      name(`${DROPPED}, in deletions of a bare Map`),
      async () => (await large.drop()) / (await largeMap()),
      async () => (await small.drop()) / (await smallMap()),
      entries === 100_000 ? { atMost: 1.2 } : null
    )
    await add(
      `${name(`${DROPPED} just used`)}, ns`,
      () => large.dropUsed(),
      () => small.dropUsed()
    )
  }
}

/** Measures a bare lru-cache. More entries cost time by themselves: they do not fit into the processor's cache. */
function bareLru(entries) {
  const texts = makeKeys({ users: entries / 20 }).map(asText)
  const order = randomOrder(entries, CALLS)
  const lru = new LRUCache({ max: entries })
  for (const text of texts) lru.set(fresh(text), {})
  return () =>
    nsPerCallOfChunks(
      order,
      (index) => fresh(texts[index]),
      async (made) => {
        for (const text of made) await lru.get(text)
      }
    )
}

/** Measures deleting 20 keys of a bare Map, by the strings that it holds, in the batches of {@link FilledCache}. */
function bareMapDrops(entries) {
  const texts = makeKeys({ users: entries / GROUP }).map(asText)
  const groups = Array.from({ length: entries / GROUP }, (_, number) =>
    texts.slice(number * GROUP, (number + 1) * GROUP)
  )
  const map = new Map(texts.map((text) => [text, {}]))
  return async () => {
    const ns = []
    for (let batch = 0; batch < BATCHES; batch += 1) {
      const dropped = Array.from(new Set(randomOrder(groups.length, DROPS)), (number) => groups[number])
      const drop = () => {
        for (const group of dropped) for (const text of group) map.delete(text)
      }
      ns.push(await nsPerCall(dropped.length, drop))
      for (const text of dropped.flat()) map.set(text, {})
    }
    return median(ns)
  }
}

async function byUsers(add) {
  const entries = USERS
  const caches = async () => [
    await FilledCache.of({ entries, users: USERS, dropped: 1 }),
    await FilledCache.of({ entries, users: 1, dropped: 1 })
  ]
  const [many, one] = await caches()
  const [manyToEvict, oneToEvict] = await caches()
  const name = (what) => `${what}: of 10,000 entries, 10,000 users against 1, ns`
  await add(
    name('a hit'),
    () => many.get(),
    () => one.get()
  )
  await add(
    name('a load'),
    () => many.set(),
    () => one.set()
  )
  await add(
    name('dropping a folder'),
    () => many.drop(),
    () => one.drop()
  )
  await add(
    name('a load that evicts'),
    () => manyToEvict.evict(),
    () => oneToEvict.evict()
  )
}

async function byPageSize(add) {
  const of = (page) => FilledCache.of({ entries: 40, page })
  const bytes = [await of(new Page(Buffer.alloc(MB, 'x'))), await of(new Page(Buffer.alloc(KB, 'x')))]
  const values = [await of(listing(MB)), await of(listing(KB))]
  for (const [what, [large, small]] of Object.entries({ bytes, objects: values })) {
    await add(
      `a hit: ${what} of 1 MB against 1 KB, ns`,
      () => large.get(),
      () => small.get()
    )
  }
}

/** Returns a listing that has about `size` bytes as JSON. */
function listing(size) {
  const entry = { id: 'x'.repeat(33), name: 'Minutes of the meeting.docx', kind: 'file', size: 123_456, etag: '"1"' }
  const count = Math.max(1, Math.round(size / JSON.stringify(entry).length))
  return { entries: Array.from({ length: count }, () => ({ ...entry })), nextCursor: null }
}

await showWhenAlone(import.meta.url, rows)
