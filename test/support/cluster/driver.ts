import { setTimeout } from 'node:timers/promises'
import type { CheckedResponse } from './checker.ts'
import { requestListing, type ListingResponse } from './listing.ts'
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
const MAX_IN_FLIGHT = 6
/** The longest pause between two requests of one asker. */
const PAUSE_MS = 15
/** Shares of the requests. */
const NAMED_SHARE = 0.5
const CONDITIONAL_SHARE = 0.2
const REFRESH_SHARE = 0.02

/** Many users that request their folders from all processes. Records the responses. */
export class ClusterDriver {
  readonly responses: ListingResponse[] = []
  readonly #world: ClusterWorld
  readonly #options: Required<DriverOptions>
  /** The listing of each ETag. */
  readonly #listings = new Map<string, CheckedResponse['listing']>()
  /** The latest ETag of each user's folder. */
  readonly #etags = new Map<string, string>()

  constructor(world: ClusterWorld, options: DriverOptions) {
    this.#world = world
    this.#options = { concurrency: 16, ...options }
  }

  /** Sends requests until `signal` aborts, then waits for the last responses. */
  async run(signal: AbortSignal): Promise<void> {
    const { concurrency, random } = this.#options
    const clients = Array.from({ length: concurrency }, async () => {
      while (!signal.aborted) {
        await this.#sendOne()
        await setTimeout(random.between(1, PAUSE_MS))
      }
    })
    await Promise.all(clients)
  }

  async #sendOne(): Promise<void> {
    const { random, users, folders } = this.#options
    const userId = random.pick(users)
    const folder = random.pick(folders)
    const key = `${userId} ${folder}`
    const available = this.#world.processes.filter(({ inFlight }) => inFlight < MAX_IN_FLIGHT)
    const process = random.pick(available.length > 0 ? available : this.#world.processes)
    const rows = this.#world.rows.rowsOf(userId)
    const response = await requestListing(process, {
      userId,
      folder,
      connectionId: rows.length > 0 && random.chance(NAMED_SHARE) ? random.pick(rows).id : null,
      isRefresh: random.chance(REFRESH_SHARE),
      etag: random.chance(CONDITIONAL_SHARE) ? this.#etags.get(key) : undefined
    })
    const { status, etag } = response
    if (status === 200 && etag !== null) {
      this.#listings.set(etag, response.listing)
      this.#etags.set(key, etag)
    }
    // A 304 is judged by the listing that it confirms.
    this.responses.push(status === 304 ? { ...response, listing: this.#listings.get(etag ?? '') ?? null } : response)
  }
}
