import fc from 'fast-check'
import t from 'tap'
import { Moment } from '../../src/core/time.ts'
import { FolderCache } from '../../src/cache/folder-cache.ts'
import type { FolderCacheStatus, FolderKey } from '../../src/cache/types.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'

const TTL_MS = 100
const MAX = 4

/** Two users, two folders, two variants: few enough for schedules to collide. */
const KEYS: FolderKey[] = ['ann', 'bob'].flatMap((userId) =>
  ['f', null].flatMap((folderId) =>
    ['1', '2'].map((variant) => ({ userId, provider: 'p', folderId, connectionId: `${userId}-c`, variant }))
  )
)

type Step =
  | { do: 'get' | 'ahead' | 'look'; key: number }
  | { do: 'tick'; ms: number }
  | { do: 'suspend'; ms: number }
  | { do: 'folder' | 'provider' | 'connection'; key: number }
  | { do: 'abort'; caller: number }
  | { do: 'resolve' | 'reject'; load: number }
  | { do: 'clear' }

const index = fc.nat({ max: 7 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('get' as const), key: index }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('ahead' as const, 'look' as const), key: index }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('resolve' as const, 'reject' as const), load: fc.nat({ max: 30 }) })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('abort' as const), caller: fc.nat({ max: 30 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('folder' as const, 'provider' as const, 'connection' as const),
      key: index
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('tick' as const, 'suspend' as const),
      ms: fc.integer({ min: 1, max: 70 })
    })
  },
  { weight: 1, arbitrary: fc.constant({ do: 'clear' as const }) }
)

interface ModelLoad {
  id: number
  key: FolderKey
  startedAt: number
  /** It cannot be joined and is not cached: invalidated, abandoned, or replaced by a younger one. */
  retired: boolean
  settled: boolean
  waiting: Set<ModelCaller>
}
interface ModelCaller {
  load: ModelLoad | undefined
  controller: AbortController
  status: FolderCacheStatus
  got: { value: number } | { error: string } | undefined
  expected: { value: number } | { error: string } | undefined
}

/** The result of a read-ahead that has not started a load. */
const NOTHING = -1

/** The specification of the cache, in the simplest form: lists with linear search. */
class Model {
  now = 0
  kept: { key: FolderKey; load: ModelLoad }[] = []
  loads: ModelLoad[] = []
  evictions = 0
  hits = 0
  /** The maximum number of entries per user. */
  readonly maxPerUser: number

  constructor(maxPerUser: number) {
    this.maxPerUser = maxPerUser
  }

  /** Returns a valid cached entry and marks it as used; removes an expired one. */
  look(key: FolderKey): ModelLoad | undefined {
    const at = this.kept.findIndex((kept) => kept.key === key)
    const [kept] = at === -1 ? [] : this.kept.splice(at, 1)
    // A load past the TTL is retired by the first call that finds it.
    if (kept === undefined) this.open(key)
    if (kept === undefined || this.now - kept.load.startedAt >= TTL_MS) return undefined
    this.kept.push(kept)
    this.hits += 1
    return kept.load
  }

  get(key: FolderKey, caller: ModelCaller): 'hit' | 'join' | 'miss' {
    const kept = this.look(key)
    if (kept !== undefined) {
      caller.expected = { value: kept.id }
      return 'hit'
    }
    const open = this.open(key)
    if (open !== undefined) {
      this.join(open, caller)
      return 'join'
    }
    this.begin(key, caller)
    return 'miss'
  }

  /** If there is an entry or a load, it is not marked as used, and `caller` does not wait. */
  ahead(key: FolderKey, caller: ModelCaller): void {
    const at = this.kept.findIndex((kept) => kept.key === key)
    const isKept = at !== -1 && this.now - this.kept[at]!.load.startedAt < TTL_MS
    if (isKept || this.open(key) !== undefined) {
      caller.expected = { value: NOTHING }
      return
    }
    if (at !== -1) this.kept.splice(at, 1)
    this.begin(key, caller)
  }

  /** Returns the load that callers may join. A load past the TTL can no longer be joined. */
  open(key: FolderKey): ModelLoad | undefined {
    const open = this.loads.find((load) => load.key === key && !load.retired && !load.settled)
    if (open === undefined || this.now - open.startedAt < TTL_MS) return open
    open.retired = true
    return undefined
  }

  begin(key: FolderKey, caller: ModelCaller): void {
    const load = {
      id: this.loads.length,
      key,
      startedAt: this.now,
      retired: false,
      settled: false,
      waiting: new Set<ModelCaller>()
    }
    this.loads.push(load)
    this.join(load, caller)
  }

  join(load: ModelLoad, caller: ModelCaller): void {
    caller.load = load
    load.waiting.add(caller)
  }

  invalidate(matches: (key: FolderKey) => boolean): number {
    const open = this.loads.filter((load) => !load.retired && !load.settled && matches(load.key))
    for (const load of open) load.retired = true
    const before = this.kept.length
    this.kept = this.kept.filter((kept) => !matches(kept.key))
    return open.length + before - this.kept.length
  }

  abort(caller: ModelCaller): void {
    const { load } = caller
    if (load === undefined || !load.waiting.delete(caller)) return
    caller.expected = { error: 'left' }
    if (load.waiting.size === 0) load.retired = true
  }

  settle(load: ModelLoad, outcome: 'resolve' | 'reject'): void {
    load.settled = true
    for (const caller of load.waiting)
      caller.expected = outcome === 'resolve' ? { value: load.id } : { error: 'upstream' }
    load.waiting.clear()
    if (outcome === 'reject' || load.retired || this.now - load.startedAt >= TTL_MS) return
    const own = this.kept.filter(({ key }) => key.userId === load.key.userId)
    if (own.length >= this.maxPerUser) {
      this.kept.splice(this.kept.indexOf(own[0]!), 1)
      this.evictions += 1
    }
    this.kept.push({ key: load.key, load })
    if (this.kept.length > MAX) {
      this.kept.shift()
      this.evictions += 1
    }
  }
}

async function run(share: number, steps: readonly Step[]): Promise<void> {
  const clock = new ManualClock()
  const limits = { max: MAX, maxBytes: 1 << 20, maxSharePerUser: share, maxInFlightPerUser: 1000 }
  const cache = new FolderCache({ ...limits, ttlMs: TTL_MS, clock })
  const model = new Model(MAX * share)
  const answers: { answer: Deferred<number>; signal: AbortSignal }[] = []
  const callers: ModelCaller[] = []
  const same = (actual: unknown, expected: unknown, what: string) => {
    if (JSON.stringify(actual) !== JSON.stringify(expected)) {
      throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`)
    }
  }

  for (const each of steps) {
    switch (each.do) {
      case 'get':
      case 'ahead': {
        const caller: ModelCaller = {
          load: undefined,
          controller: new AbortController(),
          status: {},
          got: undefined,
          expected: undefined
        }
        callers.push(caller)
        const key = KEYS[each.key]!
        const { signal } = caller.controller
        const fetch = (fetchSignal: AbortSignal) => {
          const answer = new Deferred<number>()
          answers.push({ answer, signal: fetchSignal })
          return answer.promise
        }
        const answer =
          each.do === 'get'
            ? cache.getOrFetch({ ...key }, fetch, { signal, status: caller.status })
            : cache.fetchAhead({ ...key }, fetch, signal).then(() => caller.load?.id ?? NOTHING)
        answer.then(
          (value) => (caller.got = { value }),
          (error: unknown) => (caller.got = { error: (error as Error).message })
        )
        if (each.do === 'get') same(caller.status.outcome, model.get(key, caller), 'outcome')
        else model.ahead(key, caller)
        same(answers.length, model.loads.length, 'fetches begun')
        break
      }
      case 'look': {
        const key = KEYS[each.key]!
        const found = cache.lookUp({ ...key }, new Moment(clock))
        const load = model.look(key)
        same(found?.value, load?.id, 'found')
        if (load !== undefined) same(found?.ageMs, model.now - load.startedAt, 'age')
        break
      }
      case 'tick':
      case 'suspend':
        clock[each.do](each.ms)
        model.now += each.ms
        break
      case 'folder': {
        const { userId, folderId } = KEYS[each.key]!
        const dropped = model.invalidate((key) => key.userId === userId && key.folderId === folderId)
        same(cache.invalidateFolder({ userId, provider: 'p', folderId }), dropped, 'dropped')
        break
      }
      case 'provider': {
        const { userId } = KEYS[each.key]!
        const dropped = model.invalidate((key) => key.userId === userId)
        same(cache.invalidateProvider(userId, 'p'), dropped, 'dropped')
        break
      }
      case 'connection': {
        const { connectionId } = KEYS[each.key]!
        const dropped = model.invalidate((key) => key.connectionId === connectionId)
        same(cache.invalidateConnection(connectionId!), dropped, 'dropped')
        break
      }
      case 'clear':
        cache.clear()
        model.invalidate(() => true)
        break
      case 'abort': {
        const caller = callers[each.caller]
        if (caller === undefined) break
        caller.controller.abort(new Error('left'))
        model.abort(caller)
        break
      }
      case 'resolve':
      case 'reject': {
        const load = model.loads[each.load]
        if (load === undefined || load.settled) break
        if (each.do === 'resolve') answers[load.id]!.answer.resolve(load.id)
        else answers[load.id]!.answer.reject(new Error('upstream'))
        model.settle(load, each.do)
        break
      }
    }
    await nextTurn()
    same(
      callers.map((caller) => caller.got ?? null),
      callers.map((caller) => caller.expected ?? null),
      'answers'
    )
    const stats = cache.stats()
    same(stats.entries, model.kept.length, 'entries')
    same(stats.evictions, model.evictions, 'evictions')
    same(stats.hits, model.hits, 'hits')
    same(stats.inFlight, model.loads.filter((load) => !load.settled).length, 'in flight')
    for (const load of model.loads) {
      const left = !load.settled && load.waiting.size === 0
      if (left) same(answers[load.id]!.signal.aborted, true, 'a fetch without callers is aborted')
      if (load.waiting.size > 0) same(answers[load.id]!.signal.aborted, false, 'a fetch with callers continues')
    }
  }
}

t.test('an invalidation does not count a load that a lookup has retired', async (t) => {
  const key = 2
  await t.resolves(
    run(1, [
      { do: 'get', key },
      { do: 'tick', ms: TTL_MS },
      { do: 'look', key },
      { do: 'folder', key }
    ])
  )
})

t.test('the cache behaves like the model in 2,000 random schedules', { timeout: 120_000 }, async (t) => {
  const shares = fc.constantFrom(0.25, 0.5, 1)
  await fc.assert(fc.asyncProperty(shares, fc.array(step, { minLength: 1, maxLength: 60 }), run), { numRuns: 2000 })
  t.pass('no schedule shows a difference')
})
