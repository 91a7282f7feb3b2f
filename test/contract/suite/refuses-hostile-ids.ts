import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { StorageErrorCode } from '../../../src/errors.ts'
import { call, listAll, rejectsWith, shown, type Open } from './arrange.ts'
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

const REFUSALS: StorageErrorCode[] = ['INVALID_REQUEST', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND']

export function refusesHostileIds(t: Test, open: Open): void {
  t.test('ids that leave the root or are invalid are refused by every method', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'folder/inside.txt': 'inside' })
    const before = await listAll(backend, null)
    for (const id of HOSTILE_IDS) {
      const name = shown(id)
      await rejectsWith(t, backend.stat(id, call()), REFUSALS, `stat ${name}`)
      await rejectsWith(t, backend.download(id, call()), REFUSALS, `download ${name}`)
      await rejectsWith(t, backend.listFolder(id, { ...call(), limit: 10 }), REFUSALS, `listFolder ${name}`)
      if (backend.downloadUrl !== undefined) {
        const work = backend.downloadUrl(id, { ...call(), expiresInMs: 1000 })
        await rejectsWith(t, work, REFUSALS, `downloadUrl ${name}`)
      }
      if (backend.remove !== undefined) await rejectsWith(t, backend.remove(id, call()), REFUSALS, `remove ${name}`)
      if (backend.upload !== undefined) {
        const body = Readable.from(['x'])
        await rejectsWith(t, upload(backend, { id }, body), REFUSALS, `upload ${name}`)
        t.equal(body.destroyed, true)
        const target = { parentId: id, name: 'x.txt' }
        await rejectsWith(t, upload(backend, target, Readable.from(['x'])), REFUSALS, `upload into ${name}`)
      }
      if (backend.createFolder !== undefined) {
        await rejectsWith(t, backend.createFolder(id, 'x', call()), REFUSALS, `createFolder in ${name}`)
      }
    }
    t.same(await listAll(backend, null), before, 'nothing was changed')
  })

  t.test('names that are not a single path segment are refused', async (t) => {
    const { backend } = await open(t)
    for (const name of HOSTILE_NAMES) {
      if (backend.upload !== undefined) {
        const work = upload(backend, { parentId: null, name }, Readable.from(['x']))
        await rejectsWith(t, work, 'INVALID_REQUEST', `upload ${shown(name)}`)
      }
      if (backend.createFolder !== undefined) {
        await rejectsWith(t, backend.createFolder(null, name, call()), 'INVALID_REQUEST', `createFolder ${shown(name)}`)
      }
    }
    t.same(await listAll(backend, null), [])
  })

  t.test('text that only looks like an escape is a plain name', async (t) => {
    const { backend, missing } = await open(t)
    for (const id of ['%2e%2e%2foutside.txt', '..%2foutside.txt', 'a\r\nX-Header: 1', missing.file]) {
      await rejectsWith(t, backend.stat(id, call()), ['OBJECT_NOT_FOUND', 'INVALID_REQUEST'], shown(id))
    }
  })
}
