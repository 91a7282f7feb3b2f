import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { isStorageError } from '../../../src/errors.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { callOptions, contentOf, find, listAll, rejectsWith, skipReason, type Open } from './arrange.ts'
import { chunkedStream, upload } from './uploads.ts'

/** Bodies that are uploaded in one request, and in several. */
const BODIES = [Buffer.from('other'), randomBytes(9 * 1024 * 1024)]

export function replacesWithConditions(t: Test, open: Open): void {
  t.test('a create-only upload never overwrites', async (t) => {
    const { backend, seed } = await open(t)
    if (skipReason(backend.capabilities, 'createOnly') !== false) return t.pass('createOnly is unsupported')
    await seed({ 'there.txt': 'first' })
    for (const [index, content] of BODIES.entries()) {
      const create = (name: string) =>
        upload(backend, { parentId: null, name }, chunkedStream(content), { ifNoneMatch: '*' })
      const { id } = await create(`new ${index}`)
      await rejectsWith(t, create(`new ${index}`), 'ALREADY_EXISTS')
      await rejectsWith(t, create('there.txt'), 'ALREADY_EXISTS')
      t.ok((await contentOf(backend, id)).equals(content), 'the content of the first upload')
    }
    t.equal((await contentOf(backend, (await find(backend, 'there.txt')).id)).toString(), 'first')
  })

  t.test('many concurrent create-only uploads leave the complete content of one of them', async (t) => {
    const { backend } = await open(t)
    if (skipReason(backend.capabilities, 'createOnly') !== false) return t.pass('createOnly is unsupported')
    const winners = await raceUploads(backend)
    t.ok(winners.length > 0)
    t.ok(winners.includes((await contentOf(backend, (await find(backend, 'race')).id)).toString()))
  })

  t.test('an upload with If-Match succeeds for that version only', async (t) => {
    const { backend, seed, missing } = await open(t)
    if (skipReason(backend.capabilities, 'updateIfMatch') !== false) return t.pass('updateIfMatch is unsupported')
    await seed({ 'a.txt': 'the first' })
    const first = { version: await versionOf(backend) }
    for (const content of BODIES) {
      const { id } = await find(backend, 'a.txt')
      const version = await versionOf(backend)
      const replace = (ifMatch: string | null) =>
        upload(backend, { id }, chunkedStream(content), { ifMatch: ifMatch ?? 'the listing has no version' })
      const replaced = await replace(version)
      const currentVersion = await versionOf(backend)
      t.not(currentVersion, version)
      // A server may not return it.
      if (replaced.version !== null) t.equal(currentVersion, replaced.version)
      await rejectsWith(t, replace(version), 'PRECONDITION_FAILED', 'the previous version')
      await rejectsWith(t, replace(first.version), 'PRECONDITION_FAILED', 'the first version')
      await rejectsWith(t, replace('no "version"\r\n'), 'PRECONDITION_FAILED', 'an unknown version')
      t.ok((await contentOf(backend, id)).equals(content), 'the replaced content')
    }
    const promise = upload(backend, { id: missing.file }, Readable.from(['x']), { ifMatch: first.version ?? '' })
    await rejectsWith(t, promise, 'PRECONDITION_FAILED', 'a missing object')
    t.equal((await listAll(backend, null)).length, 1)
  })

  t.test('an upload cannot combine create-only and If-Match', async (t) => {
    const { backend } = await open(t)
    const { createOnly, updateIfMatch } = backend.capabilities
    if (createOnly === 'unsupported' || updateIfMatch === 'unsupported') return t.pass('one of them is unsupported')
    const promise = upload(backend, { parentId: null, name: 'x' }, Readable.from(['x']), {
      ifNoneMatch: '*',
      ifMatch: 'v'
    })
    await rejectsWith(t, promise, 'INVALID_REQUEST')
  })
}

/** Returns the version that clients see: in the listing, or in a download if listings have none (nginx). */
async function versionOf(backend: StorageBackend): Promise<string | null> {
  const { id, version } = await find(backend, 'a.txt')
  if (version !== null) return version
  const { body, etag } = await backend.download(id, callOptions())
  body.destroy()
  return etag
}

/**
 * For servers that check and write atomically: of many concurrent create-only uploads exactly one succeeds. Others
 * check conditions, but not atomically: sabre and Apache check first and then write (2026-11).
 */
export function singleCreatorWins(t: Test, open: Open): void {
  t.test('of many concurrent create-only uploads exactly one succeeds', async (t) => {
    const { backend } = await open(t)
    t.equal(backend.capabilities.createOnly, 'native')
    const winners = await raceUploads(backend)
    t.equal(winners.length, 1)
    t.equal((await contentOf(backend, (await find(backend, 'race')).id)).toString(), winners[0])
  })
}

/** Runs eight writers of one new name. Returns the contents of those that succeeded. */
async function raceUploads(backend: StorageBackend): Promise<string[]> {
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, async (_, index) => {
      const text = `writer ${index}`
      try {
        await upload(backend, { parentId: null, name: 'race' }, Readable.from([text]), { ifNoneMatch: '*' })
        return text
      } catch (error) {
        // A server may also report that another write is in progress.
        if (isStorageError(error, 'ALREADY_EXISTS', 'LOCKED')) return null
        throw error
      }
    })
  )
  return outcomes.filter((outcome) => outcome !== null)
}
