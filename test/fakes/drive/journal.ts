import type { FakeDriveNode } from './node.ts'

/** The log of the user. A shared drive's log has the ID of the drive. */
export const USER_LOG = ''

export interface FakeDriveEvent {
  readonly sequence: number
  readonly at: Date
  readonly id: string
  /** Whether it concerns a shared drive itself. */
  readonly isDrive: boolean
  /** It was deleted, or has left the log's items. */
  readonly isRemoved: boolean
}

interface Log {
  readonly events: FakeDriveEvent[]
  readonly firstSequence: number
  /** Earlier positions are invalid. */
  oldestPosition: number
}

/** Positions of different logs do not overlap, so that a position of another log is invalid. Google's may be valid. */
const SEQUENCES_PER_LOG = 10_000_000

/** The change logs of the user and of the shared drives (Google's page "Track changes for users and shared drives"). */
export class FakeDriveJournal {
  readonly #now: () => Date
  readonly #lagMs: () => number
  readonly #logs = new Map<string, Log>()
  /** The log that contained a node last. */
  readonly #logOfNode = new Map<string, string | null>()

  constructor(now: () => Date, lagMs: () => number) {
    this.#now = now
    this.#lagMs = lagMs
  }

  /** Records a new or changed node. One that has moved to another log is removed from the previous one. */
  record(node: FakeDriveNode, log: string | null): void {
    const { id, isRoot, driveId } = node
    const previous = this.#logOfNode.get(id) ?? null
    this.#logOfNode.set(id, log)
    if (previous !== null && previous !== log) this.#append(previous, { id, isDrive: false, isRemoved: true })
    const isDrive = isRoot && driveId !== undefined
    if (log !== null) this.#append(log, { id, isDrive, isRemoved: false })
    // The user's log has the drives of the user, but not their items.
    if (isDrive) this.#append(USER_LOG, { id, isDrive, isRemoved: false })
  }

  /** Records a deletion. Descendants have no events. */
  recordRemoval({ id, isRoot, driveId }: FakeDriveNode, log: string | null): void {
    this.#logOfNode.delete(id)
    if (isRoot && driveId !== undefined) this.#append(USER_LOG, { id, isDrive: true, isRemoved: true })
    else if (log !== null) this.#append(log, { id, isDrive: false, isRemoved: true })
  }

  /** Returns the position after the last visible event. */
  endOf(name: string): number {
    const { events, firstSequence } = this.#log(name)
    return firstSequence + this.#visible(events).length
  }

  /**
   * Returns the visible events from a position, of each item only the last; `null` for an invalid position. A position
   * stays valid if `lagMs` increases and the events before it are no longer visible.
   */
  eventsFrom(name: string, position: string): readonly FakeDriveEvent[] | null {
    const { events, firstSequence, oldestPosition } = this.#log(name)
    const start = /^\d{1,15}$/.test(position) ? Number(position) : -1
    if (start < oldestPosition || start > firstSequence + events.length) return null
    const latest = new Map<string, FakeDriveEvent>()
    for (const event of this.#visible(events).slice(start - firstSequence)) {
      latest.delete(event.id)
      latest.set(event.id, event)
    }
    return [...latest.values()]
  }

  /** Makes all positions invalid that were returned so far. */
  losePositions(): void {
    for (const log of this.#logs.values()) {
      log.events.push({ sequence: log.firstSequence + log.events.length, ...LOST, at: this.#now() })
      log.oldestPosition = log.firstSequence + log.events.length
    }
  }

  #append(name: string, event: Omit<FakeDriveEvent, 'sequence' | 'at'>): void {
    const { events, firstSequence } = this.#log(name)
    events.push({ ...event, sequence: firstSequence + events.length, at: this.#now() })
  }

  #log(name: string): Log {
    const firstSequence = 1 + this.#logs.size * SEQUENCES_PER_LOG
    const log = this.#logs.get(name) ?? { events: [], firstSequence, oldestPosition: firstSequence }
    this.#logs.set(name, log)
    return log
  }

  #visible(events: readonly FakeDriveEvent[]): readonly FakeDriveEvent[] {
    const limit = this.#now().getTime() - this.#lagMs()
    const end = events.findLastIndex(({ at }) => at.getTime() <= limit)
    return events.slice(0, end + 1)
  }
}

/** An event that only uses up its number. */
const LOST = { id: '', isDrive: false, isRemoved: true }
