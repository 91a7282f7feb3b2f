// A child process of `memory.mjs`: runs a million random operations on a cache with the plugin's default limits, and
// prints the resident memory before, at its maximum, and after, as JSON. With the argument `bare` it uses a bare
// lru-cache, to show the memory that the loads need by themselves.
import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { createFolderCache } from '../../dist/index.js'
import { Page } from './folders.mjs'
import { random } from '../statistics.mjs'

const MAX_BYTES = 64 * 1024 * 1024
const OPERATIONS = 1_000_000
/** The number of concurrent callers. Their loads run at the same time, and some callers request the same page. */
const AT_ONCE = 50
const BATCHES_PER_SAMPLE = 20
const USERS = 150
const FOLDERS = 20
const KB = 1000

const draw = random(1)
const sizeOf = (page) => page.bytes.length
const cache = process.argv[2] === 'bare' ? bareCache() : createFolderCache({ maxBytes: MAX_BYTES, sizeOf })
await setImmediate()
const empty = process.memoryUsage.rss()
let peak = empty

// Counts as memory in use, like the text of a listing before it is encoded.
const text = '{"id":"1a2b3c","name":"Minutes of the meeting.docx"},'.repeat(20 * KB)
const outcomes = {}

for (let done = 0; done < OPERATIONS; done += AT_ONCE) {
  await Promise.allSettled(Array.from({ length: AT_ONCE }, operate))
  if ((done / AT_ONCE) % BATCHES_PER_SAMPLE === 0) peak = Math.max(peak, process.memoryUsage.rss())
}
await setImmediate()
const after = process.memoryUsage.rss()
const { heapTotal, heapUsed, external } = process.memoryUsage()
const figures = { empty, peak: Math.max(peak, after), after, maxBytes: MAX_BYTES }
console.log(JSON.stringify({ ...figures, heapTotal, heapUsed, external, ...cache.stats(), outcomes }))

function operate() {
  const key = anyKey()
  const chance = draw()
  if (chance < 0.97) return list(key)
  if (chance < 0.99) cache.invalidateFolder(key)
  else if (chance < 0.995) cache.invalidateProvider(key.userId, key.provider)
  else cache.invalidateConnection(key.connectionId)
  return undefined
}

/** Returns a random key. A few users, folders and pages are requested often, the others rarely. */
function anyKey() {
  const user = Math.floor(USERS * draw() ** 6)
  const provider = draw() < 0.8 ? 'google_drive' : 's3'
  const folderId = draw() < 0.5 ? null : `folder ${Math.floor(FOLDERS * draw() ** 3)}`
  const variant = `200:name:asc:${draw() < 0.95 ? '' : Math.floor(draw() * 5)}`
  return { userId: `user ${user}`, provider, folderId, connectionId: `connection ${user} ${provider}`, variant }
}

/** Lists a folder. One caller in fifty aborts before the load has ended, and one load in a hundred fails. */
async function list(key) {
  const status = {}
  const leaving = draw() < 0.02 ? new AbortController() : undefined
  const size = sizeOfPage()
  const fails = draw() < 0.01
  const answer = cache.getOrFetch(key, () => load(size, fails), { status, signal: leaving?.signal })
  leaving?.abort()
  try {
    await answer
  } catch (error) {
    if (!(error instanceof Error)) throw error
    status.outcome = error.name
  }
  outcomes[status.outcome] = (outcomes[status.outcome] ?? 0) + 1
}

async function load(size, fails) {
  await setImmediate()
  if (fails) throw new Error('the provider does not respond')
  return new Page(Buffer.from(text.slice(0, size)))
}

/** Returns a random size. Most folders have some hundred entries or less: 20 to 100 KB; a few have up to 1 MB. */
function sizeOfPage() {
  const chance = draw()
  if (chance < 0.2) return Math.ceil(200 + draw() * 20 * KB)
  if (chance < 0.95) return Math.ceil(20 * KB + draw() * 80 * KB)
  return Math.ceil(100 * KB + draw() * 900 * KB)
}

/** Returns a cache that invalidates nothing, and loads for each caller that misses. */
function bareCache() {
  const kept = new LRUCache({ max: 1000, maxSize: MAX_BYTES, sizeCalculation: sizeOf })
  const ignore = () => {}
  return {
    async getOrFetch(key, fetch, { status }) {
      const text = Object.values(key).join('/')
      status.outcome = kept.has(text) ? 'hit' : 'miss'
      if (status.outcome === 'miss') kept.set(text, await fetch())
      return kept.get(text)
    },
    invalidateFolder: ignore,
    invalidateProvider: ignore,
    invalidateConnection: ignore,
    stats: () => ({ bytes: kept.calculatedSize, entries: kept.size })
  }
}
