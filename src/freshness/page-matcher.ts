import type { Change } from '../core/change-feed.ts'
import { type Clock, Moment } from '../core/time.ts'
import { ChangeSet, type ComparablePage } from './change-set.ts'
import type { ConnectionFeeds } from './connection-feeds.ts'
import { type Coverage, MarkCoverage, ScopeCoverage } from './coverage.ts'
import type { ScopeFeed } from './scope-feed.ts'
import type { SharedFeeds } from './shared-feeds.ts'
import type { StoredCoverage } from './stored-page.ts'

export interface PageMatcherOptions {
  readonly clock: Clock
  readonly checkMsOf: (provider: string) => number
  readonly coveredTtlMs: number
  readonly shared: SharedFeeds | null
  /** Drops the pages that changes name, in this instance only. */
  readonly apply: (feeds: ConnectionFeeds, feed: ScopeFeed, changes: ChangeSet) => void
  /** Runs background work within the timeout. */
  readonly run: (work: (signal: AbortSignal) => Promise<void>) => Promise<void>
}

/** Finds out whether a page that another instance has loaded is still what its provider reports. */
export class PageMatcher {
  readonly #options: PageMatcherOptions

  constructor(options: PageMatcherOptions) {
    this.#options = options
  }

  /**
   * Never rejects.
   *
   * @param startedAt when its load began
   * @returns `null` if what has changed since then is not known, or may concern the page
   */
  async match(
    feeds: ConnectionFeeds,
    folderId: string | null,
    { scope, mark, link, unsettledAt, content: described }: StoredCoverage,
    startedAt: Moment
  ): Promise<Coverage | null> {
    const { coveredTtlMs, checkMsOf, clock } = this.#options
    const content = { ...described, folderId }
    const page: ComparablePage = { content, scope, hasMark: mark !== null }
    const init = { ttlMs: coveredTtlMs, maxAgeMs: checkMsOf(feeds.connection.provider), feeds, content, mark }
    if (scope === null) {
      if (feeds.isNamedByOtherScopes(page)) return null
      return new MarkCoverage({ ...init, ticket: feeds.takePage(startedAt, null) })
    }
    const feed = feeds.useScope(scope)
    let coverage: Coverage | undefined
    const onMatched = (changes: readonly Change[]): void => {
      const set = new ChangeSet(scope, changes, new Moment(clock))
      if (changes.length > 0 && set.findNamed([page]).has(page)) return
      if (feeds.isNamedByOtherScopes(page)) return
      const ticket = feeds.takePage(startedAt, feed)
      const doubts = feeds.doubtsBefore(ticket, feed) - (set.isOfUnknownItem ? 1 : 0)
      const unsettledSince = unsettledAt === null ? null : new Moment(clock, Math.max(0, clock.date() - unsettledAt))
      coverage = new ScopeCoverage({ ...init, ticket }, feed, doubts, unsettledSince)
    }
    for (let busy = busyWith(feed); busy !== null; busy = busyWith(feed)) await busy
    if (link !== null && feed.link === link && feed.position !== null) onMatched([])
    else if (link !== null) await this.#synchronize(feeds, feed, link, onMatched)
    return coverage ?? null
  }

  /** Never rejects: a page that cannot be compared is loaded again. */
  #synchronize(
    feeds: ConnectionFeeds,
    feed: ScopeFeed,
    link: string,
    onMatched: (changes: readonly Change[]) => void
  ): Promise<void> {
    const { shared, apply, run, clock } = this.#options
    if (shared === null) return Promise.resolve()
    const actions = {
      apply: (changes: ChangeSet): void => {
        apply(feeds, feed, changes)
      },
      adopt: (position: string): void => {
        feeds.setPosition(feed, position, new Moment(clock))
      },
      onMatched
    }
    const onEnd = (): void => {
      feed.synchronizing = null
    }
    const work = run((signal) => shared.match(feeds.connection, feed, link, actions, signal))
    return (feed.synchronizing = work.then(onEnd, onEnd))
  }
}

/** Returns what moves the position of a feed at the moment. */
function busyWith(feed: ScopeFeed): Promise<unknown> | null {
  return feed.positioning ?? feed.checking ?? feed.synchronizing
}
