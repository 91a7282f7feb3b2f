import { setTimeout } from 'node:timers/promises'
import type { JudgedAnswer } from './judge.ts'
import { askListing, type ListingAnswer } from './listing.ts'
import type { ClusterRandom } from './random.ts'
import type { ClusterWorld } from './world.ts'

export interface DriverOptions {
  readonly random: ClusterRandom
  readonly users: readonly string[]
  readonly folders: readonly string[]
  /** The number of concurrent requests. */
  readonly concurrency?: number
}

/** Limit of requests that wait for one process, so that a paused process does not block all of them. */
const MAX_WAITING = 6
/** The longest pause between two requests of one asker. */
const PAUSE_MS = 15
/** Shares of the requests. */
const NAMED = 0.5
const CONDITIONAL = 0.2
const REFRESHING = 0.02

/** Many users that request their folders from all processes. Records the responses. */
export class ClusterDriver {
  readonly answers: ListingAnswer[] = []
  readonly #world: ClusterWorld
  readonly #options: Required<DriverOptions>
  /** The listing of each ETag. */
  readonly #listed = new Map<string, JudgedAnswer['shown']>()
  /** The latest ETag of each user's folder. */
  readonly #etags = new Map<string, string>()

  constructor(world: ClusterWorld, options: DriverOptions) {
    this.#world = world
    this.#options = { concurrency: 16, ...options }
  }

  /** Sends requests until `signal` aborts, then waits for the last responses. */
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
    // A 304 is judged by the listing that it confirms.
    this.answers.push(status === 304 ? { ...answer, shown: this.#listed.get(etag ?? '') ?? null } : answer)
  }
}
