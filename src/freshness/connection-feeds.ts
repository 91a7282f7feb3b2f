import type { StorageBackend } from '../core/backend.ts'
import { ROOT_SCOPE } from '../core/change-feed.ts'
import type { Connection } from '../core/connection.ts'
import type { Moment } from '../core/time.ts'
import type { ChangeSet, ComparablePage } from './change-set.ts'
import { type Confirmation, ScopeFeed } from './scope-feed.ts'

/** Scopes of one connection; beyond it the least recently used one ends, and its pages are loaded again. */
const MAX_SCOPES = 64
/** Changes that are remembered for the loads in flight and for settling. */
const MAX_REMEMBERED = 2_000
/** Loads that take longer are not cached if changes were forgotten meanwhile. */
const REMEMBER_MS = 60_000

/** The changes and positions that preceded a load. */
export interface LoadTicket {
  readonly sequence: number
  readonly startedAt: Moment
  /** The last known links of the scopes' shared records. */
  readonly links: ReadonlyMap<string, string | null>
}

export interface MarkOutcome {
  readonly confirmation: Confirmation
  readonly checkedAt: Moment
}

/** The check of a mark in flight. */
export interface MarkCheck {
  /** The doubts of the scope when it began. */
  readonly doubts: number
  readonly outcome: Promise<MarkOutcome>
}

/** What is known of the feeds of one connection, in one of its versions. */
export class ConnectionFeeds {
  readonly connection: Connection
  /** Returns the open backend of the connection, or opens it. */
  readonly open: () => Promise<StorageBackend>
  /** For so long the listings of the provider may be older than its feed, in milliseconds. */
  readonly settleMs: number
  /** By folder and mark. */
  readonly markChecks = new Map<string, MarkCheck>()
  isDropped = false
  /** In the order of use. */
  readonly #scopes = new Map<string, ScopeFeed>()
  #remembered: { readonly sequence: number; readonly changes: ChangeSet }[] = []
  /** Counts the changes and positions. */
  #sequence = 0
  /** The latest changes that are no longer remembered. */
  #forgotten = 0

  constructor(connection: Connection, open: () => Promise<StorageBackend>, settleMs: number) {
    this.connection = connection
    this.open = open
    this.settleMs = settleMs
    this.useScope(ROOT_SCOPE)
  }

  /** Returns the feed of a scope, which is created if it is not known. */
  useScope(name: string): ScopeFeed {
    const feed = this.#scopes.get(name) ?? new ScopeFeed(name)
    this.#scopes.delete(name)
    this.#scopes.set(name, feed)
    if (this.#scopes.size > MAX_SCOPES) this.#dropOldestScope()
    return feed
  }

  scopes(): Iterable<ScopeFeed> {
    return this.#scopes.values()
  }

  setPosition(feed: ScopeFeed, position: string, now: Moment): void {
    this.#sequence += 1
    feed.position = position
    feed.positionedAt = now
    feed.positionedSequence = this.#sequence
    feed.failedAt = null
    feed.unsharedSince = null
  }

  beginLoad(now: Moment): LoadTicket {
    const links = new Map([...this.#scopes.values()].map(({ name, link }) => [name, link]))
    return { sequence: this.#sequence, startedAt: now, links }
  }

  /**
   * Begins the coverage of a page that another instance has loaded. All that is known of its scope up to now is in the
   * shared record, except for what could not be stored.
   *
   * @param feed `null`: the page has only a mark
   */
  takePage(startedAt: Moment, feed: ScopeFeed | null): LoadTicket {
    return { ...this.beginLoad(startedAt), sequence: feed?.unsharedSince ?? this.#sequence }
  }

  /** Returns true if changes that are remembered, and are not of the page's own scope, name it. */
  isNamedByOtherScopes(page: ComparablePage): boolean {
    return this.#remembered.some(({ changes }) => changes.scope !== page.scope && changes.names(page))
  }

  /** Notes that changes of a scope, which follow, are not in its shared record yet. */
  beginUnshared(feed: ScopeFeed): void {
    feed.unsharedSince ??= this.#sequence
  }

  /** Remembers changes for the loads in flight, of which the content is not known yet, and for settling. */
  remember(changes: ChangeSet, now: Moment): void {
    this.#sequence += 1
    this.#remembered.push({ sequence: this.#sequence, changes })
    let count = this.#remembered.reduce((sum, each) => sum + each.changes.count, 0)
    const keptMs = Math.max(REMEMBER_MS, this.settleMs)
    for (let [oldest] = this.#remembered; oldest !== undefined; [oldest] = this.#remembered) {
      if (count <= MAX_REMEMBERED && oldest.changes.readAt.ageAt(now) < keptMs) break
      this.#remembered.shift()
      this.#forgotten = oldest.sequence
      count -= oldest.changes.count
    }
  }

  /** Returns true if changes that were read since a load began name its page, or may. */
  hasChangedSince({ sequence }: LoadTicket, page: ComparablePage): boolean {
    if (sequence < this.#forgotten) return true
    return this.#remembered.some((each) => each.sequence > sequence && each.changes.names(page))
  }

  /** Returns the doubts of a scope when a load began. */
  doubtsBefore({ sequence }: LoadTicket, { name, doubts }: ScopeFeed): number {
    const isDoubt = ({ isOfUnknownItem, scope }: ChangeSet): boolean => isOfUnknownItem && scope === name
    return doubts - this.#remembered.filter((each) => each.sequence > sequence && isDoubt(each.changes)).length
  }

  /**
   * Returns when the latest change was read that may be one of a page and precedes its load by less than `settleMs`; `null` if
   * there is none.
   */
  unsettledSince({ startedAt }: LoadTicket, page: ComparablePage, { positionedAt }: ScopeFeed): Moment | null {
    if (this.settleMs === 0) return null
    const isRecent = (moment: Moment): boolean => moment.ageAt(startedAt) < this.settleMs
    // An unknown change may be one of a page with a mark, too, although it does not name it.
    const concerns = (changes: ChangeSet): boolean =>
      changes.names(page) || (changes.isOfUnknownItem && changes.scope === page.scope)
    const named = this.#remembered.findLast(({ changes }) => isRecent(changes.readAt) && concerns(changes))
    const readAt = named?.changes.readAt ?? null
    // A change just before the position was taken is never reported.
    if (positionedAt === null || !isRecent(positionedAt)) return readAt
    return readAt === null || positionedAt.ageAt(startedAt) < readAt.ageAt(startedAt) ? positionedAt : readAt
  }

  drop(): void {
    this.isDropped = true
    for (const feed of this.#scopes.values()) feed.isDropped = true
  }

  #dropOldestScope(): void {
    for (const [name, feed] of this.#scopes) {
      if (name === ROOT_SCOPE) continue
      feed.isDropped = true
      this.#scopes.delete(name)
      return
    }
  }
}
