import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { StorageErrorCode } from '../../../src/domain/errors.ts'
import { bareId, LARGE_BYTES, NEW_FILE, startUploading } from '../../contract/harness/box.ts'
import { rejectsWith } from '../../contract/suite/arrange.ts'
import { piecesOf, upload } from '../../contract/suite/uploads.ts'
import { answers, hangs, resets } from '../../fakes/faults.ts'
import { FakeBox } from '../../fakes/box/fake-box.ts'
import { until } from '../../support/until.ts'

const PART = { method: 'PUT' }
const PARTS = { method: 'GET', path: /\/parts$/ }
const BEGIN = { method: 'POST', path: /upload_sessions$/ }
const COMMIT = { method: 'POST', path: /commit$/ }
const CONTENT = randomBytes(LARGE_BYTES)
const SHA1 = createHash('sha1').update(CONTENT).digest('hex')
const PART_BYTES = 8 * 1024 * 1024

const json = (value: unknown, status = 200) => answers(status, { body: JSON.stringify(value) })

t.test('a part whose answer was lost is asked for, and not sent again where Box has it', async (t) => {
  const { fake, asked, stores } = await startUploading(t)
  fake.knobs.lostParts = 1
  await stores(CONTENT)
  t.equal(asked('PUT', /./).length, 3)
  t.same(Object.fromEntries(asked('GET', /\/parts$/)[0]?.query ?? []), { offset: '0', limit: '1' })
})

t.test('a part of which Box says that it is there already is the one that was sent', async (t) => {
  for (const overlapStatus of [409, 416] as const) {
    const { fake, asked, stores } = await startUploading(t)
    fake.knobs.overlapStatus = overlapStatus
    fake.knobs.lostParts = 1
    // Box does not list the part yet.
    fake.failNext(1, json({ entries: [] }), PARTS)
    await stores(CONTENT)
    t.equal(asked('PUT', /./).length, 4)
    t.equal(asked('GET', /\/parts$/).length, 2)
  }
})

t.test('an upload outlives failures in any of its parts', async (t) => {
  const outlives = async (name: string, fault: Parameters<FakeBox['failNext']>[1]) => {
    const { fake, asked, stores } = await startUploading(t)
    for (const after of [0, 2]) fake.failNext(1, fault, { ...PART, after })
    fake.failNext(1, answers(503), PARTS)
    await stores(CONTENT)
    t.equal(asked('PUT', /./).length, 5, name)
  }
  await Promise.all([
    outlives('503', answers(503)),
    outlives('500', { code: 'internal_server_error' }),
    outlives('429', answers(429, { retryAfter: 0 })),
    outlives('reset', resets()),
    outlives('page', answers(200, { body: '<html>' })),
    outlives('digest', { code: 'digest_mismatch', status: 412 }),
    outlives('token', { code: 'unauthorized' })
  ])
})

t.test('an upload ends where Box takes nothing any more', async (t) => {
  const ends = async (fault: Parameters<FakeBox['failNext']>[1], code: StorageErrorCode) => {
    const { fake, backend, tree, asked } = await startUploading(t)
    fake.failNext(100, fault, PART)
    const body = piecesOf(CONTENT)
    await rejectsWith(t, upload(backend, NEW_FILE, body, { size: LARGE_BYTES }), code)
    t.equal(body.destroyed, true)
    t.ok(asked('PUT', /./).length <= 8)
    t.same(tree.children(), [])
    await until(() => fake.uploads.open === 0)
  }
  const part = { part_id: 'A', offset: 0, size: PART_BYTES, sha1: '0'.repeat(40) }
  const good = { ...part, sha1: createHash('sha1').update(CONTENT.subarray(0, PART_BYTES)).digest('hex') }
  await Promise.all([
    ends(answers(503), 'PROVIDER_UNAVAILABLE'),
    ends(resets(), 'PROVIDER_UNAVAILABLE'),
    ends(answers(429, { retryAfter: 3600 }), 'PROVIDER_THROTTLED'),
    ends({ code: 'storage_limit_exceeded' }, 'QUOTA_EXCEEDED'),
    ends({ code: 'forbidden' }, 'ACCESS_DENIED'),
    ends({ code: 'session_expired' }, 'PROVIDER_UNAVAILABLE'),
    ends({ code: 'range_overlaps_existing_part' }, 'ALREADY_EXISTS'),
    ends(json({}), 'PROVIDER_ERROR'),
    ends(json({ part }), 'PROVIDER_ERROR'),
    ends(json({ part: { ...good, offset: 1 } }), 'PROVIDER_ERROR'),
    ends(json({ part: { ...good, size: 1 } }), 'PROVIDER_ERROR'),
    ends(json({ part: { ...good, part_id: 1 } }), 'PROVIDER_ERROR')
  ])
})

t.test('a session that is forgotten ends an upload at once', async (t) => {
  for (const code of ['session_expired', 'upload_failed', 'not_found']) {
    const { fake, backend, asked } = await startUploading(t)
    fake.failNext(100, { code }, PART)
    const error: unknown = await upload(backend, NEW_FILE, piecesOf(CONTENT)).catch((error: unknown) => error)
    t.match(error, { code: 'PROVIDER_UNAVAILABLE', responded: true }, code)
    t.equal(asked('PUT', /./).length, 1, code)
  }
})

t.test('a list of parts that is none ends an upload', async (t) => {
  const { fake, backend } = await startUploading(t)
  for (const answer of [json({}), json({ entries: ['x'] }), json({ entries: [{ part_id: 'A', offset: 0 }] })]) {
    fake.failNext(1, resets(), PART)
    fake.failNext(1, answer, PARTS)
    await rejectsWith(t, upload(backend, NEW_FILE, piecesOf(CONTENT)), 'PROVIDER_ERROR')
  }
})

t.test('Box is given the time to put a file together', async (t) => {
  const { fake, asked, stores } = await startUploading(t)
  fake.knobs.assembling = 8
  fake.knobs.retryAfter = 0
  fake.knobs.partsMissed = 2
  await stores(CONTENT)
  t.equal(asked('POST', /commit$/).length, 11)
})

t.test('an upload whose parts are never put together ends, and so does one that shall wait for hours', async (t) => {
  const ends = async (retryAfter: number, most: number) => {
    const { fake, backend, asked } = await startUploading(t)
    fake.knobs.assembling = Infinity
    fake.knobs.retryAfter = retryAfter
    await rejectsWith(t, upload(backend, NEW_FILE, piecesOf(CONTENT)), 'PROVIDER_UNAVAILABLE')
    t.equal(asked('POST', /commit$/).length, most)
    await until(() => fake.uploads.open === 0)
  }
  await ends(0, 60)
  await ends(7200, 1)
})

t.test('a commit whose answer was lost has stored the file', async (t) => {
  const { fake, tree, asked, stores } = await startUploading(t)
  fake.knobs.lostCommits = 1
  const first = await stores(CONTENT)
  t.match(first, { name: 'new.bin', size: LARGE_BYTES, hash: { value: SHA1 }, can: { download: true } })
  t.equal(asked('POST', /commit$/).length, 2)
  fake.knobs.lostCommits = 1
  const other = randomBytes(LARGE_BYTES)
  const second = await stores(other, { ifMatch: first.version ?? '' })
  t.equal(second.id, first.id)
  t.equal(tree.get(bareId(first.id), 'file').version?.number, 2)
})

t.test('a commit that is refused after a lost answer has not stored what somebody else has', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const gone = { code: 'session_expired' }
  fake.failNext(1, resets(), COMMIT)
  fake.failNext(1, gone, COMMIT)
  await rejectsWith(t, upload(backend, NEW_FILE, piecesOf(CONTENT)), 'PROVIDER_UNAVAILABLE', 'nothing is there')
  const { id } = tree.addFile({ name: NEW_FILE.name, content: 'theirs' })
  fake.failNext(1, resets(), COMMIT)
  fake.failNext(1, gone, COMMIT)
  const work = upload(backend, { id: `file:${id}` }, piecesOf(CONTENT))
  await rejectsWith(t, work, 'PROVIDER_UNAVAILABLE', 'other bytes are there')
})

t.test('a file whose facts cannot be had any more after its commit is stored all the same', async (t) => {
  const { fake, stores } = await startUploading(t)
  fake.failNext(1, answers(503), { method: 'GET', path: /\/2\.0\/files\/\d+$/ })
  const entry = await stores(CONTENT)
  t.match(entry, { size: LARGE_BYTES, parentId: 'folder:0', can: { download: null } })
})

t.test('a commit that tells of another file than was sent has failed', async (t) => {
  const { fake, backend } = await startUploading(t)
  const file = { type: 'file', id: '1', name: 'new.bin', size: LARGE_BYTES, sha1: SHA1 }
  for (const value of [
    {},
    { entries: [] },
    { entries: [{ ...file, size: 1 }] },
    { entries: [{ ...file, sha1: 'x' }] }
  ]) {
    fake.failNext(1, json(value, 201), COMMIT)
    await rejectsWith(t, upload(backend, NEW_FILE, piecesOf(CONTENT)), 'PROVIDER_ERROR', JSON.stringify(value))
  }
  await until(() => fake.uploads.open === 0)
})

t.test('a session without a good id, or with parts that nobody could hold, is not begun', async (t) => {
  const { fake, backend, asked } = await startUploading(t)
  const session = { id: 'A'.repeat(32), part_size: PART_BYTES }
  const session_endpoints = { upload_part: 'https://example.org/', commit: 'https://example.org/' }
  for (const value of [
    {},
    { ...session, id: undefined },
    { ...session, id: '../../2.0/users/me' },
    { ...session, part_size: undefined },
    { ...session, part_size: 0 },
    { ...session, part_size: -1 },
    { ...session, part_size: 1.5 },
    { ...session, part_size: 1 },
    { ...session, part_size: 256 * 1024 * 1024 + 1 }
  ]) {
    fake.failNext(1, json({ ...value, session_endpoints }, 201), BEGIN)
    await rejectsWith(t, upload(backend, NEW_FILE, piecesOf(CONTENT)), 'PROVIDER_ERROR', JSON.stringify(value))
  }
  t.equal(asked('PUT', /./).length, 0)
})

t.test('no part goes to an address that an answer names', async (t) => {
  const other = await FakeBox.start(t)
  const { fake, backend, asked } = await startUploading(t)
  const url = `${other.uploadUrl}/api/2.0/files/upload_sessions/${'A'.repeat(32)}`
  const session_endpoints = { upload_part: url, commit: `${url}/commit`, abort: url, list_parts: `${url}/parts` }
  fake.failNext(1, json({ id: 'A'.repeat(32), part_size: PART_BYTES, session_endpoints }, 201), BEGIN)
  await rejectsWith(t, upload(backend, NEW_FILE, piecesOf(CONTENT)), 'PROVIDER_UNAVAILABLE')
  t.equal(asked('PUT', /./).length, 1)
  await until(() => asked('DELETE', /./).length === 1)
  t.equal(other.requests.length, 0)
})

t.test('a source that fails, or a caller who leaves, cancels the session', async (t) => {
  const { fake, tree, backend, asked } = await startUploading(t)
  const failing = Readable.from(
    (function* () {
      yield CONTENT.subarray(0, PART_BYTES + 1)
      throw new Error('the client has left')
    })()
  )
  await rejectsWith(t, upload(backend, NEW_FILE, failing, { size: LARGE_BYTES }), 'INVALID_REQUEST')
  await until(() => asked('DELETE', /./).length === 1)

  for (const [fault, limits] of [
    [hangs(), PART],
    [answers(503, { retryAfter: 20 }), PART],
    [answers(202, { retryAfter: 20 }), COMMIT]
  ] as const) {
    const controller = new AbortController()
    const reason = new Error('enough')
    fake.failNext(1, fault, limits)
    const before = fake.requests.length
    const work = upload(backend, NEW_FILE, piecesOf(CONTENT), { signal: controller.signal })
    await until(() =>
      fake.requests.slice(before).some(({ method, path, body }) => {
        return method === limits.method && (limits === PART || COMMIT.path.test(path)) && body !== undefined
      })
    )
    controller.abort(reason)
    t.equal(await work.catch((error: unknown) => error), reason)
    await until(() => fake.uploads.open === 0)
  }
  t.same(tree.children(), [])
})

t.test('a part and no more is held while Box is slow', async (t) => {
  const { fake, backend, asked } = await startUploading(t)
  let given = 0
  const body = new Readable({
    highWaterMark: 64 * 1024,
    read() {
      given += 1024 * 1024
      this.push(Buffer.alloc(1024 * 1024))
    }
  })
  const controller = new AbortController()
  fake.failNext(1, hangs(), PART)
  const options = { size: 64 * 1024 * 1024, signal: controller.signal }
  const work = upload(backend, NEW_FILE, body, options)
  await until(() => asked('PUT', /./).some((request) => request.body !== undefined))
  t.ok(given <= PART_BYTES + 4 * 1024 * 1024, `${given} bytes were taken`)
  controller.abort(new Error('enough'))
  await work.catch(() => {})
})
