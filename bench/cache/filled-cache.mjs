// A cache that is full, and what an operation on it takes.
import { nsPerCall, nsPerCallOfChunks } from './compare.mjs'
import { anew, fill, makeCache, makeKeys, miss, Page, randomOrder } from './folders.mjs'
import { median } from '../statistics.mjs'

const CALLS = 20_000
const EVICTIONS = 2000
const BATCHES = 25
/** How many are dropped one after the other, before what they held is loaded again: all of the smallest caches. */
const DROPS = 5

/**
 * Each operation answers with the nanoseconds of one, and leaves as many entries behind as there were. It is asked with
 * keys that have just been made, as by a request, of strings that the cache does not hold itself: what is far away in
 * memory is then what the cache looks at, and not what it is asked with.
 */
export class FilledCache {
  #cache
  #groups
  #keys
  #fetch
  #order
  #strangers = 0

  /**
   * @param options.users each of whom has as many folders as the others, at one provider
   * @param options.dropped what is dropped at once: 20 folders, or 1, which is then named
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

  /** A hit that is waited for. */
  get() {
    const cache = this.#cache
    const make = (index) => anew(this.#keys[index])
    return nsPerCallOfChunks(this.#order, make, async (keys) => {
      for (const key of keys) await cache.getOrFetch(key, miss)
    })
  }

  /** To load what there is room for. The load itself takes no time. */
  async set() {
    return (await this.#dropAndLoad()).set
  }

  /** To drop what a user has at a provider, or the one folder. */
  async drop() {
    return (await this.#dropAndLoad()).drop
  }

  /** The same, of a user who has just listed all of it. */
  async dropUsed() {
    return (await this.#dropAndLoad((key) => this.#cache.getOrFetch(key, miss))).drop
  }

  /** To load what another entry has to leave for. What was kept in the beginning is gone after that. */
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
    if (this.#cache.stats().evictions - before !== EVICTIONS) throw new Error('not each took the place of another')
    return ns
  }

  /** In small parts, of which the middle one counts: a collection of garbage is not what an operation takes. */
  async #dropAndLoad(use = async () => {}) {
    const ns = { set: [], drop: [] }
    for (let batch = 0; batch < BATCHES; batch += 1) {
      const numbers = new Set(randomOrder(this.#groups.length, DROPS))
      const groups = Array.from(numbers, (number) => this.#groups[number].map(anew))
      const keys = groups.flat()
      for (const key of keys) await use(key)
      ns.drop.push(await nsPerCall(groups.length, () => this.#drop(groups)))
      if (this.#cache.stats().entries !== this.#keys.length - keys.length) throw new Error('not that was dropped')
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
