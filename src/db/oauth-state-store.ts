import type { PendingFlow } from '../core/stores.ts'
import { type Clock, systemClock } from '../core/time.ts'
import { queryWithTimeout } from './errors.ts'
import type { PrismaLike } from './prisma-client.ts'
import { isStorable } from './save-connected.ts'

export interface OAuthStateStoreOptions {
  /** Timeout of a call in milliseconds, after which it fails with DATABASE_UNAVAILABLE. Default 5000. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

/** The table of pending flows, which expire. Every method may reject with `DATABASE_UNAVAILABLE`. */
export class OAuthStateStore {
  readonly #table: PrismaLike['oAuthState']
  readonly #timeoutMs: number
  readonly #clock: Clock

  constructor(prisma: PrismaLike, { timeoutMs = 5000, clock = systemClock }: OAuthStateStoreOptions = {}) {
    this.#table = prisma.oAuthState
    this.#timeoutMs = timeoutMs
    this.#clock = clock
  }

  /** Stores a flow. Deletes expired flows, and all but the user's newest `maxPerUser`. */
  async save(flow: PendingFlow, maxPerUser: number): Promise<void> {
    const table = this.#table
    await this.#query(() => table.deleteMany({ where: { expiresAt: { lte: this.#now() } } }))
    await this.#query(() => table.create({ data: flow, select: { stateHash: true } }))
    const surplus = await this.#query(() =>
      table.findMany({
        where: { userId: flow.userId },
        orderBy: { expiresAt: 'desc' },
        skip: maxPerUser,
        select: { stateHash: true }
      })
    )
    if (surplus.length === 0) return
    await this.#query(() =>
      table.deleteMany({ where: { stateHash: { in: surplus.map(({ stateHash }) => stateHash) } } })
    )
  }

  /** Returns this user's flow if it has not expired. */
  async find(stateHash: string, userId: string, provider: string): Promise<PendingFlow | null> {
    if (!isStorable(userId, provider)) return null
    const where = { stateHash, userId, provider, expiresAt: { gt: this.#now() } }
    return await this.#query(() => this.#table.findFirst({ where }))
  }

  /** Returns an unexpired flow of any user: the caller must verify by `bindingHash` that the browser is the same. */
  async findForAnyUser(stateHash: string, provider: string): Promise<PendingFlow | null> {
    if (!isStorable(provider)) return null
    const where = { stateHash, provider, expiresAt: { gt: this.#now() } }
    return await this.#query(() => this.#table.findFirst({ where }))
  }

  /** Replaces the sealed verifier if the flow still exists. */
  async reseal(stateHash: string, sealedVerifier: string): Promise<void> {
    await this.#query(() => this.#table.updateMany({ where: { stateHash }, data: { sealedVerifier } }))
  }

  /** Returns true if the flow existed: of several concurrent callers only one gets true. */
  async remove(stateHash: string): Promise<boolean> {
    return (await this.#query(() => this.#table.deleteMany({ where: { stateHash } }))).count > 0
  }

  #query<T>(query: () => PromiseLike<T>): Promise<T> {
    return queryWithTimeout(query, this.#timeoutMs)
  }

  #now(): Date {
    return new Date(this.#clock.date())
  }
}
