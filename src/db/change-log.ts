import type { ChangeLog, ChangePoll, ConnectionChange } from '../core/stores.ts'
import { databaseUnavailable, queryWithTimeout, REPLICA_MESSAGE } from './errors.ts'
import type { PrismaTransaction } from './prisma-client.ts'

export interface ChangeLogOptions {
  /** Timeout of a call in milliseconds, after which it fails with DATABASE_UNAVAILABLE. Default 5000. */
  readonly timeoutMs?: number
}

/** More changes cost more to report and apply than to read the affected connections again. */
const MAX_CHANGES = 1000
/** Entries are deleted this long after they were first seen committed, by the database's clock. */
const RETENTION_S = 3600
/** Half of the retention, so that an entry cannot be deleted between two polls that are accepted. */
const MAX_POSITION_AGE_S = RETENTION_S / 2
/** Limits the duration and the locks of one call. */
const MAX_PRUNED_ROWS = 5000

interface PollRow {
  readonly isReplica: boolean
  readonly server: string
  /** Seconds since 1970, by the database's clock. */
  readonly polledAt: number
  readonly snapshot: string | null
  /** Null ids: all connections have changed. */
  readonly changes: readonly (ConnectionChange | { readonly id: null })[]
}

/** What a position contains. */
interface Position {
  /** Identifies the run of a server process. A transaction id has a meaning within one run only. */
  readonly server: string
  readonly polledAt: number
  /** The transactions that the poll could see, as PostgreSQL's `pg_snapshot`: `xmin:xmax:` and those in progress. */
  readonly snapshot: string
}

/**
 * Reads the log that the triggers of the connections table write. A change is reported when its transaction was not
 * visible to the previous poll's snapshot and is visible to this one's, whatever the order of commits.
 */
export function createChangeLog(
  prisma: Pick<PrismaTransaction, '$queryRaw' | '$executeRaw'>,
  { timeoutMs = 5000 }: ChangeLogOptions = {}
): ChangeLog {
  return {
    async poll(since): Promise<ChangePoll> {
      const previous = since === null ? null : parsePosition(since)
      const row = await queryWithTimeout(() => readChanges(prisma, previous?.snapshot ?? null), timeoutMs)
      const { isReplica, server, polledAt, snapshot, changes } = row
      if (isReplica || snapshot === null) throw databaseUnavailable(new Error(REPLICA_MESSAGE))
      const current = { server, polledAt, snapshot }
      const known = changes.filter((change): change is ConnectionChange => change.id !== null)
      const isComplete =
        previous !== null &&
        canFollow(current, previous) &&
        changes.length <= MAX_CHANGES &&
        known.length === changes.length
      return { position: `${server}|${String(polledAt)}|${snapshot}`, changes: isComplete ? known : null }
    },

    async prune(): Promise<void> {
      // Every row that this statement sees is committed. It skips rows that another pruner has locked.
      await queryWithTimeout(
        () => prisma.$executeRaw`
          WITH marked AS (
            UPDATE cloud_connection_changes SET marked_at = now() AT TIME ZONE 'UTC'
            WHERE ctid = ANY (ARRAY(
              SELECT ctid FROM cloud_connection_changes WHERE marked_at IS NULL
              LIMIT ${MAX_PRUNED_ROWS} FOR UPDATE SKIP LOCKED))
          )
          DELETE FROM cloud_connection_changes
          WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM cloud_connection_changes
            WHERE marked_at < now() AT TIME ZONE 'UTC' - make_interval(secs => ${RETENTION_S}::float8)
            LIMIT ${MAX_PRUNED_ROWS} FOR UPDATE SKIP LOCKED))`,
        timeoutMs
      )
    }
  }
}

async function readChanges(prisma: Pick<PrismaTransaction, '$queryRaw'>, since: string | null): Promise<PollRow> {
  // The start of the server changes with a restart or another server. The reset of its statistics also changes when it
  // recovers from a crash of one of its processes, which may reuse the ids of transactions that were not yet on disk.
  // The upper limit excludes rows restored from another server, whose ids are in the future of this one.
  const [row] = (await prisma.$queryRaw`
    SELECT pg_is_in_recovery() AS "isReplica",
      concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()),
        extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time())) AS server,
      extract(epoch FROM now())::float8 AS "polledAt",
      CASE WHEN NOT pg_is_in_recovery() THEN pg_current_snapshot()::text END AS snapshot,
      (SELECT coalesce(json_agg(change), '[]') FROM (
        SELECT connection_id AS id, user_id AS "userId", provider FROM cloud_connection_changes
        WHERE xid >= pg_snapshot_xmin(${since}::text::pg_snapshot)
          AND xid < pg_snapshot_xmax(pg_current_snapshot())
          AND NOT pg_visible_in_snapshot(xid, ${since}::text::pg_snapshot)
        LIMIT ${MAX_CHANGES + 1}) AS change) AS changes`) as [PollRow]
  return row
}

/** Returns true if the changes between two positions are known. */
function canFollow(current: Position, previous: Position): boolean {
  return (
    current.server === previous.server &&
    current.polledAt - previous.polledAt <= MAX_POSITION_AGE_S &&
    // Lower after a restore from a snapshot of the whole machine, which keeps the process.
    parseXids(current.snapshot).xmax >= parseXids(previous.snapshot).xmax
  )
}

/** @returns `null` unless `position` has the form of a position. PostgreSQL rejects other snapshots with an error. */
function parsePosition(position: string): Position | null {
  const [, server, polledAt, snapshot] =
    /^([\d. ]+)\|(\d+(?:\.\d+)?)\|(\d{1,19}:\d{1,19}:(?:\d{1,19}(?:,\d{1,19})*)?)$/.exec(position) ?? []
  if (server === undefined || polledAt === undefined || snapshot === undefined) return null
  const { xmin, xmax, inProgress } = parseXids(snapshot)
  const isOrdered =
    xmin > 0n && xmin <= xmax && inProgress.every((xid, n) => xid >= (inProgress[n - 1] ?? xmin) && xid < xmax)
  return isOrdered ? { server, polledAt: Number(polledAt), snapshot } : null
}

function parseXids(snapshot: string): { xmin: bigint; xmax: bigint; inProgress: bigint[] } {
  const [xmin = '', xmax = '', inProgress = ''] = snapshot.split(':')
  const list = inProgress === '' ? [] : inProgress.split(',')
  return { xmin: BigInt(xmin), xmax: BigInt(xmax), inProgress: list.map(BigInt) }
}
