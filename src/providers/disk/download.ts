import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Download, DownloadCall } from '../../core/backend.ts'
import { resolveRange } from '../shared/download.ts'
import { failure } from '../shared/errors.ts'
import { nameOf } from '../shared/names.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { modifiedAt, versionOf } from './entries.ts'
import { toStorageError } from './errors.ts'
import type { DiskSession } from './session.ts'

/** `O_NONBLOCK`: opening a named pipe in the folder must not wait for a writer. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export async function downloadFile(session: DiskSession, id: string, call: DownloadCall): Promise<Download> {
  const { root } = session
  if (id.endsWith('/')) {
    root.folderPathOf(id)
    throw failure('OBJECT_NOT_FOUND')
  }
  const path = root.filePathOf(id)
  await root.requireFolder(dirname(path), 'OBJECT_NOT_FOUND')
  const file = await open(path, READ_FLAGS)
  try {
    return { ...(await readFile(session, file, call)), name: nameOf(id) }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function readFile(
  { timeouts }: DiskSession,
  file: FileHandle,
  { range, signal }: DownloadCall
): Promise<Omit<Download, 'name'>> {
  const stats = await file.stat({ bigint: true })
  if (!stats.isFile()) throw failure('OBJECT_NOT_FOUND')
  const size = Number(stats.size)
  const resolvedRange = range === undefined ? null : resolveRange(range, size)
  const { start, end } = resolvedRange ?? { start: 0, end: size - 1 }
  signal.throwIfAborted()
  // Without `end` for an empty file, which has no last byte.
  const source = file.createReadStream(size === 0 ? {} : { start, end })
  return {
    body: new TransferBody(source, {
      expected: end - start + 1,
      idleMs: timeouts.idleMs,
      signal,
      toError: (error) => toStorageError(error, 'OBJECT_NOT_FOUND')
    }),
    size,
    range: resolvedRange,
    mimeType: null,
    etag: versionOf(stats),
    modifiedAt: modifiedAt(stats)
  }
}
