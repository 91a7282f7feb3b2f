import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { StorageBackend, UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import type { Entry } from '../../../src/core/entry.ts'
import { digest } from '../../support/app/read-body.ts'
import { until } from '../../support/time/until.ts'
import {
  callOptions,
  contentOf,
  find,
  listAll,
  rejectsWith,
  requireMethod,
  rootOf,
  skipReason,
  type Open
} from './arrange.ts'

const MIB = 1024 * 1024
/** Sizes around the part sizes of the backends. */
const SIZES = [0, 1, 5 * MIB, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 20 * MIB + 7]

export function upload(
  backend: StorageBackend,
  target: UploadTarget,
  body: Readable,
  options: Partial<UploadCall> = {}
): Promise<Entry> {
  return requireMethod(backend.upload?.bind(backend))(target, body, { ...callOptions(), ...options })
}

/** Returns a stream of unknown length with chunks that match no part size. */
export function chunkedStream(content: Buffer): Readable {
  const SIZE = 65_521
  return Readable.from(
    (function* () {
      for (let at = 0; at < content.length; at += SIZE) yield content.subarray(at, at + SIZE)
    })(),
    { objectMode: false }
  )
}

export function uploads(t: Test, open: Open): void {
  t.test('an upload of any size is stored completely, with or without its size', async (t) => {
    const { backend, busy } = await open(t)
    if (skipReason(backend.capabilities, 'upload') !== false) return t.pass('upload is unsupported')
    const root = await rootOf(backend)
    for (const size of SIZES) {
      const content = randomBytes(size)
      const name = `${size} bytes`
      const target = { parentId: null, name, mimeType: 'application/x-test' }
      const body = chunkedStream(content)
      const entry = await upload(backend, target, body, size % 2 === 0 ? { size } : {})
      t.match(entry, { name, kind: 'file', size, parentId: root }, name)
      t.equal(body.destroyed, true)
      const stat = await backend.stat(entry.id, callOptions())
      for (const [field, value] of Object.entries(entry)) {
        if (value !== null) t.same(stat[field as keyof Entry], value, `${name}: ${field}`)
      }
      const download = await backend.download(entry.id, callOptions())
      t.equal(await digest(download.body), createHash('sha256').update(content).digest('hex'), `${name}: the content`)
      await until(async () => (await busy()) === 0)
    }
  })

  t.test('an upload goes into the given folder, or over the given object', async (t) => {
    const { backend, seed, exceptions = {} } = await open(t)
    if (skipReason(backend.capabilities, 'upload') !== false) return t.pass('upload is unsupported')
    await seed({ 'folder/old.txt': 'old' })
    const folder = await find(backend, 'folder')
    const added = await upload(backend, { parentId: folder.id, name: 'new.txt' }, Readable.from(['new']))
    t.equal(added.parentId, folder.id)
    const old = await find(backend, 'folder/old.txt')
    await upload(backend, { id: old.id }, Readable.from(['newer']))
    t.same((await listAll(backend, folder.id)).map(({ name }) => name).sort(), ['new.txt', 'old.txt'])
    t.equal((await contentOf(backend, old.id)).toString(), 'newer')
    t.equal((await contentOf(backend, added.id)).toString(), 'new')
    if (skipReason(backend.capabilities, 'updateIfMatch') === false && exceptions.listsNoVersions === undefined) {
      t.not((await find(backend, 'folder/old.txt')).version, old.version)
    }
    const overFolder = upload(backend, { id: folder.id }, Readable.from(['x']))
    await rejectsWith(t, overFolder, ['INVALID_REQUEST', 'ALREADY_EXISTS'], 'over a folder')
    t.equal((await listAll(backend, null)).length, 1)
  })

  t.test('an upload into a missing folder fails or creates it', async (t) => {
    const { backend, missing } = await open(t)
    if (skipReason(backend.capabilities, 'upload') !== false) return t.pass('upload is unsupported')
    const body = Readable.from(['x'])
    try {
      await upload(backend, { parentId: missing.folder, name: 'x' }, body)
      t.equal((await listAll(backend, missing.folder)).length, 1)
    } catch (error) {
      t.match(error, { code: 'FOLDER_NOT_FOUND' })
    }
    t.equal(body.destroyed, true)
  })

  t.test('a source that failed before it was read stores nothing', async (t) => {
    const { backend, busy } = await open(t)
    if (skipReason(backend.capabilities, 'upload') !== false) return t.pass('upload is unsupported')
    const failed = Readable.from(['x'])
    failed.destroy(new Error('before anyone read it'))
    await rejectsWith(t, upload(backend, { parentId: null, name: 'gone' }, failed), 'INVALID_REQUEST')
    t.same(await listAll(backend, null), [])
    await until(async () => (await busy()) === 0)
  })

  t.test('a declared size that differs from the body stores nothing', async (t) => {
    const { backend, busy } = await open(t)
    if (skipReason(backend.capabilities, 'upload') !== false) return t.pass('upload is unsupported')
    for (const [bytes, size] of [
      [10, 9],
      [10, 11],
      [0, 1],
      [1, 0]
    ] as const) {
      const body = chunkedStream(randomBytes(bytes))
      const promise = upload(backend, { parentId: null, name: 'wrong' }, body, { size })
      await rejectsWith(t, promise, 'INVALID_REQUEST', `${bytes} instead of ${size}`)
      t.equal(body.destroyed, true)
    }
    const endless = new Readable({ read() {} })
    endless.push('more than three')
    const promise = upload(backend, { parentId: null, name: 'wrong' }, endless, { size: 3 })
    await rejectsWith(t, promise, 'INVALID_REQUEST', 'the first extra byte')
    for (const size of [-1, 1.5, NaN, Infinity]) {
      const silent = new Readable({ read() {} })
      const promise = upload(backend, { parentId: null, name: 'wrong' }, silent, { size })
      await rejectsWith(t, promise, 'INVALID_REQUEST', `a size of ${size}`)
    }
    t.same(await listAll(backend, null), [])
    await until(async () => (await busy()) === 0)
  })

  t.test('an upload with an aborted signal rejects with the reason and destroys its source', async (t) => {
    const { backend, busy } = await open(t)
    if (skipReason(backend.capabilities, 'upload') !== false) return t.pass('upload is unsupported')
    const body = Readable.from(['x'])
    const reason = new Error('before')
    const promise = upload(backend, { parentId: null, name: 'aborted' }, body, { signal: AbortSignal.abort(reason) })
    t.equal(await promise.catch((error: unknown) => error), reason)
    t.equal(body.destroyed, true)
    await until(async () => (await busy()) === 0)
    t.same(await listAll(backend, null), [])
  })

  t.test('a slow source is read at its own pace', async (t) => {
    const { backend } = await open(t)
    if (skipReason(backend.capabilities, 'upload') !== false) return t.pass('upload is unsupported')
    let read = 0
    const sent = createHash('sha256')
    const body = new Readable({
      highWaterMark: MIB,
      read() {
        setImmediate(() => {
          if (++read > 40) return this.push(null)
          const chunk = Buffer.alloc(MIB, read)
          sent.update(chunk)
          return this.push(chunk)
        })
      }
    })
    const entry = await upload(backend, { parentId: null, name: 'slow' }, body)
    t.equal(entry.size, 40 * MIB)
    const stored = await backend.download(entry.id, callOptions())
    t.equal(await digest(stored.body), sent.digest('hex'))
  })

  t.test('a removed object is not found, and removing it again is not an error', async (t) => {
    const { backend, seed, missing } = await open(t)
    if (skipReason(backend.capabilities, 'remove') !== false) return t.pass('remove is unsupported')
    await seed({ 'folder/a.txt': 'a', 'folder/b.txt': 'b' })
    const remove = requireMethod(backend.remove?.bind(backend))
    const { id } = await find(backend, 'folder/a.txt')
    await remove(id, callOptions())
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.download(id, callOptions()), 'OBJECT_NOT_FOUND')
    await remove(id, callOptions())
    await remove(missing.file, callOptions())
    const folder = await find(backend, 'folder')
    await rejectsWith(t, remove(folder.id, callOptions()), 'INVALID_REQUEST', 'a folder')
    const remaining = await listAll(backend, folder.id)
    t.same(
      remaining.map(({ name }) => name),
      ['b.txt']
    )
    t.equal((await contentOf(backend, remaining[0]?.id ?? '')).toString(), 'b')
  })
}
