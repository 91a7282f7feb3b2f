import type { SealedConnection } from '../core/connection.ts'
import { queryWithTimeout } from './errors.ts'
import type { PrismaLike } from './prisma-client.ts'

/** The columns of a row that resealing needs. */
export type SealedRow = Pick<
  SealedConnection,
  'id' | 'userId' | 'provider' | 'sealedCredentials' | 'credentialsRevision'
>

/** Each batch is written in one statement, which may wait for locks. */
const TIMEOUT_MS = 30_000

/** The rows of all users that are not sealed with the current key. For operators only; no request uses it. */
export class SealedRowStore {
  readonly #prisma: Pick<PrismaLike, '$queryRaw' | '$executeRaw'>
  readonly #currentPrefix: string

  /** @param currentPrefix the prefix of texts that are sealed with the current key */
  constructor(prisma: Pick<PrismaLike, '$queryRaw' | '$executeRaw'>, currentPrefix: string) {
    this.#prisma = prisma
    this.#currentPrefix = currentPrefix
  }

  async countOutdated(): Promise<number> {
    const [row] = (await queryWithTimeout(
      () => this.#prisma.$queryRaw`
        SELECT count(*)::int AS count FROM cloud_connections WHERE NOT starts_with(credentials, ${this.#currentPrefix})`,
      TIMEOUT_MS
    )) as { count: number }[]
    return row?.count ?? 0
  }

  /** Reads rows ordered by id, starting after `afterId` (the empty string: from the first). */
  async readOutdated(afterId: string, limit: number): Promise<SealedRow[]> {
    return (await queryWithTimeout(
      () => this.#prisma.$queryRaw`
        SELECT id, user_id AS "userId", provider, credentials AS "sealedCredentials",
          credentials_revision AS "credentialsRevision"
        FROM cloud_connections WHERE id > ${afterId} AND NOT starts_with(credentials, ${this.#currentPrefix})
        ORDER BY id LIMIT ${limit}`,
      TIMEOUT_MS
    )) as SealedRow[]
  }

  /** Replaces the sealed credentials of rows with unchanged revisions. Returns how many were replaced. */
  async replace(rows: readonly SealedRow[]): Promise<number> {
    if (rows.length === 0) return 0
    const ids = rows.map(({ id }) => id)
    const sealed = rows.map(({ sealedCredentials }) => sealedCredentials)
    const revisions = rows.map(({ credentialsRevision }) => credentialsRevision)
    return await queryWithTimeout(
      () => this.#prisma.$executeRaw`
        UPDATE cloud_connections AS connection SET credentials = fresh.credentials
        FROM unnest(${ids}::text[], ${sealed}::text[], ${revisions}::int[]) AS fresh(id, credentials, revision)
        WHERE connection.id = fresh.id AND connection.credentials_revision = fresh.revision`,
      TIMEOUT_MS
    )
  }
}
