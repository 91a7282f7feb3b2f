import t from 'tap'
import { describePage, hashId, type PageContent } from '../../src/freshness/fingerprint.ts'
import { FolderTree } from '../../src/freshness/folder-tree.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'

/** Describes a page of a folder that contains folders. */
function listing(folderId: string | null, ...children: string[]): PageContent {
  const entries = children.map((id) => entry(id, { kind: 'folder', parentId: folderId }))
  return describePage(folderId, page(entries))
}

/** Describes a page of the top of a library. */
function top(folderId: string, ...children: string[]): PageContent {
  return { ...listing(folderId, ...children), isTop: true }
}

function namesOf(pages: Record<string, PageContent>, found: ReadonlySet<PageContent>): string[] {
  return Object.keys(pages).filter((name) => found.has(pages[name]!))
}

function below(pages: Record<string, PageContent>, ...ids: string[]): string[] {
  return namesOf(pages, new FolderTree(Object.values(pages)).pagesBelow(ids.map(hashId)))
}

function unanchored(pages: Record<string, PageContent>): string[] {
  return namesOf(pages, new FolderTree(Object.values(pages)).unanchoredPages())
}

const TREE = {
  root: listing(null, 'a', 'b'),
  a: listing('a', 'c'),
  b: listing('b'),
  c: listing('c', 'd'),
  d: listing('d')
}

t.test('the pages below a folder are those that pages list, and on', async (t) => {
  t.same(below(TREE, 'a'), ['a', 'c', 'd'])
  t.same(below(TREE, 'b', 'd'), ['b', 'd'])
  t.same(below(TREE, 'unknown'), [])
  t.same(unanchored(TREE), [])
})

t.test('a page is not anchored if the chain to the root is not known', async (t) => {
  const { c: _c, ...withoutC } = TREE
  t.same(unanchored(withoutC), ['d'])
  t.same(below(withoutC, 'a'), ['a'])
  const { root: _root, ...withoutRoot } = TREE
  t.same(unanchored(withoutRoot), ['a', 'b', 'c', 'd'])
  const drives = describePage('sites', page([entry('a', { kind: 'drive' })]))
  t.same(unanchored({ ...withoutRoot, drives }), ['b'], 'a page that lists drives is a root')
})

t.test('a top anchors the pages below, like the root', async (t) => {
  const library = { top: top('top', 'x'), x: listing('x', 'y'), y: listing('y'), z: listing('z') }
  t.same(unanchored(library), ['z'])
  const { x: _x, ...withoutX } = library
  t.same(unanchored(withoutX), ['y', 'z'])
  t.same(below(library, 'x'), ['x', 'y'], 'whatever anchors them')
})

t.test('a folder has as many pages as are cached, and several may list it', async (t) => {
  const pages = { ...TREE, c2: listing('c', 'e'), e: listing('e'), e2: listing('e'), b: listing('b', 'e') }
  t.same(below(pages, 'a'), ['a', 'c', 'd', 'c2', 'e', 'e2'])
  t.same(below(pages, 'b'), ['b', 'e', 'e2'])
  t.same(unanchored(pages), [])
})

t.test('a page with one unknown chain is not anchored, although another one is known', async (t) => {
  const pages = { ...TREE, top: listing('top', 'c') }
  t.same(unanchored(pages), ['c', 'd', 'top'])
})

t.test('cycles end, and are anchored only from outside', async (t) => {
  const cycle = { x: listing('x', 'y'), y: listing('y', 'x', 'z'), z: listing('z'), self: listing('self', 'self') }
  t.same(below(cycle, 'y'), ['x', 'y', 'z'])
  t.same(unanchored({ ...TREE, ...cycle }), ['x', 'y', 'z', 'self'])
  t.same(unanchored({ ...TREE, ...cycle, b: listing('b', 'x') }), ['self'])
})

t.test('many pages that list the same folder cost no more than their hashes', async (t) => {
  const listed = Array.from({ length: 2_000 }, () => listing('many'))
  const parents = Array.from({ length: 2_000 }, () => listing(null, 'many'))
  const tree = new FolderTree([...parents, ...listed])
  t.equal(tree.pagesBelow([hashId('many')]).size, 2_000)
  t.equal(tree.unanchoredPages().size, 0)
})
