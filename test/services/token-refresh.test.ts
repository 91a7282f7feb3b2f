import { randomBytes } from 'node:crypto'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/db/open-database.ts'
import { hangs } from '../fakes/oauth/faults.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { isPostgresInstalled, startPostgres, type PostgresServer } from '../support/database/postgres.ts'
import { listingPath, type RefreshedCloud, startCloud } from '../support/refresh/cloud.ts'
import { RefreshProcess } from '../support/refresh/process-client.ts'
import { RefreshRows } from '../support/refresh/rows.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

const ENDED = -1000
const encryption = { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } }
const LISTED = { status: 200 }

t.test('the refresh of tokens on a PostgreSQL server', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const server = await startPostgres(t)
  await several(t, server, 'cloud')
  // With single-use refresh tokens: using one twice revokes the grant.
  await several(t, server, 'box')
  await killed(t, server)
  await apart(t, server)
})

interface World {
  readonly oauth: FakeOAuth
  readonly rows: RefreshRows
  /** A session of its own. */
  readonly sql: pg.Client
  readonly processes: readonly RefreshProcess[]
  /** Lists `times` folders that have not been listed before. */
  readonly list: (process: RefreshProcess, times?: number, user?: string) => ReturnType<RefreshProcess['send']>
  /** Returns the number of sessions that wait for a lock, or hold one. */
  readonly locks: (isGranted: boolean) => Promise<number>
}

/** Starts processes on a database of their own. */
async function setUp(
  t: Test,
  server: PostgresServer,
  processes: number,
  cloudId: RefreshedCloud['id'] = 'cloud'
): Promise<World> {
  const oauth = await FakeOAuth.start(t, { rotation: 'single-use', scopes: ['files.read', 'root_readonly'] })
  const { cloud, newFolder } = await startCloud(t, oauth, cloudId)
  const url = await server.createDatabase()
  const database = await openDatabase({ url })
  t.teardown(() => database.close())
  const sql = new pg.Client(url)
  sql.on('error', () => undefined)
  await sql.connect()
  t.teardown(() => sql.end().catch(() => undefined))
  const settings = { url, cloud, encryption }
  const started: RefreshProcess[] = []
  // One after the other, because each start takes a processor for a while.
  for (let n = 0; n < processes; n += 1) started.push(await RefreshProcess.start(t, settings))
  return {
    oauth,
    sql,
    rows: new RefreshRows(database.prisma, encryption, cloudId),
    processes: started,
    list: (process, times = 1, user = 'ann') =>
      process.send(
        Array.from({ length: times }, () => ({
          method: 'GET',
          url: `${listingPath(cloudId)}?folder=${encodeURIComponent(newFolder())}`,
          user
        }))
      ),
    locks: async (isGranted) => {
      const { rows } = await sql.query<{ locks: number }>(
        `SELECT count(*)::int AS locks FROM pg_locks
         WHERE locktype = 'advisory' AND granted = $1
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        [isGranted]
      )
      return rows[0]?.locks ?? 0
    }
  }
}

async function several(t: Test, server: PostgresServer, cloudId: RefreshedCloud['id']): Promise<void> {
  await t.test(`${cloudId}: twelve requests on four processes, five times, with one token call each`, async (t) => {
    const { oauth, rows, processes, list } = await setUp(t, server, 4, cloudId)
    const id = await rows.add(oauth.issueGrant())
    const grant = oauth.grants[0]!
    for (let round = 1; round <= 5; round += 1) {
      const { accessToken, refreshToken } = await rows.tokens(id)
      oauth.expireAccessTokens()
      // First because the row says that its token has expired, then because the provider rejects the token.
      const tokens = { access_token: accessToken, ...(refreshToken !== undefined && { refresh_token: refreshToken }) }
      if (round % 2 === 1) await rows.replace(id, tokens, ENDED)
      const { version, credentialsRevision } = await rows.read(id)
      const answers = await Promise.all(processes.map((process) => list(process, 3)))
      t.same(answers.flat(), Array(12).fill(LISTED))
      t.equal(oauth.tokenCalls(), round)
      t.same(await rows.tokens(id), { accessToken: grant.accessToken, refreshToken: grant.refreshToken })
      t.match(await rows.read(id), { version, credentialsRevision: credentialsRevision + 1, status: 'ACTIVE' })
    }
    t.ok(grant.isAlive)
    t.notOk(grant.reuseDetected)
    t.equal(grant.refreshes, 5)
  })
}

async function killed(t: Test, server: PostgresServer): Promise<void> {
  await t.test('a process that is killed during a refresh', async (t) => {
    const world = await setUp(t, server, 4)
    const { oauth, rows, processes, list, locks } = world

    /** The first process holds the lock and the others wait for it; then it is killed. */
    async function kill(first: RefreshProcess, others: readonly RefreshProcess[], user: string) {
      const lost = t.rejects(list(first, 3, user), { message: /has ended/ })
      const calls = oauth.tokenCalls()
      await until(() => oauth.tokenCalls() > calls)
      const answers = Promise.all(others.map((process) => list(process, 3, user)))
      await until(async () => (await locks(false)) === others.length)
      t.equal(oauth.tokenCalls(), calls + 1)
      await first.kill()
      await lost
      return { answers, calls: () => oauth.tokenCalls() - calls }
    }

    await t.test('before the provider has acted, the next process refreshes for all', async (t) => {
      const id = await rows.add(oauth.issueGrant(), { userId: 'ann', leftMs: ENDED })
      oauth.failNext(1, hangs())
      const { answers, calls } = await kill(processes[0]!, processes.slice(1), 'ann')
      t.same((await answers).flat(), Array(9).fill(LISTED))
      t.equal(calls(), 2)
      const { refreshToken, isAlive } = oauth.grants[0]!
      t.equal((await rows.tokens(id)).refreshToken, refreshToken)
      t.ok(isAlive)
    })

    await t.test('after the provider has refreshed a reusable token, the next process refreshes for all', async (t) => {
      oauth.rules.rotation = 'rotate'
      const id = await rows.add(oauth.issueGrant(), { userId: 'ben', leftMs: ENDED })
      const gate = oauth.hold('token', { isPerformed: true })
      const { answers, calls } = await kill(processes[1]!, processes.slice(2), 'ben')
      await until(() => gate.heldCount === 2)
      gate.release()
      t.same((await answers).flat(), Array(6).fill(LISTED))
      t.equal(calls(), 2)
      t.equal((await rows.tokens(id)).refreshToken, oauth.grants[1]?.refreshToken)
    })

    await t.test(
      'after the provider has consumed a single-use token, the user must reconnect and no request hangs',
      async (t) => {
        oauth.rules.rotation = 'single-use'
        const id = await rows.add(oauth.issueGrant(), { userId: 'cid', leftMs: ENDED })
        const gate = oauth.hold('token', { isPerformed: true })
        const { answers, calls } = await kill(processes[2]!, processes.slice(3), 'cid')
        await until(() => gate.heldCount === 2)
        gate.release()
        t.same((await answers).flat(), Array(3).fill({ status: 503, code: 'CONNECTION_INACTIVE' }))
        t.equal(calls(), 2)
        t.match(await rows.read(id), { status: 'REQUIRES_REAUTH' })
      }
    )
  })
}

async function apart(t: Test, server: PostgresServer): Promise<void> {
  await t.test('a refresh and concurrent changes of the database', async (t) => {
    const { oauth, rows, sql, processes, list, locks } = await setUp(t, server, 1)
    const service = processes[0]!

    for (const [what, change, then] of [
      ['removes', 'DELETE FROM cloud_connections WHERE id = $1', { status: 503, code: 'CONNECTION_MISSING' }],
      [
        'disables',
        "UPDATE cloud_connections SET status = 'DISABLED' WHERE id = $1",
        { status: 503, code: 'CONNECTION_INACTIVE' }
      ]
    ] as const) {
      await t.test(`a change that ${what} the connection does not wait for the provider`, async (t) => {
        const id = await rows.add(oauth.issueGrant(), { leftMs: ENDED })
        const gate = oauth.hold()
        const order: string[] = []
        const listing = list(service).then((answers) => {
          order.push('listing')
          return answers
        })
        await gate.reached
        t.equal((await sql.query(change, [id])).rowCount, 1)
        order.push('change')
        t.notOk(oauth.calls.token.at(-1)?.isBroken, 'the call to the provider is still in flight')
        const { rows: changed } = await sql.query('SELECT * FROM cloud_connections')
        gate.release()
        t.same(await listing, [then])
        t.same(order, ['change', 'listing'])
        t.same((await sql.query('SELECT * FROM cloud_connections')).rows, changed)
        await sql.query('DELETE FROM cloud_connections')
      })
    }

    await t.test('a disconnect by the same process does not wait either, and the row stays removed', async (t) => {
      const id = await rows.add(oauth.issueGrant(), { leftMs: ENDED })
      const gate = oauth.hold('token', { isPerformed: true })
      const listing = list(service)
      await gate.reached
      const removed = await service.send([{ method: 'DELETE', url: `/cloud/connections/${id}`, user: 'ann' }])
      t.same(removed, [{ status: 204 }])
      t.notOk(oauth.calls.token.at(-1)?.isBroken, 'the call to the provider is still in flight')
      gate.release()
      t.match(await listing, [{ status: 503 }])
      t.same((await sql.query('SELECT id FROM cloud_connections')).rows, [])
    })

    await t.test('of ten connections that are being refreshed two hold a database connection', async (t) => {
      const users = Array.from({ length: 10 }, (_, n) => `user ${n}`)
      for (const userId of users) await rows.add(oauth.issueGrant(), { userId, leftMs: ENDED })
      const before = oauth.tokenCalls()
      const gate = oauth.hold()
      const listings = users.map((user) => list(service, 1, user))
      await until(() => gate.heldCount === 2)
      // All earlier work of the process has run by then.
      for (let n = 0; n < 5; n += 1) {
        t.same(await service.send([{ method: 'GET', url: '/cloud/connections', user: 'ann' }]), [LISTED])
      }
      t.equal(gate.heldCount, 2)
      t.equal(await locks(true), 2)
      // All other statements have ended by then; a transaction that waits for the provider stays open.
      await until(async () => (await transactions(sql)) === 2)
      gate.release()
      t.same((await Promise.all(listings)).flat(), Array(10).fill(LISTED))
      t.equal(oauth.tokenCalls() - before, 10)
      t.equal(await locks(true), 0)
      await sql.query('DELETE FROM cloud_connections')
    })

    await t.test('an outage of the database before the new tokens are stored does not lose them', async (t) => {
      const id = await rows.add(oauth.issueGrant(), { leftMs: ENDED })
      const before = oauth.tokenCalls()
      const gate = oauth.hold('token', { isPerformed: true })
      const listing = list(service)
      await gate.reached
      await server.stop()
      gate.release()
      t.same(await listing, [{ status: 503, code: 'DATABASE_UNAVAILABLE' }])
      await server.start()
      const answers: unknown[] = []
      // The pool may not have noticed all closed connections yet.
      await until(async () => {
        answers.push(...(await list(service)))
        return JSON.stringify(answers.at(-1)) === JSON.stringify(LISTED)
      })
      t.equal(oauth.tokenCalls() - before, 1)
      const { accessToken, refreshToken, isAlive } = oauth.grants.at(-1)!
      t.same(await rows.tokens(id), { accessToken, refreshToken })
      t.ok(isAlive)
    })
  })
}

/** Returns the number of sessions in a transaction, without autovacuum. */
async function transactions(sql: pg.Client): Promise<number> {
  const { rowCount } = await sql.query(
    `SELECT 1 FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend'
       AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`
  )
  return rowCount ?? 0
}
