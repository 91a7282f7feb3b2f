import { setTimeout } from 'node:timers/promises'
import type { ClusterRandom } from './random.ts'
import type { ClusterWorld } from './world.ts'
import type { RowState } from './history.ts'
import type { NotificationVerdict } from '../database/postgres-proxy.ts'
import { Deferred } from '../time/deferred.ts'

/** Faults that affect the processes, by name. */
export type Faults = Readonly<Record<string, () => Promise<void>>>

/** Pauses between two changes and between two faults. */
const CHANGE_PAUSE_MS = [50, 300] as const
const FAULT_PAUSE_MS = [200, 900] as const
/** The share of changes that repair a connection: most users have something to list most of the time. */
const REPAIR_SHARE = 0.4
const PROCESS_PAUSE_MS = 3_000
const DROP_SHARE = 0.5
const DELAY_SHARE = 0.2
const MAX_DELAY_MS = 3_000
/** The probability that a user reconnects a former account. */
const RECONNECT_SHARE = 0.3

/** Changes rows, loses notifications, and breaks the services that the processes depend on. */
export class ClusterNemesis {
  /** The number of times each fault happened. */
  readonly faultCounts: Record<string, number> = {}
  readonly #firstRound = new Deferred<undefined>()
  readonly #world: ClusterWorld
  readonly #random: ClusterRandom
  readonly #users: readonly string[]
  readonly #accounts = new Map<string, string[]>()

  constructor(world: ClusterWorld, random: ClusterRandom, users: readonly string[]) {
    this.#world = world
    this.#random = random
    this.#users = users
  }

  /** Resolves when each fault has happened. */
  get firstRound(): Promise<unknown> {
    return this.#firstRound.promise
  }

  /** Gives each user one connection, and every fourth user two. */
  async populate(): Promise<void> {
    for (const [n, user] of this.#users.entries()) {
      await this.#add(user)
      if (n % 4 === 3) await this.#add(user)
    }
  }

  /** Starts to drop and delay notifications. */
  disturbNotifications(): void {
    this.#world.verdict = (): NotificationVerdict => {
      const chance = this.#random.next()
      if (chance < DROP_SHARE) return 'drop'
      return chance < DROP_SHARE + DELAY_SHARE ? this.#random.between(0, MAX_DELAY_MS) : 'pass'
    }
  }

  async changeConnections(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await setTimeout(this.#random.between(...CHANGE_PAUSE_MS))
      await this.#world.rows.exclusively(async () => {
        const inactiveUsers = this.#users.filter((user) =>
          this.#world.rows.rowsOf(user).every(({ isActive }) => !isActive)
        )
        await this.#changeOne(
          this.#random.pick(inactiveUsers.length > 0 && this.#random.chance(REPAIR_SHARE) ? inactiveUsers : this.#users)
        )
      })
    }
  }

  /** Runs the faults repeatedly, in a random order. Waits for a fault that has begun before it returns. */
  async injectFaults(faults: Faults, signal: AbortSignal): Promise<void> {
    let remaining = Object.keys(faults)
    while (!signal.aborted && remaining.length > 0) {
      await setTimeout(this.#random.between(...FAULT_PAUSE_MS))
      const name = this.#random.pick(remaining)
      remaining = remaining.filter((other) => other !== name)
      await faults[name]?.()
      this.faultCounts[name] = (this.faultCounts[name] ?? 0) + 1
      if (remaining.length > 0) continue
      this.#firstRound.resolve(undefined)
      remaining = Object.keys(faults)
    }
    this.#firstRound.resolve(undefined)
  }

  /** The faults of the processes and of their notification connections. */
  faults(): Faults {
    const { listeners, processes, rows } = this.#world
    return {
      blackhole: async () => {
        const { proxy } = this.#random.pick(listeners)
        proxy.mode = 'blackhole'
        await setTimeout(this.#random.between(500, 2_000))
        proxy.mode = 'relay'
        // Otherwise only a missing heartbeat response reveals it.
        if (this.#random.chance(0.5)) proxy.resetAll()
      },
      reset: async () => {
        this.#random.pick(listeners).proxy.resetAll()
      },
      terminate: async () => {
        await rows.terminate(this.#random.pick(listeners).applicationName)
      },
      pause: async () => {
        const process = this.#random.pick(processes)
        process.pause()
        await setTimeout(PROCESS_PAUSE_MS)
        process.resume()
      }
    }
  }

  async #changeOne(user: string): Promise<void> {
    const { rows } = this.#world
    const owned = rows.rowsOf(user)
    if (owned.length === 0) {
      await this.#add(user)
      return
    }
    const row = this.#random.pick(owned)
    if (!row.isActive) {
      await rows.activate(user, row.id)
      return
    }
    await this.#random.pick(this.#changesOf(user, row, owned.length > 1))()
  }

  #changesOf(user: string, { id, isDefault }: RowState, hasOthers: boolean): (() => Promise<unknown>)[] {
    const { rows } = this.#world
    const changes = [
      () => rows.deactivate(user, id, this.#random.pick(['DISABLED', 'REQUIRES_REAUTH', 'ERROR'])),
      () => rows.replaceAccount(user, id, this.#accountFor(user)),
      () => rows.remove(user, id)
    ]
    // A user that has lost one of two connections gets a second one again.
    if (!hasOthers && this.#users.indexOf(user) % 4 === 3) return [() => this.#add(user)]
    return hasOthers && !isDefault ? [...changes, () => rows.setDefault(user, id)] : changes
  }

  async #add(user: string): Promise<void> {
    await this.#world.rows.add(user, this.#accountFor(user))
  }

  /** Returns an account that the user is not connected to: a new one or a former one. */
  #accountFor(user: string): string {
    const known = this.#accounts.get(user) ?? []
    this.#accounts.set(user, known)
    const formerAccounts = known.filter((account) =>
      this.#world.rows.rowsOf(user).every((row) => row.account !== account)
    )
    if (formerAccounts.length > 0 && this.#random.chance(RECONNECT_SHARE)) return this.#random.pick(formerAccounts)
    const account = `${user}-${known.length}`
    known.push(account)
    return account
  }
}
