import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { StorageErrorCode } from '../../../src/errors.ts'
import type { AccessTokens } from '../../../src/core/oauth.ts'
import { Secret } from '../../../src/core/secret.ts'
import { VALID_TOKENS, uploadArgs, NEW_FILE, openDropbox, startDropbox } from '../../contract/harness/dropbox.ts'
import { rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, type DavFault, hangs, resets } from '../../fakes/faults.ts'
import { FAKE_DROPBOX_TOKEN, FakeDropbox } from '../../fakes/dropbox/fake-dropbox.ts'
import { until } from '../../support/time/until.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { contentHash } from '../../fakes/dropbox/hash.ts'
import { useManualTimers } from '../../support/time/manual-timers.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

const MIB = 1024 * 1024
const START = { path: '/2/files/upload_session/start' }
const APPEND = { path: '/2/files/upload_session/append_v2' }
const FINISH = { path: '/2/files/upload_session/finish' }
const UPLOAD = { path: '/2/files/upload' }
const BUSY = { '.tag': 'too_many_write_operations' }
const wrongOffset = (correct_offset: unknown) => ({ '.tag': 'incorrect_offset', correct_offset })

t.test('an upload survives transient failures of any of its calls', async (t) => {
  const faults = {
    '503': respondsWith(503),
    '500': respondsWith(500),
    '429': respondsWith(429, { retryAfter: 0 }),
    throttle: { status: 409, error: BUSY },
    'throttle of a path': { status: 409, error: { '.tag': 'path', path: BUSY } },
    damaged: { status: 409, error: { '.tag': 'content_hash_mismatch' } },
    reset: resets(),
    page: respondsWith(200, { body: '<html>' })
  }
  await Promise.all(
    Object.entries(faults).map(async ([name, fault]) => {
      const { fake, tree, uploadAndVerify } = await startDropbox(t)
      for (const [index, at] of [START, APPEND, FINISH, UPLOAD].entries()) {
        fake.failNext(1, fault, at)
        const content = randomBytes(at === UPLOAD ? 100 : 9 * MIB)
        await uploadAndVerify(content, {}, { parentId: null, name: `${name} ${index}` })
      }
      t.equal(tree.children().length, 4, name)
    })
  )
})

t.test('after a lost response the file is looked up, and nothing is stored twice', async (t) => {
  const small = Buffer.from('once')
  const large = randomBytes(17 * MIB)
  for (const [knob, content, expected] of [
    ['lostUploadResponses', small, ['upload', 'get_metadata']],
    ['lostFinishResponses', large, ['start', 'append_v2', 'append_v2', 'finish', 'get_metadata']],
    ['lostAppendResponses', large, ['start', 'append_v2', 'append_v2', 'append_v2', 'finish']]
  ] as const) {
    for (const condition of [{}, { ifNoneMatch: '*' }] as const) {
      const { fake, tree, uploadAndVerify, operations } = await startDropbox(t)
      fake.knobs[knob] = 1
      const entry = await uploadAndVerify(content, condition)
      t.same(
        operations().map((each) => each.replace('upload_session/', '')),
        [...('ifNoneMatch' in condition ? ['get_metadata'] : []), ...expected],
        knob
      )
      t.equal(tree.children().length, 1)
      t.equal(entry.version, tree.get(entry.id).rev)
    }
    const { fake, tree, uploadAndVerify } = await startDropbox(t)
    const file = tree.addFile({ name: 'a', content: 'old' })
    fake.knobs[knob] = 1
    const entry = await uploadAndVerify(content, { ifMatch: file.rev }, { id: file.id })
    t.equal(entry.version, file.rev)
  }
})

t.test('after a lost response a missing or different file is not reported as success', async (t) => {
  const { fake, tree, backend, uploadAndVerify, operations } = await startDropbox(t)
  fake.failNext(1, resets(), UPLOAD)
  await uploadAndVerify(Buffer.from('again'))
  t.same(operations(), ['upload', 'get_metadata', 'upload'])
  const file = tree.addFile({ name: 'a', content: 'same' })
  fake.failNext(1, resets(), UPLOAD)
  const ifMatch = file.rev
  const entry = await uploadAndVerify(Buffer.from('same'), { ifMatch }, { id: file.id })
  t.not(entry.version, ifMatch, 'the previous version has the same content')
  fake.failNext(
    1,
    (_request, response) => {
      tree.addFile({ name: 'other', content: 'somebody else’s' })
      response.socket?.destroy()
    },
    UPLOAD
  )
  const target = { parentId: null, name: 'other' }
  await rejectsWith(t, upload(backend, target, Readable.from(['mine']), { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
})

t.test('a file that was stored after the lookup is found when the second attempt is refused', async (t) => {
  const { fake, tree, backend, operations } = await startDropbox(t)
  fake.failNext(1, resets(), UPLOAD)
  fake.failNext(0, () => {}, {
    // Applies to the requests that the previous reset has let through.
    matching: ({ path }) => {
      const isThere = tree.child(tree.root, 'new.bin') !== undefined
      if (path === UPLOAD.path && !isThere) tree.addFile({ name: 'new.bin', content: 'late' })
      return false
    }
  })
  const entry = await upload(backend, NEW_FILE, Readable.from(['late']), { ifNoneMatch: '*' })
  t.equal(entry.id, tree.child(tree.root, 'new.bin')?.id)
  t.same(operations(), ['get_metadata', 'upload', 'get_metadata', 'upload', 'get_metadata'])
})

t.test('a session continues at the offset that Dropbox reports', async (t) => {
  const { fake, uploadAndVerify, newRequests } = await startDropbox(t)
  const append = fake.uploads.append.bind(fake.uploads)
  let isFirst = true
  fake.uploads.append = (call) => {
    if (!isFirst) {
      append(call)
      return
    }
    isFirst = false
    // Stores three of eight MiB.
    Object.defineProperty(call, 'body', { value: call.body.subarray(0, 3 * MIB) })
    append(call)
    call.response.socket?.destroy()
  }
  await uploadAndVerify(randomBytes(9 * MIB))
  const appends = newRequests().filter(({ path }) => path === APPEND.path)
  t.same(
    appends.map((request) => [uploadArgs([request])[0]?.cursor?.offset, request.headers['content-length']]),
    [
      [0, String(8 * MIB)],
      [0, String(8 * MIB)],
      [3 * MIB, String(5 * MIB)]
    ]
  )
})

t.test('bytes that a failed finish has stored in its session are not sent again', async (t) => {
  const { fake, uploadAndVerify, newRequests } = await startDropbox(t)
  const finish = fake.uploads.finish.bind(fake.uploads)
  let isFirst = true
  fake.uploads.finish = (call) => {
    const { quotaBytes } = fake.knobs
    if (isFirst) fake.knobs.quotaBytes = 0
    try {
      return finish(call)
    } catch (error) {
      // Dropbox stores the content even if it is too busy to create the file.
      if (isFirst) Object.assign(error as object, { error: { status: 409, error: BUSY } })
      throw error
    } finally {
      isFirst = false
      fake.knobs.quotaBytes = quotaBytes
    }
  }
  await uploadAndVerify(randomBytes(9 * MIB))
  const lengths = newRequests()
    .filter(({ path }) => path === FINISH.path)
    .map(({ headers }) => headers['content-length'])
  t.same(lengths, [String(MIB), String(MIB), '0'])
})

t.test('an upload fails when Dropbox accepts no more data', async (t) => {
  const ends = async (
    at: { path: string },
    fault: Parameters<FakeDropbox['failNext']>[1],
    code: StorageErrorCode,
    most = 6
  ) => {
    const { fake, backend, tree } = await startDropbox(t)
    fake.failNext(100, fault, at)
    const body = chunkedStream(randomBytes(at === UPLOAD ? 10 : 9 * MIB))
    await rejectsWith(t, upload(backend, NEW_FILE, body), code, at.path)
    t.equal(body.destroyed, true)
    const tries = fake.requests.filter(({ path }) => path === at.path).length
    t.ok(tries <= most, `${tries} attempts`)
    t.same(tree.children(), [])
    await until(() => fake.busy() === 0)
  }
  const refusal = (error: object) => ({ status: 409, error })
  const lookup = (lookup_failed: object) => refusal({ '.tag': 'lookup_failed', lookup_failed })
  await Promise.all([
    ...[START, APPEND, FINISH, UPLOAD].map((at) => ends(at, respondsWith(503), 'PROVIDER_UNAVAILABLE')),
    ...[START, APPEND, FINISH, UPLOAD].map((at) =>
      ends(at, respondsWith(429, { retryAfter: 3600 }), 'PROVIDER_THROTTLED', 1)
    ),
    ...[START, APPEND, FINISH, UPLOAD].map((at) => ends(at, respondsWith(400), 'PROVIDER_ERROR', 1)),
    ends(START, respondsWith(200, { body: '{}' }), 'PROVIDER_ERROR', 1),
    ends(START, respondsWith(200, { body: '{"session_id": 5}' }), 'PROVIDER_ERROR', 1),
    ends(APPEND, refusal({ '.tag': 'not_found' }), 'PROVIDER_UNAVAILABLE'),
    ends(APPEND, refusal({ '.tag': 'closed' }), 'PROVIDER_UNAVAILABLE'),
    ends(APPEND, refusal({ '.tag': 'payload_too_large' }), 'PAYLOAD_TOO_LARGE', 1),
    ends(APPEND, refusal(wrongOffset(0)), 'PROVIDER_UNAVAILABLE'),
    ends(APPEND, refusal(wrongOffset(9 * MIB)), 'PROVIDER_ERROR', 1),
    ends(APPEND, refusal(wrongOffset(-1)), 'PROVIDER_ERROR', 1),
    ends(APPEND, refusal(wrongOffset('0')), 'PROVIDER_ERROR', 1),
    ends(FINISH, lookup(wrongOffset(8 * MIB)), 'PROVIDER_UNAVAILABLE'),
    ends(FINISH, lookup(wrongOffset(3 * MIB)), 'PROVIDER_ERROR', 1),
    ends(FINISH, lookup(wrongOffset(10 * MIB)), 'PROVIDER_ERROR', 1),
    ends(FINISH, lookup({ '.tag': 'not_found' }), 'PROVIDER_UNAVAILABLE'),
    ends(UPLOAD, refusal(wrongOffset(0)), 'PROVIDER_ERROR', 1)
  ])
})

t.test('an upload whose response does not match the content fails', async (t) => {
  const { fake, backend } = await startDropbox(t)
  const hash = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881'
  const facts = { id: 'id:x', name: 'new.bin', rev: '0123456789', size: 1, content_hash: hash }
  for (const changes of [
    { id: undefined },
    { name: 'new (1).bin' },
    { size: 2 },
    { size: undefined },
    { content_hash: hash.replace('2', '3') },
    { content_hash: undefined }
  ]) {
    const body = JSON.stringify({ ...facts, ...changes })
    fake.failNext(1, respondsWith(200, { body }), UPLOAD)
    await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'PROVIDER_ERROR', JSON.stringify(changes))
  }
  for (const body of ['{}', '[]', 'null', '"text"']) {
    fake.failNext(1, respondsWith(200, { body }), UPLOAD)
    await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'PROVIDER_ERROR', body)
  }
})

t.test('a token that expires during an upload is refreshed', async (t) => {
  const fake = await FakeDropbox.start(t)
  let renewals = 0
  const tokens: AccessTokens = {
    current: async () => new Secret(renewals % 2 === 0 ? 'sl.old' : FAKE_DROPBOX_TOKEN),
    renewed: async () => {
      renewals++
      return new Secret(FAKE_DROPBOX_TOKEN)
    }
  }
  const { backend } = await openDropbox(t, fake, tokens)
  for (const size of [5, 9 * MIB]) {
    renewals = 0
    const content = randomBytes(size)
    fake.failNext(0, () => {}, {
      matching: ({ path }) => {
        if (path === APPEND.path && renewals === 1) renewals = 2
        return false
      }
    })
    const { id } = await upload(backend, { parentId: null, name: `${size}` }, chunkedStream(content))
    t.ok(fake.tree.read(id).equals(content))
    t.ok(renewals > 0)
  }
})

t.test('an expired session ends the upload', async (t) => {
  const { fake, backend, tree } = await startDropbox(t)
  fake.failNext(0, () => {}, {
    matching: ({ path }) => {
      if (path === FINISH.path) fake.expireUploadSessions()
      return false
    }
  })
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(randomBytes(9 * MIB))), 'PROVIDER_UNAVAILABLE')
  t.same(tree.children(), [])
})

t.test('aborting ends the upload at once', async (t) => {
  const { fake, backend, tree } = await startDropbox(t)
  for (const [at, fault] of [
    [APPEND, hangs()],
    [FINISH, respondsWith(503, { retryAfter: 20 })],
    [UPLOAD, hangs()],
    [UPLOAD, respondsWith(429, { retryAfter: 20 })]
  ] as const) {
    const controller = new AbortController()
    const reason = new Error('enough')
    fake.failNext(1, fault, at)
    const before = fake.requests.length
    const content = randomBytes(at === UPLOAD ? 10 : 9 * MIB)
    const work = upload(backend, NEW_FILE, chunkedStream(content), { signal: controller.signal })
    await until(() => fake.requests.slice(before).some(({ path, body }) => path === at.path && body !== undefined))
    controller.abort(reason)
    t.equal(await work.catch((error: unknown) => error), reason)
    await until(() => fake.busy() === 0)
  }
  t.same(tree.children(), [])
})

t.test('at most one chunk is buffered while Dropbox is slow', async (t) => {
  const { fake, backend } = await startDropbox(t)
  let given = 0
  const body = new Readable({
    highWaterMark: 64 * 1024,
    read() {
      given += MIB
      this.push(given > 64 * MIB ? null : Buffer.alloc(MIB))
    }
  })
  const controller = new AbortController()
  fake.failNext(1, hangs(), APPEND)
  const work = upload(backend, NEW_FILE, body, { signal: controller.signal })
  await until(() => fake.requests.some(({ path, body }) => path === APPEND.path && body !== undefined))
  t.ok(given <= 12 * MIB, `${given} bytes were read from the source`)
  controller.abort(new Error('enough'))
  await work.catch(() => {})
})

const UNKNOWN_REV = '0123456789abcdef'

t.test('an existing file is not mistaken for the result of a conditional upload', async (t) => {
  const large = randomBytes(9 * MIB)
  for (const [content, at] of [
    [Buffer.from('locked'), UPLOAD],
    [large, FINISH]
  ] as const) {
    for (const fault of [respondsWith(503), respondsWith(500), resets()]) {
      const { fake, tree, backend, operations } = await startDropbox(t)
      const { id, rev } = tree.addFile({ name: 'lock', content })
      for (const [condition, code] of [
        [{ ifNoneMatch: '*' }, 'ALREADY_EXISTS'],
        [{ ifMatch: UNKNOWN_REV }, 'PRECONDITION_FAILED']
      ] as const) {
        for (const target of [{ parentId: null, name: 'lock' }, { parentId: null, name: 'LOCK' }, { id }]) {
          fake.failNext(1, fault, at)
          await rejectsWith(
            t,
            upload(backend, target, chunkedStream(content), condition),
            code,
            JSON.stringify(condition)
          )
        }
      }
      t.ok(
        operations().every((each) => each === 'get_metadata'),
        'no upload that would be refused is sent'
      )
      t.equal(tree.get(id).rev, rev)
    }
  }
})

t.test('an expired token does not turn a failed condition into success', async (t) => {
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

t.test('a condition on a name is checked first, whatever has that name', async (t) => {
  const { tree, backend, uploadAndVerify, operations } = await startDropbox(t)
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
  await uploadAndVerify(Buffer.from('new'), { ifMatch: rev }, { parentId: folder.id, name: 'file' })
  t.same(operations(), ['get_metadata', 'get_metadata', 'upload'])
})

t.test('the previous version is not mistaken for the uploaded one', async (t) => {
  const { fake, tree, uploadAndVerify, operations } = await startDropbox(t)
  const { id, rev } = tree.addFile({ name: 'a', content: 'same' })
  fake.failNext(1, resets(), UPLOAD)
  await uploadAndVerify(Buffer.from('same'), {}, { id })
  t.same(operations(), ['get_metadata', 'upload', 'get_metadata', 'upload'])
  t.equal(tree.get(id).rev, rev, 'Dropbox creates no new revision')
})

t.test('no lookup is made when it is certain that nothing was stored', async (t) => {
  const damaged = { status: 409, error: { '.tag': 'content_hash_mismatch' } }
  const forgotten = { status: 409, error: { '.tag': 'lookup_failed', lookup_failed: { '.tag': 'not_found' } } }
  for (const [fault, at, size] of [
    [damaged, UPLOAD, 10],
    [respondsWith(429, { retryAfter: 0 }), UPLOAD, 10],
    [damaged, FINISH, 9 * MIB],
    [forgotten, FINISH, 9 * MIB]
  ] as const) {
    const { fake, uploadAndVerify, operations } = await startDropbox(t)
    fake.failNext(1, fault, at)
    await uploadAndVerify(randomBytes(size))
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

t.test('a session that is forgotten after a lost response may have become the file', async (t) => {
  const { fake, uploadAndVerify, operations } = await startDropbox(t)
  fake.knobs.keepsFinishedSessions = false
  fake.knobs.lostFinishResponses = 1
  // The lookup that would find it fails, so Dropbox is called again.
  fake.failNext(1, respondsWith(503), { path: '/2/files/get_metadata' })
  await uploadAndVerify(randomBytes(9 * MIB))
  t.same(operations().slice(-3), ['upload_session/finish', 'get_metadata', 'get_metadata'])
})

t.test('a call that creates a file has a longer timeout', async (t) => {
  const fake = await FakeDropbox.start(t)
  const tick = useManualTimers(t)
  const headersMs = 300
  const egress = openEgress({ timeouts: { headersMs } })
  const { backend } = await openDropbox(t, fake, VALID_TOKENS, egress, { ...TEST_TIMEOUTS, headersMs })
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
    t.match(await upload(backend, NEW_FILE, chunkedStream(content)), { id: 'id:x' })
    const lengths = fake.requests.filter(({ path }) => path === at.path).map(({ headers }) => headers['content-length'])
    t.same(lengths, at === UPLOAD ? ['0'] : [String(MIB), '0'], 'one request')
  }
})
