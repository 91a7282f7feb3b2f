import type { PrismaTransaction } from './prisma-client.ts'

const TABLES = ['cloud_connections', 'oauth_states']
/** Without these triggers a revoked connection would remain in use, without any error. */
const TRIGGERS = [
  'cloud_connections_keep_versions',
  'cloud_connections_announce_update',
  'cloud_connections_announce_delete'
]

/** @throws Error that names the missing objects, and the remedy */
export async function assertSchema(prisma: Pick<PrismaTransaction, '$queryRaw'>): Promise<void> {
  // A trigger that is disabled (D), or fires only for replication (R), counts as missing.
  const found = (await prisma.$queryRaw`
    SELECT name FROM unnest(${TABLES}::text[]) AS name WHERE to_regclass(name) IS NOT NULL
    UNION ALL
    SELECT tgname::text FROM pg_trigger
    WHERE tgrelid = to_regclass('cloud_connections') AND NOT tgisinternal AND tgenabled IN ('O', 'A')`) as {
    name: string
  }[]
  const present = new Set(found.map(({ name }) => name))
  const missing = [...TABLES, ...TRIGGERS].filter((name) => !present.has(name))
  if (missing.length > 0) {
    throw new Error(
      `The database lacks ${missing.join(', ')}. Apply the migrations of fastify-cloud-storage (its folder ` +
        'prisma/migrations) with `prisma migrate deploy`, or open the database with openDatabase()'
    )
  }
}
