import t from 'tap'
import { describePage } from '../../src/freshness/fingerprint.ts'
import { decodeStoredPage, encodeStoredPage, isCoveredPage } from '../../src/freshness/stored-page.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'

const BODY = Buffer.from('{"entries":["ä"]}')
const { folderId: _, ...content } = describePage(
  'folder',
  page([
    entry('a', { kind: 'folder', path: 'Folder/a' }),
    entry('b', { target: { id: 'c', kind: 'folder', driveId: null } as never })
  ])
)
const coverage = { scope: 's', mark: 'm', link: 'l', unsettledAt: 12.5, content }

t.test('a page has its coverage around it', (t) => {
  const bytes = encodeStoredPage(BODY, coverage)
  t.ok(isCoveredPage(bytes))
  t.same(decodeStoredPage(bytes), { body: BODY, coverage })
  const hashes = content.folder.length + content.all.length + content.folders.length + content.targets.length
  t.ok(bytes.length < BODY.length + hashes * 4 + 100)
  for (const flag of ['isVirtual', 'isTop', 'showsInherited'] as const) {
    const flags = { isVirtual: false, isTop: false, showsInherited: false, [flag]: true }
    const flagged = { ...coverage, content: { ...content, ...flags } }
    t.same(decodeStoredPage(encodeStoredPage(BODY, flagged))?.coverage, flagged, flag)
  }
  const marked = { ...coverage, scope: null, link: null, unsettledAt: null }
  t.same(decodeStoredPage(encodeStoredPage(BODY, marked))?.coverage, marked)
  t.end()
})

t.test('a page that is not covered is its body', (t) => {
  t.notOk(isCoveredPage(BODY))
  t.same(decodeStoredPage(BODY), { body: BODY, coverage: null })
  t.end()
})

t.test('a page of another version, or with wrong lengths, is none', (t) => {
  const bytes = encodeStoredPage(BODY, coverage)
  t.equal(decodeStoredPage(Buffer.concat([Buffer.from([2]), bytes.subarray(1)])), null)
  t.equal(decodeStoredPage(Buffer.concat([bytes, Buffer.alloc(4)])), null)
  t.equal(decodeStoredPage(bytes.subarray(0, -1)), null)
  t.equal(decodeStoredPage(bytes.subarray(0, 10)), null)
  t.equal(decodeStoredPage(Buffer.from([1])), null)
  t.end()
})
