import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { StorageErrorCode } from '../../../src/errors.ts'
import { NEW_FILE, startUploading } from '../../contract/harness/google-drive.ts'
import { rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, hangs, resets } from '../../fakes/faults.ts'
import { FakeDrive } from '../../fakes/drive/fake-drive.ts'
import { until } from '../../support/time/until.ts'

const MIB = 1024 * 1024
const CHUNK = { method: 'PUT' }

t.test('bytes of a chunk that Google has stored are not sent again, and the rest is', async (t) => {
  const { fake, uploadAndVerify, ranges } = await startUploading(t)
  fake.knobs.storedChunkBytes.push(3 * MIB, 0, MIB, 8 * MIB, 256 * 1024)
  await uploadAndVerify(randomBytes(9 * MIB + 1))
  t.same(ranges(), [
    `bytes 0-${8 * MIB - 1}/*`,
    `bytes ${3 * MIB}-${8 * MIB - 1}/*`,
    `bytes ${3 * MIB}-${8 * MIB - 1}/*`,
    `bytes ${4 * MIB}-${8 * MIB - 1}/*`,
    `bytes ${8 * MIB}-${9 * MIB}/${9 * MIB + 1}`,
    `bytes ${8 * MIB + 256 * 1024}-${9 * MIB}/${9 * MIB + 1}`
  ])
})

t.test('an upload survives transient failures of any of its chunks', async (t) => {
  const content = randomBytes(9 * MIB)
  const faults = {
    '503': respondsWith(503),
    '500': respondsWith(500),
    '429': respondsWith(429, { retryAfter: 0 }),
    throttle: { reason: 'userRateLimitExceeded' },
    backendError: { reason: 'backendError' },
    reset: resets(),
    page: respondsWith(200, { body: '<html>' })
  }
  const outlives = async (name: string, fault: (typeof faults)[keyof typeof faults], early: boolean) => {
    const { fake, uploadAndVerify, ranges } = await startUploading(t)
    for (const after of [0, 1]) {
      fake.failNext(1, fault, { ...CHUNK, after, early })
      await uploadAndVerify(content, {}, { parentId: null, name: `${name} ${after}` })
    }
    if (early) return
    t.ok(ranges().includes('bytes */*'), `${name}: the offset is requested`)
    t.ok(ranges().includes(`bytes */${9 * MIB}`), `${name}: the state of the last chunk is requested`)
  }
  await Promise.all(Object.entries(faults).map(([name, fault]) => outlives(name, fault, false)))
  await Promise.all([outlives('early 503', faults['503'], true), outlives('early reset', faults.reset, true)])
})

t.test('a long rate limit ends an upload at once', async (t) => {
  const { fake, backend, chunks } = await startUploading(t)
  fake.failNext(Infinity, { reason: 'dailyLimitExceeded' }, CHUNK)
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(randomBytes(10))), 'PROVIDER_THROTTLED')
  t.equal(chunks().length, 1)
})

t.test('after a lost last response the state of the session is requested', async (t) => {
  const { fake, backend, tree, ranges } = await startUploading(t)
  fake.knobs.repeatsCompletedUploads = true
  const put = fake.uploads.put.bind(fake.uploads)
  let lost = 0
  fake.uploads.put = (request, response) => {
    const answer = put(request, response)
    if (answer === undefined || lost++ > 0) return answer
    response.socket?.destroy()
    return undefined
  }
  const entry = await upload(backend, NEW_FILE, Readable.from(['once']))
  t.equal(tree.read(entry.id).toString(), 'once')
  t.same(ranges(), ['bytes 0-3/4', 'bytes */4'])
  t.equal(tree.children().length, 1)
})

t.test('an upload fails when Google accepts no more data', async (t) => {
  const ends = async (fault: Parameters<FakeDrive['failNext']>[1], code: StorageErrorCode) => {
    const { fake, backend, tree, chunks } = await startUploading(t)
    fake.failNext(100, fault, CHUNK)
    const body = chunkedStream(randomBytes(9 * MIB))
    await rejectsWith(t, upload(backend, NEW_FILE, body), code)
    t.equal(body.destroyed, true)
    t.ok(chunks().length <= 8, `${chunks().length} attempts`)
    t.same(tree.children(), [])
    await until(() => fake.uploads.open === 0)
  }
  await Promise.all([
    ends(respondsWith(503), 'PROVIDER_UNAVAILABLE'),
    ends(respondsWith(308), 'PROVIDER_UNAVAILABLE'),
    ends(resets(), 'PROVIDER_UNAVAILABLE'),
    ends({ reason: 'rateLimitExceeded' }, 'PROVIDER_THROTTLED'),
    ends(respondsWith(429, { retryAfter: 3600 }), 'PROVIDER_THROTTLED'),
    ends({ reason: 'storageQuotaExceeded' }, 'QUOTA_EXCEEDED'),
    ends({ reason: 'notFound' }, 'PROVIDER_UNAVAILABLE'),
    ends(respondsWith(410), 'PROVIDER_UNAVAILABLE'),
    ends(respondsWith(308, { headers: { range: 'bytes=0-99999999' } }), 'PROVIDER_ERROR'),
    ends(respondsWith(308, { headers: { range: 'bytes 0-1' } }), 'PROVIDER_ERROR'),
    ends(respondsWith(200, { body: '{"id": "1"}' }), 'PROVIDER_ERROR')
  ])
})

t.test('a response with another size or without an id fails the upload', async (t) => {
  const { fake, backend } = await startUploading(t)
  for (const body of [
    '{}',
    '{"id": "1", "name": "x", "mimeType": "text/plain", "size": "2"}',
    '{"id": "1"}',
    '[]',
    'null'
  ]) {
    fake.failNext(1, respondsWith(200, { body }), CHUNK)
    await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'PROVIDER_ERROR', body)
  }
})

t.test('a session URL outside of the API is refused and not requested', async (t) => {
  const other = await FakeDrive.start(t)
  const { fake, backend, chunks } = await startUploading(t)
  const user = fake.url.replace('//', '//user:password@')
  for (const location of [
    `${other.url}/upload/x`,
    'https://example.com/',
    `${user}/upload`,
    '/upload/x',
    'nowhere',
    ''
  ]) {
    fake.failNext(1, respondsWith(200, { headers: { location } }), { method: 'POST' })
    await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'PROVIDER_ERROR', location)
  }
  fake.failNext(1, respondsWith(200), { method: 'POST' })
  await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'PROVIDER_ERROR', 'no session URL')
  t.equal(other.requests.length, 0)
  t.equal(chunks().length, 0)
})

t.test('a failing source and an abort cancel the session', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const failing = Readable.from(
    (function* () {
      yield randomBytes(9 * MIB)
      throw new Error('the client has left')
    })()
  )
  await rejectsWith(t, upload(backend, NEW_FILE, failing), 'INVALID_REQUEST')
  await until(() => fake.uploads.open === 0)
  t.match(fake.requests.at(-1), { method: 'DELETE' })
  t.equal(fake.requests.at(-1)?.headers['authorization'], undefined)

  for (const fault of [hangs(), respondsWith(503, { retryAfter: 20 })]) {
    const controller = new AbortController()
    const reason = new Error('enough')
    fake.failNext(1, fault, CHUNK)
    const before = fake.requests.length
    const work = upload(backend, NEW_FILE, chunkedStream(randomBytes(MIB)), { signal: controller.signal })
    await until(() => fake.requests.slice(before).some(({ method, body }) => method === 'PUT' && body !== undefined))
    controller.abort(reason)
    t.equal(await work.catch((error: unknown) => error), reason)
    await until(() => fake.uploads.open === 0)
  }
  t.same(tree.children(), [])
})

t.test('at most one chunk is buffered while Google is slow', async (t) => {
  const { fake, backend } = await startUploading(t)
  let given = 0
  const body = new Readable({
    highWaterMark: 64 * 1024,
    read() {
      given += MIB
      this.push(given > 64 * MIB ? null : Buffer.alloc(MIB))
    }
  })
  const controller = new AbortController()
  fake.failNext(1, hangs(), CHUNK)
  const work = upload(backend, NEW_FILE, body, { signal: controller.signal })
  await until(() => fake.requests.some(({ method, body }) => method === 'PUT' && body !== undefined))
  t.ok(given <= 12 * MIB, `${given} bytes were read from the source`)
  controller.abort(new Error('enough'))
  await work.catch(() => {})
})
