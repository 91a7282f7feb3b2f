import type { Test } from 'tap'
import { ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { rejectionOf } from '../../support/rejection.ts'
import type { OtherClient } from '../harness.ts'
import { callOptions, type Open } from './arrange.ts'
import { FolderReaders } from './folder-readers.ts'

const FILES = {
  'a/one.txt': '1',
  'a/two.txt': '2',
  'a/inner/deep.txt': 'deep',
  'b/three.txt': '3',
  'elsewhere/in.txt': 'in',
  'elsewhere/folder/inside.txt': 'inside',
  'elsewhere/folder/empty/': '',
  'unrelated/x.txt': 'x'
}
/** The folders with a cached page. No cached page lists the last one. */
const WATCHED = ['', 'a', 'a/inner', 'b', 'unrelated', 'elsewhere/folder/empty']

interface Scenario {
  readonly name: string
  readonly change: (other: OtherClient) => void | Promise<void>
  /** The pages that must be loaded again. */
  readonly changed: readonly string[]
  /** The pages that must not. Others may: a mark of a folder may change with its descendants. */
  readonly unchanged: readonly string[]
  /** Pages below a folder with another name: they must be loaded again exactly if they show paths or permissions. */
  readonly inheriting?: readonly string[]
  /** A feed of single changes gives up. */
  readonly exceedsCheck?: true
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
    change: ({ create }) => create({ 'a/new.txt': 'new' }),
    changed: ['a'],
    unchanged: ['a/inner', 'b', 'unrelated']
  },
  {
    name: 'a new folder',
    change: ({ create }) => create({ 'b/new/': '' }),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a new file in the root',
    change: ({ create }) => create({ 'new.txt': 'new' }),
    changed: [''],
    unchanged: ['a', 'a/inner', 'b', 'unrelated']
  },
  {
    name: 'a file with other content',
    change: ({ write }) => write('a/one.txt', 'other'),
    changed: ['a'],
    unchanged: ['a/inner', 'b', 'unrelated']
  },
  {
    name: 'a renamed file',
    change: ({ rename }) => rename('a/one.txt', 'uno.txt'),
    changed: ['a'],
    unchanged: ['a/inner', 'b', 'unrelated']
  },
  {
    name: 'a renamed folder',
    change: ({ rename }) => rename('a/inner', 'renamed'),
    changed: ['a'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a renamed folder that contains another one',
    change: ({ rename }) => rename('a', 'renamed'),
    changed: [''],
    unchanged: ['b', 'unrelated'],
    inheriting: ['a/inner']
  },
  {
    name: 'a file that was moved in',
    change: ({ move }) => move('elsewhere/in.txt', 'b'),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a file that was moved out',
    change: ({ move }) => move('b/three.txt', 'elsewhere'),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a file that was moved between two folders',
    change: ({ move }) => move('a/one.txt', 'b'),
    changed: ['a', 'b'],
    unchanged: ['a/inner', 'unrelated']
  },
  {
    name: 'a file that was moved to the root',
    change: ({ move }) => move('a/inner/deep.txt', ''),
    changed: ['', 'a/inner'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a folder that was moved between two folders',
    change: ({ move }) => move('a/inner', 'b'),
    changed: ['a', 'b'],
    unchanged: ['unrelated']
  },
  {
    name: 'a folder that was moved in',
    change: ({ move }) => move('elsewhere/folder', 'a'),
    changed: ['a'],
    unchanged: ['a/inner', 'b', 'unrelated']
  },
  {
    name: 'a deleted file',
    change: ({ remove }) => remove('b/three.txt'),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  },
  {
    name: 'a deleted folder',
    change: ({ remove }) => remove('a'),
    changed: ['', 'a', 'a/inner'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a file in the trash',
    change: ({ trash }) => trash('a/inner/deep.txt'),
    changed: ['a/inner'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a folder in the trash',
    change: ({ trash }) => trash('a'),
    changed: ['', 'a', 'a/inner'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a deleted folder that no page lists',
    change: ({ remove }) => remove('elsewhere/folder'),
    changed: ['elsewhere/folder/empty'],
    unchanged: ['a', 'a/inner', 'b', 'unrelated']
  },
  {
    name: 'a folder in the trash that no page lists',
    change: ({ trash }) => trash('elsewhere/folder'),
    changed: ['elsewhere/folder/empty'],
    unchanged: ['a', 'a/inner', 'b', 'unrelated']
  },
  {
    name: 'several changes of one file',
    change: async ({ move, rename }) => {
      await rename('a/one.txt', 'uno.txt')
      await move('a/uno.txt', 'elsewhere')
      await move('elsewhere/uno.txt', 'b')
    },
    changed: ['a', 'b'],
    unchanged: ['a/inner', 'unrelated']
  },
  {
    name: 'changes on several pages of the feed',
    change: async ({ create, limitFeedPages }) => {
      limitFeedPages?.(100)
      // On the first, the third and the fifth page.
      await create({ 'unrelated/first.txt': '' })
      await create(manyFiles(0, 199))
      await create({ 'a/inner/middle.txt': '' })
      await create(manyFiles(199, 398))
      await create({ 'elsewhere/folder/empty/last.txt': '' })
    },
    changed: ['unrelated', 'a/inner', 'b', 'elsewhere/folder/empty'],
    unchanged: []
  },
  {
    name: 'more changes than a check reads',
    change: ({ create }) => create(manyFiles(0, 2100)),
    changed: ['b'],
    unchanged: [],
    exceedsCheck: true
  }
]

function manyFiles(start: number, end: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: end - start }, (_, index) => [`b/${start + index}.txt`, 'x']))
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
    const { rootIsNotCovered, coversNothing } = exceptions ?? {}
    const isCovered = ability !== 'unsupported' && (rootIsNotCovered ?? coversNothing) === undefined
    t.equal(freshness !== null, isCovered, 'whether the root is covered')
  })

  t.test('the harness has all that the tests of changes need', async (t) => {
    const { backend, otherClient, exceptions } = await open(t)
    const { changes: ability = 'unsupported' } = backend.capabilities
    t.equal(otherClient !== undefined, ability !== 'unsupported' && exceptions?.coversNothing === undefined)
    if (ability !== 'native' || otherClient === undefined) return
    const { losePositions, limitFeedPages } = otherClient()
    t.not(losePositions, null, 'the positions of a feed can be lost')
    t.not(limitFeedPages, null, 'a feed has pages')
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

  const start = async (t: Test, paths = WATCHED) => {
    const opened = await open(t)
    const { backend, exceptions } = opened
    const otherClient = opened.otherClient?.()
    // The harness has one if the backend covers pages, as the test above shows.
    if (otherClient === undefined) return null
    const { folderId, create } = otherClient
    await create(FILES)
    const readers = await FolderReaders.open(
      backend,
      folderId,
      paths,
      exceptions?.webUrlIsNotCovered === undefined ? [] : ['webUrl']
    )
    await readers.load()
    return { otherClient, readers, isFeed: backend.capabilities.changes === 'native' }
  }

  for (const scenario of SCENARIOS) {
    const { name, change, changed, unchanged, inheriting = [], exceedsCheck = false } = scenario
    t.test(`readers see ${name} after one check`, async (t) => {
      const started = await start(t)
      if (started === null) return
      const { otherClient, readers, isFeed } = started
      const before = await readers.readAll()
      for (const [path, page] of before) t.ok(page.isCovered && page.isHit, `/${path} is covered and cached`)
      await change(otherClient)
      readers.expire()
      const after = await readers.readAll()
      t.equal(readers.outcomes.includes('lost'), isFeed && exceedsCheck, 'whether the feed gave up')
      for (const path of changed) t.not(after.get(path)?.content, before.get(path)?.content, `/${path} has changed`)
      for (const path of unchanged) t.ok(after.get(path)?.isHit, `/${path} is still cached`)
      for (const path of inheriting) {
        t.equal(after.get(path)?.isHit, !before.get(path)?.showsInherited, `/${path} is cached unless it inherits`)
      }
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
        const { otherClient, readers } = started
        const loads = await Promise.all(changed.map((path) => readers.hold(path)))
        await change(otherClient)
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
    const { otherClient, readers } = started
    await scope.create({ 'first.txt': '' })
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
    await scope.create({ 'second.txt': '' })
    t.same(await read(), ['a', 'b'])
    await otherClient.create({ 'a/new.txt': 'new' })
    t.same(await read(), ['b', 'team'])
    const load = await readers.hold('team')
    await scope.create({ 'third.txt': '' })
    await load.release()
    t.same(await read(), ['a', 'b'])
  })

  t.test(
    'the pages of another scope stay cached when a folder elsewhere is deleted, if its top is cached',
    async (t) => {
      const started = await start(t, ['a/inner', 'b'])
      const scope = started?.otherClient.addScope?.()
      if (started === null || scope === undefined) return
      const { otherClient, readers } = started
      await scope.create({ 'kept/x.txt': '', 'gone/y.txt': '' })
      await readers.addFolders(scope.folderId, { team: '', kept: 'kept', gone: 'gone' })
      await readers.load()
      const read = async () => {
        readers.expire()
        const pages = await readers.readAll()
        await showsProvider(t, readers, pages)
        return ['team', 'kept', 'gone'].filter((path) => pages.get(path)?.isHit === true)
      }
      await read()
      await otherClient.remove('unrelated')
      t.same(await read(), scope.isTop ? ['team', 'kept', 'gone'] : [], 'of the root scope')
      await scope.remove('gone')
      t.same(await read(), scope.isTop ? ['kept'] : [], 'of the same scope')
    }
  )

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
    const { backend, exceptions } = await open(t)
    if (backend.position === undefined || exceptions?.coversNothing !== undefined) return
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
