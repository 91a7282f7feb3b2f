import { type Clock, Moment } from '../core/time.ts'

/** Performs a read. `isCurrent` returns true while its result may be leased. */
export type Reader<T> = (isCurrent: () => boolean) => Promise<T>

interface Read<T> {
  readonly startedAt: Moment
  readonly result: Promise<T>
}

/**
 * The reads in flight, by user and subject. Callers with the same subject share the latest one. A reported change of
 * the user, or a later read, retires it: no caller joins it any more, and its result is not leased.
 */
export class SharedReads {
  readonly #clock: Clock
  readonly #users = new Map<string, Map<string, Read<unknown>>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns the read that began less than `maxAgeMs` ago, or begins one. */
  join<T>(userId: string, subject: string, read: Reader<T>, maxAgeMs: number): Read<T> {
    const pending = this.#users.get(userId)?.get(subject) as Read<T> | undefined
    if (pending !== undefined && pending.startedAt.ageMs(this.#clock) < maxAgeMs) return pending
    return this.begin(userId, subject, read)
  }

  /** Begins a read, which later callers join instead of an earlier one. */
  begin<T>(userId: string, subject: string, run: Reader<T>): Read<T> {
    const reads = this.#users.get(userId) ?? new Map<string, Read<unknown>>()
    this.#users.set(userId, reads)
    const startedAt = new Moment(this.#clock)
    const isCurrent = (): boolean => this.#users.get(userId) === reads && reads.get(subject)?.startedAt === startedAt
    const result = run(isCurrent).finally(() => {
      if (!isCurrent()) return
      reads.delete(subject)
      if (reads.size === 0) this.#users.delete(userId)
    })
    const read = { startedAt, result }
    reads.set(subject, read)
    return read
  }

  /** Retires the reads of a user. */
  retire(userId: string): void {
    this.#users.delete(userId)
  }

  retireAll(): void {
    this.#users.clear()
  }
}
