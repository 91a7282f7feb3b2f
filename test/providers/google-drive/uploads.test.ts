import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { UploadCall } from '../../../src/core/backend.ts'
import { NEW_FILE, startUploading } from '../../contract/harness/google-drive.ts'
import { callOptions, find, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { upload } from '../../contract/suite/uploads.ts'
import { FAKE_DRIVE_TOKEN } from '../../fakes/drive/fake-drive.ts'
import { DRIVE_FOLDER } from '../../fakes/drive/node.ts'

const MIB = 1024 * 1024

t.test('an upload is sent in chunks, and only the first request has the token', async (t) => {
  const { chunks, uploadAndVerify, ranges, fake } = await startUploading(t)
  const entry = await uploadAndVerify(randomBytes(17 * MIB + 5))
  t.match(entry, { size: 17 * MIB + 5, mimeType: 'application/x-test', parentId: 'root' })
  t.same(ranges(), [
    `bytes 0-${8 * MIB - 1}/*`,
    `bytes ${8 * MIB}-${16 * MIB - 1}/*`,
    `bytes ${16 * MIB}-${17 * MIB + 4}/${17 * MIB + 5}`
  ])
  for (const { headers } of chunks()) t.equal(headers['authorization'], undefined)
  const begun = fake.requests.filter(({ path }) => path.startsWith('/upload/'))[0]
  t.equal(begun?.headers['authorization'], `Bearer ${FAKE_DRIVE_TOKEN}`)
  t.equal(begun?.headers['x-upload-content-length'], undefined)
})

t.test('a known size is declared, and an empty file is uploaded', async (t) => {
  const { fake, uploadAndVerify, ranges } = await startUploading(t)
  await uploadAndVerify(Buffer.alloc(0))
  t.same(ranges(), ['bytes */0'])
  const entry = await uploadAndVerify(Buffer.from('known'), { size: 5 }, { parentId: null, name: 'known' })
  t.equal(entry.mimeType, 'application/octet-stream')
  t.equal(
    fake.requests.filter(({ path }) => path.startsWith('/upload/')).at(-2)?.headers['x-upload-content-length'],
    '5'
  )
})

t.test('a refused session has the reason', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  fake.knobs.quotaBytes = 3
  const four = { size: 4 }
  await rejectsWith(t, upload(backend, NEW_FILE, Readable.from(['four']), four), 'QUOTA_EXCEEDED')
  fake.knobs.quotaBytes = undefined
  const kept = tree.addFolder({ name: 'kept', capabilities: { canAddChildren: false } })
  await rejectsWith(t, upload(backend, { parentId: kept.id, name: 'x' }, Readable.from(['x'])), 'ACCESS_DENIED')
  const file = tree.addFile({ name: 'read', capabilities: { canModifyContent: false } })
  await rejectsWith(t, upload(backend, { id: file.id }, Readable.from(['x'])), 'ACCESS_DENIED')
})

t.test('a name leads to the only file that has it', async (t) => {
  const { tree, backend, uploadAndVerify } = await startUploading(t)
  const name = `it's "5\\'" \\ long`
  const first = await uploadAndVerify(Buffer.from('first'), {}, { parentId: null, name, mimeType: 'text/plain' })
  const second = await uploadAndVerify(Buffer.from('second'), {}, { parentId: null, name })
  t.equal(second.id, first.id)
  t.equal(second.mimeType, 'text/plain', 'the type is unchanged')
  t.not(second.version, first.version)
  tree.addFolder({ name })
  t.equal(
    (await uploadAndVerify(Buffer.from('third'), {}, { parentId: null, name })).id,
    first.id,
    'a folder does not matter'
  )
  tree.addFile({ name })
  const again = (options: Partial<UploadCall> = {}) =>
    upload(backend, { parentId: null, name }, Readable.from(['x']), options)
  await rejectsWith(t, again(), 'ALREADY_EXISTS', 'two files of the same name')
  await rejectsWith(t, again({ ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(t, again({ ifMatch: second.version ?? '' }), 'ALREADY_EXISTS')
  const document = tree.addDocument({ name: 'document' })
  const over = { parentId: null, name: 'document' }
  await rejectsWith(t, upload(backend, over, Readable.from(['x'])), 'ALREADY_EXISTS', 'a Google document')
  const { version } = await backend.stat(document.id, callOptions())
  for (const target of [over, { id: document.id }]) {
    const work = upload(backend, target, Readable.from(['x']), { ifMatch: version ?? '' })
    await rejectsWith(t, work, 'UNSUPPORTED', 'a Google document of this version')
  }
  const wrong = { parentId: null, name: 'new' }
  await rejectsWith(t, upload(backend, wrong, Readable.from(['x']), { ifMatch: 'v' }), 'PRECONDITION_FAILED')
})

t.test('several files of one name are found behind short pages', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const parent = tree.addFolder({ name: 'folder' })
  const { id } = tree.addFile({ name: 'x', parent })
  fake.knobs.shortPages.push(0, 0)
  t.equal((await upload(backend, { parentId: parent.id, name: 'x' }, Readable.from(['x']))).id, id)
})

t.test('an upload works in a shared drive and with a resource key', async (t) => {
  const { tree, backend, uploadAndVerify } = await startUploading(t)
  const drive = tree.addDrive('Team')
  const entry = await uploadAndVerify(Buffer.from('x'), {}, { parentId: drive.id, name: 'x' })
  t.match(entry, { parentId: drive.id, driveId: drive.id })
  t.same(await find(backend, 'Team/x'), entry)
  const { id } = tree.addFile({ name: 'shared', sharedWithMe: true, resourceKey: 'key' })
  const over = await uploadAndVerify(Buffer.from('y'), {}, { id: `${id}/key` })
  t.same(await backend.stat(`${id}/key`, callOptions()), over)
})

t.test('an upload into an item that is not a folder, or over an item without content, is refused', async (t) => {
  const { tree, backend, chunks } = await startUploading(t)
  const file = tree.addFile({ name: 'file' })
  const trashed = tree.addFolder({ name: 'trashed', trashed: true })
  const into = (parentId: string) => upload(backend, { parentId, name: 'x' }, Readable.from(['x']))
  for (const { id, name } of [file, trashed]) await rejectsWith(t, into(id), 'FOLDER_NOT_FOUND', name)
  const over = (id: string) => upload(backend, { id }, Readable.from(['x']))
  await rejectsWith(t, over('root'), 'INVALID_REQUEST')
  await rejectsWith(t, over(tree.addDocument({ name: 'document' }).id), 'UNSUPPORTED')
  await rejectsWith(t, over(tree.addShortcut({ name: 'shortcut', target: file }).id), 'UNSUPPORTED')
  await rejectsWith(t, over(tree.newId()), 'OBJECT_NOT_FOUND')
  for (const mimeType of [DRIVE_FOLDER, 'Application/VND.google-apps.document', 'no type']) {
    const target = { parentId: null, name: 'x', mimeType }
    await rejectsWith(t, upload(backend, target, Readable.from(['x'])), 'INVALID_REQUEST', mimeType)
  }
  t.equal(chunks().length, 0)
  t.equal((await listAll(backend, null)).length, 3)
})
