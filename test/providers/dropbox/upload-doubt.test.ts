import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { AccessTokens } from '../../../src/domain/oauth.ts'
import { Secret } from '../../../src/domain/secret.ts'
import { GOOD_TOKENS, NEW_FILE, openDropbox, startDropbox } from '../../contract/harness/dropbox.ts'
import { rejectsWith } from '../../contract/suite/arrange.ts'
import { piecesOf, upload } from '../../contract/suite/uploads.ts'
import { answers, type DavFault, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/egress.ts'
import { contentHash } from '../../fakes/dropbox/hash.ts'
import { FAKE_DROPBOX_TOKEN, FakeDropbox } from '../../fakes/dropbox/fake-dropbox.ts'
import { useManualTimers } from '../../support/manual-timers.ts'
import { TEST_TIMEOUTS } from '../../support/timeouts.ts'

const MIB = 1024 * 1024
const FINISH = { path: '/2/files/upload_session/finish' }
const UPLOAD = { path: '/2/files/upload' }
const UNKNOWN_REV = '0123456789abcdef'

t.test('what was there before an upload with a condition is not taken for it', async (t) => {
  const large = randomBytes(9 * MIB)
  for (const [content, at] of [
    [Buffer.from('locked'), UPLOAD],
    [large, FINISH]
  ] as const) {
    for (const fault of [answers(503), answers(500), resets()]) {
      const { fake, tree, backend, operations } = await startDropbox(t)
      const { id, rev } = tree.addFile({ name: 'lock', content })
      for (const [condition, code] of [
        [{ ifNoneMatch: '*' }, 'ALREADY_EXISTS'],
        [{ ifMatch: UNKNOWN_REV }, 'PRECONDITION_FAILED']
      ] as const) {
        for (const target of [{ parentId: null, name: 'lock' }, { parentId: null, name: 'LOCK' }, { id }]) {
          fake.failNext(1, fault, at)
          await rejectsWith(t, upload(backend, target, piecesOf(content), condition), code, JSON.stringify(condition))
        }
      }
      t.ok(
        operations().every((each) => each === 'get_metadata'),
        'nothing is sent that would be refused'
      )
      t.equal(tree.get(id).rev, rev)
    }
  }
})

t.test('a token that ends makes no success of a condition that fails', async (t) => {
  const fake = await FakeDropbox.start(t)
  const tokens: AccessTokens = {
    current: async () => new Secret('sl.old'),
    renewed: async () => new Secret(FAKE_DROPBOX_TOKEN)
  }
  const { backend } = await openDropbox(t, fake, tokens)
  fake.tree.addFile({ name: 'lock', content: 'locked' })
  const target = { parentId: null, name: 'lock' }
  await rejectsWith(t, upload(backend, target, Readable.from(['locked']), { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(
    t,
    upload(backend, target, Readable.from(['locked']), { ifMatch: UNKNOWN_REV }),
    'PRECONDITION_FAILED'
  )
})

t.test('a condition on a name is looked at first, whatever is there', async (t) => {
  const { tree, backend, stores, operations } = await startDropbox(t)
  const folder = tree.addFolder({ name: 'folder' })
  const { rev } = tree.addFile({ name: 'file', parent: folder, content: 'old' })
  const link = tree.addFile({ name: 'link', symlinkTarget: '/x' })
  const put = (parentId: string | null, name: string, condition: { ifMatch: string } | { ifNoneMatch: '*' }) =>
    upload(backend, { parentId, name }, Readable.from(['x']), condition)
  await rejectsWith(t, put(null, 'folder', { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(t, put(null, 'folder', { ifMatch: rev }), 'PRECONDITION_FAILED')
  await rejectsWith(t, put(null, 'gone', { ifMatch: rev }), 'PRECONDITION_FAILED')
  await rejectsWith(t, put(null, 'link', { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(t, put(null, 'link', { ifMatch: link.rev }), 'UNSUPPORTED')
  await rejectsWith(t, put(null, 'x'.repeat(256), { ifNoneMatch: '*' }), 'INVALID_REQUEST')
  await rejectsWith(t, put(tree.newId(), 'x', { ifNoneMatch: '*' }), 'FOLDER_NOT_FOUND')
  t.ok(operations().every((each) => each === 'get_metadata'))
  await stores(Buffer.from('new'), { ifMatch: rev }, { parentId: folder.id, name: 'file' })
  t.same(operations(), ['get_metadata', 'get_metadata', 'upload'])
})

t.test('a version that was there before is not taken for the one that was sent', async (t) => {
  const { fake, tree, stores, operations } = await startDropbox(t)
  const { id, rev } = tree.addFile({ name: 'a', content: 'same' })
  fake.failNext(1, resets(), UPLOAD)
  await stores(Buffer.from('same'), {}, { id })
  t.same(operations(), ['get_metadata', 'upload', 'get_metadata', 'upload'])
  t.equal(tree.get(id).rev, rev, 'to Dropbox this is nothing new')
})

t.test('nothing is looked for where it is known that nothing was stored', async (t) => {
  const damaged = { status: 409, error: { '.tag': 'content_hash_mismatch' } }
  const forgotten = { status: 409, error: { '.tag': 'lookup_failed', lookup_failed: { '.tag': 'not_found' } } }
  for (const [fault, at, size] of [
    [damaged, UPLOAD, 10],
    [answers(429, { retryAfter: 0 }), UPLOAD, 10],
    [damaged, FINISH, 9 * MIB],
    [forgotten, FINISH, 9 * MIB]
  ] as const) {
    const { fake, stores, operations } = await startDropbox(t)
    fake.failNext(1, fault, at)
    await stores(randomBytes(size))
    t.notOk(operations().includes('get_metadata'))
  }
  const fake = await FakeDropbox.start(t)
  const tokens: AccessTokens = {
    current: async () =>
      new Secret(fake.requests.some(({ path }) => path === UPLOAD.path) ? FAKE_DROPBOX_TOKEN : 'old'),
    renewed: async () => new Secret(FAKE_DROPBOX_TOKEN)
  }
  const { backend } = await openDropbox(t, fake, tokens)
  await upload(backend, NEW_FILE, Readable.from(['x']))
  t.equal(fake.requests.filter(({ path }) => path === UPLOAD.path).length, 2)
  t.notOk(fake.requests.some(({ path }) => path === '/2/files/get_metadata'))
})

t.test('a session that is forgotten after an answer was lost may have become the file', async (t) => {
  const { fake, stores, operations } = await startDropbox(t)
  fake.knobs.keepsFinishedSessions = false
  fake.knobs.losesFinishes = 1
  // The look that would find it fails, so that Dropbox is asked once more.
  fake.failNext(1, answers(503), { path: '/2/files/get_metadata' })
  await stores(randomBytes(9 * MIB))
  t.same(operations().slice(-3), ['upload_session/finish', 'get_metadata', 'get_metadata'])
})

t.test('Dropbox may take its time where it makes a file of bytes that it has', async (t) => {
  const fake = await FakeDropbox.start(t)
  const tick = useManualTimers(t)
  const headersMs = 300
  const egress = openEgress({ timeouts: { headersMs } })
  const { backend } = await openDropbox(t, fake, GOOD_TOKENS, egress, { ...TEST_TIMEOUTS, headersMs })
  const hasAll = { '.tag': 'incorrect_offset', correct_offset: 9 * MIB }
  fake.failNext(1, { status: 409, error: { '.tag': 'lookup_failed', lookup_failed: hasAll } }, FINISH)
  for (const [content, at] of [
    [Buffer.alloc(0), UPLOAD],
    [randomBytes(9 * MIB), FINISH]
  ] as const) {
    const facts = { id: 'id:x', name: 'new.bin', rev: '0123456789', size: content.length }
    const slowly: DavFault = (_request, response) => {
      tick(3 * headersMs)
      response.end(JSON.stringify({ ...facts, content_hash: contentHash(content) }))
    }
    fake.failNext(1, slowly, at)
    t.match(await upload(backend, NEW_FILE, piecesOf(content)), { id: 'id:x' })
    const lengths = fake.requests.filter(({ path }) => path === at.path).map(({ headers }) => headers['content-length'])
    t.same(lengths, at === UPLOAD ? ['0'] : [String(MIB), '0'], 'it is asked once')
  }
})
