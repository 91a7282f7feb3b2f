import type { BigIntStats } from 'node:fs'
import { link, lstat, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import type { UploadCall, UploadTarget } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { failure } from '../shared/errors.ts'
import type { UploadSource } from '../shared/upload.ts'
import { fileEntry, versionOf } from './entries.ts'
import { isNotFound } from './errors.ts'
import type { DiskSession } from './session.ts'

/**
 * Writes a body to a staging file, and renames it in one step when it is complete. Readers see the old object or the
 * new one, even after a crash.
 */
export async function uploadFile(
  { root, locks }: DiskSession,
  target: UploadTarget,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  // An upload by name needs its folder; an upload by id creates it, as with keys of an object store.
  const isByName = 'name' in target
  const id = isByName ? root.childId(target.parentId, target.name) : target.id
  const path = root.filePathOf(id)
  const requireFolder = () => root.requireFolder(dirname(path), 'FOLDER_NOT_FOUND')
  if (isByName) await requireFolder()
  const stagingPath = root.newStagingPath()
  try {
    await requireCondition(path, call)
    const stats = await writeStagingFile(stagingPath, source.stream, (now) => root.sweep(now))
    call.signal.throwIfAborted()
    await locks.run(path, async () => {
      await (isByName ? requireFolder() : root.createParents(id))
      await requireCondition(path, call)
      // A link never replaces an existing file; a rename does.
      if (call.ifNoneMatch === '*') await link(stagingPath, path)
      else await rename(stagingPath, path)
    })
    await root.syncFolderOf(path)
    return fileEntry(id, stats, true)
  } finally {
    await rm(stagingPath, { force: true })
  }
}

/**
 * @param onCreated called with the file system's time when the file was created
 * @returns the stats of the file, which a rename does not change
 */
async function writeStagingFile(
  path: string,
  stream: Readable,
  onCreated: (now: number) => Promise<void>
): Promise<BigIntStats> {
  const file = await open(path, 'wx', 0o600)
  try {
    await onCreated((await file.stat()).mtimeMs)
    for await (const chunk of stream as AsyncIterable<Buffer>) await file.appendFile(chunk)
    await file.sync()
    return await file.stat({ bigint: true })
  } finally {
    await file.close()
  }
}

/** Called twice: before the body is read, to fail early, and under the lock, where the result is decisive. */
async function requireCondition(path: string, { ifMatch, ifNoneMatch }: UploadCall): Promise<void> {
  const stats = await lstat(path, { bigint: true }).catch((error: unknown) => {
    if (isNotFound(error)) return null
    throw error
  })
  if (stats !== null && (ifNoneMatch === '*' || !stats.isFile())) throw failure('ALREADY_EXISTS')
  if (ifMatch !== undefined && (stats === null || versionOf(stats) !== ifMatch)) throw failure('PRECONDITION_FAILED')
}
