import { Moment } from '../domain/moment.ts'
import type { Clock } from '../domain/ports.ts'

/** The subject of a read or a notification: a user's connection, or the user's choice for a provider. */
export interface Scope {
  readonly userId: string
  readonly id?: string
  readonly provider?: string
}

/** A read in flight. */
export interface LeaseRead<T> {
  readonly answer: Promise<T>
  readonly startedAt: Moment
}

/** Performs a read. `holds` returns true while its result may be leased: no change was reported since it began. */
export type ReadNow<T> = (startedAt: Moment, holds: () => boolean) => Promise<T>

interface Flight {
  readonly scope: Scope
  readonly key: string | null
  readonly startedAt: Moment
  answer: Promise<unknown>
}

/** The reads of connections in flight. Callers with the same scope share a read; a reported change retires it. */
export class LeaseReads {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #flights = new Set<Flight>()
  readonly #joinable = new Map<string, Flight>()

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock
    this.#leaseMs = leaseMs
  }

  /** Returns the read of this scope that began within the lease, or starts one. */
  join<T>(scope: Scope, read: ReadNow<T>): LeaseRead<T> {
    const key = JSON.stringify([scope.userId, scope.id ?? null, scope.provider ?? null])
    const flight = this.#joinable.get(key)
    const isRecent = flight !== undefined && flight.startedAt.ageMs(this.#clock) < this.#leaseMs
    return (isRecent ? flight : this.#begin(scope, key, read)) as LeaseRead<T>
  }

  /** Starts a read that other callers do not join. */
  alone<T>(scope: Scope, read: ReadNow<T>): Promise<T> {
    return this.#begin(scope, null, read).answer as Promise<T>
  }

  /** Retires the reads of a scope: callers no longer join them, and their results are not leased. */
  retire({ userId, id, provider }: Scope): void {
    for (const flight of this.#flights) {
      const { scope } = flight
      const isSame = scope.id === undefined ? scope.provider === provider : scope.id === id
      if (scope.userId === userId && isSame) this.#end(flight)
    }
  }

  retireAll(): void {
    this.#flights.clear()
    this.#joinable.clear()
  }

  #begin<T>(scope: Scope, key: string | null, read: ReadNow<T>): Flight {
    const startedAt = new Moment(this.#clock)
    const flight: Flight = { scope, key, startedAt, answer: Promise.resolve() }
    this.#flights.add(flight)
    if (key !== null) this.#joinable.set(key, flight)
    flight.answer = read(startedAt, () => this.#flights.has(flight)).finally(() => {
      this.#end(flight)
    })
    return flight
  }

  #end(flight: Flight): void {
    this.#flights.delete(flight)
    if (flight.key !== null && this.#joinable.get(flight.key) === flight) this.#joinable.delete(flight.key)
  }
}
