import t from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import type { ListedPage } from '../../../web/picker/api.ts'
import { PickerProblem } from '../../../web/picker/problem.ts'
import { PickerCore } from '../../../web/picker/state/picker.ts'
import { entryOf, folderOf } from '../../support/picker/entries.ts'
import { listingOf, PickerWorld } from '../../support/picker/world.ts'
import { Deferred } from '../../support/time/deferred.ts'

/** A picker that shows and watches a root with two files. */
async function openCore(problem: PickerProblem | null = null) {
  const world = new PickerWorld()
  const counts = { streams: 0, reads: 0, selects: 0 }
  let entries: readonly Entry[] = [entryOf('a'), entryOf('b')]
  let reportOnce = (): void => undefined
  world.api.watch = async function* (_folder, signal) {
    counts.streams++
    if (problem !== null) throw problem
    const aborted = new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(new Error('aborted'))
      })
    })
    // It rejects even if nobody waits.
    aborted.catch(() => undefined)
    yield { type: 'open' }
    for (;;) {
      const reported = new Deferred<undefined>()
      reportOnce = () => {
        reported.resolve(undefined)
      }
      await Promise.race([reported.promise, aborted])
      yield { type: 'changed', provider: 's3', connectionId: 's3-1', folder: 'root' }
    }
  }
  const current = (): ListedPage => ({ ...listingOf(entries), etag: entries.map(({ id }) => id).join() })
  world.api.list = async () => current()
  world.api.listIfChanged = async (_folder, _request, etag) => {
    counts.reads++
    const page = current()
    return page.etag === etag ? null : page
  }
  const { onProblem } = world.options()
  const core = new PickerCore({
    api: () => world.api,
    clock: world.clock,
    random: () => 0,
    windows: { open: () => null, listen: () => () => undefined, newFlowId: () => 'f1' },
    limit: () => 200,
    returnTo: () => undefined,
    onChange: () => world.changes++,
    onSelect: () => counts.selects++,
    onProblem
  })
  core.setVisible(true)
  await core.start({ provider: null, connection: null, folder: null })
  await world.clock.advance(0)
  return {
    core,
    world,
    counts,
    names: () => core.rows.map(({ name }) => name),
    /** Replaces the entries, and reports the change. */
    change: async (...changed: readonly Entry[]) => {
      entries = changed
      reportOnce()
      await world.clock.advance(0)
    }
  }
}

t.test('changes are announced at most every ten seconds, and added up', async (t) => {
  const { core, world, change } = await openCore()
  await change(entryOf('a'), entryOf('b'), entryOf('c'))
  t.strictSame(core.announced, { added: 1, removed: 0, changed: 0 })
  const first = core.announced
  await world.clock.advance(1000)
  await change(entryOf('b'), entryOf('c'), entryOf('d'))
  await world.clock.advance(1000)
  await change(entryOf('c'), entryOf('d'), entryOf('e'))
  await world.clock.advance(7999)
  t.equal(core.announced, first)
  await world.clock.advance(1)
  t.strictSame(core.announced, { added: 2, removed: 2, changed: 0 })
  await world.clock.advance(9999)
  t.not(core.announced, null)
  await world.clock.advance(1)
  t.equal(core.announced, null)
  core.stop()
  await world.clock.advance(0)
  t.equal(world.clock.pendingTimers, 0)
})

t.test('a removed entry leaves the selection, and the others stay', async (t) => {
  const { core, counts, change } = await openCore()
  core.setFilter({ kind: null, accept: [] }, true)
  for (const entry of core.rows) core.selection.toggle(entry)
  const { selects } = counts
  await change(entryOf('b'), entryOf('c'))
  t.strictSame(
    core.selection.entries.map(({ name }) => name),
    ['b']
  )
  t.equal(counts.selects, selects + 1)
  await change(entryOf('b'), entryOf('c'), entryOf('d'))
  t.equal(counts.selects, selects + 1)
  core.stop()
})

t.test('a folder that the user creates during an update stays', async (t) => {
  const { core, world, counts, names, change } = await openCore()
  const listed = new Deferred<ListedPage>()
  const { listIfChanged } = world.api
  world.api.listIfChanged = async () => await listed.promise
  await change(folderOf('New/'), entryOf('a'), entryOf('b'), entryOf('c'))
  world.api.createFolder = async () => folderOf('New/')
  await core.transferQueue.createFolder('New')
  t.strictSame(names(), ['New', 'a', 'b'])
  world.api.listIfChanged = listIfChanged
  const { reads } = counts
  // From before the folder was created.
  listed.resolve({ ...listingOf([entryOf('a'), entryOf('b')]), etag: 'old' })
  await world.clock.advance(0)
  t.equal(counts.reads, reads + 1)
  t.strictSame(names(), ['New', 'a', 'b', 'c'])
  core.stop()
})

t.test('an update that fails is tried again with growing delays, however many events arrive', async (t) => {
  const { core, world, names, change } = await openCore()
  const reads: number[] = []
  const { listIfChanged } = world.api
  world.api.listIfChanged = async () => {
    reads.push(world.clock.now() - 1000)
    throw new PickerProblem('PROVIDER_ERROR', { status: 502 })
  }
  for (let second = 0; second < 20; second++) {
    await change(entryOf('a'), entryOf('b'), entryOf('c'))
    await world.clock.advance(1000)
  }
  t.strictSame(reads, [0, 2000, 6000, 14_000])
  t.strictSame(names(), ['a', 'b'])
  t.strictSame(world.problems, [])
  world.api.listIfChanged = listIfChanged
  await world.clock.advance(10_000)
  t.strictSame(names(), ['a', 'b', 'c'])
  core.stop()
})

t.test('a refused stream is not opened again until the user acts, in the same folder too', async (t) => {
  const { core, world, counts } = await openCore(new PickerProblem('FORBIDDEN', { status: 403 }))
  await world.clock.advance(1_000_000)
  core.setFilter({ kind: null, accept: [] }, true)
  t.equal(counts.streams, 1)
  await core.refresh()
  await world.clock.advance(0)
  t.equal(counts.streams, 2)
  core.stop()
})

t.test('a picker that is hidden has no stream, and reads its folder when it appears again', async (t) => {
  const { core, world, counts, names, change } = await openCore()
  core.setVisible(false)
  const { reads } = counts
  await change(entryOf('c'))
  t.equal(counts.reads, reads)
  core.setVisible(true)
  await world.clock.advance(0)
  t.equal(counts.streams, 2)
  t.strictSame(names(), ['c'])
  core.stop()
})
