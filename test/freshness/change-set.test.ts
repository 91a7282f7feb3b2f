import t from 'tap'
import { type Change, ROOT_SCOPE } from '../../src/core/change-feed.ts'
import type { Entry } from '../../src/core/entry.ts'
import { Moment } from '../../src/core/time.ts'
import { ChangeSet, type ComparablePage } from '../../src/freshness/change-set.ts'
import { describeFolder, describePage } from '../../src/freshness/fingerprint.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'
import { ManualClock } from '../support/time/clock.ts'

const CLOCK = new ManualClock()

function change(overrides: Partial<Change>): Change {
  return { id: null, path: null, parentId: null, isFolder: false, isGone: false, concerns: 'item', ...overrides }
}

interface Overrides extends Partial<Pick<ComparablePage, 'scope' | 'hasMark'>> {
  readonly isTop?: true
}

function covered(folderId: string | null, entries: readonly Entry[], overrides: Overrides = {}): ComparablePage {
  const { scope = ROOT_SCOPE, hasMark = false, isTop } = overrides
  const freshness = { scope: scope ?? ROOT_SCOPE, ...(isTop && { isTop }) }
  return { content: describePage(folderId, { ...page(entries), freshness }), scope, hasMark }
}

/** Pages of a cloud with opaque ids: `f` contains `x`, `g` is empty, `f` contains the folder `g`. */
const PAGES: Record<string, ComparablePage> = {
  root: covered(null, [entry('f', { kind: 'folder', parentId: 'top' })]),
  f: covered('f', [entry('x', { parentId: 'f' }), entry('g', { kind: 'folder', parentId: 'f' })]),
  g: covered('g', [entry('y', { parentId: 'g' })]),
  far: covered('far', [], { scope: 'other' }),
  loading: { content: describeFolder('loading'), scope: null, hasMark: false }
}

function named(changes: readonly Change[], pages = PAGES): string[] {
  const set = new ChangeSet(ROOT_SCOPE, changes, new Moment(CLOCK))
  const found = set.findNamed(Object.values(pages))
  return Object.keys(pages).filter((name) => found.has(pages[name] as ComparablePage))
}

/** Names of the pages whose ancestors are not known. */
const UNANCHORED = ['far', 'loading']
const CAN_WRITE = { list: null, download: null, write: true }

t.test('a change names the pages of its folder and those that show the item', async (t) => {
  t.same(named([change({ id: 'new', parentId: 'f' })]), ['f'], 'created')
  t.same(named([change({ id: 'x', parentId: 'g' })]), ['f', 'g'], 'moved')
  t.same(named([change({ id: 'x', parentId: 'elsewhere' })]), ['f'], 'moved away')
  t.same(named([change({ id: 'x', isGone: true })]), ['f'], 'deleted')
  t.same(named([change({ id: 'x', isGone: true, isFolder: null })]), ['f'], 'deleted, and known as a file')
  t.same(named([change({ id: 'new', parentId: 'loading' })]), ['loading'], 'while the folder is loaded')
  t.same(named([change({ id: 'new', parentId: 'top' })]), ['root'], 'by the own id of the root')
  t.same(named([change({ id: 'new', parentId: 'elsewhere' })]), [])
  t.same(named([]), [])
})

t.test('an item without a known folder may be listed in the root', async (t) => {
  t.same(named([change({ id: 'shared' })]), ['root'])
})

t.test('a root whose own id is not known is named by each change in a folder', async (t) => {
  const root = covered(null, [])
  t.same(named([change({ id: 'new', parentId: 'top' })], { root }), ['root'])
})

t.test('a folder that is gone names its subtree, and pages whose ancestors are not known', async (t) => {
  const gone = { isFolder: true, isGone: true }
  t.same(named([change({ id: 'g', parentId: 'f', ...gone })]), ['f', 'g', ...UNANCHORED], 'trashed')
  t.same(named([change({ id: 'g', isFolder: null, isGone: true })]), ['f', 'g', ...UNANCHORED], 'shown as a folder')
  t.same(named([change({ id: 'f', ...gone })]), ['root', 'f', 'g', ...UNANCHORED], 'with all below')
  t.same(named([change({ id: 'unseen', isFolder: null, isGone: true })]), UNANCHORED, 'never shown')
  t.same(named([change({ id: 'x', isFolder: null, isGone: true })]), ['f'], 'shown as a file')
  t.same(named([change({ id: 'x', ...gone })]), ['f', ...UNANCHORED], 'shown as a file, and reported as a folder')
  const { root: _root, ...others } = PAGES
  t.same(named([change({ id: 'unseen', ...gone })], others), ['f', 'g', ...UNANCHORED], 'the root is not cached')
})

t.test('a folder that is gone names no page below the top of a library unless it contained it', async (t) => {
  const library = (isTop: boolean) => ({
    root: PAGES.root!,
    f: PAGES.f!,
    top: covered('top', [entry('sub', { kind: 'folder', parentId: 'top' })], {
      scope: 'library',
      ...(isTop && { isTop })
    }),
    sub: covered('sub', [entry('z', { parentId: 'sub' })], { scope: 'library' })
  })
  const gone = (id: string) => [change({ id, isFolder: true, isGone: true })]
  t.same(named(gone('unseen'), library(true)), [])
  t.same(named(gone('unseen'), library(false)), ['top', 'sub'])
  t.same(named(gone('f'), library(true)), ['root', 'f'])
  t.same(named(gone('sub'), library(true)), ['top', 'sub'])
  const withoutParent = [change({ id: 'sub', isFolder: true })]
  t.same(named(withoutParent, library(true)), ['root', 'top', 'sub'], 'moved out of it: it is no virtual folder')
})

t.test('the target of a shortcut may be a folder, and is not where the shortcut is', async (t) => {
  const shortcutTo = (kind: 'file' | 'folder' | null) =>
    entry('s', { kind: 'shortcut', target: { id: 'a', kind, mimeType: null, state: 'ok' } })
  const pages = (kind: 'file' | 'folder' | null) => ({
    root: covered(null, [shortcutTo(kind)]),
    a: covered('a', [entry('x', { parentId: 'a' })]),
    deep: covered('deep', [entry('y', { parentId: 'deep' })])
  })
  const removed = change({ id: 'unseen', isFolder: null, isGone: true })
  t.same(named([removed], pages('folder')), ['a', 'deep'], 'a shortcut anchors nothing')
  const target = change({ id: 'a', isFolder: null, isGone: true })
  for (const kind of ['folder', null] as const) {
    const { a: _a, ...others } = pages(kind)
    t.same(named([target], others), ['root', 'deep'], `${kind}`)
  }
  const { a: _a, ...others } = pages('file')
  t.same(named([target], others), ['root'])
})

t.test('a folder that a page lists elsewhere has moved, with its subtree', async (t) => {
  t.same(named([change({ id: 'g', parentId: 'far', isFolder: true })]), ['f', 'g', ...UNANCHORED])
  t.same(named([change({ id: 'f', parentId: 'far', isFolder: true })]), ['root', 'f', 'g', ...UNANCHORED])
  t.same(named([change({ id: 'g', isFolder: true })]), ['root', 'f', 'g', ...UNANCHORED], 'to a virtual folder')
  const pages = { ...PAGES, far: covered('far', [entry('g', { kind: 'folder', parentId: 'far' })]) }
  t.same(
    named([change({ id: 'g', parentId: 'far', isFolder: true })], pages),
    ['f', 'g', 'far', 'loading'],
    'both show it'
  )
  const unknown = { root: covered(null, [entry('f', { kind: 'folder' })]), ...{ g: PAGES.g! } }
  t.same(
    named([change({ id: 'f', parentId: 'top', isFolder: true })], unknown),
    ['root'],
    'the id of the root is unknown'
  )
})

t.test('any other folder names the pages below that show paths or permissions', async (t) => {
  const write = { can: CAN_WRITE }
  const pages = {
    root: covered(null, [entry('f', { kind: 'folder', parentId: 'top', ...write })]),
    f: covered('f', [entry('g', { kind: 'folder', parentId: 'f', ...write })]),
    g: covered('g', [entry('y', { parentId: 'g', ...write })]),
    other: covered('g', [entry('z', { parentId: 'g' })]),
    path: covered('g', [entry('p', { parentId: 'g', path: 'f/g/p' })]),
    empty: covered('far', []),
    far: covered('far', [entry('v', { parentId: 'far', ...write })]),
    loading: { content: describeFolder('loading'), scope: null, hasMark: false }
  }
  const renamed = change({ id: 'f', parentId: 'top', isFolder: true })
  t.same(named([renamed], pages), ['root', 'f', 'g', 'path', 'far'])
  t.same(named([change({ id: 'new', parentId: 'f', isFolder: true })], pages), ['f', 'far'], 'or moved to here')
  t.same(named([change({ id: 'new', parentId: 'f', isFolder: null })], pages), ['f', 'far'], 'perhaps a folder')
  t.same(named([change({ id: 'new', parentId: 'f' })], pages), ['f'], 'a file')
  const { root: _root, ...others } = pages
  t.same(named([renamed], others), ['f', 'g', 'path', 'far'], 'no page lists it')
})

t.test('a feed that repeats the folders above each item names the pages that show them', async (t) => {
  const pages = {
    root: PAGES.root!,
    f: PAGES.f!,
    g: PAGES.g!,
    deep: covered('deep', [entry('z', { parentId: 'deep' })])
  }
  const repeated = [
    change({ id: 'f', parentId: 'top', isFolder: true }),
    change({ id: 'g', parentId: 'f', isFolder: true }),
    change({ id: 'new', parentId: 'g' })
  ]
  t.same(named(repeated, pages), ['root', 'f', 'g'])
  const { root: _root, f: _f, ...others } = pages
  t.same(named(repeated, others), ['g'], 'although no page lists them')
})

t.test('a page that was not cached when a folder changed may be below it', async (t) => {
  const later = {
    plain: covered('later', [entry('x', { parentId: 'later' })]),
    inheriting: covered('later', [entry('x', { parentId: 'later', can: CAN_WRITE })]),
    drives: covered('drives', [entry('d', { kind: 'drive' })]),
    top: covered('library', [entry('z', { parentId: 'library' })], { isTop: true }),
    root: covered(null, [entry('f', { kind: 'folder', parentId: 'top' })])
  }
  const namedLater = (overrides: Partial<Change>) => {
    const set = new ChangeSet(ROOT_SCOPE, [change(overrides)], new Moment(CLOCK))
    set.findNamed(Object.values(PAGES))
    return Object.entries(later).flatMap(([name, page]) => (set.names(page) ? [name] : []))
  }
  t.same(namedLater({ id: 'unseen', isFolder: null, isGone: true }), ['plain', 'inheriting', 'drives'])
  t.same(namedLater({ id: 'g', parentId: 'away', isFolder: true }), ['plain', 'inheriting', 'drives'])
  t.same(namedLater({ id: 'g', parentId: 'f', isFolder: true }), ['inheriting'])
  t.same(namedLater({ id: 'x', isFolder: null, isGone: true }), ['plain', 'inheriting'], 'which shows the item')
  t.same(namedLater({ id: 'y', isFolder: null, isGone: true }), [], 'shown as a file')
})

t.test('a folder that is gone names its subtree if ids are paths', async (t) => {
  const pages = {
    root: covered(null, [entry('a/', { kind: 'folder', path: 'a/' })]),
    a: covered(
      'a/',
      ['a/b/', 'a/bc/'].map((path) => entry(path, { kind: 'folder', path }))
    ),
    b: covered('a/b/', [entry('a/b/c', { path: 'a/b/c' })]),
    deep: covered('A/B/deep/', []),
    bc: covered('a/bc/', [entry('a/bc/d', { path: 'a/bc/d' })])
  }
  const gone = { isFolder: true, isGone: true }
  t.same(named([change({ id: 'a/b/', path: 'a/b/', ...gone })], pages), ['a', 'b', 'deep'])
  t.same(named([change({ path: '/A/b', ...gone, isFolder: null })], pages), ['a', 'b', 'deep'], 'by the path alone')
  t.same(named([change({ path: 'a/b/new' })], pages), ['b'])
  t.same(named([change({ path: 'new' })], pages), ['root'])
  t.same(named([change({ id: 'a/b', path: 'a/b', isFolder: true })], pages), ['a', 'b', 'deep'], 'perhaps another one')
})

t.test('a drive that comes or goes names the root, and the pages of its scope', async (t) => {
  t.same(named([change({ id: 'other', concerns: 'roots', isGone: true })]), ['root', 'far'])
  t.same(named([change({ concerns: 'roots' })]), ['root'])
})

t.test('a folder whose members have changed names the pages below', async (t) => {
  const ended = change({ id: 'f', parentId: 'top', isFolder: true, isGone: true, concerns: 'roots' })
  t.same(named([ended]), ['root', 'f', 'g', ...UNANCHORED])
})

t.test('a path finds the pages below a folder with an opaque id', async (t) => {
  const pages = {
    root: covered(null, [entry('1', { kind: 'folder', path: 'a' })]),
    a: covered('1', [entry('2', { kind: 'folder', path: 'a/b' })]),
    b: covered('2', [entry('3', { path: 'a/b/c' })])
  }
  t.same(named([change({ path: 'a', isFolder: null, isGone: true })], pages), ['root', 'a', 'b'])
  t.same(named([change({ path: 'a/b/c', isFolder: null, isGone: true })], pages), ['b'])
})

t.test('an unknown change names the pages of its scope that have no mark', async (t) => {
  const pages = {
    plain: covered('a', []),
    marked: covered('b', [], { hasMark: true }),
    other: covered('c', [], { scope: 'other' }),
    loading: { content: describeFolder('d'), scope: null, hasMark: false }
  }
  t.same(named([change({})], pages), ['plain', 'loading'])
  const set = new ChangeSet(ROOT_SCOPE, [change({})], new Moment(CLOCK))
  t.ok(set.isOfUnknownItem)
})

t.test('many changes are found as well as few', async (t) => {
  const others = Array.from({ length: 500 }, (_, index) => change({ id: `o${index}`, parentId: 'elsewhere' }))
  t.same(named([...others, change({ id: 'y', parentId: 'elsewhere' })]), ['g'])
  t.same(named([...others, change({ id: 'new', parentId: 'g' })]), ['g'])
  t.same(named(others), [])
})
