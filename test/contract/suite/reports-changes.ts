import type { Test } from 'tap'
import { ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { rejectionOf } from '../../support/rejection.ts'
import type { OpenedBackend, OtherClient } from '../harness.ts'
import { callOptions, type Open } from './arrange.ts'
import { WatchedPages } from './watched-pages.ts'

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
  /** The pages that must not. Others may: a mark of a folder may change with its descendants. */
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
    unchanged: ['b', 'unrelated']
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
    unchanged: ['unrelated']
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
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a file in the trash',
    change: (_opened, { trash, remove }) => (trash ?? remove)('a/inner/deep.txt'),
    changed: ['a/inner'],
    unchanged: ['b', 'unrelated']
  },
  {
    name: 'a folder in the trash',
    change: (_opened, { trash, remove }) => (trash ?? remove)('a'),
    changed: ['', 'a', 'a/inner'],
    unchanged: ['b', 'unrelated']
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
    name: 'many changes at once',
    change: ({ seed }) => seed(Object.fromEntries(Array.from({ length: 2100 }, (_, index) => [`b/${index}.txt`, 'x']))),
    changed: ['b'],
    unchanged: ['a', 'a/inner', 'unrelated']
  }
]

/** Tests what a cache needs to know: for each change, which pages must be loaded again. */
export function reportsChanges(t: Test, open: Open): void {
  t.test('the methods of the feed exist exactly if changes are supported', async (t) => {
    const { backend } = await open(t)
    const { changes: ability = 'unsupported' } = backend.capabilities
    const hasFeed = backend.position !== undefined
    t.equal(backend.changes !== undefined, hasFeed, 'positions and changes belong together')
    t.equal(hasFeed || backend.isCurrent !== undefined, ability !== 'unsupported')
    const { freshness = null } = await backend.listFolder(null, { ...callOptions(), limit: 10 })
    t.equal(freshness !== null, ability !== 'unsupported', 'the root is covered')
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

  for (const { name, change, changed, unchanged } of SCENARIOS) {
    t.test(`the pages that must be loaded again after ${name}`, async (t) => {
      const opened = await open(t)
      const { otherClient } = opened
      if (otherClient === undefined) return t.pass('there is no other client')
      await opened.seed(FILES)
      const pages = await WatchedPages.load(opened.backend, WATCHED)
      t.same(pages.uncovered(), [], 'every page is covered')
      await change(opened, otherClient)
      const first = await pages.changed({ keepPositions: true })
      for (const path of changed) t.ok(first.includes(path), `/${path} has changed`)
      for (const path of unchanged) t.notOk(first.includes(path), `/${path} has not changed`)
      t.same(await pages.changed(), first, 'the same position leads to the same pages')
      if (opened.backend.position !== undefined) {
        const later = await WatchedPages.load(opened.backend, [''])
        t.same(await later.changed(), [], 'a later position does not report it again')
      }
    })
  }

  t.test('a change while a page is loaded is reported from a position that was taken before', async (t) => {
    const { backend, seed, otherClient } = await open(t)
    if (otherClient === undefined || backend.position === undefined) return t.pass('there are no positions')
    await seed(FILES)
    const pages = await WatchedPages.load(backend, ['a', 'b'])
    const loading = WatchedPages.load(backend, ['a'])
    await seed({ 'a/new.txt': 'new' })
    const loaded = await loading
    t.ok((await pages.changed()).includes('a'))
    t.same(
      (await loaded.changed()).filter((path) => path !== 'a'),
      []
    )
  })

  t.test('a lost position is reported, and a new one works', async (t) => {
    const opened = await open(t)
    const { backend, seed, otherClient } = opened
    if (otherClient?.losePositions === undefined) return t.pass('positions do not expire')
    await seed(FILES)
    const pages = await WatchedPages.load(backend, WATCHED)
    await otherClient.rename('a/one.txt', 'uno.txt')
    otherClient.losePositions()
    t.equal(await backend.changes?.(ROOT_SCOPE, pages.positionOf(ROOT_SCOPE), callOptions()), 'lost')
    const renewed = await WatchedPages.load(backend, WATCHED)
    t.same(await renewed.changed(), [])
    await otherClient.rename('a/uno.txt', 'one.txt')
    t.ok((await renewed.changed()).includes('a'))
  })

  t.test('a position is text of at most 4,096 characters', async (t) => {
    const { backend } = await open(t)
    if (backend.position === undefined) return t.pass('there are no positions')
    const position = await backend.position(ROOT_SCOPE, callOptions())
    t.type(position, 'string')
    t.ok(position.length > 0 && position.length <= 4096)
  })
}
