import type { SharedLock, SharedRecords } from '../cache/shared-tier.ts'
import type { Change } from '../core/change-feed.ts'
import type { Connection } from '../core/connection.ts'
import { type Clock, Moment, sleep } from '../core/time.ts'
import { ChangeSet } from './change-set.ts'
import type { MarkOutcome } from './connection-feeds.ts'
import {
  changesAfter,
  createRecord,
  decodeRecord,
  encodeRecord,
  extendRecord,
  type FeedRecord,
  headOf,
  type MarkedFolder,
  markKey,
  recordKey
} from './feed-record.ts'
import type { ScopeFeed } from './scope-feed.ts'

/** For about one second a check waits for that of another instance. Then it goes on by itself. */
const POLL_INTERVAL_MS = 25
const MAX_POLLS = 40
const MARK_CHECKED = Buffer.from('1')

export interface SharedFeedsOptions {
  readonly records: SharedRecords
  readonly clock: Clock
}

/** What a check does in its own instance. */
export interface FeedActions {
  /** Drops the pages that changes name in this instance only. */
  readonly apply: (changes: ChangeSet) => void
  /**
   * Reads the feed to its end, and drops the pages that the changes name.
   *
   * @param changes receives what was read
   * @returns when the read began; `null` if the position is lost
   */
  readonly read: (changes?: Change[]) => Promise<Moment | null>
  /** Receives background work. */
  readonly track: (work: Promise<void>) => void
}

/** What happens when the record of a page's scope has been read, all in one turn. */
export interface MatchActions extends Pick<FeedActions, 'apply'> {
  /** Receives the position of the record if none is known here. */
  readonly adopt: (position: string) => void
  /** Receives the changes after the link, which include all that are known here; not called if they are not known. */
  readonly onMatched: (changes: readonly Change[]) => void
}

interface StoredRecord {
  readonly record: FeedRecord
  /** Milliseconds since the feed was last read to its end. */
  readonly ageMs: number
}

/**
 * One feed for all instances (docs/decisions/0053): the one that reads it tells the others when, and what has changed.
 * The record may be lost, or overwritten by an instance that was paused. Then others do not find the link that they
 * remember, and drop their pages.
 */
export class SharedFeeds {
  readonly #options: SharedFeedsOptions

  constructor(options: SharedFeedsOptions) {
    this.#options = options
  }

  /** Adopts the position of the record: an older one is as good. Without a record requests one, and stores it. */
  async takePosition(
    connection: Connection,
    feed: ScopeFeed,
    request: () => Promise<string>,
    signal: AbortSignal
  ): Promise<string> {
    const { records, clock } = this.#options
    const key = recordKey(connection, feed.name)
    const adopt = (found: StoredRecord | null | 'unavailable'): string | null => {
      // After the timeout another attempt may have begun.
      signal.throwIfAborted()
      if (found === null || found === 'unavailable' || headOf(found.record) === feed.lostLink) return null
      feed.link = headOf(found.record)
      return found.record.position
    }
    const found = await this.#find(key)
    const adopted = adopt(found)
    if (adopted !== null) return adopted
    feed.link = null
    const startedAt = new Moment(clock)
    const position = await request()
    if (found === 'unavailable') return position
    const record = createRecord(position)
    if (await records.write(key, encodeRecord(record), startedAt, found === null)) {
      signal.throwIfAborted()
      feed.link = headOf(record)
      return position
    }
    // Another instance was faster.
    return adopt(await this.#find(key)) ?? position
  }

  /**
   * Applies what other instances have read and, unless that is recent, reads the feed for all of them.
   *
   * @param usableMs how old the check of another instance may be
   * @returns when the feed was last read to its end; `null` if the position is lost
   */
  async check(
    connection: Connection,
    feed: ScopeFeed,
    usableMs: number,
    actions: FeedActions,
    signal: AbortSignal
  ): Promise<Moment | null> {
    const { records, clock } = this.#options
    const key = recordKey(connection, feed.name)
    let lock: SharedLock | null = null
    try {
      for (let polls = 0; ; polls += 1) {
        // Once more under the lock: another instance may have stored it between the last read and the lock.
        const found = await this.#synchronize(key, feed, actions, signal)
        if (found === 'unavailable') return await actions.read()
        if (found !== null && found.ageMs < usableMs) return new Moment(clock, found.ageMs)
        if (lock !== null || polls >= MAX_POLLS) {
          return await this.#readForAll(key, feed, found?.record ?? null, actions, signal)
        }
        const acquired = await records.lock(key)
        if (acquired === 'unavailable') return await actions.read()
        lock = acquired
        if (lock === null) await sleep(POLL_INTERVAL_MS, signal)
      }
    } finally {
      if (lock !== null) actions.track(lock.release())
    }
  }

  /** Applies the record of a feed, and finds the changes after a link. */
  async match(
    connection: Connection,
    feed: ScopeFeed,
    link: string,
    { apply, adopt, onMatched }: MatchActions,
    signal: AbortSignal
  ): Promise<void> {
    const found = await this.#find(recordKey(connection, feed.name))
    signal.throwIfAborted()
    if (found === null || found === 'unavailable' || feed.isDropped) return
    const { record } = found
    if (feed.position !== null) {
      this.#apply(record, feed, apply)
    } else {
      if (headOf(record) === feed.lostLink) return
      feed.link = headOf(record)
      adopt(record.position)
    }
    const changes = changesAfter(record, link)
    if (changes !== null) onMatched(changes)
  }

  /** Reads the feed from the position of the record, to which this instance was just synchronised, and extends it. */
  async #readForAll(
    key: string,
    feed: ScopeFeed,
    record: FeedRecord | null,
    actions: FeedActions,
    signal: AbortSignal
  ): Promise<Moment | null> {
    const changes: Change[] = []
    const checkedAt = await actions.read(changes)
    if (checkedAt === null || feed.position === null) {
      // Its position is not adopted again.
      if (record !== null) feed.lostLink = headOf(record)
      return null
    }
    // Without a record the position may be ahead of what others have applied: a new chain, which none of them knows.
    const next = record === null ? createRecord(feed.position) : extendRecord(record, feed.position, changes)
    const isStored = await this.#options.records.write(key, encodeRecord(next), checkedAt, record === null)
    signal.throwIfAborted()
    if (isStored) {
      feed.link = headOf(next)
      feed.unsharedSince = null
    }
    return checkedAt
  }

  /**
   * Uses the check of a mark by another instance if it is recent, and otherwise checks it for all. There is no lock: two
   * instances may check at once.
   */
  async checkMark(
    folder: MarkedFolder,
    usableMs: number,
    { check, track }: { readonly check: () => Promise<MarkOutcome> } & Pick<FeedActions, 'track'>
  ): Promise<MarkOutcome> {
    const { records, clock } = this.#options
    const key = markKey(folder)
    const found = usableMs > 0 ? await records.read(key) : null
    if (found !== null && found !== 'unavailable' && found.ageMs < usableMs) {
      return { confirmation: 'confirmed', checkedAt: new Moment(clock, found.ageMs) }
    }
    const outcome = await check()
    // Its moment is all that the record tells.
    const store = async (): Promise<void> => {
      await records.write(key, MARK_CHECKED, outcome.checkedAt, false)
    }
    if (outcome.confirmation === 'confirmed' && found !== 'unavailable') track(store())
    return outcome
  }

  /** Applies the changes of the record that are not known here, in one turn. */
  async #synchronize(
    key: string,
    feed: ScopeFeed,
    { apply }: FeedActions,
    signal: AbortSignal
  ): Promise<StoredRecord | null | 'unavailable'> {
    const found = await this.#find(key)
    signal.throwIfAborted()
    if (found === null || found === 'unavailable') return found
    this.#apply(found.record, feed, apply)
    return found
  }

  #apply(record: FeedRecord, feed: ScopeFeed, apply: FeedActions['apply']): void {
    const changes = changesAfter(record, feed.link)
    const now = new Moment(this.#options.clock)
    // What was checked here may be ahead of this chain.
    if (changes === null) feed.checkedAt = null
    apply(changes === null ? ChangeSet.ofEverything(feed.name, now) : new ChangeSet(feed.name, changes, now))
    feed.position = record.position
    feed.link = headOf(record)
  }

  async #find(key: string): Promise<StoredRecord | null | 'unavailable'> {
    const found = await this.#options.records.read(key)
    if (found === null || found === 'unavailable') return found
    const record = decodeRecord(found.bytes)
    return record && { record, ageMs: found.ageMs }
  }
}
