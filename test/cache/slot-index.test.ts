import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { InFlightLimit } from '../../src/core/user-limits.ts'
import type { FolderKey } from '../../src/cache/types.ts'
import { Slot, SlotIndex } from '../../src/cache/slot-index.ts'

class TestSlot extends Slot {}

const PARTS = ['userId', 'provider', 'folderId', 'connectionId', 'variant'] as const

/** Few values of each part, so that keys collide, including ones that would be ambiguous in a joined string. */
const anyKey = fc.record({
  userId: fc.constantFrom('a', '__proto__'),
  provider: fc.constantFrom('p', '__proto__', ''),
  folderId: fc.constantFrom(null, '', 'f', '0'),
  connectionId: fc.constantFrom(undefined, '', 'c'),
  variant: fc.constantFrom(undefined, '', 'v', '__proto__')
}) as fc.Arbitrary<FolderKey>

const ALIASES = ['x', 'y', '__proto__']

type Step = { add: FolderKey } | { deleteNth: number } | { setNth: number; alias: string }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ add: anyKey }) },
  { weight: 2, arbitrary: fc.record({ deleteNth: fc.nat({ max: 40 }) }) },
  { weight: 2, arbitrary: fc.record({ setNth: fc.nat({ max: 40 }), alias: fc.constantFrom(...ALIASES) }) }
)

const isSameKey = (a: FolderKey, b: FolderKey): boolean => PARTS.every((part) => a[part] === b[part])

/** Runs the index next to a list with linear search: both must return the same. */
function run(steps: readonly Step[], asked: FolderKey): void {
  const index = new SlotIndex<TestSlot>()
  const added: TestSlot[] = []
  let there: TestSlot[] = []
  const aliases = new Map<TestSlot, string>()
  const same = (found: readonly TestSlot[], isMeant: (key: FolderKey) => boolean, what: string): void => {
    const expected = there.filter(({ folder }) => isMeant(folder))
    const isSame = found.length === expected.length && expected.every((slot) => found.includes(slot))
    if (!isSame) throw new Error(`${what}: ${found.length} instead of ${expected.length}`)
  }
  for (const each of steps) {
    if ('add' in each) {
      if (there.some(({ folder }) => isSameKey(folder, each.add))) continue
      const slot = new TestSlot(each.add)
      index.add(slot)
      added.push(slot)
      there.push(slot)
    } else if ('setNth' in each) {
      const slot = added[each.setNth]
      if (slot === undefined) continue
      index.setAlias(slot, each.alias)
      if (!there.includes(slot)) continue
      for (const [other, alias] of aliases) {
        if (alias === each.alias && other.folder.userId === slot.folder.userId) aliases.delete(other)
      }
      aliases.set(slot, each.alias)
    } else {
      const slot = added[each.deleteNth]
      if (slot === undefined) continue
      aliases.delete(slot)
      // Deleting a slot again changes nothing, even if another slot has its key.
      index.delete(slot)
      there = there.filter((other) => other !== slot)
    }
    const key = 'add' in each ? each.add : asked
    const { userId, provider, folderId, connectionId } = key
    same(index.all(), () => true, 'all')
    for (const { folder } of added) {
      const found = index.find({ ...folder })
      same(found === undefined ? [] : [found], (other) => isSameKey(other, folder), 'find')
    }
    for (const alias of ALIASES) {
      const found = index.findAlias(userId, alias)
      const expected = [...aliases].find(([slot, text]) => text === alias && slot.folder.userId === userId)?.[0]
      if (found !== expected) throw new Error(`alias ${alias}`)
    }
    same(index.findByProvider(userId, provider), (k) => k.userId === userId && k.provider === provider, 'of a provider')
    if (connectionId !== undefined) {
      same(index.findByConnection(connectionId), (k) => k.connectionId === connectionId, 'of a connection')
    }
    const isFolder = (k: FolderKey): boolean =>
      k.userId === userId && k.provider === provider && k.folderId === folderId
    same(index.findByFolder({ userId, provider, folderId }), isFolder, 'of a folder')
    if (connectionId !== undefined) {
      same(
        index.findByFolder({ userId, provider, folderId, connectionId }),
        (k) => isFolder(k) && k.connectionId === connectionId,
        'of a folder of a connection'
      )
    }
  }
  for (const slot of there) index.delete(slot)
  there = []
  same(index.all(), () => true, 'all, at the end')
}

t.test('the index finds the same slots as a list in 1,000 random schedules', { timeout: 120_000 }, async (t) => {
  fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), anyKey, run), { numRuns: 1000 })
  t.pass('no schedule shows a difference')
})

setFlagsFromString('--expose_gc')
const collect = runInNewContext('gc') as () => void

/** Returns the heap bytes that `work` leaves behind, while `held` is still referenced. */
function left(work: () => unknown): number {
  collect()
  const before = process.memoryUsage().heapUsed
  const held = work()
  collect()
  const bytes = process.memoryUsage().heapUsed - before
  if (held === undefined) throw new Error('nothing was held')
  return bytes
}

const ROUNDS = 50_000
/** A tenth of the size of the smallest map with one name for each round. */
const LEAST = ROUNDS * 10

t.test('deleted slots leave no memory behind, for users, aliases, providers, connections and folders', async (t) => {
  for (const part of ['userId', 'provider', 'connectionId', 'folderId'] as const) {
    const index = new SlotIndex<TestSlot>()
    const stays = new TestSlot({ userId: 'u', provider: 'p', folderId: 'f', connectionId: 'c', variant: 'stays' })
    index.add(stays)
    const bytes = left(() => {
      for (let i = 0; i < ROUNDS; i += 1) {
        const slot = new TestSlot({ ...stays.folder, variant: 'goes', [part]: `${part} ${i}` })
        index.add(slot)
        index.setAlias(slot, `alias ${i}`)
        index.delete(slot)
      }
      return index
    })
    t.ok(bytes < LEAST, `${part}: ${bytes} bytes are left`)
    t.strictSame(index.all(), [stays])
  }
})

t.test('a user without fetches in flight takes no memory', async (t) => {
  const limit = new InFlightLimit(2, 'Too many.')
  const bytes = left(() => {
    for (let i = 0; i < ROUNDS; i += 1) {
      limit.begin(`user ${i}`)
      limit.begin(`user ${i}`)
      limit.end(`user ${i}`)
      limit.end(`user ${i}`)
    }
    return limit
  })
  t.ok(bytes < LEAST, `${bytes} bytes are left`)
})
