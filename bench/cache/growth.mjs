// Measures how the cost of an operation grows with the number of entries, the number of users and the size of pages.
// In each case the cache is full, and the order is random. Run `npm run build` first.
import { LRUCache } from 'lru-cache'
import { compare, nsPerCallOfChunks, showWhenAlone } from './compare.mjs'
import { FilledCache } from './filled-cache.mjs'
import { asText, fresh, makeKeys, Page, randomOrder } from './folders.mjs'

const CALLS = 20_000
const USERS = 10_000
const OPERATIONS = { get: 'a hit', set: 'a load', drop: 'dropping 20 folders', evict: 'a load that evicts' }
const DROPPED = 'dropping 20 folders'
const KB = 1024
const MB = 1024 * KB

export async function rows({ rounds }) {
  return [...(await byEntries(rounds)), ...(await byUsers(rounds)), ...(await byPageSize(rounds))]
}

async function byEntries(rounds) {
  const found = []
  const small = await FilledCache.of({ entries: 1000 })
  const smallLru = bareLru(1000)
  for (const entries of [10_000, 100_000]) {
    const large = await FilledCache.of({ entries })
    const largeLru = bareLru(entries)
    const name = (what) => `${what}: ${entries.toLocaleString('en')} entries against 1,000, ns`
    const add = async (what, a, b, target) => found.push(await compare(name(what), rounds, a, b, target))
    await add('a hit of a bare lru-cache', largeLru, smallLru)
    const target = entries === 100_000 ? { atMost: 1.5 } : null
    for (const [operation, what] of Object.entries(OPERATIONS)) {
      const [a, b] =
        operation === 'evict'
          ? [await FilledCache.of({ entries }), await FilledCache.of({ entries: 1000 })]
          : [large, small]
      await add(
        what,
        () => a[operation](),
        () => b[operation](),
        what === DROPPED ? target : null
      )
    }
    await add(
      `${DROPPED} just used`,
      () => large.dropUsed(),
      () => small.dropUsed()
    )
  }
  return found
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

async function byUsers(rounds) {
  const entries = USERS
  const caches = async () => [
    await FilledCache.of({ entries, users: USERS, dropped: 1 }),
    await FilledCache.of({ entries, users: 1, dropped: 1 })
  ]
  const [many, one] = await caches()
  const [manyToEvict, oneToEvict] = await caches()
  const name = (what) => `${what}: of 10,000 entries, 10,000 users against 1, ns`
  return [
    await compare(
      name('a hit'),
      rounds,
      () => many.get(),
      () => one.get()
    ),
    await compare(
      name('a load'),
      rounds,
      () => many.set(),
      () => one.set()
    ),
    await compare(
      name('dropping a folder'),
      rounds,
      () => many.drop(),
      () => one.drop()
    ),
    await compare(
      name('a load that evicts'),
      rounds,
      () => manyToEvict.evict(),
      () => oneToEvict.evict()
    )
  ]
}

async function byPageSize(rounds) {
  const of = (page) => FilledCache.of({ entries: 40, page })
  const bytes = [await of(new Page(Buffer.alloc(MB, 'x'))), await of(new Page(Buffer.alloc(KB, 'x')))]
  const values = [await of(listing(MB)), await of(listing(KB))]
  const hit = (what, [large, small]) =>
    compare(
      `a hit: ${what} of 1 MB against 1 KB, ns`,
      rounds,
      () => large.get(),
      () => small.get()
    )
  return [await hit('bytes', bytes), await hit('objects', values)]
}

/** Returns a listing that has about `size` bytes as JSON. */
function listing(size) {
  const entry = { id: 'x'.repeat(33), name: 'Minutes of the meeting.docx', kind: 'file', size: 123_456, etag: '"1"' }
  const count = Math.max(1, Math.round(size / JSON.stringify(entry).length))
  return { entries: Array.from({ length: count }, () => ({ ...entry })), nextCursor: null }
}

await showWhenAlone(import.meta.url, rows)
