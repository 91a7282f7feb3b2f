import type { Validity } from '../cache/types.ts'
import type { Clock, Moment } from '../core/time.ts'
import type { ComparablePage } from './change-set.ts'
import type { ConnectionFeeds, LoadTicket } from './connection-feeds.ts'
import type { PageContent } from './fingerprint.ts'
import type { ScopeFeed } from './scope-feed.ts'
import type { StoredCoverage } from './stored-page.ts'

export interface CoverageInit {
  readonly ttlMs: number
  readonly maxAgeMs: number
  readonly feeds: ConnectionFeeds
  readonly ticket: LoadTicket
  readonly content: PageContent
  readonly mark: string | null
}

/** The validity of a page that is confirmed by the feed of its scope, by the mark of its folder, or by both. */
export abstract class Coverage implements Validity, ComparablePage {
  readonly ttlMs: number
  readonly maxAgeMs: number
  readonly feeds: ConnectionFeeds
  readonly content: PageContent
  readonly mark: string | null
  /** The latest check of the mark has failed. */
  failedAt: Moment | null = null
  protected readonly ticket: LoadTicket

  constructor({ ttlMs, maxAgeMs, feeds, ticket, content, mark }: CoverageInit) {
    this.ttlMs = ttlMs
    this.maxAgeMs = maxAgeMs
    this.feeds = feeds
    this.content = content
    this.mark = mark
    this.ticket = ticket
  }

  get hasMark(): boolean {
    return this.mark !== null
  }

  /** Returns true if a change that was read since the load began names the page: it must not be cached. */
  isOvertaken(): boolean {
    return this.feeds.isDropped || this.feeds.hasChangedSince(this.ticket, this)
  }

  /** Describes the page for other instances; `null` if they cannot know what has changed since its load began. */
  abstract toStored(clock: Clock): StoredCoverage | null
  abstract get scope(): string | null
  abstract ageAt(now: Moment, loadAgeMs: number): number
  /** @param doubts those of the scope when the check of the mark began */
  confirmMark(startedAt: Moment, doubts: number): void {
    this.failedAt = null
    this.onMarkConfirmed(startedAt, doubts)
  }
  protected abstract onMarkConfirmed(startedAt: Moment, doubts: number): void
}

/** Confirmed by the feed of its scope. */
export class ScopeCoverage extends Coverage {
  readonly feed: ScopeFeed
  /** The page was loaded, or its mark checked, so soon after a change that it may be older; `null` otherwise. */
  #unsettledSince: Moment | null
  /** Those doubts of the scope that do not concern the page any more. */
  #resolvedDoubts: number

  /** @param resolvedDoubts the doubts of the scope when the load began */
  constructor(init: CoverageInit, feed: ScopeFeed, resolvedDoubts: number, unsettledSince: Moment | null) {
    super(init)
    this.feed = feed
    this.#resolvedDoubts = resolvedDoubts
    this.#unsettledSince = unsettledSince
  }

  get scope(): string {
    return this.feed.name
  }

  /** True if something unknown in the scope has changed since the mark confirmed the page. */
  get isDoubtful(): boolean {
    return this.#resolvedDoubts !== this.feed.doubts
  }

  ageAt(now: Moment, loadAgeMs: number): number {
    const { checkedAt } = this.feed
    // Not confirmed at any time.
    if (this.isDoubtful || this.mustReload(now)) return Infinity
    return checkedAt === null ? loadAgeMs : Math.min(loadAgeMs, checkedAt.ageAt(now))
  }

  toStored(clock: Clock): StoredCoverage | null {
    const link = this.ticket.links.get(this.scope) ?? null
    if (link === null || this.isOvertaken()) return null
    const unsettledAt = this.#unsettledSince && clock.date() - this.#unsettledSince.ageMs(clock)
    return { scope: this.scope, mark: this.mark, link, unsettledAt, content: this.content }
  }

  /** Returns true if no check can confirm the page any more. */
  mustReload(now: Moment): boolean {
    if (this.feed.isDropped) return true
    return this.#unsettledSince !== null && this.#unsettledSince.ageAt(now) >= this.feeds.settleMs
  }

  protected onMarkConfirmed(startedAt: Moment, doubts: number): void {
    this.#resolvedDoubts = doubts
    const { doubtedAt } = this.feed
    if (doubtedAt !== null && doubtedAt.ageAt(startedAt) < this.feeds.settleMs) this.#unsettledSince = doubtedAt
  }
}

/** Confirmed by the mark of its folder alone. */
export class MarkCoverage extends Coverage {
  readonly scope = null
  /** Hits since the load, or since the latest check. */
  hits = 0
  #checkedAt: Moment | null = null

  ageAt(now: Moment, loadAgeMs: number): number {
    if (this.feeds.isDropped) return Infinity
    return this.#checkedAt === null ? loadAgeMs : Math.min(loadAgeMs, this.#checkedAt.ageAt(now))
  }

  toStored(): StoredCoverage | null {
    if (this.isOvertaken()) return null
    return { scope: null, mark: this.mark, link: null, unsettledAt: null, content: this.content }
  }

  protected onMarkConfirmed(startedAt: Moment): void {
    this.#checkedAt = startedAt
    this.hits = 0
  }
}
