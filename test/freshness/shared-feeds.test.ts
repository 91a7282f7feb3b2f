import t from 'tap'
import type { SharedRecord, SharedRecords } from '../../src/cache/shared-tier.ts'
import type { Change, FeedPage } from '../../src/core/change-feed.ts'
import { Moment } from '../../src/core/time.ts'
import { changesAfter, createRecord, encodeRecord, extendRecord, headOf } from '../../src/freshness/feed-record.ts'
import { Freshness } from '../../src/freshness/freshness.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'
import { createTestListing } from '../support/listing/listing.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { until } from '../support/time/until.ts'

function change(id: string, parentId = 'elsewhere'): Change {
  return { id, path: null, parentId, isFolder: false, isGone: false, concerns: 'item' }
}

/** Records in memory. */
class MemoryRecords implements SharedRecords {
  readonly stored = new Map<string, { bytes: Buffer; moment: Moment }>()
  readonly locks = new Set<string>()
  hasLocks = true
  isUp = true
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  async read(key: string): Promise<SharedRecord | null | 'unavailable'> {
    if (!this.isUp) return 'unavailable'
    const found = this.stored.get(key)
    return found === undefined ? null : { bytes: found.bytes, ageMs: found.moment.ageMs(this.#clock) }
  }

  async write(key: string, bytes: Buffer, moment: Moment, isFirst: boolean): Promise<boolean> {
    if (!this.isUp || (isFirst && this.stored.has(key))) return false
    this.stored.set(key, { bytes, moment })
    return true
  }

  async lock(key: string) {
    if (!this.isUp) return 'unavailable'
    if (this.hasLocks && this.locks.has(key)) return null
    this.locks.add(key)
    return { release: async () => void this.locks.delete(key) }
  }
}

/** Instances that share a connection to one cloud, whose log is `log`. */
function cluster(count = 2) {
  const clock = new ManualClock()
  const records = new MemoryRecords(clock)
  const log: Change[] = []
  const calls = { position: 0, changes: 0 }
  const hooks = { before: async () => {}, changes: async (result: FeedPage): Promise<FeedPage> => result }
  let loaded = 0
  const instances = Array.from({ length: count }, () => {
    const listing = createTestListing({ clock, leaseMs: 1_000_000_000, freshness: { records } })
    listing.connections.add({ id: 'connection' })
    const invalidated: string[] = []
    const { cache } = listing
    const invalidateFoldersOf = cache.invalidateFoldersOf.bind(cache)
    const invalidateConnection = cache.invalidateConnection.bind(cache)
    cache.invalidateFoldersOf = (slots) => {
      invalidated.push(...slots.map(({ folder }) => String(folder.folderId)))
      return invalidateFoldersOf(slots)
    }
    cache.invalidateConnection = (id) => {
      invalidated.push('*')
      return invalidateConnection(id)
    }
    listing.backend.list = async () => ({ ...page([entry(`x${(loaded += 1)}`)]), freshness: { scope: '' } })
    listing.backend.position = async () => {
      calls.position += 1
      return String(log.length)
    }
    listing.backend.changes = async (_scope, position) => {
      calls.changes += 1
      await hooks.before()
      const changes = log.slice(Number(position))
      return await hooks.changes({ position: String(log.length), changes, hasMore: false })
    }
    const read = async (folderId: string) => {
      const { body, status } = await listing.list({ folderId })
      return `${body.entries[0]!.name} ${status.outcome}`
    }
    return { ...listing, read, invalidated }
  })
  return { clock, records, log, calls, hooks, instances }
}

t.test('a position that another instance has taken is adopted', async (t) => {
  const { calls, instances } = cluster()
  for (const { read } of instances) await read('f')
  t.equal(calls.position, 1)
})

t.test('one check serves all instances', async (t) => {
  const { clock, calls, instances } = cluster(4)
  for (const { read } of instances) await read('f')
  for (let interval = 1; interval <= 3; interval += 1) {
    clock.tick(15_000)
    t.same(await Promise.all(instances.map(({ read }) => read('f'))), ['x1 hit', 'x2 hit', 'x3 hit', 'x4 hit'])
    await nextTurn()
    t.equal(calls.changes, interval)
  }
})

t.test('an announced change is read although another instance has just checked', async (t) => {
  const { clock, calls, instances } = cluster()
  const [one, two] = instances as [(typeof instances)[0], (typeof instances)[0]]
  await one.read('f')
  await two.read('f')
  clock.tick(15_000)
  await one.read('f')
  clock.tick(1_000)
  const folder = { userId: 'ann', provider: 'scripted', folderId: 'f', connectionId: 'connection' }
  const [found] = two.cache.peekFolder(folder, new Moment(clock))
  const coverage = Freshness.coverageOf(found?.value)!
  t.equal(await two.freshness?.confirm(coverage, new AbortController().signal, 0), 'confirmed')
  t.equal(calls.changes, 2)
})

t.test('the check of another instance counts from its start', async (t) => {
  const { clock, calls, instances } = cluster()
  const [one, two] = instances as [(typeof instances)[0], (typeof instances)[0]]
  await one.read('f')
  await two.read('f')
  clock.tick(15_000)
  await one.read('f')
  clock.tick(6_000)
  t.equal(await two.read('f'), 'x2 hit')
  t.equal(calls.changes, 1)
  t.equal(two.cached({ folderId: 'f' })?.status.ageMs, 6_000)
  clock.tick(9_000)
  t.equal(two.cached({ folderId: 'f' }), undefined)
})

t.test('what another instance has read drops pages here only', async (t) => {
  const { clock, log, calls, instances } = cluster()
  const [one, two] = instances as [(typeof instances)[0], (typeof instances)[0]]
  for (const { read } of instances) {
    await read('f')
    await read('g')
  }
  clock.tick(15_000)
  log.push(change('new', 'f'))
  t.equal(await one.read('f'), 'x5 miss')
  t.equal(await two.read('f'), 'x6 miss')
  t.equal(await two.read('g'), 'x4 hit')
  t.equal(calls.changes, 1)
  t.same([one.invalidated, two.invalidated], [['f'], []])
})

t.test('a link that was overwritten drops the pages of those that have applied it', async (t) => {
  const { clock, records, log, hooks, instances } = cluster(3)
  const [one, two, three] = instances as [(typeof instances)[0], (typeof instances)[0], (typeof instances)[0]]
  records.hasLocks = false
  for (const { read } of instances) await read('f')
  clock.tick(15_000)
  // The first instance is paused after its read, in which nothing has changed that names the folder.
  const paused = new Deferred<void>()
  const begun = new Deferred<void>()
  hooks.changes = async (result) => {
    begun.resolve()
    await paused.promise
    return result
  }
  log.push(change('y'))
  const reading = one.read('f')
  await begun.promise
  hooks.changes = async (result) => result
  log.push(change('z', 'f'))
  t.equal(await two.read('f'), 'x4 miss')
  paused.resolve()
  t.equal(await reading, 'x1 hit', 'it was checked before the change')
  clock.tick(1)
  clock.tick(15_000)
  t.equal(await two.read('f'), 'x5 miss', 'its link is not in the chain')
  t.equal(await one.read('f'), 'x6 miss', 'the change was read again')
  t.equal(await three.read('f'), 'x7 miss')
})

t.test('a link that another one replaces, and that says more, is not taken for the same', async (t) => {
  const { clock, records, log, hooks, instances } = cluster()
  const [one, two] = instances as [(typeof instances)[0], (typeof instances)[0]]
  records.hasLocks = false
  for (const { read } of instances) await read('f')
  clock.tick(15_000)
  const paused = new Deferred<void>()
  const begun = new Deferred<void>()
  hooks.before = async () => {
    begun.resolve()
    await paused.promise
  }
  const reading = two.read('f')
  await begun.promise
  hooks.before = async () => {}
  log.push(change('y'))
  t.equal(await one.read('f'), 'x1 hit')
  log.push(change('z', 'f'))
  paused.resolve()
  t.equal(await reading, 'x3 miss', 'both began at the same link')
  clock.tick(15_000)
  t.equal(await one.read('f'), 'x4 miss')
})

t.test('readers go on without the records, and with new ones if they are lost', async (t) => {
  const { clock, records, log, calls, instances } = cluster()
  const [one, two] = instances as [(typeof instances)[0], (typeof instances)[0]]
  for (const { read } of instances) await read('f')
  records.isUp = false
  clock.tick(15_000)
  t.same(await Promise.all([one.read('f'), two.read('f')]), ['x1 hit', 'x2 hit'])
  t.equal(calls.changes, 2)
  log.push(change('new', 'f'))
  clock.tick(15_000)
  t.equal(await one.read('f'), 'x3 miss')
  records.isUp = true
  records.stored.clear()
  clock.tick(15_000)
  t.equal(await one.read('f'), 'x3 hit', 'it begins a new record')
  t.equal(await two.read('f'), 'x4 miss', 'which the other does not know')
})

t.test('a position that the provider has forgotten is not adopted again', async (t) => {
  const { clock, hooks, calls, instances } = cluster()
  const [one, two] = instances as [(typeof instances)[0], (typeof instances)[0]]
  for (const { read } of instances) await read('f')
  hooks.changes = async () => 'lost'
  clock.tick(15_000)
  t.equal(await one.read('f'), 'x3 miss')
  t.equal(calls.position, 2)
  hooks.changes = async (result) => result
  t.equal(await two.read('f'), 'x4 miss')
  clock.tick(15_000)
  t.same(await Promise.all([one.read('f'), two.read('f')]), ['x3 hit', 'x4 hit'])
  t.equal(calls.position, 2)
})

t.test('a check waits for that of another instance, and no longer than a second', async (t) => {
  const { clock, records, hooks, calls, instances } = cluster()
  const [one, two] = instances as [(typeof instances)[0], (typeof instances)[0]]
  for (const { read } of instances) await read('f')
  clock.tick(15_000)
  const slow = new Deferred<void>()
  hooks.changes = async (result) => {
    await slow.promise
    return result
  }
  const first = one.read('f')
  await until(() => calls.changes === 1)
  const second = two.read('f')
  await nextTurn()
  slow.resolve()
  t.same(await Promise.all([first, second]), ['x1 hit', 'x2 hit'])
  t.equal(calls.changes, 1)
  clock.tick(15_000)
  for (const key of records.stored.keys()) records.locks.add(key)
  t.equal(await two.read('f'), 'x2 hit', 'the owner of the lock has disappeared')
  t.equal(calls.changes, 2)
})

t.test('a record is bounded', (t) => {
  const start = createRecord('p0')
  const many = extendRecord(
    start,
    'p1',
    Array.from({ length: 600 }, (_, at) => change(`a${at}`))
  )
  t.equal(changesAfter(many, headOf(start))?.length, 600)
  const more = extendRecord(
    many,
    'p2',
    Array.from({ length: 600 }, (_, at) => change(`b${at}`))
  )
  t.equal(changesAfter(more, headOf(start)), null, 'it does not reach back')
  t.equal(changesAfter(more, headOf(many))?.length, 600)
  const huge = extendRecord(more, 'p3', [change('c'.repeat(70_000))])
  t.equal(changesAfter(huge, headOf(more)), null)
  t.same(changesAfter(huge, headOf(huge)), [])
  t.ok(encodeRecord(huge).byteLength < 200)
  t.equal(headOf(extendRecord(huge, 'p4', [])), headOf(huge), 'nothing has changed')
  t.not(headOf(extendRecord(start, 'p', [change('x')])), headOf(extendRecord(start, 'p', [change('y')])))
  t.end()
})
