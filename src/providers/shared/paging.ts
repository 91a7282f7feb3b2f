import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { ListCall } from '../../core/backend.ts'
import type { PageFreshness } from '../../core/change-feed.ts'
import type { Entry, EntryPage, FolderInfo, IncompleteReason } from '../../core/entry.ts'
import { SharedWork } from '../../core/shared-work.ts'
import { type UserEntry, UserShares } from '../../core/user-shares.ts'
import { StorageError } from '../../errors.ts'

/** A folder's complete content, from one response of a provider without paging. */
export interface FolderListing {
  readonly folder: FolderInfo
  readonly entries: readonly Entry[]
  /** The reason why the listing is incomplete; `null` if it is complete. */
  readonly reason: IncompleteReason | null
  /** How the listing can be confirmed later. Default `null`: not at all. */
  readonly freshness?: PageFreshness | null
}

/** A folder with its hash and its approximate size in bytes. */
interface HashedListing extends FolderListing {
  readonly hash: string
  readonly weight: number
}

/** A cached folder that a client is paging through. */
interface CachedListing extends HashedListing, UserEntry<CachedListing> {
  readonly key: string
}

export interface ListingPagerOptions {
  /** Limit of all cached folders, in approximate bytes. */
  readonly maxWeight?: number
  /** Limit of one user's cached folders, in approximate bytes. A larger folder is read again for each page. */
  readonly maxUserWeight?: number
}

/** Limits of all folders together, of one user's folders and of one folder, in approximate bytes. */
const MAX_WEIGHT = 192 * 1024 * 1024
const MAX_USER_WEIGHT = 64 * 1024 * 1024
export const MAX_FOLDER_WEIGHT = 64 * 1024 * 1024
/** The weight of an entry without its texts. */
export const ENTRY_WEIGHT = 500
/** JSON characters hashed in one turn of the event loop. */
const TURN_LENGTH = 64 * 1024
/** Time after which a folder is read again for its next page. */
const CACHE_MS = 600_000
/** Maximum entries of one folder. */
export const MAX_FOLDER_ENTRIES = 50_000

const CURSOR = /^([\w-]{22})\.(\d{1,9})$/

/**
 * Cuts complete listings into pages. A cursor contains the hash of the complete listing and an offset, so it works in
 * every process: a process without the cached folder reads it again. If the hash then differs, the folder has changed
 * and the cursor has expired. Pages of two different listings could repeat or omit an entry.
 */
export class ListingPager {
  readonly #folders: LRUCache<string, CachedListing>
  /** The same folders, grouped by user. */
  readonly #shares: UserShares<CachedListing>
  readonly #reloads = new Map<string, SharedWork<HashedListing>>()

  constructor({ maxWeight = MAX_WEIGHT, maxUserWeight = MAX_USER_WEIGHT }: ListingPagerOptions = {}) {
    this.#shares = new UserShares(Infinity, maxUserWeight)
    this.#folders = new LRUCache<string, CachedListing>({
      maxSize: maxWeight,
      sizeCalculation: ({ weight }) => weight,
      ttl: CACHE_MS,
      dispose: (folder) => {
        this.#shares.remove(folder)
      }
    })
  }

  /** Returns the weight of a user's cached folders. */
  weightOf(userId: string): number {
    return this.#shares.bytesOf(userId)
  }

  /**
   * @param userId isolates the cached folders of each user. Above the per-user limit, the user's own least recently
   * used folders are evicted.
   * @param folder identifies the folder among those of the user
   * @param load lists the complete folder in an order that depends only on its content
   * @throws StorageError `CURSOR_EXPIRED`, `INVALID_CURSOR`, and the errors of `load`
   */
  async getPage(
    userId: string,
    folder: string,
    call: ListCall,
    load: (signal: AbortSignal) => Promise<FolderListing>
  ): Promise<EntryPage> {
    const { cursor, limit, kind, signal } = call
    // JSON separates the two unambiguously, whatever characters they contain.
    const key = JSON.stringify([userId, folder])
    if (cursor !== undefined) {
      const { hash, offset } = readCursor(cursor)
      const cached = this.#folders.get(key)
      if (cached !== undefined) this.#shares.use(cached)
      const current = cached?.hash === hash ? cached : await this.#reload(userId, key, signal, load)
      if (current.hash !== hash) throw new StorageError('CURSOR_EXPIRED', 'The folder has changed. List it again.')
      return slicePage(current, offset, limit, kind, hash)
    }
    const listing = await load(signal)
    // Only for the first page: later ones are parts of a listing that may be older than the caller's position.
    const freshness = listing.freshness ?? null
    const firstPage = slicePage(listing, 0, limit, kind, '')
    if (firstPage.next === null) {
      this.#folders.delete(key)
      return { ...firstPage, freshness }
    }
    const hashed = await hashListing(listing)
    this.#store(userId, key, hashed)
    return { ...slicePage(hashed, 0, limit, kind, hashed.hash), freshness }
  }

  /** Reads a folder again for a page after the first. Concurrent requests share the result. */
  #reload(
    userId: string,
    key: string,
    signal: AbortSignal,
    load: (signal: AbortSignal) => Promise<FolderListing>
  ): Promise<HashedListing> {
    signal.throwIfAborted()
    const inFlight = this.#reloads.get(key)
    if (inFlight !== undefined) return inFlight.wait(signal)
    const release = (): void => {
      if (this.#reloads.get(key) === reload) this.#reloads.delete(key)
    }
    const reload = new SharedWork<HashedListing>(release)
    this.#reloads.set(key, reload)
    reload.begin(async (shared) => {
      try {
        const hashed = await hashListing(await load(shared))
        this.#store(userId, key, hashed)
        return hashed
      } finally {
        release()
      }
    })
    return reload.wait(signal)
  }

  #store(userId: string, key: string, folder: HashedListing): void {
    this.#folders.delete(key)
    if (!this.#shares.fits(folder.weight)) return
    const cached = { ...folder, key, userId, size: 0, lessRecent: undefined, moreRecent: undefined }
    // Evict from this user first: a growing total would evict the least recently used folder of any user.
    this.#shares.add(cached, folder.weight)
    for (
      let leastRecent = this.#shares.evictionCandidate(userId);
      leastRecent !== undefined;
      leastRecent = this.#shares.evictionCandidate(userId)
    ) {
      this.#folders.delete(leastRecent.key)
    }
    this.#folders.set(key, cached)
  }
}

/** The cached folders of all providers without paging, under one limit. */
export const listingPager = new ListingPager()

/** Hashes a listing. Truncates it if its texts are too long to be cached. */
async function hashListing(listing: FolderListing): Promise<HashedListing> {
  const hash = createHash('sha256')
  let weight = ENTRY_WEIGHT
  let turnLength = 0
  for (const [index, entry] of listing.entries.entries()) {
    const text = JSON.stringify(entry)
    if (weight + ENTRY_WEIGHT + text.length > MAX_FOLDER_WEIGHT) {
      listing = { ...listing, entries: listing.entries.slice(0, index), reason: 'page-cap' }
      break
    }
    weight += ENTRY_WEIGHT + text.length
    hash.update(text)
    turnLength += text.length
    if (turnLength < TURN_LENGTH) continue
    turnLength = 0
    await nextTurn()
  }
  return { ...listing, weight, hash: hash.digest('base64url').slice(0, 22) }
}

function slicePage(
  { folder, entries, reason }: FolderListing,
  offset: number,
  limit: number,
  kind: ListCall['kind'],
  hash: string
): EntryPage {
  const matching = kind === undefined ? entries : entries.filter((entry) => entry.kind === kind)
  const end = offset + limit
  const isLast = end >= matching.length
  return {
    folder,
    entries: matching.slice(offset, end),
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

/**
 * Parses a cursor, a JSON array that the same backend wrote.
 *
 * @param read converts the items to a position; returns `null` if they are invalid
 * @throws StorageError `INVALID_CURSOR`
 */
export function readJsonCursor<Position>(
  cursor: string,
  read: (items: readonly unknown[]) => Position | null
): Position {
  const position = read(parseArray(cursor))
  if (position === null) throw invalidCursor()
  return position
}

export function invalidCursor(): StorageError {
  return new StorageError('INVALID_CURSOR')
}

function parseArray(cursor: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(cursor)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

let lastTurn: Promise<unknown> = Promise.resolve()

/**
 * Waits for a turn of the event loop in which no other caller works. However many large responses are parsed at a
 * time, each turn contains the work of only one of them.
 */
export function nextTurn(): Promise<unknown> {
  lastTurn = lastTurn.then(() => setImmediate())
  return lastTurn
}
