// Measures the speed of a hit, as a share of the speed of a bare lru-cache with a ready string as its key: 1,000
// cached folders, requested in random order. Run `npm run build` first.
import { createCache } from 'async-cache-dedupe'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { LRUCache } from 'lru-cache'
import { compare, nsPerCall, nsPerCallOfChunks, showWhenAlone } from './compare.mjs'
import { anew, asText, fill, fresh, makeCache, makeKeys, miss, Page, randomOrder } from './folders.mjs'

const FOLDERS = 1000
const CALLS = 40_000

export async function rows({ rounds, wanted = () => true }) {
  const keys = makeKeys({ users: FOLDERS / 20 })
  const texts = keys.map(asText)
  const order = randomOrder(FOLDERS, CALLS)
  const page = new Page(Buffer.from('{"entries":[]}'))

  const ours = makeCache({ max: FOLDERS })
  await fill(ours, keys, async () => page)
  const lru = new LRUCache({ max: FOLDERS })
  for (const text of texts) lru.set(text, page)
  const dedupe = await makeDedupe(keys, page)
  const bento = await makeBento(texts, page)

  const awaited = {
    lru: () =>
      nsPerCall(CALLS, async () => {
        for (const index of order) expect(await lru.get(texts[index]), page)
      }),
    ours: () =>
      nsPerCall(CALLS, async () => {
        for (const index of order) expect(await ours.getOrFetch(keys[index], miss), page)
      }),
    dedupe: () =>
      nsPerCall(CALLS, async () => {
        for (const index of order) expect(await dedupe.folder(keys[index]), page)
      }),
    bento: () =>
      nsPerCall(CALLS, async () => {
        for (const index of order) expect(await bento.getOrSet({ key: texts[index], factory: miss }), page)
      })
  }
  const called = {
    lru: () =>
      nsPerCall(CALLS, () => {
        for (const index of order) expect(lru.get(texts[index]), page)
      }),
    ours: () =>
      nsPerCall(CALLS, () => {
        let last
        for (const index of order) last = ours.getOrFetch(keys[index], miss)
        return last
      })
  }
  const freshTexts = () =>
    nsPerCallOfChunks(
      order,
      (index) => fresh(texts[index]),
      async (made) => {
        for (const text of made) expect(await lru.get(text), page)
      }
    )
  const freshKeys = () =>
    nsPerCallOfChunks(
      order,
      (index) => anew(keys[index]),
      async (made) => {
        for (const { userId, provider, folderId, connectionId, variant } of made) {
          expect(await ours.getOrFetch({ userId, provider, folderId, connectionId, variant }, miss), page)
        }
      }
    )

  const found = []
  const hit = async (name, theirs, own, target) => {
    const row = `hit, ${name}, ns`
    if (wanted(row)) found.push(await compareWith(row, rounds, theirs, own, target))
  }
  await hit('awaited: lru-cache with itself', awaited.lru, awaited.lru)
  await hit('awaited: getOrFetch against lru-cache', awaited.lru, awaited.ours, { atLeast: 0.3 })
  await hit('called: getOrFetch against lru-cache', called.lru, called.ours)
  await hit('awaited: getOrFetch with a new key object against lru-cache', awaited.lru, freshKeys)
  await hit('awaited: the same against lru-cache with a new string', freshTexts, freshKeys)
  await hit('awaited: async-cache-dedupe against lru-cache', awaited.lru, awaited.dedupe)
  await hit('awaited: bentocache against lru-cache', awaited.lru, awaited.bento)
  return found
}

/** Returns a row with the speed of `own` divided by the speed of `theirs`. */
async function compareWith(name, rounds, theirs, own, target) {
  const row = await compare(name, rounds, theirs, own, target)
  return { ...row, better: 'higher', ours: row.theirs, theirs: row.ours }
}

/** Makes async-cache-dedupe. Its key is the object, as in our cache. */
async function makeDedupe(keys, page) {
  let missed = false
  const storage = { type: 'memory', options: { size: FOLDERS } }
  const cache = createCache({ ttl: 3600, storage }).define('folder', async () => {
    if (missed) miss()
    return page
  })
  for (const key of keys) await cache.folder(key)
  missed = true
  return cache
}

/** Makes bentocache. Its key is the string, and it does not serialise values, as it would by default. */
async function makeBento(texts, page) {
  const driver = memoryDriver({ maxItems: FOLDERS, serialize: false })
  const cache = new BentoCache({ default: 'memory', stores: { memory: bentostore({ ttl: '1h' }).useL1Layer(driver) } })
  for (const text of texts) await cache.getOrSet({ key: text, factory: () => page })
  return cache
}

/** Uses the value, since a compiler omits unused ones. */
function expect(value, page) {
  if (value !== page) throw new Error('the cache returned another value')
}

await showWhenAlone(import.meta.url, rows)
