// A child process of `allocation.mjs`: prints the bytes of heap that a hit allocates. Its young generation has room
// for all of them, so that no garbage collection hides any.
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { fill, makeCache, makeKeys, miss, Page } from './folders.mjs'

const HITS = 20_000
const WARM_UPS = 5
const page = new Page(Buffer.alloc(Number(process.argv[2]), 'x'))
const keys = makeKeys({ users: 2 })
const cache = makeCache({ max: keys.length })
await fill(cache, keys, async () => page)
for (let warm = 0; warm < WARM_UPS; warm += 1) await hit()

let collections = 0
const observer = new PerformanceObserver((list) => {
  collections += list.getEntries().length
})
globalThis.gc()
observer.observe({ entryTypes: ['gc'] })
const before = allocated()
await hit()
const bytes = allocated() - before
await setImmediate()
await setImmediate()
observer.disconnect()
if (collections > 0) throw new Error('a garbage collection ran during the measurement')
console.log(JSON.stringify({ bytes: bytes / HITS }))

function allocated() {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function hit() {
  for (let asked = 0; asked < HITS; asked += 1) await cache.getOrFetch(keys[asked % keys.length], miss)
}
