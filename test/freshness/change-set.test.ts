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

function covered(folderId: string | null, entries: readonly Entry[], overrides: Partial<ComparablePage> = {}) {
  return { content: describePage(folderId, page(entries)), scope: ROOT_SCOPE, hasMark: false, ...overrides }
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
  set.resolveFolders(Object.values(pages))
  return Object.keys(pages).filter((name) => set.names(pages[name] as ComparablePage))
}

const ALL = Object.keys(PAGES)

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

t.test('a folder that is gone or moved names all pages, if its descendants are not known', async (t) => {
  t.same(named([change({ id: 'g', parentId: 'f', isFolder: true, isGone: true })]), ALL, 'trashed')
  t.same(named([change({ id: 'g', isFolder: null, isGone: true })]), ALL, 'deleted, and shown as a folder')
  t.same(named([change({ id: 'unseen', isFolder: null, isGone: true })]), ALL, 'deleted, and never shown')
  t.same(named([change({ id: 'g', parentId: 'far', isFolder: true })]), ALL, 'moved')
  t.same(named([change({ id: 'g', parentId: 'f', isFolder: true })]), ['f', 'g'], 'renamed')
  t.same(named([change({ id: 'new', parentId: 'f', isFolder: true })]), ['f'], 'created')
})

t.test('a folder that is gone names its subtree if ids are paths', async (t) => {
  const pages = {
    root: covered(null, [entry('a/', { kind: 'folder', path: 'a/' })]),
    a: covered('a/', [entry('a/b/', { kind: 'folder', path: 'a/b/' })]),
    b: covered('a/b/', [entry('a/b/c', { path: 'a/b/c' })]),
    deep: covered('A/B/deep/', []),
    ab: covered('a/bc/', [entry('a/bc/d', { path: 'a/bc/d' })])
  }
  const gone = { isFolder: true, isGone: true }
  t.same(named([change({ id: 'a/b/', path: 'a/b/', ...gone })], pages), ['a', 'b', 'deep'])
  t.same(named([change({ path: '/A/b', ...gone, isFolder: null })], pages), ['a', 'b', 'deep'], 'by the path alone')
  t.same(named([change({ path: 'a/b/new' })], pages), ['b'])
  t.same(named([change({ path: 'new' })], pages), ['root'])
})

t.test('a drive that comes or goes names the root, and the pages of its scope', async (t) => {
  t.same(named([change({ id: 'other', concerns: 'roots', isGone: true })]), ['root', 'far'])
  t.same(named([change({ concerns: 'roots' })]), ['root'])
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
