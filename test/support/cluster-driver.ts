import { setTimeout } from 'node:timers/promises'
import type { JudgedAnswer } from './cluster-judge.ts'
import { askListing, type ListingAnswer } from './cluster-listing.ts'
import type { ClusterRandom } from './cluster-random.ts'
import type { ClusterWorld } from './cluster-world.ts'

export interface DriverOptions {
  readonly random: ClusterRandom
  readonly users: readonly string[]
  readonly folders: readonly string[]
  /** How many ask at a time. */
  readonly concurrency?: number
}

/** So many of them at most wait for one process: one that is paused must not keep all. */
const MAX_WAITING = 6
/** The longest that each of them does nothing between two requests. */
const PAUSE_MS = 15
/** Shares of the requests. */
const NAMED = 0.5
const CONDITIONAL = 0.2
const REFRESHING = 0.02

/** Many users, who ask all processes for their folders and write down what is answered. */
export class ClusterDriver {
  readonly answers: ListingAnswer[] = []
  readonly #world: ClusterWorld
  readonly #options: Required<DriverOptions>
  /** What was listed under each ETag. */
  readonly #listed = new Map<string, JudgedAnswer['shown']>()
  /** The latest ETag of a user's folder. */
  readonly #etags = new Map<string, string>()

  constructor(world: ClusterWorld, options: DriverOptions) {
    this.#world = world
    this.#options = { concurrency: 16, ...options }
  }

  /** Asks until `signal` says that it is enough, and ends with the last answer. */
  async run(signal: AbortSignal): Promise<void> {
    const { concurrency, random } = this.#options
    const asking = Array.from({ length: concurrency }, async () => {
      while (!signal.aborted) {
        await this.#askOne()
        await setTimeout(random.between(1, PAUSE_MS))
      }
    })
    await Promise.all(asking)
  }

  async #askOne(): Promise<void> {
    const { random, users, folders } = this.#options
    const userId = random.of(users)
    const folder = random.of(folders)
    const key = `${userId} ${folder}`
    const free = this.#world.processes.filter(({ inFlight }) => inFlight < MAX_WAITING)
    const process = random.of(free.length > 0 ? free : this.#world.processes)
    const rows = this.#world.rows.of(userId)
    const answer = await askListing(process, {
      userId,
      folder,
      connectionId: rows.length > 0 && random.happens(NAMED) ? random.of(rows).id : null,
      isRefresh: random.happens(REFRESHING),
      etag: random.happens(CONDITIONAL) ? this.#etags.get(key) : undefined
    })
    const { status, etag } = answer
    if (status === 200 && etag !== null) {
      this.#listed.set(etag, answer.shown)
      this.#etags.set(key, etag)
    }
    // It is judged by what it says is still so.
    this.answers.push(status === 304 ? { ...answer, shown: this.#listed.get(etag ?? '') ?? null } : answer)
  }
}
