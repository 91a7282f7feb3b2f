import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openEmbedded } from '../../src/db/pglite.ts'
import { lockFolder, removeStaleLock } from '../../src/db/folder-lock.ts'
import { openDatabase } from '../../src/db/open-database.ts'
import { migratedImage } from '../support/database/database-image.ts'
import { emptyDatabase, ownDatabase } from '../support/database/database.ts'

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

t.test('contradictory options are refused by name, and no message contains a password', async (t) => {
  const image = new Blob([])
  const url = 'postgres://ann:hunter2@127.0.0.1/x'
  const refused: [options: Parameters<typeof openDatabase>[0], message: RegExp][] = [
    [{ url: '' }, /url must be a postgres/],
    [{ url: 'mysql://ann:hunter2@127.0.0.1/x' }, /url must be a postgres/],
    [{ url: 'postgres://ann:hunter2@[nonsense/x' }, /url must be a postgres/],
    [{ url: `${url}?schema=other` }, /schema other than public/],
    [{ url, dataDir: t.testdirName }, /url cannot be combined/],
    [{ url, image }, /url cannot be combined/],
    [{ image, dataDir: t.testdirName }, /image is for a database in memory/]
  ]
  for (const [options, message] of refused) {
    const error: unknown = await openDatabase(options).catch((error: unknown) => error)
    t.match(error, { name: 'TypeError', message })
    t.notMatch(String(error), 'hunter2')
  }
})

t.test('an embedded database supports Prisma, concurrent queries and repeated closing', async (t) => {
  const { prisma, close } = await ownDatabase(t)
  const data = { userId: 'ann', provider: 's3', accountId: 'a', label: 'Mine', credentials: 'sealed' }
  await Promise.all([1, 2, 3].map((n) => prisma.cloudConnection.create({ data: { ...data, accountId: String(n) } })))
  t.equal(await prisma.cloudConnection.count(), 3)
  await t.rejects(prisma.cloudConnection.create({ data: { ...data, accountId: '1' } }), { code: 'P2002' })
  t.equal(await prisma.cloudConnection.count(), 3, 'the connection survives an error')
  await t.resolves(Promise.all([close(), close()]))
})

t.test('a listener on an embedded database does not interfere with transactions and exchanges', async (t) => {
  const { prisma, listen } = await emptyDatabase()
  const listener = await listen()
  t.teardown(async () => {
    await listener.end()
    await prisma.$executeRaw`DROP TABLE a`
  })
  const heard: (string | undefined)[] = []
  listener.on('notification', ({ payload }) => heard.push(payload))
  await listener.query('LISTEN news')

  let transactionEnded = false
  const heartbeats: Promise<unknown>[] = []
  await prisma.$transaction(async (transaction) => {
    await transaction.$executeRaw`CREATE TABLE a (n int)`
    heartbeats.push(listener.query('SELECT nonsense').catch(() => t.ok(transactionEnded, 'the query waited')))
    for (let n = 0; n < 20; n++) await transaction.$executeRaw`INSERT INTO a VALUES (${n})`
    await transaction.$executeRaw`SELECT pg_notify('news', 'hello')`
    t.same(heard, [])
    transactionEnded = true
  })
  await Promise.all(heartbeats)
  await listener.query("NOTIFY news, 'its own'")
  t.same(heard, ['hello', 'its own'], 'each notification once')

  const inserts = Array.from({ length: 20 }, (_, n) => prisma.$executeRaw`INSERT INTO a VALUES (${n})`)
  for (let n = 0; n < 20; n++) await listener.query('SELECT 1')
  await Promise.all(inserts)
  t.same(await prisma.$queryRaw`SELECT count(*)::int AS n FROM a`, [{ n: 40 }])
})

t.test('a listener that ends during a transaction waits for it, and receives no more notifications', async (t) => {
  const { prisma, listen } = await emptyDatabase()
  const listener = await listen()
  listener.on('notification', () => t.fail('the listener has ended'))
  await listener.query('LISTEN news')
  await listener.query('BEGIN')
  await listener.query('CREATE TABLE a (n int)')
  const waiting = prisma.$queryRaw`SELECT to_regclass('a') IS NULL AS gone`
  await listener.end()
  t.same(await waiting, [{ gone: true }])
  await prisma.$executeRaw`SELECT pg_notify('news', 'hello')`
})

t.test('an embedded database in a folder persists, and its files are closed to other users', async (t) => {
  const dataDir = join(t.testdir(), 'new', 'data')
  const first = await openEmbedded({ dataDir, image: await migratedImage() })
  await first.pool.query("INSERT INTO oauth_states VALUES ('h', 'b', 'u', 'p', 'v', '/', now())")
  t.equal(modeOf(dataDir), '700')
  t.equal(modeOf(join(dataDir, 'postgres')), '700')
  t.equal(modeOf(join(dataDir, 'postgres.lock')), '600')
  const inUse = { message: new RegExp(`${dataDir} is in use by process ${String(process.pid)} `) }
  await t.rejects(openDatabase({ dataDir }), inUse)
  await first.close()
  t.same(readdirSync(dataDir), ['postgres'], 'the lock was removed')

  const second = await openDatabase({ dataDir })
  t.equal(await second.prisma.oAuthState.count(), 1)
  await second.close()
})

t.test('a database that cannot be opened releases its folder', async (t) => {
  const dataDir = t.testdir({ postgres: { PG_VERSION: 'nonsense' } })
  await t.rejects(openEmbedded({ dataDir }))
  t.notOk(existsSync(join(dataDir, 'postgres.lock')))
})

t.test('a database that cannot be migrated is closed', async (t) => {
  const dataDir = t.testdir()
  const made = await openEmbedded({ dataDir, image: await migratedImage() })
  await made.pool.query('DROP TABLE _prisma_migrations')
  await made.close()
  await t.rejects(openDatabase({ dataDir }), { message: /did not create/ })
  t.notOk(existsSync(join(dataDir, 'postgres.lock')))
})

const HOLDER = { pid: process.pid, host: hostname(), began: 'another boot:1', nonce: 'n1' }

/** Returns the PID of a process that has exited. */
const deadPid = () => spawnSync(process.execPath, ['--version']).pid

function lockHeldBy(t: Test, holder: object | string): string {
  const path = join(t.testdir(), 'lock')
  writeFileSync(path, typeof holder === 'string' ? holder : JSON.stringify(holder))
  return path
}

t.test('the lock of a dead process is taken over', async (t) => {
  const path = lockHeldBy(t, { ...HOLDER, pid: deadPid(), began: null })
  const unlock = lockFolder(path, '/the/folder')
  t.match(JSON.parse(readFileSync(path, 'utf8')), { pid: process.pid })
  unlock()
  t.same(readdirSync(join(path, '..')), [])
})

t.test('a reused pid does not keep the lock of a dead process', async (t) => {
  const path = lockHeldBy(t, { ...HOLDER, pid: process.pid, began: 'another boot:1' })
  t.doesNotThrow(() => lockFolder(path, '/the/folder'))
})

t.test('the lock of a process that may be alive is respected, and the message names the process', async (t) => {
  for (const holder of [
    { ...HOLDER, pid: process.ppid, began: null },
    { ...HOLDER, pid: deadPid(), host: 'elsewhere' }
  ]) {
    const path = lockHeldBy(t, holder)
    t.throws(() => lockFolder(path, '/the/folder'), {
      message: new RegExp(`^/the/folder is in use by process ${String(holder.pid)} on ${holder.host}.* remove ${path}$`)
    })
    t.match(JSON.parse(readFileSync(path, 'utf8')), holder)
    t.same(readdirSync(join(path, '..')), ['lock'])
  }
})

t.test('a file that is not a lock is not removed', async (t) => {
  for (const content of ['', 'my notes', '{}', '{"pid":"1"}', 'null']) {
    const path = lockHeldBy(t, content)
    t.throws(() => lockFolder(path, '/the/folder'), { message: /not a lock file of this package/ })
    t.equal(readFileSync(path, 'utf8'), content)
  }
})

t.test('of two processes that find a dead lock the slower one does not remove the new lock', async (t) => {
  const dead = { ...HOLDER, pid: deadPid(), began: null, nonce: 'dead' }
  const path = lockHeldBy(t, dead)
  lockFolder(path, '/the/folder')
  const draft = join(t.testdirName, 'draft')
  writeFileSync(draft, JSON.stringify({ ...HOLDER, nonce: 'slow' }))
  removeStaleLock(draft, path, dead, '/the/folder')
  t.match(JSON.parse(readFileSync(path, 'utf8')), { pid: process.pid })
  t.notOk(existsSync(`${path}.dead.claim`))
})

t.test('during a takeover of a lock another process fails and names the claim', async (t) => {
  const dead = { ...HOLDER, pid: deadPid(), began: null, nonce: 'dead' }
  const path = lockHeldBy(t, dead)
  writeFileSync(`${path}.dead.claim`, JSON.stringify({ ...HOLDER, pid: 4242 }))
  t.throws(() => lockFolder(path, '/the/folder'), { message: /process 4242 .*dead\.claim/ })
  t.match(JSON.parse(readFileSync(path, 'utf8')), dead)
})

t.test('a lock that another process has taken over is not released', async (t) => {
  const path = join(t.testdir(), 'lock')
  const unlock = lockFolder(path, '/the/folder')
  writeFileSync(path, JSON.stringify(HOLDER))
  unlock()
  t.ok(existsSync(path))
})

t.test('an existing folder keeps its mode', async (t) => {
  const dataDir = t.testdir()
  mkdirSync(join(dataDir, 'postgres'), { mode: 0o755 })
  const before = modeOf(dataDir)
  const database = await openEmbedded({ dataDir, image: await migratedImage() })
  t.teardown(() => database.close())
  t.equal(modeOf(dataDir), before)
  t.equal(modeOf(join(dataDir, 'postgres')), '700')
})
