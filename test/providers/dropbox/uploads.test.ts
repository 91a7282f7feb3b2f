import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import { ContentHash } from '../../../src/providers/dropbox/upload.ts'
import { uploadArgs, NEW_FILE, startDropbox } from '../../contract/harness/dropbox.ts'
import { callOptions, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'

const MIB = 1024 * 1024
t.test('the content hash does not depend on the chunks', async (t) => {
  const BLOCK = 4 * MIB
  const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest()
  for (const size of [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 9 * MIB + 5]) {
    const content = randomBytes(size)
    const blocks: Buffer[] = []
    for (let at = 0; at < size; at += BLOCK) blocks.push(sha(content.subarray(at, at + BLOCK)))
    const expected = sha(Buffer.concat(blocks)).toString('hex')
    for (const step of [65_521, BLOCK, 3 * MIB, Math.max(1, size)]) {
      const hash = new ContentHash()
      for (let at = 0; at < size; at += step) hash.update(content.subarray(at, at + step))
      t.equal(hash.digest(), expected, `${size} bytes in pieces of ${step}`)
    }
  }
})

t.test('a small file is uploaded in one call', async (t) => {
  const { uploadAndVerify, newRequests } = await startDropbox(t)
  for (const size of [0, 1, 8 * MIB]) {
    const entry = await uploadAndVerify(randomBytes(size), {}, { parentId: null, name: `${size} 💾é` })
    const requests = newRequests()
    t.same(
      requests.map(({ path }) => path),
      ['/2/files/upload']
    )
    t.match(uploadArgs(requests), [
      {
        path: `/${size} 💾é`,
        mode: { '.tag': 'overwrite' },
        autorename: false,
        strict_conflict: false,
        content_hash: entry.hash?.value ?? 'none'
      }
    ])
    t.match(requests[0]?.headers, { 'content-length': String(size), 'content-type': 'application/octet-stream' })
  }
})

t.test('a larger file is uploaded in a session that is finished with its last bytes', async (t) => {
  const { fake, uploadAndVerify, operations, newRequests } = await startDropbox(t)
  await uploadAndVerify(randomBytes(17 * MIB + 5))
  const requests = newRequests()
  t.same(
    requests.map(({ path, headers }) => [path.replace('/2/files/upload_session/', ''), headers['content-length']]),
    [
      ['start', '0'],
      ['append_v2', String(8 * MIB)],
      ['append_v2', String(8 * MIB)],
      ['finish', String(MIB + 5)]
    ]
  )
  const [, first, second, last] = uploadArgs(requests)
  t.same(
    [first, second, last].map((arg) => arg?.cursor?.offset),
    [0, 8 * MIB, 16 * MIB]
  )
  t.same(last?.commit, { path: '/new.bin', mode: { '.tag': 'overwrite' }, autorename: false, strict_conflict: false })
  await uploadAndVerify(randomBytes(16 * MIB))
  t.same(
    operations(),
    ['start', 'append_v2', 'finish'].map((each) => `upload_session/${each}`)
  )
  t.equal(fake.uploads.open, 0)
})

t.test('Dropbox checks conditions strictly', async (t) => {
  const { tree, backend, uploadAndVerify, newRequests } = await startDropbox(t)
  for (const content of [Buffer.from('x'), randomBytes(9 * MIB)]) {
    const name = `${content.length}`
    const target = { parentId: null, name }
    const first = await uploadAndVerify(content, { ifNoneMatch: '*' }, target)
    await rejectsWith(
      t,
      upload(backend, target, chunkedStream(content), { ifNoneMatch: '*' }),
      'ALREADY_EXISTS',
      'equal'
    )
    const other = { parentId: null, name: 'gone' }
    const ifMatch = first.version ?? ''
    await rejectsWith(t, upload(backend, other, chunkedStream(content), { ifMatch }), 'PRECONDITION_FAILED', 'missing')
    const second = await uploadAndVerify(content, { ifMatch }, target)
    t.equal(second.id, first.id)
    t.not(second.version, first.version)
    newRequests()
    for (const over of [target, { id: first.id }]) {
      await rejectsWith(
        t,
        upload(backend, over, chunkedStream(content), { ifMatch }),
        'PRECONDITION_FAILED',
        'first one'
      )
    }
    const byId = newRequests().filter(({ headers }) => headers['dropbox-api-arg']?.includes(first.id))
    t.equal(byId.length, 0, 'no upload that would be refused is sent')
    for (const version of ['', 'x', 'ABCDEF0123', '"0123456789"', '012345678\n', '01234567']) {
      await rejectsWith(t, upload(backend, target, chunkedStream(content), { ifMatch: version }), 'PRECONDITION_FAILED')
    }
    t.equal(newRequests().length, 0)
    await rejectsWith(
      t,
      upload(backend, { id: first.id }, chunkedStream(content), { ifNoneMatch: '*' }),
      'ALREADY_EXISTS'
    )
    t.ok(tree.read(first.id).equals(content))
  }
})

t.test('a file is identified by its id, even if it is moved during the upload', async (t) => {
  const { fake, tree, backend, uploadAndVerify } = await startDropbox(t)
  const folder = tree.addFolder({ name: 'folder' })
  const file = tree.addFile({ name: 'a', parent: folder, content: 'old' })
  const entry = await uploadAndVerify(Buffer.from('new'), {}, { id: file.id })
  t.same(entry, await backend.stat(file.id, callOptions()))
  /** Runs `happens` right before the content is sent. */
  const meanwhile = (happens: () => void) => {
    let isDone = false
    fake.failNext(0, () => {}, {
      matching: ({ path }) => {
        if (path.startsWith('/2/files/upload') && !isDone) {
          isDone = true
          happens()
        }
        return false
      }
    })
  }
  meanwhile(() => {
    tree.rename(file, 'b')
  })
  t.equal((await uploadAndVerify(Buffer.from('newer'), {}, { id: file.id })).name, 'b')
  meanwhile(() => {
    tree.rename(folder, 'moved')
  })
  t.match(await uploadAndVerify(Buffer.from('x'), {}, { parentId: folder.id, name: 'x' }), { path: '/moved/x' })
  meanwhile(() => {
    tree.remove(file)
  })
  await rejectsWith(t, upload(backend, { id: file.id }, Readable.from(['x'])), 'OBJECT_NOT_FOUND')
  const again = tree.addFile({ name: 'a', parent: folder, content: 'old' })
  meanwhile(() => {
    tree.remove(again)
  })
  const ifMatch = again.rev
  await rejectsWith(t, upload(backend, { id: again.id }, Readable.from(['x']), { ifMatch }), 'PRECONDITION_FAILED')
  t.same(
    (await listAll(backend, folder.id)).map(({ name }) => name),
    ['x']
  )
})

t.test('a folder that was created while its parent moved is not reported in the old parent', async (t) => {
  const { fake, tree, backend, operations } = await startDropbox(t)
  const parent = tree.addFolder({ name: 'parent' })
  t.equal((await backend.createFolder!(parent.id, 'in time', callOptions())).parentId, parent.id)
  t.same(operations(), ['get_metadata', 'create_folder_v2', 'get_metadata'])
  await backend.createFolder!(null, 'in the root', callOptions())
  t.same(operations(), ['create_folder_v2'])
  let isMoved = false
  fake.failNext(0, () => {}, {
    matching: ({ path }) => {
      if (path === '/2/files/create_folder_v2' && !isMoved) {
        isMoved = true
        tree.rename(parent, 'moved')
      }
      return false
    }
  })
  await rejectsWith(t, backend.createFolder!(parent.id, 'late', callOptions()), 'FOLDER_NOT_FOUND')
  t.same(
    (await listAll(backend, parent.id)).map(({ name }) => name),
    ['in time']
  )
})

t.test('a name in another case is the same file', async (t) => {
  const { tree, uploadAndVerify } = await startDropbox(t)
  const { id } = tree.addFile({ name: 'File.TXT', content: 'old' })
  t.equal((await uploadAndVerify(Buffer.from('new'), {}, { parentId: null, name: 'file.txt' })).id, id)
})

t.test('an upload into an item that is not a folder, or over an item without content, is refused', async (t) => {
  const { tree, backend, operations } = await startDropbox(t)
  const file = tree.addFile({ name: 'file' })
  const body = () => Readable.from(['x'])
  await rejectsWith(t, upload(backend, { parentId: file.id, name: 'x' }, body()), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, backend.createFolder!(file.id, 'x', callOptions()), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, upload(backend, { id: tree.addFolder({ name: 'folder' }).id }, body()), 'INVALID_REQUEST')
  await rejectsWith(t, upload(backend, { id: tree.addDocument({ name: 'document' }).id }, body()), 'UNSUPPORTED')
  const link = tree.addFile({ name: 'link', symlinkTarget: '/x' })
  await rejectsWith(t, upload(backend, { id: link.id }, body()), 'UNSUPPORTED')
  await rejectsWith(t, upload(backend, { id: tree.newId() }, body()), 'OBJECT_NOT_FOUND')
  await rejectsWith(t, upload(backend, { ...NEW_FILE, mimeType: 'no type' }, body()), 'INVALID_REQUEST')
  t.ok(operations().every((operation) => operation === 'get_metadata'))
  await rejectsWith(t, upload(backend, { parentId: null, name: 'folder' }, body()), 'ALREADY_EXISTS')
  for (const name of ['desktop.ini', 'trailing ', 'back\\slash', 'x'.repeat(256)]) {
    await rejectsWith(t, upload(backend, { parentId: null, name }, body()), 'INVALID_REQUEST', name)
    await rejectsWith(t, backend.createFolder!(null, name, callOptions()), 'INVALID_REQUEST', name)
  }
})

t.test('missing permission and missing space have their own errors', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  const parent = tree.addFolder({ name: 'shared', namespaceId: '77', readOnly: true })
  const file = tree.addFile({ name: 'a', parent })
  for (const work of [
    () => upload(backend, { parentId: parent.id, name: 'x' }, Readable.from(['x'])),
    () => upload(backend, { id: file.id }, Readable.from(['x'])),
    () => backend.createFolder!(parent.id, 'x', callOptions()),
    () => backend.remove!(file.id, callOptions())
  ]) {
    await rejectsWith(t, work(), 'ACCESS_DENIED')
  }
  fake.knobs.quotaBytes = 10
  for (const size of [11, 9 * MIB]) {
    await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(randomBytes(size))), 'QUOTA_EXCEEDED')
  }
})

t.test('only the checked version is removed, or the next one after a second check', async (t) => {
  const { fake, tree, backend, newRequests } = await startDropbox(t)
  const { id } = tree.addFile({ name: 'a', content: '0' })
  const DELETE = '/2/files/delete_v2'
  /** Writes another version right before a deletion. */
  const overtake = (times: number) => {
    let left = times
    fake.failNext(0, () => {}, {
      matching: ({ path }) => {
        if (path === DELETE && left-- > 0) tree.write(id, `version ${left}`)
        return false
      }
    })
  }
  overtake(2)
  await rejectsWith(t, backend.remove!(id, callOptions()), 'LOCKED')
  t.ok(tree.find(id))
  overtake(1)
  newRequests()
  const { rev } = tree.get(id)
  await backend.remove!(id, callOptions())
  t.equal(tree.find(id), undefined)
  const revs = newRequests()
    .filter(({ path }) => path === DELETE)
    .map(({ body }) => (JSON.parse(body?.toString() ?? '') as { parent_rev?: string }).parent_rev)
  t.equal(revs.length, 2)
  t.equal(revs[0], rev)
  t.not(revs[1], rev)
  const other = tree.addFile({ name: 'b' })
  fake.failNext(
    1,
    { status: 409, error: { '.tag': 'path_lookup', path_lookup: { '.tag': 'not_found' } } },
    { path: DELETE }
  )
  await backend.remove!(other.id, callOptions())
})
