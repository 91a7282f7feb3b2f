import type fc from 'fast-check'
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
import { type CloudSchedule, decoder, holds, LONG, releaseUntil, scheduleOf } from '../support/listing/schedules.ts'
import { nextTurn } from '../support/time/deferred.ts'

const CHECK_MS = 15_000
const SETTLE_MS = 10_000
const TTL_MS = 60_000

type Step =
  | { do: 'read'; folder: string | null; limit: number }
  | { do: 'put'; item: string; parent: string; lag: number }
  | { do: 'remove'; item: string; isForever: boolean; lag: number }
  | { do: 'tick' | 'suspend'; ms: number }
  | { do: 'release' | 'lose' | 'empty trash' }

type Schedule = CloudSchedule<Step>

/**
 * What the steps of a schedule are about. Where few folders and items meet often, a rule that is missing shows within
 * thousands of schedules instead of hundreds of thousands.
 */
interface Focus {
  readonly folders: readonly (string | null)[]
  readonly items: readonly string[]
  readonly parents: readonly string[]
  readonly limits: readonly number[]
  readonly start?: readonly Step[]
}

const LATER: Step = { do: 'tick', ms: 16_000 }
/** Reads all folders from the root to `d`. */
const READ_CHAIN: readonly Step[] = [null, 'a', 'c', 'd'].map((folder) => read(folder))

const EVERYTHING: Focus = {
  folders: ['a', 'a', 'a', 'a', 'a', null, 'b', 'c', 'd', 'e', DRIVE, SHORTCUT],
  items: ['f1', 'f2', 'f3', 'f4', 'f5', 'a', 'b', 'c', 'd', 'e', DRIVE],
  parents: ['root', 'a', 'b', 'c', 'd', 'e', DRIVE],
  limits: [200, 200, 200, 100]
}
/** Folders that are above others move and disappear. */
const CHAIN: Focus = {
  folders: [null, 'a', 'c', 'd'],
  items: ['a', 'c', 'd', 'f3', 'f5'],
  parents: ['root', 'a', 'b', 'c', 'e'],
  limits: [200],
  start: READ_CHAIN
}
/** An item leaves a folder that is being loaded. */
const PAIR: Focus = {
  folders: ['a', 'b'],
  items: ['f1'],
  parents: ['b', 'b', 'a'],
  limits: [200],
  start: [read('b'), LATER, read('a')]
}
/** The position of a scope is taken while a folder in it is loaded. */
const TEAM: Focus = { folders: [DRIVE], items: ['f4'], parents: [DRIVE, 'b'], limits: [100, 200], start: [read(DRIVE)] }
const FOCUSES = [EVERYTHING, EVERYTHING, EVERYTHING, CHAIN, PAIR, TEAM]

function decodeStep(code: number, focus: Focus): Step {
  const choose = decoder(code)
  const pick = <T>(options: readonly T[]): T => options[choose(options.length)]!
  const action = choose(24)
  if (action < 11) return read(pick(focus.folders), pick(focus.limits))
  if (action < 14) return put(pick(focus.items), pick(focus.parents), choose(10) / 10)
  if (action < 16) return remove(pick(focus.items), choose(2) === 0, choose(10) / 10)
  if (action < 20) return { do: 'tick', ms: pick([1, 1_000, 4_000, 8_000, 16_000, 16_000, 16_000]) }
  if (action < 22) return { do: 'release' }
  if (action < 23) return { do: 'empty trash' }
  return choose(2) === 0 ? { do: 'lose' } : { do: 'suspend', ms: choose(2) === 0 ? 8_000 : 60_000 }
}

const schedule: fc.Arbitrary<Schedule> = scheduleOf({
  rules: (choose) => ({
    style: (['ids', 'ids', 'ids', 'marked', 'unnamed', 'marks'] as const)[choose(6)]!,
    feedLagMs: choose(2) * 5_000,
    listLagMs: choose(2) * SETTLE_MS
  }),
  failsOneIn: 2,
  maxSteps: 40,
  toSteps: (codes, choose) => {
    const focus = FOCUSES[choose(FOCUSES.length)]!
    return [...(focus.start ?? []), ...codes.map((code) => decodeStep(code, focus))]
  }
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
  const cloud = new ChangingCloud(
    rules,
    () => clock.date(),
    () => fates[calls++ % fates.length]!
  )
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
        reads.push(readFolder(each.folder, each.limit))
        break
      case 'put':
        cloud.put(each.item, each.parent, each.lag)
        break
      case 'remove':
        cloud.remove(each.item, each.isForever, each.lag)
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
  await releaseUntil(cloud, Promise.all(reads))
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
const RELEASE: Step = { do: 'release' }

function read(folder: string | null, limit = 200): Step {
  return { do: 'read', folder, limit }
}
function put(item: string, parent: string, lag = 0): Step {
  return { do: 'put', item, parent, lag }
}
function remove(item: string, isForever = true, lag = 0): Step {
  return { do: 'remove', item, isForever, lag }
}

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
  'a listing with a mark is older than the feed': {
    rules: { ...IDS, style: 'marked', listLagMs: SETTLE_MS },
    steps: [read('b'), LATER, read('b'), LATER, put('f1', 'a'), read('b'), read('a'), LATER, LATER, read('a')],
    // position, b, b, changes, mark of b, a
    fates: [OK, OK, OK, OK, OK, LATE, OK, OK, OK, OK, OK]
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
    steps: [read('d'), LATER, remove('a', false), { do: 'empty trash' }, read('d'), LATER, read('d')],
    fates: [OK]
  },
  'a folder comes back from the trash to another place': {
    rules: { ...IDS, log: 'states', listLagMs: SETTLE_MS },
    steps: [
      read('a'),
      LATER,
      remove('a', false),
      read('d'),
      put('a', 'e'),
      LATER,
      { do: 'tick', ms: 9_000 },
      read('a'),
      read('d')
    ],
    fates: [{ ...OK, lag: 0.6 }]
  },
  'an item is moved into a folder that leaves the scope, which the feed reports later': {
    rules: { ...IDS, log: 'states', feedLagMs: 5_000 },
    steps: [
      read(null),
      read('a'),
      put('d', 'a', 0.7),
      LATER,
      { do: 'tick', ms: 4_000 },
      put('a', DRIVE, 0.2),
      read('a')
    ],
    fates: [OK]
  },
  'an item is moved into a folder that is removed, which the feed reports later': {
    rules: { ...IDS, log: 'states', feedLagMs: 5_000 },
    steps: [
      read(null),
      read('a'),
      put('d', 'a', 0.7),
      LATER,
      { do: 'tick', ms: 4_000 },
      remove('a', true, 0.2),
      read('a')
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
  await holds(t, schedule, run, { defaultRuns: 10_000, totals })
})
