import type { BigIntStats } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { compareUtf8, formatTime, nameOf, parentOf } from '../shared/names.ts'
import { requireLimit } from '../shared/paging.ts'
import { type DiskFolder, isNotFound } from './folder.ts'

/** Names read per system call: the default of 32 makes large folders five times as slow. */
const READ_BUFFER_ENTRIES = 1024

/**
 * Returns one page, in the order of the names. Reading a folder cannot start in the middle, so each page reads all
 * names and selects its own. The cursor is the last returned name, so that concurrent changes shift nothing.
 */
export async function listFolder(root: DiskFolder, folderId: string | null, call: ListCall): Promise<EntryPage> {
  const { cursor, limit, signal } = call
  requireLimit(limit)
  const folder = root.folderPathOf(folderId)
  await root.requireFolder(folder, 'FOLDER_NOT_FOUND')

  const smallest = new SmallestNames(limit + 1, cursor)
  for await (const item of await opendir(folder, { bufferSize: READ_BUFFER_ENTRIES })) {
    signal.throwIfAborted()
    const kind = item.isDirectory() ? 'folder' : item.isFile() ? 'file' : null
    // Links, sockets and devices are not listed: their content is not in the store.
    if (kind === null || (call.kind !== undefined && call.kind !== kind) || root.isPrivate(folder, item.name)) continue
    smallest.add(item.name)
  }
  const names = smallest.take()
  const pageNames = names.slice(0, limit)
  const entries = await Promise.all(pageNames.map((name) => readEntry(root, folder, (folderId ?? '') + name)))

  const next = names.length > limit ? (pageNames.at(-1) ?? null) : null
  return {
    folder: folderId === null ? { id: null, name: null, parentId: null } : folderInfo(folderId),
    // `null`: removed since its name was read, or a name that is not UTF-8 and cannot be requested.
    entries: entries.filter((entry) => entry !== null),
    next,
    complete: next === null,
    reason: next === null ? null : 'more'
  }
}

function folderInfo(folderId: string) {
  return { id: folderId, name: nameOf(folderId), parentId: parentOf(folderId) }
}

async function readEntry(root: DiskFolder, folder: string, id: string): Promise<Entry | null> {
  try {
    const stats = await lstat(join(folder, nameOf(id)), { bigint: true })
    if (stats.isDirectory()) return folderEntry(`${id}/`, stats, root.isUsable(id))
    return stats.isFile() ? fileEntry(id, stats, root.isUsable(id)) : null
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}

/** Collects the `count` smallest of any number of names, with at most twice as many in memory. */
export class SmallestNames {
  readonly #count: number
  readonly #after: string | undefined
  #names: string[] = []
  /** The largest of the first `count` names, once known. Names that are not smaller are ignored. */
  #bound: string | undefined

  /** @param after excludes names up to this one */
  constructor(count: number, after: string | undefined) {
    this.#count = count
    this.#after = after
  }

  add(name: string): void {
    if (this.#after !== undefined && compareUtf8(name, this.#after) <= 0) return
    if (this.#bound !== undefined && compareUtf8(name, this.#bound) >= 0) return
    this.#names.push(name)
    if (this.#names.length >= 2 * this.#count) this.#truncate()
  }

  /** Returns the names, in UTF-8 order. */
  take(): readonly string[] {
    this.#truncate()
    return this.#names
  }

  #truncate(): void {
    this.#names.sort(compareUtf8)
    this.#names.length = Math.min(this.#names.length, this.#count)
    if (this.#names.length === this.#count) this.#bound = this.#names.at(-1)
  }
}

export function fileEntry(id: string, stats: BigIntStats, isUsable: boolean): Entry {
  return {
    ...commonFields(id),
    kind: 'file',
    size: Number(stats.size),
    modifiedAt: modifiedAt(stats),
    version: versionOf(stats),
    can: { list: false, download: isUsable, write: isUsable }
  }
}

export function folderEntry(id: string, stats: BigIntStats, isUsable: boolean): Entry {
  return {
    ...commonFields(id),
    kind: 'folder',
    size: null,
    modifiedAt: modifiedAt(stats),
    version: null,
    can: { list: isUsable, download: false, write: isUsable }
  }
}

/** Returns a version. Each upload creates a new file: one of the same size in a clock tick has another inode. */
export function versionOf({ mtimeNs, size, ino }: BigIntStats): string {
  return [mtimeNs, size, ino].map((part) => part.toString(36)).join('-')
}

/** Returns `null` for zero, which archives and build tools set if they do not know the time. */
export function modifiedAt(stats: BigIntStats): string | null {
  return formatTime(Number(stats.mtimeMs))
}

function commonFields(id: string) {
  return {
    id,
    parentId: parentOf(id),
    driveId: null,
    name: nameOf(id),
    mimeType: null,
    createdAt: null,
    hash: null,
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: id
  }
}
