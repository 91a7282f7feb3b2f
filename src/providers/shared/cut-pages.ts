import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Entry, EntryPage, FolderInfo, IncompleteReason } from '../../domain/entry.ts'
import { StorageError } from '../../domain/errors.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import { SharedWork } from '../../domain/shared-work.ts'
import { invalidCursor } from './json-cursor.ts'
import { nextTurn } from './next-turn.ts'

/** A folder's whole content, from one answer of a provider that has no pages. */
export interface WholeFolder {
  readonly folder: FolderInfo
  readonly entries: readonly Entry[]
  /** Why this is not all; `null` where it is. */
  readonly reason: IncompleteReason | null
}

/** A folder that is being paged through. */
interface PagedFolder extends WholeFolder {
  readonly owner: string
  readonly hash: string
  readonly weight: number
}

/** In about bytes: all folders together, those of one owner, and one folder. */
const MAX_WEIGHT = 192 * 1024 * 1024
const MAX_OWNER_WEIGHT = 64 * 1024 * 1024
export const MAX_FOLDER_WEIGHT = 64 * 1024 * 1024
/** The weight of an entry besides its texts. */
export const ENTRY_WEIGHT = 500
/** JSON text that is hashed in one turn of the event loop. */
const TURN_LENGTH = 64 * 1024
/** The time after which a folder is read again for its next page. */
const CACHE_MS = 600_000
/** The most entries of one folder. */
export const MAX_FOLDER_ENTRIES = 50_000

const CURSOR = /^([\w-]{22})\.(\d{1,9})$/

/**
 * Cuts whole listings into pages. A cursor holds the hash of the whole listing and an offset, so it works in every
 * process: one that has not cached the folder reads it again. If the hash differs then, the folder has changed and the
 * cursor has expired: pages of two listings would show an entry twice, or never.
 */
export class CutPages {
  readonly #folders = new LRUCache<string, PagedFolder>({
    maxSize: MAX_WEIGHT,
    sizeCalculation: ({ weight }) => weight,
    ttl: CACHE_MS,
    dispose: (folder, key) => {
      this.#release(folder, key)
    }
  })
  /** The folders of each owner with their weights, the oldest first. */
  readonly #owners = new Map<string, Map<string, number>>()
  readonly #rereads = new Map<string, SharedWork<PagedFolder>>()

  /**
   * @param owner a connection. No owner sees the folders of another, nor takes more than a third of the memory.
   * @param folder names the folder among those of its owner
   * @param load lists the whole folder, in an order that depends on nothing but its content
   * @throws StorageError `CURSOR_EXPIRED`, `INVALID_CURSOR`, and what `load` throws
   */
  async page(
    owner: string,
    folder: string,
    call: ListCall,
    load: (signal: AbortSignal) => Promise<WholeFolder>
  ): Promise<EntryPage> {
    const { cursor, limit, kind, signal } = call
    const key = `${owner} ${folder}`
    if (cursor !== undefined) {
      const { hash, offset } = readCursor(cursor)
      const cached = this.#folders.get(key)
      const paged = cached?.hash === hash ? cached : await this.#reread(owner, key, signal, load)
      if (paged.hash !== hash) throw new StorageError('CURSOR_EXPIRED', 'The folder has changed: start again.')
      return cut(paged, offset, limit, kind, hash)
    }
    const whole = await load(signal)
    const first = cut(whole, 0, limit, kind, '')
    if (first.next === null) {
      this.#folders.delete(key)
      return first
    }
    const paged = await weigh(owner, whole)
    this.#store(key, paged)
    return cut(paged, 0, limit, kind, paged.hash)
  }

  /** Reads a folder for a page behind the first. Requests that arrive meanwhile share the result. */
  #reread(
    owner: string,
    key: string,
    signal: AbortSignal,
    load: (signal: AbortSignal) => Promise<WholeFolder>
  ): Promise<PagedFolder> {
    signal.throwIfAborted()
    const running = this.#rereads.get(key)
    if (running !== undefined) return running.wait(signal)
    const end = (): void => {
      if (this.#rereads.get(key) === reread) this.#rereads.delete(key)
    }
    const reread = new SharedWork<PagedFolder>(end)
    this.#rereads.set(key, reread)
    reread.begin(async (shared) => {
      try {
        const paged = await weigh(owner, await load(shared))
        this.#store(key, paged)
        return paged
      } finally {
        end()
      }
    })
    return reread.wait(signal)
  }

  #store(key: string, paged: PagedFolder): void {
    this.#folders.set(key, paged)
    const { owner, weight } = paged
    const own = this.#owners.get(owner) ?? new Map<string, number>()
    this.#owners.set(owner, own.set(key, weight))
    let total = [...own.values()].reduce((sum, each) => sum + each, 0)
    for (const [other, freed] of own) {
      if (total <= MAX_OWNER_WEIGHT || other === key) break
      total -= freed
      this.#folders.delete(other)
    }
  }

  #release({ owner }: PagedFolder, key: string): void {
    const own = this.#owners.get(owner)
    own?.delete(key)
    if (own?.size === 0) this.#owners.delete(owner)
  }
}

/** The folders of all providers that have no pages, under one limit. */
export const cutPages = new CutPages()

/** Hashes a listing, and cuts it off where its texts are so long that it cannot be cached. */
async function weigh(owner: string, whole: WholeFolder): Promise<PagedFolder> {
  const hash = createHash('sha256')
  let weight = ENTRY_WEIGHT
  let turn = 0
  for (const [index, entry] of whole.entries.entries()) {
    const text = JSON.stringify(entry)
    if (weight + ENTRY_WEIGHT + text.length > MAX_FOLDER_WEIGHT) {
      whole = { ...whole, entries: whole.entries.slice(0, index), reason: 'page-cap' }
      break
    }
    weight += ENTRY_WEIGHT + text.length
    hash.update(text)
    turn += text.length
    if (turn < TURN_LENGTH) continue
    turn = 0
    await nextTurn()
  }
  return { ...whole, owner, weight, hash: hash.digest('base64url').slice(0, 22) }
}

function cut(
  { folder, entries, reason }: WholeFolder,
  offset: number,
  limit: number,
  kind: ListCall['kind'],
  hash: string
): EntryPage {
  const wanted = kind === undefined ? entries : entries.filter((entry) => entry.kind === kind)
  const end = offset + limit
  const isLast = end >= wanted.length
  return {
    folder,
    entries: wanted.slice(offset, end),
    next: isLast ? null : `${hash}.${end}`,
    complete: isLast && reason === null,
    reason: isLast ? reason : 'more'
  }
}

function readCursor(cursor: string): { hash: string; offset: number } {
  const [, hash, offset] = CURSOR.exec(cursor) ?? []
  if (hash === undefined) throw invalidCursor()
  return { hash, offset: Number(offset) }
}
