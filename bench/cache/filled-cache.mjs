// A full cache, and measurements of its operations.
import { nsPerCall, nsPerCallOfChunks } from './compare.mjs'
import { anew, fill, makeCache, makeKeys, miss, Page, randomOrder } from './folders.mjs'
import { median } from '../statistics.mjs'

const CALLS = 20_000
const EVICTIONS = 2000
export const BATCHES = 25
/** The number of groups that are dropped in a row, before their entries are loaded again. */
export const DROPS = 5

/**
 * Each measurement returns the nanoseconds of one operation, and leaves the number of entries as it was. Keys are
 * made just before, as in a request, from strings that the cache does not hold: the cost of distant memory is then
 * that of the cache's own data, not that of the keys.
 */
export class FilledCache {
  #cache
  #groups
  #keys
  #fetch
  #order
  #strangers = 0

  /**
   * @param options.users with the same number of folders each, at one provider
   * @param options.dropped the number of folders to drop at once: 20, or 1, which is then dropped by its key
   */
  static async of({ entries, users = entries / 20, dropped = entries / users, page = new Page(null), ...options }) {
    const filled = new FilledCache()
    filled.#keys = makeKeys({ users, folders: entries / users })
    filled.#groups = Array.from({ length: entries / dropped }, (_, number) =>
      filled.#keys.slice(number * dropped, (number + 1) * dropped)
    )
    filled.#order = randomOrder(entries, CALLS)
    filled.#fetch = async () => page
    filled.#cache = makeCache({ max: entries, ...options })
    await fill(filled.#cache, filled.#keys.map(anew), filled.#fetch)
    return filled
  }

  /** Measures an awaited hit. */
  get() {
    const cache = this.#cache
    const make = (index) => anew(this.#keys[index])
    return nsPerCallOfChunks(this.#order, make, async (keys) => {
      for (const key of keys) await cache.getOrFetch(key, miss)
    })
  }

  /** Measures a load without an eviction. The loader itself takes no time. */
  async set() {
    return (await this.#dropAndLoad()).set
  }

  /** Measures dropping the folders of a user at a provider, or one folder. */
  async drop() {
    return (await this.#dropAndLoad()).drop
  }

  /** Measures the same for folders that have just been hit. */
  async dropUsed() {
    return (await this.#dropAndLoad((key) => this.#cache.getOrFetch(key, miss))).drop
  }

  /** Measures a load that evicts another entry. Afterwards, the original entries are gone. */
  async evict() {
    const strangers = Array.from({ length: EVICTIONS }, () => {
      this.#strangers += 1
      return {
        ...anew(this.#keys[this.#strangers % this.#keys.length]),
        folderId: `the folder number ${this.#strangers}`
      }
    })
    const before = this.#cache.stats().evictions
    const ns = await nsPerCall(EVICTIONS, () => fill(this.#cache, strangers, this.#fetch))
    if (this.#cache.stats().evictions - before !== EVICTIONS) throw new Error('not every load evicted one entry')
    return ns
  }

  /** Measures small batches and takes the median, to exclude garbage collections. */
  async #dropAndLoad(use = async () => {}) {
    const ns = { set: [], drop: [] }
    for (let batch = 0; batch < BATCHES; batch += 1) {
      const numbers = new Set(randomOrder(this.#groups.length, DROPS))
      const groups = Array.from(numbers, (number) => this.#groups[number].map(anew))
      const keys = groups.flat()
      for (const key of keys) await use(key)
      ns.drop.push(await nsPerCall(groups.length, () => this.#drop(groups)))
      if (this.#cache.stats().entries !== this.#keys.length - keys.length) {
        throw new Error('the dropped entries do not match')
      }
      ns.set.push(await nsPerCall(keys.length, () => fill(this.#cache, keys, this.#fetch)))
    }
    return { set: median(ns.set), drop: median(ns.drop) }
  }

  #drop(groups) {
    for (const group of groups) {
      if (group.length === 1) this.#cache.invalidateFolder(group[0])
      else this.#cache.invalidateProvider(group[0].userId, group[0].provider)
    }
  }
}
