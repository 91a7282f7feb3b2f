import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { folderInfo } from '../shared/entries.ts'
import { compareUtf8, nameOf } from '../shared/names.ts'
import { requireLimit } from '../shared/backend.ts'
import { fileEntry, folderEntry } from './entries.ts'
import { isNotFound } from './errors.ts'
import type { DiskFolder, DiskSession } from './session.ts'

/** Names read per system call: the default of 32 makes large folders five times as slow. */
const READ_BUFFER_ENTRIES = 1024

/**
 * Returns one page, in the order of the names. Reading a folder cannot start in the middle, so each page reads all
 * names and selects its own. The cursor is the last returned name, so that concurrent changes shift nothing.
 */
export async function listFolder({ root }: DiskSession, folderId: string | null, call: ListCall): Promise<EntryPage> {
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
    folder: folderInfo(folderId),
    // `null`: removed since its name was read, or a name that is not UTF-8 and cannot be requested.
    entries: entries.filter((entry) => entry !== null),
    next,
    complete: next === null,
    reason: next === null ? null : 'more'
  }
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
