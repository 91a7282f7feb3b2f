import type { Test } from 'tap'
import { ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { rejectionOf } from '../../support/rejection.ts'
import type { OpenedBackend, OtherClient } from '../harness.ts'
import { callOptions, type Open } from './arrange.ts'
import { FolderReaders } from './folder-readers.ts'

const FILES = {
  'a/one.txt': '1',
  'a/two.txt': '2',
  'a/inner/deep.txt': 'deep',
  'b/three.txt': '3',
  'elsewhere/in.txt': 'in',
  'elsewhere/folder/inside.txt': 'inside',
  'unrelated/x.txt': 'x'
}
/** The folders with a cached page. `elsewhere` has none. */
const WATCHED = ['', 'a', 'a/inner', 'b', 'unrelated']

interface Scenario {
  readonly name: string
  readonly change: (opened: OpenedBackend, other: OtherClient) => void | Promise<void>
  /** The pages that must be loaded again. */
  readonly changed: readonly string[]
  /**
   * The pages that must not. Others may: a mark of a folder may change with its descendants, and nothing is known of the
   * pages below a folder that has moved or disappeared.
   */
  readonly unchanged: readonly string[]
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'nothing',
    change: () => {},
    changed: [],
    unchanged: WATCHED
  },
  {
    name: 'a new file',
    change: ({ seed }) => seed({ 'a/new.txt': 'new' }),
    changed: ['a'],
    unchanged: ['a/inner', 'b', 'unrelated']
  },
  {
    name: 'a new folder',
    change: ({ seed }) => seed({ 'b/new/': '' }),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a new file in the root',
    change: ({ seed }) => seed({ 'new.txt': 'new' }),
    changed: [''],
    unchanged: ['a', 'a/inner', 'b', 'unrelated']
  },
  {
    name: 'a renamed file',
    change: (_opened, { rename }) => rename('a/one.txt', 'uno.txt'),
    changed: ['a'],
    unchanged: ['a/inner', 'b', 'unrelated']
  },
  {
    name: 'a renamed folder',
    change: (_opened, { rename }) => rename('a/inner', 'renamed'),
    changed: ['a'],
    unchanged: []
  },
  {
    name: 'a file that was moved in',
    change: (_opened, { move }) => move('elsewhere/in.txt', 'b'),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a file that was moved out',
    change: (_opened, { move }) => move('b/three.txt', 'elsewhere'),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a file that was moved between two folders',
    change: (_opened, { move }) => move('a/one.txt', 'b'),
    changed: ['a', 'b'],
    unchanged: ['a/inner', 'unrelated']
  },
  {
    name: 'a file that was moved to the root',
    change: (_opened, { move }) => move('a/inner/deep.txt', ''),
    changed: ['', 'a/inner'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a folder that was moved between two folders',
    change: (_opened, { move }) => move('a/inner', 'b'),
    changed: ['a', 'b'],
    unchanged: []
  },
  {
    name: 'a folder that was moved in',
    change: (_opened, { move }) => move('elsewhere/folder', 'a'),
    changed: ['a'],
    unchanged: ['a/inner', 'b', 'unrelated']
  },
  {
    name: 'a deleted file',
    change: (_opened, { remove }) => remove('b/three.txt'),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a deleted folder',
    change: (_opened, { remove }) => remove('a'),
    changed: ['', 'a', 'a/inner'],
    unchanged: []
  },
  {
    name: 'a file in the trash',
    change: (_opened, { trash }) => trash('a/inner/deep.txt'),
    changed: ['a/inner'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a folder in the trash',
    change: (_opened, { trash }) => trash('a'),
    changed: ['', 'a', 'a/inner'],
    unchanged: []
  },
  {
    name: 'several changes of one file',
    change: async (_opened, { move, rename }) => {
      await rename('a/one.txt', 'uno.txt')
      await move('a/uno.txt', 'elsewhere')
      await move('elsewhere/uno.txt', 'b')
    },
    changed: ['a', 'b'],
    unchanged: ['a/inner', 'unrelated']
  },
  {
    name: 'changes on several pages of the feed',
    change: async ({ seed }, { limitFeedPages }) => {
      limitFeedPages?.(200)
      await seed(manyFiles(600))
    },
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'more changes than a check reads',
    change: ({ seed }) => seed(manyFiles(2100)),
    changed: ['b'],
    unchanged: []
  }
]

function manyFiles(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`b/${index}.txt`, 'x']))
}

/** Tests with the cache of the plugin that readers see each change after one check, and that other pages stay cached. */
export function reportsChanges(t: Test, open: Open): void {
  t.test('the methods of the feed exist exactly if changes are supported', async (t) => {
    const { backend, exceptions } = await open(t)
    const { changes: ability = 'unsupported' } = backend.capabilities
    const hasFeed = backend.position !== undefined
    t.equal(backend.changes !== undefined, hasFeed, 'positions and changes belong together')
    t.equal(hasFeed || backend.isCurrent !== undefined, ability !== 'unsupported')
    const { freshness = null } = await backend.listFolder(null, { ...callOptions(), limit: 10 })
    const isCovered = ability !== 'unsupported' && exceptions?.rootIsNotCovered === undefined
    t.equal(freshness !== null, isCovered, 'whether the root is covered')
  })

  t.test('the harness has all that the tests of changes need', async (t) => {
    const { backend, otherClient } = await open(t)
    const { changes: ability = 'unsupported' } = backend.capabilities
    t.equal(otherClient !== undefined, ability !== 'unsupported')
    if (ability !== 'native' || otherClient === undefined) return
    t.not(otherClient.losePositions, null, 'the positions of a feed can be lost')
    t.not(otherClient.limitFeedPages, null, 'a feed has pages')
  })

  t.test('an aborted signal ends the calls of the feed with its reason', async (t) => {
    const { backend } = await open(t)
    const reason = new Error('the caller has left')
    const aborted = { signal: AbortSignal.abort(reason) }
    for (const [name, promise] of Object.entries({
      position: backend.position?.(ROOT_SCOPE, aborted),
      changes: backend.changes?.(ROOT_SCOPE, '1', aborted),
      isCurrent: backend.isCurrent?.(null, 'mark', aborted)
    })) {
      if (promise !== undefined) t.equal(await rejectionOf(promise), reason, name)
    }
  })

  const start = async (t: Test, folders = WATCHED) => {
    const opened = await open(t)
    const { backend, otherClient, seed, exceptions } = opened
    const isPrecise = exceptions?.rootIsNotCovered === undefined
    const paths = isPrecise ? folders : folders.filter((path) => path !== '')
    // The harness has one if the backend reports changes, as the test above shows.
    if (otherClient === undefined) return null
    await seed(FILES)
    const readers = await FolderReaders.open(backend, paths)
    await readers.load()
    return { opened, otherClient, readers, isPrecise }
  }

  for (const { name, change, changed, unchanged } of SCENARIOS) {
    t.test(`readers see ${name} after one check`, async (t) => {
      const started = await start(t)
      if (started === null) return
      const { opened, otherClient, readers, isPrecise } = started
      const before = await readers.readAll()
      for (const [path, page] of before) t.ok(page.isCovered && page.isHit, `/${path} is covered and cached`)
      await change(opened, otherClient)
      readers.expire()
      const after = await readers.readAll()
      for (const path of changed.filter((path) => before.has(path))) {
        t.not(after.get(path)?.content, before.get(path)?.content, `/${path} has changed`)
      }
      if (isPrecise) for (const path of unchanged) t.ok(after.get(path)?.isHit, `/${path} is still cached`)
      await showsProvider(t, readers, after)
      readers.expire()
      for (const [path, page] of await readers.readAll()) {
        if (after.get(path)?.isCovered === true) t.ok(page.isHit, `/${path} is cached: no change is reported twice`)
      }
    })

    if (changed.length === 0) continue
    for (const isCheckedMeanwhile of [true, false]) {
      const moment = isCheckedMeanwhile ? 'during a load and a check' : 'during a load, before a check'
      t.test(`readers see ${name} ${moment}`, async (t) => {
        const started = await start(t)
        if (started === null) return
        const { opened, otherClient, readers } = started
        const loads = await Promise.all(
          changed.filter((path) => readers.paths.includes(path)).map((path) => readers.hold(path))
        )
        await change(opened, otherClient)
        if (isCheckedMeanwhile) {
          readers.expire()
          await readers.read('unrelated')
        }
        for (const { release } of loads) await release()
        if (!isCheckedMeanwhile) readers.expire()
        await showsProvider(t, readers, await readers.readAll())
      })
    }
  }

  t.test('changes of another scope, such as a shared drive, affect its pages alone', async (t) => {
    const started = await start(t, ['a', 'b'])
    const scope = started?.otherClient.addScope?.()
    if (started === null || scope === undefined) return
    const { opened, readers, isPrecise } = started
    await scope.addFile('first.txt')
    readers.addFolder('team', scope.folderId)
    await readers.load()
    const read = async () => {
      readers.expire()
      const pages = await readers.readAll()
      await showsProvider(t, readers, pages)
      for (const [path, page] of pages) t.ok(page.isCovered, `/${path} is covered`)
      return readers.paths.filter((path) => pages.get(path)?.isHit === true)
    }
    // A new drive is itself a change, which has been read after this.
    await read()
    t.same(await read(), ['a', 'b', 'team'])
    await scope.addFile('second.txt')
    t.same(await read(), ['a', 'b'])
    await opened.seed({ 'a/new.txt': 'new' })
    const others = await read()
    if (isPrecise) t.same(others, ['b', 'team'])
    const load = await readers.hold('team')
    await scope.addFile('third.txt')
    await load.release()
    t.same(await read(), ['a', 'b'])
  })

  t.test('after a lost position, all pages are loaded again, and later changes are reported', async (t) => {
    const started = await start(t)
    if (started === null || started.otherClient.losePositions === null) return
    const { otherClient, readers } = started
    await otherClient.rename('a/one.txt', 'uno.txt')
    otherClient.losePositions?.()
    readers.expire()
    await showsProvider(t, readers, await readers.readAll())
    t.ok(readers.outcomes.some((outcome) => outcome === 'lost' || outcome === 'changes'))
    await readers.load()
    readers.expire()
    for (const [path, page] of await readers.readAll()) t.ok(page.isHit, `/${path} is confirmed again`)
    const load = await readers.hold('a')
    await otherClient.rename('a/uno.txt', 'one.txt')
    otherClient.losePositions?.()
    readers.expire()
    await readers.read('unrelated')
    await load.release()
    await showsProvider(t, readers, await readers.readAll())
  })

  t.test('a position is text of at most 4,096 characters', async (t) => {
    const { backend } = await open(t)
    if (backend.position === undefined) return
    const position = await backend.position(ROOT_SCOPE, callOptions())
    t.type(position, 'string')
    t.ok(position.length > 0 && position.length <= 4096)
  })
}

/** Tests that readers get the content that the provider has now. */
async function showsProvider(
  t: Test,
  readers: FolderReaders,
  pages: Awaited<ReturnType<FolderReaders['readAll']>>
): Promise<void> {
  for (const [path, { content }] of pages) {
    t.ok(content === (await readers.contentOf(path)), `/${path} is shown as it is`)
  }
}
