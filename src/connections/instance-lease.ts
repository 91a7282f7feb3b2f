import type { ChangeLog, ConnectionChange } from '../core/stores.ts'
import type { ChangePollOutcome } from '../core/telemetry.ts'
import { type Clock, Moment } from '../core/time.ts'
import { StorageError } from '../errors.ts'

export interface InstanceLeaseOptions {
  readonly changeLog: ChangeLog
  /** Duration of the lease in milliseconds, from the start of a poll. Above 0. */
  readonly leaseMs: number
  readonly clock: Clock
  /**
   * Called with the changes of each successful poll, before a lease begins. `null`: unknown connections may have
   * changed.
   */
  readonly onChanges: (changes: readonly ConnectionChange[] | null) => void
  readonly onPolled?: (outcome: ChangePollOutcome) => void
  readonly onPruneFailed?: (error: unknown) => void
}

interface Poll {
  readonly startedAt: Moment
  readonly result: Promise<void>
}

/** From this share of the lease on, a request starts the next poll without waiting for it. */
const RENEWAL_SHARE = 0.5
/** A poll slower than this (and than the lease) is already stale. */
export const MAX_READ_MS = 250
/** A slow poll has often waited for a new database connection, which the next one finds open. */
const MAX_ATTEMPTS = 2
const PRUNE_INTERVAL_MS = 60_000

/**
 * The lease of this process on everything that it has read about connections. One poll of the change log renews it for
 * all of them: what the poll does not name is still as it was read. A process without requests does not poll.
 */
export class InstanceLease {
  readonly #options: InstanceLeaseOptions
  /** The start of the last successful poll. */
  #heldSince: Moment | undefined
  /** Where the next poll continues; `null` if it must start anew. */
  #position: string | null = null
  #pending: Poll | undefined
  /** The number of the latest poll. Times do not give the order: the wall clock may be set back. */
  #lastBegun = 0
  /** Polls up to this number are outdated: one that began later has succeeded, or one has failed since they began. */
  #lastOutdated = 0
  #isDue = false
  #lastPrune: Moment

  constructor(options: InstanceLeaseOptions) {
    this.#options = options
    this.#lastPrune = new Moment(options.clock)
  }

  /** False before the first successful poll, and after one that failed: the next one drops what is read until then. */
  get hasPosition(): boolean {
    return this.#position !== null
  }

  /** Returns true if the lease is held at `now`. In its second half, the next poll starts in the background. */
  use(now: Moment): boolean {
    if (this.#heldSince === undefined) return false
    const ageMs = this.#heldSince.ageAt(now)
    const { leaseMs } = this.#options
    if (ageMs >= leaseMs * RENEWAL_SHARE || this.#isDue) this.renewAhead()
    return ageMs < leaseMs
  }

  /** Starts a poll in the background, unless one is in flight. */
  renewAhead(): void {
    // A failure is not reported: the next request that has to wait starts a poll of its own.
    if (this.#pending === undefined) this.#begin().result.catch(() => {})
  }

  /** Lets the next request start a poll, since something may have changed. */
  expectChanges(): void {
    this.#isDue = true
  }

  /**
   * Resolves when a poll that began at most `maxAgeMs` ago has succeeded. Concurrent callers share a poll.
   *
   * @throws StorageError `DATABASE_UNAVAILABLE`
   */
  async renew(maxAgeMs = this.#options.leaseMs): Promise<void> {
    const { clock } = this.#options
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const now = new Moment(clock)
      if (this.#heldSince !== undefined && this.#heldSince.ageAt(now) < maxAgeMs) return
      const pending = this.#pending
      const poll = pending !== undefined && pending.startedAt.ageAt(now) < maxAgeMs ? pending : this.#begin()
      await poll.result
      if (poll.startedAt.ageMs(clock) <= Math.max(maxAgeMs, MAX_READ_MS)) return
    }
    throw new StorageError('DATABASE_UNAVAILABLE', 'The database responded too slowly.')
  }

  #begin(): Poll {
    const startedAt = new Moment(this.#options.clock)
    this.#lastBegun += 1
    const poll: Poll = { startedAt, result: this.#poll(startedAt, this.#lastBegun) }
    this.#pending = poll
    this.#isDue = false
    const onSettled = (): void => {
      if (this.#pending === poll) this.#pending = undefined
    }
    poll.result.then(onSettled, onSettled)
    return poll
  }

  async #poll(startedAt: Moment, number: number): Promise<void> {
    const { changeLog, onChanges, onPolled = () => {} } = this.#options
    try {
      const { position, changes } = await changeLog.poll(this.#position)
      onChanges(changes)
      onPolled(changes === null ? 'reset' : 'ok')
      if (number <= this.#lastOutdated) return
      this.#lastOutdated = number
      this.#position = position
      this.#heldSince = startedAt
    } catch (error) {
      // The database may have been replaced, so the next poll starts anew, whatever the others in flight bring.
      // What the lease covers stays valid until it ends.
      this.#lastOutdated = this.#lastBegun
      this.#position = null
      onPolled('failed')
      throw error
    }
    this.#prune()
  }

  #prune(): void {
    const { changeLog, clock, onPruneFailed = () => {} } = this.#options
    if (this.#lastPrune.ageMs(clock) < PRUNE_INTERVAL_MS) return
    this.#lastPrune = new Moment(clock)
    changeLog.prune().catch(onPruneFailed)
  }
}
