import type { Change, FeedPage } from '../core/change-feed.ts'
import type { Moment } from '../core/time.ts'
import { isStorageError, type StorageErrorCode } from '../errors.ts'

/** Longest position or mark, in characters. */
export const MAX_TEXT_LENGTH = 4_096

/**
 * The outcome of a check. `expired`: the page must be loaded again. `failed`: so must it, since the provider is
 * unavailable.
 */
export type Confirmation = 'confirmed' | 'expired' | 'failed'

/** Failures during which a page may be served although it could not be confirmed. */
const OUTAGES: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'PROVIDER_ERROR',
  'PROVIDER_THROTTLED',
  'PROVIDER_TIMEOUT',
  'PROVIDER_UNAVAILABLE'
])

/** Returns the outcome of a check that has ended with an error. */
export function failureOf(error: unknown): Exclude<Confirmation, 'confirmed'> {
  return isStorageError(error) && OUTAGES.has(error.code) ? 'failed' : 'expired'
}

/** How far the feed of a scope has been read. */
export class ScopeFeed {
  readonly name: string
  /** `null`: no position is known, so that no page of the scope can be covered. */
  position: string | null = null
  /** When the first position was taken; a page that was loaded shortly after it may be older. */
  positionedAt: Moment | null = null
  /** The number in the connection's sequence at which the position was taken. */
  positionedSequence = 0
  /** Start of the latest read that reached the end of the feed. */
  checkedAt: Moment | null = null
  /** When the latest attempt to take a position or to read the feed failed; `null` if it has not. */
  failedAt: Moment | null = null
  failure: Exclude<Confirmation, 'confirmed'> = 'failed'
  /** Incremented by each change of an item that the provider does not name. */
  doubts = 0
  /** When the latest of them was read. */
  doubtedAt: Moment | null = null
  isDropped = false
  /** The last link of the shared record that was applied here; `null` if the feed was never shared. */
  link: string | null = null
  /** The number in the connection's sequence after which changes were applied here that the record may lack. */
  unsharedSince: number | null = null
  /** The last link of the shared record whose position the provider no longer knows. */
  lostLink: string | null = null
  /** The position that is being taken, and the check in flight: each serves all that wait for it. */
  positioning: Promise<void> | null = null
  checking: Promise<Confirmation> | null = null
  /** The record that is being read for a page of another instance. Nothing else moves the position meanwhile. */
  synchronizing: Promise<void> | null = null

  constructor(name: string) {
    this.name = name
  }

  /** Forgets the position, which the provider no longer knows. */
  lose(): void {
    this.position = null
    this.checkedAt = null
  }
}

/** A host's own provider may return anything. What is not understood counts as a lost position. */
export function isFeedPage(page: unknown): page is Exclude<FeedPage, 'lost'> {
  if (typeof page !== 'object' || page === null) return false
  const { position, changes } = page as Partial<Exclude<FeedPage, 'lost'>>
  return isPosition(position) && Array.isArray(changes) && changes.every(isChange)
}

export function isPosition(position: unknown): position is string {
  return typeof position === 'string' && position.length <= MAX_TEXT_LENGTH
}

function isChange(change: unknown): boolean {
  if (typeof change !== 'object' || change === null) return false
  const { id, path, parentId } = change as Partial<Change>
  return [id, path, parentId].every((text) => text === null || typeof text === 'string')
}
