import type { SealedRow, SealedRowStore } from '../core/stores.ts'
import { queryWithTimeout } from './errors.ts'
import type { PrismaLike } from './prisma-client.ts'

/** Each batch is written in one statement, which may wait for locks. */
const TIMEOUT_MS = 30_000

/**
 * Accesses the rows of all users by the key that sealed them, for the operator.
 *
 * @param currentPrefix the prefix of texts that are sealed with the current key
 */
export function createSealedRowStore(
  prisma: Pick<PrismaLike, '$queryRaw' | '$executeRaw'>,
  currentPrefix: string
): SealedRowStore {
  return {
    async countOutdated() {
      const [row] = (await queryWithTimeout(
        () => prisma.$queryRaw`
          SELECT count(*)::int AS count FROM cloud_connections WHERE NOT starts_with(credentials, ${currentPrefix})`,
        TIMEOUT_MS
      )) as { count: number }[]
      return row?.count ?? 0
    },

    async readOutdated(afterId, limit) {
      return (await queryWithTimeout(
        () => prisma.$queryRaw`
          SELECT id, user_id AS "userId", provider, credentials AS "sealedCredentials",
            credentials_revision AS "credentialsRevision"
          FROM cloud_connections WHERE id > ${afterId} AND NOT starts_with(credentials, ${currentPrefix})
          ORDER BY id LIMIT ${limit}`,
        TIMEOUT_MS
      )) as SealedRow[]
    },

    async replace(rows) {
      if (rows.length === 0) return 0
      const ids = rows.map(({ id }) => id)
      const sealed = rows.map(({ sealedCredentials }) => sealedCredentials)
      const revisions = rows.map(({ credentialsRevision }) => credentialsRevision)
      return queryWithTimeout(
        () => prisma.$executeRaw`
          UPDATE cloud_connections AS connection SET credentials = fresh.credentials
          FROM unnest(${ids}::text[], ${sealed}::text[], ${revisions}::int[]) AS fresh(id, credentials, revision)
          WHERE connection.id = fresh.id AND connection.credentials_revision = fresh.revision`,
        TIMEOUT_MS
      )
    }
  }
}
