import fc from 'fast-check'
import t from 'tap'
import type { PageFreshness } from '../../src/core/change-feed.ts'
import {
  comparablePath,
  createFingerprint,
  describeFolder,
  describePage,
  hashId,
  hashPath,
  hasHash,
  parentOfPath
} from '../../src/freshness/fingerprint.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'

t.test('a fingerprint finds exactly its hashes', async (t) => {
  const hashes = fc.array(fc.nat({ max: 0xffffffff }), { maxLength: 300 })
  fc.assert(
    fc.property(hashes, fc.nat({ max: 0xffffffff }), (members, other) => {
      const fingerprint = createFingerprint(members)
      if (!members.every((member) => hasHash(fingerprint, member))) return false
      return hasHash(fingerprint, other) === members.includes(other)
    })
  )
  t.equal(createFingerprint([7, 7, 7]).length, 1)
  t.notOk(hasHash(createFingerprint([]), 0))
})

t.test('a hash is that of FNV-1a over UTF-16, in NFC', async (t) => {
  t.equal(hashId(''), 0x811c9dc5)
  t.not(hashId('a'), hashId('b'))
  t.not(hashId('ā'), hashId('\u0001\u0001'))
  t.equal(hashId('e\u0301'), hashId('\u00e9'), 'both forms of a name are one folder')
})

t.test('paths are compared without their case and outer slashes', async (t) => {
  for (const path of ['/Docs/Été/', 'docs/E\u0301te\u0301', '//DOCS/été//']) {
    t.equal(hashPath(path), hashPath('docs/été'), path)
  }
  t.not(hashPath('docs/a'), hashPath('docs//a'))
  t.equal(comparablePath('/'.repeat(100_000)), '')
  t.equal(parentOfPath('/Docs/a.txt'), 'docs')
  t.equal(parentOfPath('docs/'), '')
})

t.test('a page knows its folder under all ids, and what it shows', async (t) => {
  const target = { id: 'far', kind: 'folder', mimeType: null, state: 'ok' } as const
  const entries = [
    entry('file', { parentId: 'own', path: 'Docs/file' }),
    entry('sub', { kind: 'folder' }),
    entry('link', { kind: 'shortcut', target })
  ]
  const listed = { ...page(entries), folder: { id: 'real', name: null, parentId: null } }
  const { folder, all, folders, targets, isVirtual, isTop, showsInherited } = describePage('alias', listed)
  for (const id of ['alias', 'real', 'own']) t.ok(hasHash(folder, hashId(id)), id)
  t.ok(hasHash(folder, hashPath('docs')), 'the folder of its entries')
  for (const id of ['file', 'sub', 'link', 'far', 'alias', 'real']) t.ok(hasHash(all, hashId(id)), id)
  t.ok(hasHash(all, hashPath('DOCS/FILE')))
  t.ok(hasHash(folders, hashId('sub')))
  for (const id of ['file', 'link', 'far']) t.notOk(hasHash(folders, hashId(id)), id)
  t.same(targets, createFingerprint([hashId('far')]))
  t.ok(showsInherited, 'a path')
  t.notOk(isVirtual)
  t.notOk(isTop)
  t.ok(describePage(null, page([])).isVirtual)
  t.ok(describePage('drives', page([entry('d', { kind: 'drive' })])).isVirtual)
})

t.test('the root is a top, and a folder of which the provider says so', async (t) => {
  const describe = (folderId: string | null, freshness: PageFreshness | null) =>
    describePage(folderId, { ...page([]), freshness })
  t.ok(describe(null, null).isTop)
  t.ok(describeFolder(null).isTop)
  t.match(describe('library', { scope: 'library', isTop: true }), { isTop: true, isVirtual: false })
  for (const freshness of [null, { scope: 'library' }, { scope: 'library', isTop: false }, { mark: 'm' }]) {
    t.notOk(describe('library', freshness).isTop, JSON.stringify(freshness))
  }
  t.notOk(describe('library', { scope: 'library', isTop: 'yes' as never }).isTop, 'not understood')
  t.notOk(describeFolder('library').isTop, 'nothing is known of it')
})

t.test('a page shows what it inherits by paths, or by the permission to write', async (t) => {
  const shows = (overrides: Parameters<typeof entry>[1]) =>
    describePage('f', page([entry('x', overrides)])).showsInherited
  t.ok(shows({ path: 'f/x' }))
  t.ok(shows({ can: { list: false, download: true, write: false } }))
  t.notOk(shows({ can: { list: true, download: true, write: null } }))
})
