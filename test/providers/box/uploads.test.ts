import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import { bareId, LARGE_BYTES, NEW_FILE, openBox, startUploading } from '../../contract/harness/box.ts'
import { callOptions, find, rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith } from '../../fakes/faults.ts'
import { FAKE_BOX_TOKEN } from '../../fakes/box/fake-box.ts'

const MIB = 1024 * 1024
const POST = { method: 'POST', host: 'upload' }

t.test('a small file is uploaded in one call with its digest, after a preflight check', async (t) => {
  const { fake, uploadAndVerify } = await startUploading(t)
  const content = randomBytes(4 * MIB)
  const entry = await uploadAndVerify(content)
  t.match(entry, { size: 4 * MIB, parentId: 'folder:0', mimeType: null, version: '0', can: { download: true } })
  t.same(fake.operations(), ['OPTIONS /2.0/files/content', 'POST /api/2.0/files/content'])
  const [checked, sent] = fake.requests
  t.same(JSON.parse(String(checked?.body)), { name: 'new.bin', parent: { id: '0' } })
  t.equal(sent?.headers['content-md5'], createHash('sha1').update(content).digest('hex'))
  t.equal(sent?.headers['content-length'], String(sent?.body?.length))
  for (const { headers } of fake.requests) t.equal(headers['authorization'], `Bearer ${FAKE_BOX_TOKEN}`)
})

t.test('a larger file is streamed with its declared or spooled length', async (t) => {
  const { fake, requestsTo, uploadAndVerify } = await startUploading(t)
  for (const [name, options] of [
    ['told', { size: 9 * MIB }],
    ['not told', {}]
  ] as const) {
    await uploadAndVerify(randomBytes(9 * MIB), options, { parentId: null, name })
    const sent = requestsTo('POST', /./).at(-1)
    t.equal(sent?.headers['content-length'], String(sent?.body?.length), name)
    t.equal(sent?.headers['content-md5'], undefined, 'the digest is not known in advance')
  }
  t.equal(JSON.parse(String(fake.requests[0]?.body)).size, 9 * MIB, 'the preflight check has the known size')
})

t.test('files of at least 20,000,000 bytes are uploaded in parts of the size that Box requests', async (t) => {
  const { fake, requestsTo, uploadAndVerify, ranges } = await startUploading(t)
  await uploadAndVerify(randomBytes(LARGE_BYTES - 1), { size: LARGE_BYTES - 1 }, { parentId: null, name: 'whole' })
  t.same(ranges(), [])
  fake.knobs.partSize = 7_000_000
  const content = randomBytes(LARGE_BYTES)
  const entry = await uploadAndVerify(content)
  t.same(ranges(), ['bytes 0-6999999/20000000', 'bytes 7000000-13999999/20000000', 'bytes 14000000-19999999/20000000'])
  for (const { headers, body = Buffer.alloc(0) } of requestsTo('PUT', /./)) {
    t.equal(headers['digest'], `sha=${createHash('sha1').update(body).digest('base64')}`)
    t.equal(headers['content-length'], String(body.length))
    t.equal(headers['authorization'], `Bearer ${FAKE_BOX_TOKEN}`)
  }
  const [commit] = requestsTo('POST', /commit$/)
  t.equal(commit?.headers['digest'], `sha=${createHash('sha1').update(content).digest('base64')}`)
  t.match(entry, { size: LARGE_BYTES, can: { download: true, write: true } }, 'like any entry')
})

t.test('an existing name, in any case, is uploaded as a new version of its file', async (t) => {
  const { fake, tree, requestsTo, uploadAndVerify } = await startUploading(t)
  const name = `it's "5" \u{1f4be} é.txt`
  const first = await uploadAndVerify(Buffer.from('first'), {}, { parentId: null, name })
  const second = await uploadAndVerify(Buffer.from('second'), {}, { parentId: null, name: name.toUpperCase() })
  t.match(second, { id: first.id, name })
  t.not(second.version, first.version)
  const third = await uploadAndVerify(randomBytes(LARGE_BYTES), {}, { parentId: null, name })
  t.match(third, { id: first.id, name })
  t.equal(tree.get(bareId(first.id), 'file').version?.number, 3)
  for (const { headers } of requestsTo('POST', /./)) t.equal(headers['if-match'], undefined)
  fake.failNext(1, conflictWith([{ type: 'file', id: bareId(first.id), name, etag: '1' }]), { method: 'OPTIONS' })
  t.equal(
    (await uploadAndVerify(Buffer.from('fourth'), {}, { parentId: null, name })).id,
    first.id,
    'in a list of conflicts'
  )
})

const conflictWith = (conflicts: unknown) => ({ code: 'item_name_in_use', contextInfo: { conflicts } })

t.test('the name of a folder or a link is already taken', async (t) => {
  const { tree, backend, requestsTo } = await startUploading(t)
  tree.addFolder({ name: 'folder' })
  const link = tree.addWebLink({ name: 'link', url: 'https://example.org/' })
  const over = (name: string, options: Partial<UploadCall> = {}) =>
    upload(backend, { parentId: null, name }, Readable.from(['x']), options)
  for (const name of ['folder', 'Folder', 'link']) {
    await rejectsWith(t, over(name), 'ALREADY_EXISTS', name)
    await rejectsWith(t, over(name, { ifNoneMatch: '*' }), 'ALREADY_EXISTS', name)
    await rejectsWith(t, over(name, { ifMatch: '0' }), 'PRECONDITION_FAILED', name)
  }
  const overLink = (options: Partial<UploadCall>) =>
    upload(backend, { id: `link:${link.id}` }, Readable.from(['x']), options)
  await rejectsWith(t, overLink({}), 'UNSUPPORTED')
  await rejectsWith(t, overLink({ ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(t, overLink({ ifMatch: '0' }), 'PRECONDITION_FAILED', 'a link has no version')
  t.equal(requestsTo('POST', /./).length, 0)
})

t.test('If-Match is checked when a file is replaced, by its id and by its name', async (t) => {
  const { tree, backend, requestsTo, uploadAndVerify } = await startUploading(t)
  const { id } = tree.addFile({ name: 'a', content: 'a' })
  const named = { parentId: null, name: 'a' }
  for (const [target, content] of [
    [named, Buffer.from('small')],
    [{ id: `file:${id}` }, Buffer.from('small')],
    [named, randomBytes(LARGE_BYTES)]
  ] as const) {
    const { version } = await backend.stat(`file:${id}`, callOptions())
    const ifMatch = version ?? ''
    const { length } = requestsTo('POST', /./)
    const replaced = await uploadAndVerify(content, { ifMatch }, target)
    const sent = requestsTo('POST', /./)
      .slice(length)
      .map(({ headers }) => headers['if-match'])
    t.equal(sent.at(-1), ifMatch, 'Box compares the version')
    t.not(replaced.version, ifMatch)
    await rejectsWith(t, upload(backend, target, chunkedStream(content), { ifMatch }), 'PRECONDITION_FAILED')
  }
  const nowhere = { parentId: null, name: 'nowhere' }
  await rejectsWith(t, upload(backend, nowhere, Readable.from(['x']), { ifMatch: '0' }), 'PRECONDITION_FAILED')
  const over = upload(backend, { id: `file:${id}` }, Readable.from(['x']), { ifNoneMatch: '*' })
  await rejectsWith(t, over, 'ALREADY_EXISTS')
})

t.test('a version that changes at the last moment is not overwritten', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const file = tree.addFile({ name: 'a', content: 'a' })
  for (const content of [Buffer.from('small'), randomBytes(9 * MIB), randomBytes(LARGE_BYTES)]) {
    const ifMatch = String(file.etag)
    let isOvertaken = false
    const matching = ({ method, path }: { method: string; path: string }) => {
      if (!isOvertaken && method === 'POST' && /content$|commit$/.test(path)) tree.write(file, 'theirs')
      isOvertaken ||= method === 'POST' && /content$|commit$/.test(path)
      return false
    }
    fake.failNext(0, () => {}, { matching })
    const work = upload(backend, { id: `file:${file.id}` }, chunkedStream(content), { ifMatch })
    await rejectsWith(t, work, 'PRECONDITION_FAILED')
    t.equal(tree.read(file).toString(), 'theirs')
  }
})

t.test('of two concurrent uploads of one name the later one creates a version or fails', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const overtaken = async (name: string, content: Buffer, options: Partial<UploadCall> = {}) => {
    let isMade = false
    const matching = ({ host }: { host: string }) => {
      if (host === 'upload' && !isMade) tree.addFile({ name, content: 'theirs' })
      isMade ||= host === 'upload'
      return false
    }
    fake.failNext(0, () => {}, { matching })
    return upload(backend, { parentId: null, name }, chunkedStream(content), options)
  }
  const entry = await overtaken('held', Buffer.from('ours'))
  t.equal(tree.read(bareId(entry.id)).toString(), 'ours')
  t.equal(tree.get(bareId(entry.id), 'file').version?.number, 2)
  await rejectsWith(t, overtaken('new', Buffer.from('ours'), { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(t, overtaken('streamed', randomBytes(9 * MIB)), 'ALREADY_EXISTS', 'a stream cannot be sent again')
  await rejectsWith(t, overtaken('in parts', randomBytes(LARGE_BYTES)), 'ALREADY_EXISTS')
  for (const name of ['new', 'streamed', 'in parts']) t.equal((await find(backend, name)).size, 6, name)
  fake.failNext(1, { code: 'name_temporarily_reserved' }, POST)
  await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'LOCKED')
})

t.test('an upload that Box would refuse fails before the body is sent, with the reason', async (t) => {
  const { fake, tree, backend, requestsTo } = await startUploading(t)
  const put = (target: UploadTarget, options: Partial<UploadCall> = {}) =>
    upload(backend, target, Readable.from(['four']), options)
  fake.knobs.quotaBytes = 3
  await rejectsWith(t, put(NEW_FILE, { size: 4 }), 'QUOTA_EXCEEDED')
  fake.knobs.quotaBytes = undefined
  fake.knobs.maxUploadBytes = 3
  await rejectsWith(t, put(NEW_FILE, { size: 4 }), 'PAYLOAD_TOO_LARGE')
  fake.knobs.maxUploadBytes = 100
  const kept = tree.addFolder({ name: 'kept', permissions: { can_upload: false } })
  await rejectsWith(t, put({ parentId: `folder:${kept.id}`, name: 'x' }), 'ACCESS_DENIED')
  const trashed = tree.addFolder({ name: 'trashed' })
  tree.trash(trashed)
  const file = tree.addFile({ name: 'file' })
  const link = tree.addWebLink({ name: 'link', url: 'https://example.org/' })
  for (const parentId of [`folder:${trashed.id}`, `folder:${tree.newId()}`, `file:${file.id}`, `link:${link.id}`]) {
    await rejectsWith(t, put({ parentId, name: 'x' }), 'FOLDER_NOT_FOUND', parentId)
  }
  for (const name of ['a\\b', ' a', 'a ', 'x'.repeat(256)]) {
    await rejectsWith(t, put({ parentId: null, name }), 'INVALID_REQUEST', name)
  }
  await rejectsWith(t, put({ id: 'folder:0' }), 'INVALID_REQUEST')
  await rejectsWith(t, put({ id: `link:${link.id}` }), 'UNSUPPORTED')
  await rejectsWith(t, put({ id: `link:${tree.newId()}` }), 'OBJECT_NOT_FOUND')
  await rejectsWith(t, put({ id: `file:${tree.newId()}` }), 'OBJECT_NOT_FOUND')
  await rejectsWith(t, put({ ...NEW_FILE, mimeType: 'no type' }), 'INVALID_REQUEST')
  t.equal(requestsTo('POST', /./).length, 0)
  const read = tree.addFile({ name: 'read', permissions: { can_upload: false } })
  await rejectsWith(t, put({ id: `file:${read.id}` }), 'ACCESS_DENIED')
  t.equal(tree.children().length, 4)
})

t.test('an upload whose response does not match the content fails', async (t) => {
  const { fake, backend } = await startUploading(t)
  const sha1 = createHash('sha1').update('x').digest('hex')
  const file = { type: 'file', id: '1', name: 'new.bin', size: 1, sha1 }
  const says = (value: unknown) => respondsWith(201, { body: JSON.stringify(value) })
  for (const [name, value] of Object.entries({
    nothing: null,
    'no list': { entries: {} },
    'no file': { entries: [] },
    'no id': { entries: [{ ...file, id: undefined }] },
    'another name': { entries: [{ ...file, name: 'new (1).bin' }] },
    'no name': { entries: [{ ...file, name: undefined }] },
    'another size': { entries: [{ ...file, size: 2 }] },
    'other bytes': { entries: [{ ...file, sha1: '0'.repeat(40) }] },
    'a folder': { entries: [{ ...file, type: 'folder' }] }
  })) {
    fake.failNext(1, says(value), POST)
    await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'PROVIDER_ERROR', name)
  }
  fake.failNext(1, respondsWith(201, { body: '<html>' }), POST)
  await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['x'])), 'PROVIDER_ERROR', 'an HTML page')
  fake.failNext(1, says({ entries: [{ ...file, name: 'e\u0301' }] }), POST)
  const composed = await upload(backend, { parentId: null, name: '\u00e9' }, Readable.from(['x']))
  t.equal(composed.name, 'e\u0301', 'the same name in the other Unicode form')
})

t.test('a conflict with missing or invalid details is an error', async (t) => {
  const { fake, backend } = await startUploading(t)
  for (const conflicts of [undefined, null, [], {}, 'x', { type: 'file', id: 'x' }, { type: 'file', id: '1' }]) {
    fake.failNext(1, conflictWith(conflicts), { method: 'OPTIONS' })
    const work = upload(backend, NEW_FILE, Readable.from(['x']))
    await rejectsWith(t, work, 'PROVIDER_ERROR', JSON.stringify(conflicts))
  }
  for (const [fault, code] of [
    [respondsWith(409), 'PROVIDER_ERROR'],
    [respondsWith(200, { body: '<html>' }), null],
    [{ code: 'operation_blocked_temporary' }, 'LOCKED'],
    [{ code: 'conflict', status: 409 }, 'ALREADY_EXISTS']
  ] as const) {
    fake.failNext(1, fault, { method: 'OPTIONS' })
    const work = upload(backend, NEW_FILE, Readable.from(['x']))
    if (code === null) await work
    else await rejectsWith(t, work, code)
  }
})

t.test('a small body is sent again with a new token, a stream is not', async (t) => {
  const { fake, uploadAndVerify } = await startUploading(t)
  fake.failNext(1, { code: 'unauthorized' }, POST)
  await uploadAndVerify(Buffer.from('held'))
  const { backend } = await openBox(t, fake)
  fake.failNext(1, { code: 'unauthorized' }, POST)
  const target = { parentId: null, name: 'streamed' }
  await rejectsWith(t, upload(backend, target, chunkedStream(randomBytes(5 * MIB))), 'PROVIDER_UNAVAILABLE')
})
