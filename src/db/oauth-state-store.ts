import { type Clock, systemClock } from '../core/time.ts'
import type { OAuthStateStore, PendingFlow } from '../core/stores.ts'
import { queryWithTimeout } from './errors.ts'
import type { PrismaLike } from './prisma-client.ts'
import { isStorable } from './save-connected.ts'

export interface OAuthStateStoreOptions {
  /** Timeout of a call in milliseconds, after which it fails with DATABASE_UNAVAILABLE. Default 5000. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

/** Accesses the table of pending flows through a Prisma client. */
export function createOAuthStateStore(prisma: PrismaLike, options: OAuthStateStoreOptions = {}): OAuthStateStore {
  const { timeoutMs = 5000, clock = systemClock } = options
  const table = prisma.oAuthState
  const runQuery = <T>(query: () => PromiseLike<T>): Promise<T> => queryWithTimeout(query, timeoutMs)
  const now = (): Date => new Date(clock.date())

  return {
    async save(flow, maxPerUser) {
      await runQuery(() => table.deleteMany({ where: { expiresAt: { lte: now() } } }))
      await runQuery(() => table.create({ data: flow, select: { stateHash: true } }))
      const surplus = await runQuery(() =>
        table.findMany({
          where: { userId: flow.userId },
          orderBy: { expiresAt: 'desc' },
          skip: maxPerUser,
          select: { stateHash: true }
        })
      )
      if (surplus.length === 0) return
      await runQuery(() =>
        table.deleteMany({ where: { stateHash: { in: surplus.map(({ stateHash }) => stateHash) } } })
      )
    },
    async find(stateHash, userId, provider): Promise<PendingFlow | null> {
      if (!isStorable(userId, provider)) return null
      return runQuery(() => table.findFirst({ where: { stateHash, userId, provider, expiresAt: { gt: now() } } }))
    },
    async findForAnyUser(stateHash, provider): Promise<PendingFlow | null> {
      if (!isStorable(provider)) return null
      return runQuery(() => table.findFirst({ where: { stateHash, provider, expiresAt: { gt: now() } } }))
    },
    async reseal(stateHash, sealedVerifier) {
      await runQuery(() => table.updateMany({ where: { stateHash }, data: { sealedVerifier } }))
    },
    async remove(stateHash) {
      return (await runQuery(() => table.deleteMany({ where: { stateHash } }))).count > 0
    }
  }
}
