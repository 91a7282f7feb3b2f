import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Entry, EntryPage, FolderInfo, IncompleteReason } from '../../domain/entry.ts'
import { StorageError } from '../../domain/errors.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import { SharedWork } from '../../domain/shared-work.ts'
import { type SharedEntry, UserShares } from '../../domain/user-shares.ts'
import { invalidCursor } from './json-cursor.ts'
import { nextTurn } from './next-turn.ts'

/** A folder's whole content, from one answer of a provider that has no pages. */
export interface WholeFolder {
  readonly folder: FolderInfo
  readonly entries: readonly Entry[]
  /** Why this is not all; `null` where it is. */
  readonly reason: IncompleteReason | null
}

/** A folder with its hash, and its size in about bytes. */
interface HashedFolder extends WholeFolder {
  readonly hash: string
  readonly weight: number
}

/** A folder that is being paged through. */
interface PagedFolder extends HashedFolder, SharedEntry<PagedFolder> {
  readonly key: string
}

export interface CutPagesOptions {
  /** In about bytes, of all cached folders. */
  readonly maxWeight?: number
  /** In about bytes, of the cached folders of one user. A larger folder is read again for each page. */
  readonly maxUserWeight?: number
}

/** In about bytes: all folders together, those of one user, and one folder. */
const MAX_WEIGHT = 192 * 1024 * 1024
const MAX_USER_WEIGHT = 64 * 1024 * 1024
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
  readonly #folders: LRUCache<string, PagedFolder>
  /** The same folders by user. */
  readonly #shares: UserShares<PagedFolder>
  readonly #rereads = new Map<string, SharedWork<HashedFolder>>()

  constructor({ maxWeight = MAX_WEIGHT, maxUserWeight = MAX_USER_WEIGHT }: CutPagesOptions = {}) {
    this.#shares = new UserShares(Infinity, maxUserWeight)
    this.#folders = new LRUCache<string, PagedFolder>({
      maxSize: maxWeight,
      sizeCalculation: ({ weight }) => weight,
      ttl: CACHE_MS,
      dispose: (folder) => {
        this.#shares.remove(folder)
      }
    })
  }

  /** The weight of the cached folders of a user. */
  weightOf(userId: string): number {
    return this.#shares.bytesOf(userId)
  }

  /**
   * @param userId No user sees the folders of another. Beyond a third of the memory, the user's own least recently used
   * folders are evicted.
   * @param folder names the folder among those of the user
   * @param load lists the whole folder, in an order that depends on nothing but its content
   * @throws StorageError `CURSOR_EXPIRED`, `INVALID_CURSOR`, and what `load` throws
   */
  async page(
    userId: string,
    folder: string,
    call: ListCall,
    load: (signal: AbortSignal) => Promise<WholeFolder>
  ): Promise<EntryPage> {
    const { cursor, limit, kind, signal } = call
    // JSON keeps the two apart, whatever characters they contain.
    const key = JSON.stringify([userId, folder])
    if (cursor !== undefined) {
      const { hash, offset } = readCursor(cursor)
      const cached = this.#folders.get(key)
      if (cached !== undefined) this.#shares.use(cached)
      const paged = cached?.hash === hash ? cached : await this.#reread(userId, key, signal, load)
      if (paged.hash !== hash) throw new StorageError('CURSOR_EXPIRED', 'The folder has changed: start again.')
      return cut(paged, offset, limit, kind, hash)
    }
    const whole = await load(signal)
    const first = cut(whole, 0, limit, kind, '')
    if (first.next === null) {
      this.#folders.delete(key)
      return first
    }
    const hashed = await weigh(whole)
    this.#store(userId, key, hashed)
    return cut(hashed, 0, limit, kind, hashed.hash)
  }

  /** Reads a folder for a page behind the first. Requests that arrive meanwhile share the result. */
  #reread(
    userId: string,
    key: string,
    signal: AbortSignal,
    load: (signal: AbortSignal) => Promise<WholeFolder>
  ): Promise<HashedFolder> {
    signal.throwIfAborted()
    const running = this.#rereads.get(key)
    if (running !== undefined) return running.wait(signal)
    const end = (): void => {
      if (this.#rereads.get(key) === reread) this.#rereads.delete(key)
    }
    const reread = new SharedWork<HashedFolder>(end)
    this.#rereads.set(key, reread)
    reread.begin(async (shared) => {
      try {
        const hashed = await weigh(await load(shared))
        this.#store(userId, key, hashed)
        return hashed
      } finally {
        end()
      }
    })
    return reread.wait(signal)
  }

  #store(userId: string, key: string, folder: HashedFolder): void {
    this.#folders.delete(key)
    if (!this.#shares.fits(folder.weight)) return
    const paged = { ...folder, key, userId, size: 0, lessRecent: undefined, moreRecent: undefined }
    // Before the store of all users grows: it would evict the least recently used folder of any user.
    this.#shares.add(paged, folder.weight)
    for (let other = this.#shares.surplusOf(userId); other !== undefined; other = this.#shares.surplusOf(userId)) {
      this.#folders.delete(other.key)
    }
    this.#folders.set(key, paged)
  }
}

/** The folders of all providers that have no pages, under one limit. */
export const cutPages = new CutPages()

/** Hashes a listing, and cuts it off where its texts are so long that it cannot be cached. */
async function weigh(whole: WholeFolder): Promise<HashedFolder> {
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
  return { ...whole, weight, hash: hash.digest('base64url').slice(0, 22) }
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
