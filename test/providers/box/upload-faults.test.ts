import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { StorageErrorCode } from '../../../src/errors.ts'
import { bareId, LARGE_BYTES, NEW_FILE, startUploading } from '../../contract/harness/box.ts'
import { rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, hangs, resets } from '../../fakes/faults.ts'
import { FakeBox } from '../../fakes/box/fake-box.ts'
import { until } from '../../support/time/until.ts'

const PART = { method: 'PUT' }
const PARTS = { method: 'GET', path: /\/parts$/ }
const BEGIN = { method: 'POST', path: /upload_sessions$/ }
const COMMIT = { method: 'POST', path: /commit$/ }
const CONTENT = randomBytes(LARGE_BYTES)
const SHA1 = createHash('sha1').update(CONTENT).digest('hex')
const PART_BYTES = 8 * 1024 * 1024

const json = (value: unknown, status = 200) => respondsWith(status, { body: JSON.stringify(value) })

t.test('after a lost response Box is asked for the part, which is not sent again if it is stored', async (t) => {
  const { fake, requestsTo, uploadAndVerify } = await startUploading(t)
  fake.knobs.lostParts = 1
  await uploadAndVerify(CONTENT)
  t.equal(requestsTo('PUT', /./).length, 3)
  t.same(Object.fromEntries(requestsTo('GET', /\/parts$/)[0]?.query ?? []), { offset: '0', limit: '1' })
})

t.test('a part that Box reports as already stored counts as sent', async (t) => {
  for (const overlapStatus of [409, 416] as const) {
    const { fake, requestsTo, uploadAndVerify } = await startUploading(t)
    fake.knobs.overlapStatus = overlapStatus
    fake.knobs.lostParts = 1
    // Box does not list the part yet.
    fake.failNext(1, json({ entries: [] }), PARTS)
    await uploadAndVerify(CONTENT)
    t.equal(requestsTo('PUT', /./).length, 4)
    t.equal(requestsTo('GET', /\/parts$/).length, 2)
  }
})

t.test('an upload survives transient failures of any of its calls', async (t) => {
  const outlives = async (name: string, fault: Parameters<FakeBox['failNext']>[1]) => {
    const { fake, requestsTo, uploadAndVerify } = await startUploading(t)
    for (const after of [0, 2]) fake.failNext(1, fault, { ...PART, after })
    fake.failNext(1, respondsWith(503), PARTS)
    await uploadAndVerify(CONTENT)
    t.equal(requestsTo('PUT', /./).length, 5, name)
  }
  await Promise.all([
    outlives('503', respondsWith(503)),
    outlives('500', { code: 'internal_server_error' }),
    outlives('429', respondsWith(429, { retryAfter: 0 })),
    outlives('reset', resets()),
    outlives('page', respondsWith(200, { body: '<html>' })),
    outlives('digest', { code: 'digest_mismatch', status: 412 }),
    outlives('token', { code: 'unauthorized' })
  ])
})

t.test('an upload fails when Box accepts no more data', async (t) => {
  const ends = async (fault: Parameters<FakeBox['failNext']>[1], code: StorageErrorCode) => {
    const { fake, backend, tree, requestsTo } = await startUploading(t)
    fake.failNext(100, fault, PART)
    const body = chunkedStream(CONTENT)
    await rejectsWith(t, upload(backend, NEW_FILE, body, { size: LARGE_BYTES }), code)
    t.equal(body.destroyed, true)
    t.ok(requestsTo('PUT', /./).length <= 8)
    t.same(tree.children(), [])
    await until(() => fake.uploads.open === 0)
  }
  const part = { part_id: 'A', offset: 0, size: PART_BYTES, sha1: '0'.repeat(40) }
  const good = { ...part, sha1: createHash('sha1').update(CONTENT.subarray(0, PART_BYTES)).digest('hex') }
  await Promise.all([
    ends(respondsWith(503), 'PROVIDER_UNAVAILABLE'),
    ends(resets(), 'PROVIDER_UNAVAILABLE'),
    ends(respondsWith(429, { retryAfter: 3600 }), 'PROVIDER_THROTTLED'),
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

t.test('an expired session ends an upload at once', async (t) => {
  for (const code of ['session_expired', 'upload_failed', 'not_found']) {
    const { fake, backend, requestsTo } = await startUploading(t)
    fake.failNext(100, { code }, PART)
    const error: unknown = await upload(backend, NEW_FILE, chunkedStream(CONTENT)).catch((error: unknown) => error)
    t.match(error, { code: 'PROVIDER_UNAVAILABLE', responded: true }, code)
    t.equal(requestsTo('PUT', /./).length, 1, code)
  }
})

t.test('an invalid list of parts ends an upload', async (t) => {
  const { fake, backend } = await startUploading(t)
  for (const answer of [json({}), json({ entries: ['x'] }), json({ entries: [{ part_id: 'A', offset: 0 }] })]) {
    fake.failNext(1, resets(), PART)
    fake.failNext(1, answer, PARTS)
    await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(CONTENT)), 'PROVIDER_ERROR')
  }
})

t.test('the commit waits while Box assembles the file', async (t) => {
  const { fake, requestsTo, uploadAndVerify } = await startUploading(t)
  fake.knobs.pendingCommits = 8
  fake.knobs.retryAfter = 0
  fake.knobs.incompleteCommits = 2
  await uploadAndVerify(CONTENT)
  t.equal(requestsTo('POST', /commit$/).length, 11)
})

t.test('an upload fails if its commit is never completed, or if the Retry-After is hours', async (t) => {
  const ends = async (retryAfter: number, most: number) => {
    const { fake, backend, requestsTo } = await startUploading(t)
    fake.knobs.pendingCommits = Infinity
    fake.knobs.retryAfter = retryAfter
    await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(CONTENT)), 'PROVIDER_UNAVAILABLE')
    t.equal(requestsTo('POST', /commit$/).length, most)
    await until(() => fake.uploads.open === 0)
  }
  await ends(0, 60)
  await ends(7200, 1)
})

t.test('a commit whose response was lost has stored the file', async (t) => {
  const { fake, tree, requestsTo, uploadAndVerify } = await startUploading(t)
  fake.knobs.lostCommits = 1
  const first = await uploadAndVerify(CONTENT)
  t.match(first, { name: 'new.bin', size: LARGE_BYTES, hash: { value: SHA1 }, can: { download: true } })
  t.equal(requestsTo('POST', /commit$/).length, 2)
  fake.knobs.lostCommits = 1
  const other = randomBytes(LARGE_BYTES)
  const second = await uploadAndVerify(other, { ifMatch: first.version ?? '' })
  t.equal(second.id, first.id)
  t.equal(tree.get(bareId(first.id), 'file').version?.number, 2)
})

t.test('a commit that is refused after a lost response is not mistaken for another client’s file', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const gone = { code: 'session_expired' }
  fake.failNext(1, resets(), COMMIT)
  fake.failNext(1, gone, COMMIT)
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(CONTENT)), 'PROVIDER_UNAVAILABLE', 'there is no file')
  const { id } = tree.addFile({ name: NEW_FILE.name, content: 'theirs' })
  fake.failNext(1, resets(), COMMIT)
  fake.failNext(1, gone, COMMIT)
  const work = upload(backend, { id: `file:${id}` }, chunkedStream(CONTENT))
  await rejectsWith(t, work, 'PROVIDER_UNAVAILABLE', 'the file has other content')
})

t.test('a committed file whose metadata cannot be read is still stored', async (t) => {
  const { fake, uploadAndVerify } = await startUploading(t)
  fake.failNext(1, respondsWith(503), { method: 'GET', path: /\/2\.0\/files\/\d+$/ })
  const entry = await uploadAndVerify(CONTENT)
  t.match(entry, { size: LARGE_BYTES, parentId: 'folder:0', can: { download: null } })
})

t.test('a commit that returns another file fails', async (t) => {
  const { fake, backend } = await startUploading(t)
  const file = { type: 'file', id: '1', name: 'new.bin', size: LARGE_BYTES, sha1: SHA1 }
  for (const value of [
    {},
    { entries: [] },
    { entries: [{ ...file, size: 1 }] },
    { entries: [{ ...file, sha1: 'x' }] }
  ]) {
    fake.failNext(1, json(value, 201), COMMIT)
    await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(CONTENT)), 'PROVIDER_ERROR', JSON.stringify(value))
  }
  await until(() => fake.uploads.open === 0)
})

t.test('a session with an invalid id or part size is refused', async (t) => {
  const { fake, backend, requestsTo } = await startUploading(t)
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
    await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(CONTENT)), 'PROVIDER_ERROR', JSON.stringify(value))
  }
  t.equal(requestsTo('PUT', /./).length, 0)
})

t.test('no part is sent to a URL from a response', async (t) => {
  const other = await FakeBox.start(t)
  const { fake, backend, requestsTo } = await startUploading(t)
  const url = `${other.uploadUrl}/api/2.0/files/upload_sessions/${'A'.repeat(32)}`
  const session_endpoints = { upload_part: url, commit: `${url}/commit`, abort: url, list_parts: `${url}/parts` }
  fake.failNext(1, json({ id: 'A'.repeat(32), part_size: PART_BYTES, session_endpoints }, 201), BEGIN)
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(CONTENT)), 'PROVIDER_UNAVAILABLE')
  t.equal(requestsTo('PUT', /./).length, 1)
  await until(() => requestsTo('DELETE', /./).length === 1)
  t.equal(other.requests.length, 0)
})

t.test('a failing source and an abort cancel the session', async (t) => {
  const { fake, tree, backend, requestsTo } = await startUploading(t)
  const failing = Readable.from(
    (function* () {
      yield CONTENT.subarray(0, PART_BYTES + 1)
      throw new Error('the client has left')
    })()
  )
  await rejectsWith(t, upload(backend, NEW_FILE, failing, { size: LARGE_BYTES }), 'INVALID_REQUEST')
  await until(() => requestsTo('DELETE', /./).length === 1)

  for (const [fault, limits] of [
    [hangs(), PART],
    [respondsWith(503, { retryAfter: 20 }), PART],
    [respondsWith(202, { retryAfter: 20 }), COMMIT]
  ] as const) {
    const controller = new AbortController()
    const reason = new Error('enough')
    fake.failNext(1, fault, limits)
    const before = fake.requests.length
    const work = upload(backend, NEW_FILE, chunkedStream(CONTENT), { signal: controller.signal })
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

t.test('at most one part is buffered while Box is slow', async (t) => {
  const { fake, backend, requestsTo } = await startUploading(t)
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
  await until(() => requestsTo('PUT', /./).some((request) => request.body !== undefined))
  t.ok(given <= PART_BYTES + 4 * 1024 * 1024, `${given} bytes were read from the source`)
  controller.abort(new Error('enough'))
  await work.catch(() => {})
})
