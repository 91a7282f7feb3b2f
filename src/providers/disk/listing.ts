import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Entry, EntryPage } from '../../domain/entry.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import { nameOf, parentOf } from '../shared/object-path.ts'
import { requireLimit } from '../shared/page-limit.ts'
import type { DiskFolder } from './disk-folder.ts'
import { fileEntry, folderEntry } from './entries.ts'
import { isMissing } from './errors.ts'
import { SmallestNames } from './smallest-names.ts'

/** Names read per system call: the default of 32 makes large folders five times as slow. */
const READ_AHEAD = 1024

/**
 * Returns one page, in the order of the names. Reading a folder cannot start in the middle, so each page reads all
 * names and selects its own. The cursor is the last returned name, so that concurrent changes shift nothing.
 */
export async function listFolder(root: DiskFolder, folderId: string | null, call: ListCall): Promise<EntryPage> {
  const { cursor, limit, signal } = call
  requireLimit(limit)
  const folder = root.ofFolder(folderId)
  await root.requireFolder(folder, 'FOLDER_NOT_FOUND')

  const smallest = new SmallestNames(limit + 1, cursor)
  for await (const item of await opendir(folder, { bufferSize: READ_AHEAD })) {
    signal.throwIfAborted()
    const kind = item.isDirectory() ? 'folder' : item.isFile() ? 'file' : null
    // Links, sockets and devices are not listed: their content is not in the store.
    if (kind === null || (call.kind !== undefined && call.kind !== kind) || root.isPrivate(folder, item.name)) continue
    smallest.offer(item.name)
  }
  const names = smallest.take()
  const shown = names.slice(0, limit)
  const entries = await Promise.all(shown.map((name) => readEntry(root, folder, (folderId ?? '') + name)))

  const next = names.length > limit ? (shown.at(-1) ?? null) : null
  return {
    folder: folderId === null ? { id: null, name: null, parentId: null } : infoOf(folderId),
    // `null`: removed since its name was read, or a name that is not UTF-8 and cannot be requested.
    entries: entries.filter((entry) => entry !== null),
    next,
    complete: next === null,
    reason: next === null ? null : 'more'
  }
}

function infoOf(folderId: string) {
  return { id: folderId, name: nameOf(folderId), parentId: parentOf(folderId) }
}

async function readEntry(root: DiskFolder, folder: string, id: string): Promise<Entry | null> {
  try {
    const stats = await lstat(join(folder, nameOf(id)), { bigint: true })
    if (stats.isDirectory()) return folderEntry(`${id}/`, stats, root.isUsable(id))
    return stats.isFile() ? fileEntry(id, stats, root.isUsable(id)) : null
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}
