import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { StorageErrorCode } from '../../../src/errors.ts'
import { callOptions, listAll, rejectsWith, escapeName, type Open } from './arrange.ts'
import { upload } from './uploads.ts'

/**
 * IDs that traverse paths on some systems, or that no server can store. None names an existing file of the machine.
 * If a guard is broken, they are written, so a harness must place its store deep enough in a folder of its own.
 */
const HOSTILE_IDS = [
  '',
  '.',
  '..',
  './',
  '../',
  '../outside.txt',
  '../../outside.txt',
  'folder/..',
  'folder/../../outside.txt',
  'folder/./inside.txt',
  'folder/../',
  'nul\0.txt',
  'folder/\0/',
  'lone \ud800 surrogate',
  '\udc00/',
  'x'.repeat(10_240),
  `${'deep/'.repeat(2_048)}x`
]

/** Names that are not exactly one segment of an ID. */
const HOSTILE_NAMES = ['', '.', '..', 'a/b', '/', '../x', 'nul\0', 'lone \ud800', 'x'.repeat(10_240)]

const REJECTION_CODES: StorageErrorCode[] = ['INVALID_REQUEST', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND']

export function refusesHostileIds(t: Test, open: Open): void {
  t.test('ids that leave the root or are invalid are refused by every method', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'folder/inside.txt': 'inside' })
    const before = await listAll(backend, null)
    for (const id of HOSTILE_IDS) {
      const name = escapeName(id)
      await rejectsWith(t, backend.stat(id, callOptions()), REJECTION_CODES, `stat ${name}`)
      await rejectsWith(t, backend.download(id, callOptions()), REJECTION_CODES, `download ${name}`)
      await rejectsWith(
        t,
        backend.listFolder(id, { ...callOptions(), limit: 10 }),
        REJECTION_CODES,
        `listFolder ${name}`
      )
      if (backend.downloadUrl !== undefined) {
        const promise = backend.downloadUrl(id, { ...callOptions(), expiresInMs: 1000 })
        await rejectsWith(t, promise, REJECTION_CODES, `downloadUrl ${name}`)
      }
      if (backend.remove !== undefined)
        await rejectsWith(t, backend.remove(id, callOptions()), REJECTION_CODES, `remove ${name}`)
      if (backend.upload !== undefined) {
        const body = Readable.from(['x'])
        await rejectsWith(t, upload(backend, { id }, body), REJECTION_CODES, `upload ${name}`)
        t.equal(body.destroyed, true)
        const target = { parentId: id, name: 'x.txt' }
        await rejectsWith(t, upload(backend, target, Readable.from(['x'])), REJECTION_CODES, `upload into ${name}`)
      }
      if (backend.createFolder !== undefined) {
        await rejectsWith(t, backend.createFolder(id, 'x', callOptions()), REJECTION_CODES, `createFolder in ${name}`)
      }
    }
    t.same(await listAll(backend, null), before, 'nothing was changed')
  })

  t.test('names that are not a single path segment are refused', async (t) => {
    const { backend } = await open(t)
    for (const name of HOSTILE_NAMES) {
      if (backend.upload !== undefined) {
        const promise = upload(backend, { parentId: null, name }, Readable.from(['x']))
        await rejectsWith(t, promise, 'INVALID_REQUEST', `upload ${escapeName(name)}`)
      }
      if (backend.createFolder !== undefined) {
        await rejectsWith(
          t,
          backend.createFolder(null, name, callOptions()),
          'INVALID_REQUEST',
          `createFolder ${escapeName(name)}`
        )
      }
    }
    t.same(await listAll(backend, null), [])
  })

  t.test('text that only looks like an escape is a plain name', async (t) => {
    const { backend, missing } = await open(t)
    for (const id of ['%2e%2e%2foutside.txt', '..%2foutside.txt', 'a\r\nX-Header: 1', missing.file]) {
      await rejectsWith(t, backend.stat(id, callOptions()), ['OBJECT_NOT_FOUND', 'INVALID_REQUEST'], escapeName(id))
    }
  })
}
