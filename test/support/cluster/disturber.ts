import { setTimeout } from 'node:timers/promises'
import type { ClusterRandom } from './random.ts'
import type { ClusterWorld } from './world.ts'
import type { RowState } from './history.ts'
import type { NotificationFate } from '../database/postgres-proxy.ts'

/** Faults that affect the processes, by name. */
export type Faults = Readonly<Record<string, () => Promise<void>>>

/** Pauses between two changes and between two faults. */
const CHANGE_PAUSE_MS = [50, 300] as const
const FAULT_PAUSE_MS = [200, 900] as const
/** The share of changes that repair a connection: most users have something to list most of the time. */
const MENDED = 0.4
const STOPPED_MS = 3_000
const LOST = 0.5
const LATE = 0.2
const LATE_MS = 3_000
/** The probability that a user reconnects a former account. */
const RETURNING = 0.3

/** Changes rows, loses notifications, and breaks the services that the processes depend on. */
export class ClusterDisturber {
  /** The number of times each fault happened. */
  readonly happened: Record<string, number> = {}
  readonly #world: ClusterWorld
  readonly #random: ClusterRandom
  readonly #users: readonly string[]
  readonly #accounts = new Map<string, string[]>()

  constructor(world: ClusterWorld, random: ClusterRandom, users: readonly string[]) {
    this.#world = world
    this.#random = random
    this.#users = users
  }

  /** Gives each user one connection, and every fourth user two. */
  async populate(): Promise<void> {
    for (const [n, user] of this.#users.entries()) {
      await this.#add(user)
      if (n % 4 === 3) await this.#add(user)
    }
  }

  /** Starts to drop and delay notifications. */
  lose(): void {
    this.#world.fate = (): NotificationFate => {
      const chance = this.#random.next()
      if (chance < LOST) return 'drop'
      return chance < LOST + LATE ? this.#random.between(0, LATE_MS) : 'pass'
    }
  }

  async change(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await setTimeout(this.#random.between(...CHANGE_PAUSE_MS))
      const needy = this.#users.filter((user) => this.#world.rows.of(user).every(({ isActive }) => !isActive))
      await this.#changeOne(this.#random.of(needy.length > 0 && this.#random.happens(MENDED) ? needy : this.#users))
    }
  }

  /** Runs the faults repeatedly, in a random order. Waits for a fault that has begun before it returns. */
  async break(faults: Faults, signal: AbortSignal): Promise<void> {
    let left: string[] = []
    while (!signal.aborted) {
      await setTimeout(this.#random.between(...FAULT_PAUSE_MS))
      if (left.length === 0) left = Object.keys(faults)
      if (left.length === 0) return
      const name = this.#random.of(left)
      left = left.filter((other) => other !== name)
      await faults[name]?.()
      this.happened[name] = (this.happened[name] ?? 0) + 1
    }
  }

  /** The faults of the processes and of their notification connections. */
  faults(): Faults {
    const { listeners, processes, rows } = this.#world
    return {
      blackhole: async () => {
        const { proxy } = this.#random.of(listeners)
        proxy.mode = 'blackhole'
        await setTimeout(this.#random.between(500, 2_000))
        proxy.mode = 'relay'
        // Otherwise only a missing heartbeat response reveals it.
        if (this.#random.happens(0.5)) proxy.killAll()
      },
      reset: async () => {
        this.#random.of(listeners).proxy.killAll()
      },
      terminate: async () => {
        await rows.terminate(this.#random.of(listeners).applicationName)
      },
      pause: async () => {
        const process = this.#random.of(processes)
        process.pause()
        await setTimeout(STOPPED_MS)
        process.resume()
      }
    }
  }

  async #changeOne(user: string): Promise<void> {
    const { rows } = this.#world
    const owned = rows.of(user)
    if (owned.length === 0) {
      await this.#add(user)
      return
    }
    const row = this.#random.of(owned)
    if (!row.isActive) {
      await rows.activate(user, row.id)
      return
    }
    await this.#random.of(this.#changesOf(user, row, owned.length > 1))()
  }

  #changesOf(user: string, { id, isDefault }: RowState, hasOthers: boolean): (() => Promise<unknown>)[] {
    const { rows } = this.#world
    const changes = [
      () => rows.deactivate(user, id, this.#random.of(['DISABLED', 'REQUIRES_REAUTH', 'ERROR'])),
      () => rows.swap(user, id, this.#account(user)),
      () => rows.remove(user, id)
    ]
    // A user that has lost one of two connections gets a second one again.
    if (!hasOthers && this.#users.indexOf(user) % 4 === 3) return [() => this.#add(user)]
    return hasOthers && !isDefault ? [...changes, () => rows.prefer(user, id)] : changes
  }

  async #add(user: string): Promise<void> {
    await this.#world.rows.add(user, this.#account(user))
  }

  /** Returns an account that the user is not connected to: a new one or a former one. */
  #account(user: string): string {
    const known = this.#accounts.get(user) ?? []
    this.#accounts.set(user, known)
    const given = known.filter((account) => this.#world.rows.of(user).every((row) => row.account !== account))
    if (given.length > 0 && this.#random.happens(RETURNING)) return this.#random.of(given)
    const account = `${user}-${known.length}`
    known.push(account)
    return account
  }
}
