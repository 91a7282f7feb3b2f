import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { Secret } from '../../src/core/secret.ts'
import { createCredentialCipher } from '../../src/crypto/credentials.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { openDatabase } from '../../src/db/open-database.ts'
import cloudStorage from '../../src/index.ts'
import { scriptedProvider } from '../support/app/app.ts'
import { entry, page, type ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { monotonicMs, waitUntil } from '../support/cluster/clock.ts'
import { isPostgresInstalled, startPostgres } from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

/** `LEASE_USERS=10000` takes minutes on a slow machine. */
const USERS = Number(process.env['LEASE_USERS'] ?? 2_000)
const FEW = 10
/** Users whose pages are checked for changes. */
const CHECKED_USERS = USERS / 2
const LEASE_MS = 2_000
/** The next poll begins after this share of a lease. */
const RENEWALS_PER_LEASE = 2
/** Old rows of the log are removed once a minute. */
const PRUNE_INTERVAL_MS = 60_000
/** Each user requests a page this often. */
const USER_INTERVAL_MS = 5_000
const DURATION_MS = 6_000
/** So short that each request of a user takes a check. */
const CHECK_MS = 2_000
const CONCURRENCY = 50

const encryption = { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } }
const userIds = Array.from({ length: USERS }, (_, n) => `user-${n}`)

t.test('the queries of an instance, counted by the database', { timeout: 600_000 }, async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const { app, counted, reset } = await setUp(t)

  await reset()
  await loadPages(t, app, userIds)
  await until(async () => (await counted()).uses >= USERS)
  t.ok((await counted()).reads >= USERS, 'the database counts the queries of misses')

  for (const count of [FEW, USERS]) {
    await t.test(`${count} users who ask every ${USER_INTERVAL_MS} ms cause one poll per renewal`, async (t) => {
      await reset()
      const asking = await askFor(t, app, userIds.slice(0, count))
      checkQueries(t, { ...asking, users: count }, await counted())
    })
  }

  await t.test('an instance without requests sends no query', async (t) => {
    // The poll of the last request may still be in flight.
    await setTimeout(LEASE_MS)
    await reset()
    await setTimeout(2 * LEASE_MS)
    const { polls, others } = await counted()
    t.same({ polls, others }, { polls: 0, others: [] })
  })
})

t.test('the queries of an instance that checks for changes', { timeout: 600_000 }, async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  let checks = 0
  const { app, counted, reset } = await setUp(t, (backend) => {
    backend.list = async () => ({ ...page([entry('file')]), freshness: { scope: '' } })
    backend.position = async () => 'position'
    backend.changes = async () => {
      checks += 1
      return { position: 'position', changes: [], hasMore: false }
    }
  })
  const users = userIds.slice(0, CHECKED_USERS)
  await loadPages(t, app, users)
  await until(async () => (await counted()).uses >= users.length)

  for (const count of [FEW, CHECKED_USERS]) {
    await t.test(`the checks of ${count} users cause no query`, async (t) => {
      // All pages are due.
      await setTimeout(CHECK_MS)
      await reset()
      checks = 0
      const asking = await askFor(t, app, users.slice(0, count))
      t.comment(`${checks} checks`)
      t.ok(checks >= count, 'each user has caused a check')
      checkQueries(t, { ...asking, users: count }, await counted())
    })
  }
})

function checkQueries(
  t: Test,
  { asked, elapsedMs, users }: { asked: number; elapsedMs: number; users: number },
  { polls, prunes, others }: { polls: number; prunes: number; others: unknown[] }
): void {
  t.comment(`${asked} hits in ${Math.round(elapsedMs)} ms, ${polls} polls, ${prunes} prunes`)
  t.ok(asked >= users, 'each user has asked')
  t.same(others, [], 'no query for a hit')
  t.ok(polls > 0 && polls <= 1 + (elapsedMs * RENEWALS_PER_LEASE) / LEASE_MS, `${polls} polls`)
  t.ok(prunes <= 1 + elapsedMs / PRUNE_INTERVAL_MS, `${prunes} prunes`)
}

/** Lets each user load a page. */
async function loadPages(t: Test, app: FastifyInstance, users: readonly string[]): Promise<void> {
  for (let from = 0; from < users.length; from += CONCURRENCY) {
    const loading = users.slice(from, from + CONCURRENCY).map((user, n) => list(app, user, n))
    for (const status of await Promise.all(loading)) if (!status.includes('fwd=miss')) t.fail(`not a miss: ${status}`)
  }
}

/** An instance with `USERS` users, each with a connection, and a cache for a page of each. */
async function setUp(t: Test, script: (backend: ScriptedBackend) => void = () => undefined) {
  const server = await startPostgres(t, { shared_preload_libraries: 'pg_stat_statements' })
  const url = await server.createDatabase()
  const database = await openDatabase({ url })
  const admin = new pg.Client(Object.assign(new URL(url), { pathname: '/postgres' }).href)
  await admin.connect()
  await admin.query('CREATE EXTENSION pg_stat_statements')
  const scripted = scriptedProvider()
  scripted.backend.list = async () => page([entry('file')])
  script(scripted.backend)
  await addConnections(database.prisma)

  const app = Fastify({ pluginTimeout: 0 })
  await app.register(cloudStorage, {
    prisma: database.prisma,
    authenticate: (request) => request.headers['x-user'] as string | undefined,
    encryption,
    leaseMs: LEASE_MS,
    cache: { max: 2 * USERS, ttlMs: 3_600_000, check: { afterMs: CHECK_MS } },
    providers: { scripted: scripted.provider }
  })
  await app.ready()
  t.teardown(async () => {
    await app.close()
    await database.close()
    await admin.end()
  })

  const name = new URL(url).pathname.slice(1)
  return {
    app,
    reset: async () => {
      await admin.query('SELECT pg_stat_statements_reset()')
    },
    /** The statements in the database since the last `reset`. */
    counted: async () => {
      const { rows } = await admin.query<{ query: string; calls: number }>(
        `SELECT query, calls::int FROM pg_stat_statements JOIN pg_database ON oid = dbid WHERE datname = $1`,
        [name]
      )
      const sum = (pattern: RegExp) =>
        rows.filter(({ query }) => pattern.test(query)).reduce((total, { calls }) => total + calls, 0)
      return {
        polls: sum(POLL),
        prunes: sum(PRUNE),
        reads: sum(/^SELECT .* FROM "public"."cloud_connections"/s),
        uses: sum(/UPDATE cloud_connections SET last_used_at/),
        others: rows.filter(({ query }) => !POLL.test(query) && !PRUNE.test(query))
      }
    }
  }
}

const POLL = /SELECT pg_is_in_recovery.*cloud_connection_changes/s
const PRUNE = /DELETE FROM cloud_connection_changes/

async function addConnections(prisma: Awaited<ReturnType<typeof openDatabase>>['prisma']): Promise<void> {
  const cipher = createCredentialCipher(createKeyRing(encryption))
  const sealed = userIds.map((userId) => {
    const binding = { userId, provider: 'scripted', id: `of-${userId}` }
    return cipher.seal(new Secret({ token: 'token' }), binding)
  })
  await prisma.$executeRaw`
    INSERT INTO cloud_connections (id, user_id, provider, account_id, label, credentials)
    SELECT 'of-' || user_id, user_id, 'scripted', 'account', 'Account', sealed
    FROM unnest(${userIds}::text[], ${sealed}::text[]) AS given (user_id, sealed)`
}

/** Lists a folder, of every other user by the connection's id. Returns the header `cache-status`. */
async function list(app: FastifyInstance, user: string, n: number): Promise<string> {
  const connection = n % 2 === 0 ? '' : `?connection=of-${user}`
  const response = await app.inject({ url: `/cloud/scripted/listing${connection}`, headers: { 'x-user': user } })
  return `${response.statusCode} ${String(response.headers['cache-status'])}`
}

/** Lets each user ask at its interval, or as often as the machine allows, and at least once. */
async function askFor(t: Test, app: FastifyInstance, users: readonly string[]) {
  const startedAt = monotonicMs()
  const batch = Math.ceil(users.length / CONCURRENCY)
  let asked = 0
  while (asked < users.length || monotonicMs() < startedAt + DURATION_MS) {
    const indexes = Array.from({ length: batch }, (_, n) => (asked + n) % users.length)
    const statuses = await Promise.all(indexes.map((n) => list(app, users[n]!, n)))
    for (const status of statuses) if (!/^200 .*(hit|fwd-status=304)/.test(status)) t.fail(status)
    asked += batch
    await waitUntil(startedAt + (asked / users.length) * USER_INTERVAL_MS)
  }
  return { asked, elapsedMs: monotonicMs() - startedAt }
}
