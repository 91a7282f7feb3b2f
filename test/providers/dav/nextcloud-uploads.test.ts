import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import { openSession, uploadPathsOf } from '../../../src/providers/nextcloud/session.ts'
import { readSettings } from '../../../src/providers/nextcloud/settings.ts'
import { uploadFile } from '../../../src/providers/nextcloud/upload.ts'
import { chunkBytesFor } from '../../../src/providers/nextcloud/upload-session.ts'
import { uploadFrom } from '../../../src/providers/shared/upload.ts'
import { openNextcloud } from '../../contract/harness/nextcloud.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, faultScript, resets } from '../../fakes/faults.ts'
import {
  FAKE_APP_PASSWORD,
  FAKE_NEXTCLOUD_LOGIN,
  FAKE_NEXTCLOUD_UID,
  FakeNextcloud
} from '../../fakes/nextcloud/fake-nextcloud.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { until } from '../../support/time/until.ts'

const MIB = 1024 * 1024
const OLD = Buffer.from('the content that was there')
const TARGET = { parentId: null, name: 'a' }

async function start(t: Test) {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  fake.dav.requests.length = 0
  const store = (content: Buffer, options: Partial<UploadCall> = {}, target: UploadTarget = TARGET) =>
    upload(backend, target, chunkedStream(content), options)
  /** The write operations, without the ID of the upload. */
  const writes = () =>
    fake.dav
      .operations()
      .filter((operation) => !operation.startsWith('PROPFIND'))
      .map((operation) => operation.replace(/\/remote\.php\/dav\//, '').replace(/[0-9a-f-]{36}/, 'ID'))
  return { fake, backend, store, writes }
}

t.test('only a new file that fits one chunk is stored by a PUT, which cannot overwrite', async (t) => {
  const { fake, store, writes } = await start(t)
  const stored: boolean[] = []
  await store(OLD, { onStored: (isNew) => stored.push(isNew) })
  t.same(writes(), [`PUT files/${FAKE_NEXTCLOUD_UID}/a`])
  t.equal(fake.dav.requests.find(({ method }) => method === 'PUT')?.headers['if-none-match'], '*')
  fake.dav.requests.length = 0
  await store(Buffer.from('other'), { size: 5, onStored: (isNew) => stored.push(isNew) })
  t.same(writes(), ['MKCOL uploads/u-1234/ID/', 'PUT uploads/u-1234/ID/00001', 'MOVE uploads/u-1234/ID/.file'])
  t.equal(fake.tree.read('a').toString(), 'other')
  t.same(stored, [true, false])
})

t.test('a long upload is sent in chunks of known length, whether its size is known or not', async (t) => {
  for (const size of [undefined, 25 * MIB]) {
    const { fake, store, writes } = await start(t)
    const content = randomBytes(25 * MIB)
    await store(content, size === undefined ? {} : { size })
    t.same(
      writes().map((operation) => operation.split('/').at(-1)),
      ['', '00001', '00002', '00003', '.file']
    )
    t.ok(fake.tree.read('a').equals(content))
    const chunk = fake.dav.requests.find(({ method }) => method === 'PUT')
    t.equal(chunk?.headers['oc-total-length'], size === undefined ? undefined : String(size))
    t.equal(chunk?.headers['content-length'], String(10 * MIB))
  }
})

t.test('a file is emptied by a single PUT', async (t) => {
  const { fake, backend, store, writes } = await start(t)
  fake.tree.put('a', OLD)
  await store(Buffer.alloc(0))
  t.same(writes(), [`PUT files/${FAKE_NEXTCLOUD_UID}/a`])
  t.equal(fake.tree.read('a').length, 0)
  const { version } = await backend.stat('a', callOptions())
  await store(Buffer.alloc(0), { ifMatch: version ?? '' })
  await rejectsWith(t, store(Buffer.alloc(0), { ifMatch: version ?? '' }), 'PRECONDITION_FAILED')
})

t.test('an interrupted upload leaves the old content, no new file, and no chunks', async (t) => {
  for (const bytes of [0, 1, 5 * MIB, 10 * MIB, 12 * MIB, 20 * MIB - 1]) {
    for (const size of [undefined, 20 * MIB]) {
      for (const way of ['error', 'abort'] as const) {
        const { fake, backend } = await start(t)
        fake.tree.put('old', OLD)
        for (const name of ['old', 'new']) {
          const controller = new AbortController()
          const body = new Readable({ read() {} })
          body.push(randomBytes(bytes))
          const options = { signal: controller.signal, ...(size !== undefined && { size }) }
          const work = upload(backend, { parentId: null, name }, body, options)
          await until(() => body.readableLength === 0)
          if (way === 'abort') controller.abort(new Error('the caller has left'))
          else body.destroy(new Error('the client has left'))
          await t.rejects(work)
          await until(() => fake.dav.busy() === 0)
          t.same(fake.tree.list(), ['old'], `${name}, ${bytes}, ${size}, ${way}`)
          t.ok(fake.tree.read('old').equals(OLD))
          t.equal(fake.uploads.open.size, 0)
        }
      }
    }
  }
})

t.test('the server checks conditions when the file is replaced', async (t) => {
  const during = async (change: (fake: FakeNextcloud) => void, options: Partial<UploadCall>, hasFile: boolean) => {
    const { fake, backend } = await start(t)
    if (hasFile) fake.tree.put('a', OLD)
    const version = hasFile ? (await backend.stat('a', callOptions())).version : null
    const body = Readable.from(
      (async function* () {
        yield randomBytes(11 * MIB)
        change(fake)
      })(),
      { objectMode: false }
    )
    const condition = options.ifMatch === undefined ? options : { ifMatch: version ?? '' }
    const result = await upload(backend, TARGET, body, condition).catch((error: unknown) => error)
    t.equal(fake.uploads.open.size, 0)
    return { result, fake }
  }
  const store = (fake: FakeNextcloud): void => void fake.tree.put('a', 'theirs')
  const created = await during(store, { ifNoneMatch: '*' }, false)
  t.match(created.result, { code: 'ALREADY_EXISTS' })
  t.equal(created.fake.tree.read('a').toString(), 'theirs')
  const changed = await during(store, { ifMatch: 'seen' }, true)
  t.match(changed.result, { code: 'PRECONDITION_FAILED' })
  t.equal(changed.fake.tree.read('a').toString(), 'theirs')
  const folder = await during((fake) => void fake.tree.put('a/kept', 'kept'), {}, false)
  t.match(folder.result, { code: 'ALREADY_EXISTS' })
  t.ok(folder.fake.tree.has('a/kept'))
  const kept = await during(() => {}, { ifMatch: 'seen' }, true)
  t.match(kept.result, { size: 11 * MIB })
})

t.test('a small file that another client creates at the same time is replaced only if the call allows', async (t) => {
  for (const [options, code] of [
    [{}, undefined],
    [{ ifNoneMatch: '*' as const }, 'ALREADY_EXISTS']
  ] as const) {
    const { fake, store } = await start(t)
    let puts = 0
    fake.dav.earlyScript = ({ method }) => {
      if (method === 'PUT' && ++puts === 1) fake.tree.put('a', 'theirs')
      return false
    }
    const outcome = await store(Buffer.from('ours'), options).catch((error: unknown) => error)
    t.equal((outcome as { code?: string }).code, code)
    t.equal(fake.tree.read('a').toString(), code === undefined ? 'ours' : 'theirs')
    t.equal(fake.uploads.open.size, 0)
  }
})

t.test('a chunk is sent again after a transient failure, and a permanent failure ends the upload', async (t) => {
  const { fake, store } = await start(t)
  const isChunk = ({ method, path }: { method: string; path: string }) => method === 'PUT' && path.endsWith('/00002')
  const content = randomBytes(25 * MIB)
  for (const fault of [resets(), respondsWith(503), respondsWith(500)]) {
    fake.dav.script = faultScript(fault, { matching: isChunk, times: 2 })
    await store(content)
    t.ok(fake.tree.read('a').equals(content))
  }
  // Six failures of three chunks: more than the allowed number of consecutive failures.
  const seen = new Map<string, number>()
  fake.dav.script = ({ method, path }, response) => {
    const failures = (seen.get(path) ?? 0) + 1
    if (method !== 'PUT' || failures > 2) return false
    seen.set(path, failures)
    response.writeHead(503).end()
    return true
  }
  await store(content)
  t.ok(fake.tree.read('a').equals(content))
  t.equal(seen.size, 3)
  fake.tree.put('a', OLD)
  for (const [status, code] of [
    [507, 'QUOTA_EXCEEDED'],
    [413, 'PAYLOAD_TOO_LARGE'],
    [404, 'PROVIDER_ERROR'],
    [401, 'ACCESS_DENIED']
  ] as const) {
    fake.dav.script = faultScript(respondsWith(status), { matching: isChunk })
    await rejectsWith(t, store(content), code, String(status))
    t.equal(fake.uploads.open.size, 0)
  }
  t.ok(fake.tree.read('a').equals(OLD))
})

t.test('a failed MOVE leaves the old content and no chunks', async (t) => {
  const { fake, store } = await start(t)
  fake.tree.put('a', OLD)
  for (const [fault, code] of [
    [respondsWith(423), 'LOCKED'],
    [respondsWith(507), 'QUOTA_EXCEEDED'],
    [respondsWith(400), 'INVALID_REQUEST'],
    [resets(), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.dav.script = faultScript(fault, { matching: ({ method }) => method === 'MOVE' })
    await rejectsWith(t, store(Buffer.from('new')), code)
    t.equal(fake.uploads.open.size, 0)
    t.ok(fake.tree.read('a').equals(OLD))
  }
})

t.test('a file that another client has changed is not emptied', async (t) => {
  const { fake, backend, store } = await start(t)
  fake.tree.put('a', OLD)
  const ifMatch = (await backend.stat('a', callOptions())).version ?? ''
  fake.dav.earlyScript = ({ method }) => {
    if (method === 'PUT') fake.tree.put('a', 'theirs')
    return false
  }
  await rejectsWith(t, store(Buffer.alloc(0), { ifMatch }), 'PRECONDITION_FAILED')
  t.equal(fake.tree.read('a').toString(), 'theirs')
})

t.test('an upload of unknown size ends with the last chunk that Nextcloud accepts', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const settings = readSettings({
    baseUrl: fake.url,
    username: FAKE_NEXTCLOUD_LOGIN,
    password: FAKE_APP_PASSWORD,
    uid: FAKE_NEXTCLOUD_UID
  })
  const egress = openEgress()
  t.teardown(() => egress.close())
  const server = openSession(settings, { egress, timeouts: TEST_TIMEOUTS })
  const target = { id: 'a', url: server.paths.urlOf('a'), mimeType: undefined }
  const storing = uploadFrom(chunkedStream(randomBytes(21 * MIB)), callOptions(), (source) =>
    uploadFile(server, uploadPathsOf(settings), target, source, callOptions(), { maxChunks: 2 })
  )
  await rejectsWith(t, storing, 'PAYLOAD_TOO_LARGE')
  t.equal(fake.uploads.open.size, 0)
  t.notOk(fake.tree.has('a'))
})

t.test('the chunk size grows with a known size, up to a limit of memory', async (t) => {
  t.equal(chunkBytesFor(undefined), 10 * MIB)
  t.equal(chunkBytesFor(100_000 * MIB), 10 * MIB)
  t.equal(chunkBytesFor(100_001 * MIB), 11 * MIB)
  t.throws(() => chunkBytesFor(650_000 * MIB), { code: 'PAYLOAD_TOO_LARGE' })
})
