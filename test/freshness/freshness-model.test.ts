import fc from 'fast-check'
import t from 'tap'
import {
  type CallFate,
  ChangingCloud,
  type CloudRules,
  contentText,
  DRIVE,
  MISSING,
  SHORTCUT
} from '../support/listing/changing-cloud.ts'
import { createTestListing } from '../support/listing/listing.ts'
import { nextTurn } from '../support/time/deferred.ts'

/** A million schedules take an hour. */
const LONG = { timeout: 7_200_000 }

const CHECK_MS = 15_000
const SETTLE_MS = 10_000
const TTL_MS = 60_000

type Step =
  | { do: 'read'; folder: number; limit: number }
  | { do: 'put'; item: number; parent: number; lag: number }
  | { do: 'remove'; item: number; isForever: boolean; lag: number }
  | { do: 'tick' | 'suspend'; ms: number }
  | { do: 'release' | 'lose' | 'empty trash' }

interface Schedule {
  readonly rules: CloudRules
  readonly steps: readonly Step[]
  /** Of the calls in their order, again and again. */
  readonly fates: readonly CallFate[]
}

const FOLDERS = ['a', null, 'b', 'c', 'd', 'e', DRIVE, SHORTCUT]
const PARENTS = ['root', 'a', 'b', 'c', 'd', 'e', DRIVE]
const ITEMS = ['f1', 'f2', 'f3', 'f4', 'f5', 'a', 'b', 'c', 'd', 'e', DRIVE]

/** Takes one decision after the other out of a number. Generating one number is much cheaper than a record. */
function decoder(code: number): (options: number) => number {
  let rest = code
  return (options) => {
    const chosen = rest % options
    rest = Math.floor(rest / options)
    return chosen
  }
}
const code = fc.nat({ max: 2 ** 31 - 1 })

const step: fc.Arbitrary<Step> = code.map((code) => {
  const choose = decoder(code)
  const action = choose(24)
  if (action < 11) return { do: 'read', folder: choose(2) * choose(FOLDERS.length), limit: choose(4) === 0 ? 100 : 200 }
  if (action < 14)
    return { do: 'put', item: choose(ITEMS.length), parent: choose(PARENTS.length), lag: choose(10) / 10 }
  if (action < 16) return { do: 'remove', item: choose(ITEMS.length), isForever: choose(2) === 0, lag: choose(10) / 10 }
  if (action < 20) return { do: 'tick', ms: [1, 1_000, 4_000, 8_000, 16_000][choose(5)]! }
  if (action < 22) return { do: 'release' }
  if (action < 23) return { do: 'empty trash' }
  return choose(2) === 0 ? { do: 'lose' } : { do: 'suspend', ms: choose(2) === 0 ? 8_000 : 60_000 }
})
const fate: fc.Arbitrary<CallFate> = code.map((code) => {
  const choose = decoder(code)
  return { isHeld: choose(6) === 0, hasFailed: choose(2) === 0, lag: choose(10) / 10 }
})
const STYLES = ['ids', 'ids', 'ids', 'marked', 'unnamed', 'marks'] as const
const rules: fc.Arbitrary<CloudRules> = code.map((code) => {
  const choose = decoder(code)
  return {
    style: STYLES[choose(STYLES.length)]!,
    feedLagMs: choose(2) * 5_000,
    listLagMs: choose(2) * SETTLE_MS,
    hasRootId: choose(2) === 0,
    log: choose(2) === 0 ? 'events' : 'states',
    repeatsAncestors: choose(2) === 0,
    showsInherited: choose(2) === 0
  }
})
const schedule: fc.Arbitrary<Schedule> = fc.record({
  rules,
  steps: fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }),
  fates: fc.array(fate, { minLength: 1, maxLength: 20, size: 'max' })
})

const totals = { covered: 0, hits: 0, confirmed: 0, dropped: 0, uncovered: 0 }

async function run({ rules, steps, fates }: Schedule): Promise<void> {
  // A mark is of the listing itself, and lags like it: nothing settles.
  const settleMs = rules.style === 'marks' ? 0 : rules.listLagMs
  const { clock, connections, backend, list, checks, counts } = createTestListing({
    leaseMs: 1_000_000_000,
    hasReadAhead: false,
    freshness: { checkMsOf: () => CHECK_MS, settleMsOf: () => settleMs }
  })
  connections.add()
  let calls = 0
  const nextFate = (): CallFate => {
    const fate = fates[calls % fates.length]!
    calls += 1
    return fate
  }
  const cloud = new ChangingCloud(rules, () => clock.date(), nextFate)
  const { listFolder, ...feed } = cloud.backend()
  Object.assign(backend, feed, { list: listFolder })

  const lagMs = Math.max(rules.feedLagMs, rules.listLagMs)
  const failures: string[] = []
  const readFolder = async (folderId: string | null, limit: number): Promise<void> => {
    const begunAt = clock.date()
    let content: string
    let isCovered = false
    try {
      const result = await list({ folderId, limit })
      content = contentText(result.body.entries.map(({ name }) => name))
      ;({ isCovered } = result)
      if (isCovered) totals.covered += 1
      if (result.status.outcome === 'hit') totals.hits += 1
      if (result.status.outcome === 'hit' && result.status.isConfirmed === true) totals.confirmed += 1
    } catch (error) {
      if ((error as { code?: string }).code !== 'FOLDER_NOT_FOUND') throw error
      content = MISSING
    }
    // The listing that follows a change may still lag; it is loaded once more after the settling time.
    const boundMs = isCovered ? Math.max(CHECK_MS + lagMs, 2 * rules.listLagMs) : TTL_MS + rules.listLagMs
    const valid = cloud.contentsSince(folderId, begunAt - boundMs)
    if (valid.has(content)) return
    failures.push(`${folderId}: "${content}" is older than ${boundMs} ms; since then: "${[...valid].join('", "')}"`)
  }

  const reads: Promise<void>[] = []
  for (const each of steps) {
    switch (each.do) {
      case 'read':
        reads.push(readFolder(FOLDERS[each.folder]!, each.limit))
        break
      case 'put':
        cloud.put(ITEMS[each.item]!, PARENTS[each.parent]!, each.lag)
        break
      case 'remove':
        cloud.remove(ITEMS[each.item]!, each.isForever, each.lag)
        break
      case 'tick':
      case 'suspend':
        clock[each.do](each.ms)
        break
      case 'release':
        cloud.release(1)
        break
      case 'lose':
        cloud.losePositions()
        break
      case 'empty trash':
        cloud.emptyTrash(0)
        break
    }
    await nextTurn()
    if (failures.length > 0) throw new Error(failures.join('\n'))
  }
  let isDone = false
  const all = Promise.all(reads).then(() => (isDone = true))
  while (!(isDone as boolean)) {
    cloud.release()
    await nextTurn()
  }
  await all
  if (failures.length > 0) throw new Error(failures.join('\n'))
  totals.dropped += counts.droppedByFeed
  totals.uncovered += counts.uncovered
  if (checks.length > calls) throw new Error('a check without a call')
}

const OK: CallFate = { isHeld: false, hasFailed: false, lag: 0 }
const HELD: CallFate = { ...OK, isHeld: true }
const LATE: CallFate = { ...OK, lag: 0.9 }
const IDS: CloudRules = {
  style: 'ids',
  feedLagMs: 0,
  listLagMs: 0,
  hasRootId: true,
  log: 'events',
  repeatsAncestors: false,
  showsInherited: false
}
const LATER: Step = { do: 'tick', ms: 16_000 }
const RELEASE: Step = { do: 'release' }

function read(folder: string, limit = 200): Step {
  return { do: 'read', folder: FOLDERS.indexOf(folder), limit }
}
function put(id: string, parent: string): Step {
  return { do: 'put', item: ITEMS.indexOf(id), parent: PARENTS.indexOf(parent), lag: 0 }
}
function remove(id: string): Step {
  return { do: 'remove', item: ITEMS.indexOf(id), isForever: true, lag: 0 }
}
/** Reads all folders from the root to `d`. */
const READ_CHAIN: Step[] = [{ do: 'read', folder: FOLDERS.indexOf(null), limit: 200 }, read('a'), read('c'), read('d')]

/** Each breaks the promise if one rule is removed, which chance alone finds seldom. */
const FIXED: Record<string, Schedule> = {
  'an item is moved out of a folder while it is loaded': {
    rules: IDS,
    steps: [read('b'), LATER, read('a'), put('f1', 'b'), read('b'), RELEASE, LATER, read('a')],
    // position, b, a, changes, b, changes
    fates: [OK, OK, HELD, OK, OK, OK, OK]
  },
  'the position of a scope is taken after the listing has begun': {
    rules: IDS,
    steps: [read(DRIVE), put('f4', DRIVE), read(DRIVE, 100), RELEASE, LATER, read(DRIVE)],
    // position, drive, drive, position of the drive
    fates: [OK, HELD, OK, OK, OK, OK]
  },
  'a listing is older than the feed': {
    rules: { ...IDS, listLagMs: SETTLE_MS },
    steps: [read('a'), LATER, put('f1', 'a'), read('a'), LATER, read('a'), LATER, read('a')],
    // position, a, changes, a
    fates: [OK, OK, OK, LATE, OK, OK, OK, OK, OK, OK]
  },
  'a listing is older than the first position': {
    rules: { ...IDS, listLagMs: SETTLE_MS },
    steps: [put('f1', 'a'), read('a'), LATER, read('a'), LATER, read('a')],
    // position, a
    fates: [OK, LATE, OK, OK, OK, OK, OK, OK]
  },
  'a mark is older than the feed': {
    rules: { ...IDS, style: 'marked', listLagMs: SETTLE_MS },
    steps: [read('a'), LATER, read('a'), LATER, put('f1', 'a'), read('a'), LATER, read('a'), LATER, read('a')],
    // position, a, a, changes, mark of a
    fates: [OK, OK, OK, OK, LATE, OK, OK, OK, OK, OK, OK]
  },
  'a folder above is removed': {
    rules: IDS,
    steps: [...READ_CHAIN, LATER, remove('a'), read('d'), LATER, read('d')],
    fates: [OK]
  },
  'a folder above is removed that no page shows': {
    rules: IDS,
    steps: [read('d'), LATER, remove('a'), read('d'), LATER, read('d')],
    fates: [OK]
  },
  'the trash is emptied although the folder in it was not known to be there': {
    rules: { ...IDS, log: 'states' },
    steps: [
      read('d'),
      LATER,
      { do: 'remove', item: ITEMS.indexOf('a'), isForever: false, lag: 0 },
      { do: 'empty trash' },
      read('d'),
      LATER,
      read('d')
    ],
    fates: [OK]
  },
  'a folder above is moved to an unknown place that is removed': {
    rules: IDS,
    steps: [...READ_CHAIN, LATER, put('c', 'e'), remove('b'), read('d'), LATER, read('d')],
    fates: [OK]
  },
  'a folder above is renamed, and its entries show it': {
    rules: { ...IDS, showsInherited: true },
    steps: [...READ_CHAIN, LATER, put('a', 'root'), read('d'), LATER, read('d')],
    fates: [OK]
  },
  'a folder above is renamed while a folder is loaded': {
    rules: { ...IDS, showsInherited: true },
    steps: [...READ_CHAIN.slice(0, 3), LATER, read('d'), put('a', 'root'), read('c'), RELEASE, LATER, read('d')],
    // position, root, a, c, d
    fates: [OK, OK, OK, OK, HELD, OK, OK, OK, OK, OK, OK]
  },
  'an item changes while a check is on its way': {
    rules: IDS,
    steps: [
      read('a'),
      LATER,
      read('a'),
      put('f1', 'a'),
      { do: 'tick', ms: 8_000 },
      RELEASE,
      { do: 'tick', ms: 8_000 },
      read('a')
    ],
    // position, a, changes
    fates: [OK, OK, HELD, OK, OK, OK]
  },
  'something unknown changes while a folder is loaded': {
    rules: { ...IDS, style: 'marked' },
    steps: [read('b'), LATER, read('a'), put('f1', 'a'), read('b'), RELEASE, LATER, read('a')],
    // position, b, a, changes, mark of b
    fates: [OK, OK, HELD, OK, OK, OK, OK, OK]
  }
}

for (const [name, schedule] of Object.entries(FIXED)) {
  t.test(`the promise holds if ${name}`, async (t) => {
    await t.resolves(run(schedule))
  })
}

t.test('no covered listing is older than the check interval and the lag of the provider', LONG, async (t) => {
  const numRuns = Number(process.env.FRESHNESS_SCHEDULES ?? 10_000)
  const seed = Number(process.env.FRESHNESS_SEED ?? Date.now() & 0x7fffffff)
  t.comment(`FRESHNESS_SCHEDULES=${numRuns} FRESHNESS_SEED=${seed}`)
  await fc.assert(fc.asyncProperty(schedule, run), { numRuns, seed })
  for (const [what, count] of Object.entries(totals)) t.ok(count > numRuns / 100, `${what}: ${count}`)
})
