import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { Connection, ConnectionStatus } from '../../src/core/connection.ts'
import { isStorageError, StorageError } from '../../src/errors.ts'
import type { ConnectionStore, NewConnection } from '../../src/core/stores.ts'
import { createConnectionStore } from '../../src/db/connection-store.ts'
import { assertSchema, isDatabaseUnavailable } from '../../src/db/errors.ts'
import { openDatabase, type Database } from '../../src/db/open-database.ts'
import type { PrismaLike } from '../../src/db/prisma-client.ts'
import { ManualClock } from '../support/time/clock.ts'
import { emptyDatabase, ownDatabase } from '../support/database/database.ts'

const NUL = 'a\0b'
const LONE_SURROGATE = 'a\ud800'

function aConnection(changes: Partial<NewConnection> = {}): NewConnection {
  return { userId: 'ann', provider: 's3', accountId: 'bucket', label: 'Mine', scopes: ['read'], ...changes }
}

interface Fixture {
  readonly prisma: Database['prisma']
  readonly clock: ManualClock
  readonly store: ConnectionStore
  /** Saves credentials that name their row, with a limit of 20 rows for the user. */
  readonly save: (changes?: Partial<NewConnection>) => ReturnType<ConnectionStore['saveConnected']>
  readonly setStatus: (id: string, status: ConnectionStatus) => Promise<void>
}

async function setUp(): Promise<Fixture> {
  const { prisma } = await emptyDatabase()
  const clock = new ManualClock()
  const store = createConnectionStore(prisma, { clock })
  return {
    prisma,
    clock,
    store,
    save: (changes) => store.saveConnected(aConnection(changes), (id) => `sealed for ${id}`, 20),
    setStatus: async (id, status) => {
      await prisma.cloudConnection.update({ where: { id }, data: { status } })
    }
  }
}

t.test('a saved connection is found without its credentials', async (t) => {
  const { store, save, clock } = await setUp()
  const saved = await save()
  t.match(saved, {
    ...aConnection(),
    id: /^[0-9a-f-]{36}$/,
    isDefault: false,
    status: 'ACTIVE',
    lastErrorCode: null,
    connectedAt: new Date(clock.date()),
    version: 1,
    credentialsRevision: 1
  })
  t.same(await store.find('ann', saved.id), saved)
  t.same(await store.findSealed('ann', saved.id), { ...saved, sealedCredentials: `sealed for ${saved.id}` })
  t.notMatch(JSON.stringify(saved), 'sealed')
})

t.test('find is one statement by primary key that does not select the credentials', async (t) => {
  const statements: string[] = []
  const { prisma } = await emptyDatabase()
  const spied = prisma.$extends({
    query: {
      cloudConnection: {
        $allOperations: ({ operation, args, query }) => {
          statements.push(JSON.stringify({ operation, ...args }))
          return query(args)
        }
      }
    }
  })
  await createConnectionStore(spied).find('ann', 'c1')
  t.equal(statements.length, 1)
  t.match(statements[0], '"operation":"findFirst"')
  t.match(statements[0], '"where":{"id":"c1","userId":"ann"}')
  t.notMatch(statements[0], '"credentials"')
})

t.test("another user's connection does not exist for any operation", async (t) => {
  const { store, save } = await setUp()
  const saved = await save()
  t.equal(await store.find('bob', saved.id), null)
  t.equal(await store.findSealed('bob', saved.id), null)
  t.same(await store.list('bob'), [])
  t.equal(await store.remove('bob', saved.id), null)
  t.same(await store.removeAll('bob'), [])
  t.same(await store.find('ann', saved.id), saved)
})

t.test('a list is ordered by age, for one provider or for all', async (t) => {
  const { prisma, store, save } = await setUp()
  const made: string[] = []
  for (const provider of ['webdav', 's3', 'webdav']) {
    const { id } = await save({ provider, accountId: String(made.length) })
    // Opposite to the order of insertion, so that the right order is not a coincidence.
    await prisma.cloudConnection.update({ where: { id }, data: { createdAt: new Date(1_000_000 - made.length) } })
    made.unshift(id)
  }
  await save({ userId: 'bob' })
  t.same(
    (await store.list('ann')).map(({ id }) => id),
    made
  )
  t.same(
    (await store.listSealed('ann', 'webdav')).map(({ id, sealedCredentials }) => [id, sealedCredentials]),
    [made[0], made[2]].map((id) => [id, `sealed for ${id}`])
  )
})

t.test('saving the same account again renews its row', async (t) => {
  const { prisma, store, clock, save, setStatus } = await setUp()
  const first = await save()
  await setStatus(first.id, 'REQUIRES_REAUTH')
  await prisma.cloudConnection.update({
    where: { id: first.id },
    data: { label: 'Renamed', isDefault: true, lastErrorCode: 'PROVIDER_ERROR' }
  })
  clock.tick(1000)
  const renewed = await store.saveConnected(aConnection({ scopes: ['read', 'write'] }), (id) => `new for ${id}`, 20)
  t.same(renewed, {
    ...first,
    label: 'Renamed',
    isDefault: true,
    scopes: ['read', 'write'],
    connectedAt: new Date(clock.date()),
    version: first.version + 2,
    credentialsRevision: 2
  })
  t.match(await store.findSealed('ann', first.id), { sealedCredentials: `new for ${first.id}` })
  t.equal((await store.list('ann')).length, 1)
})

t.test('a renewal increments the version even if the clock stands still or was set back', async (t) => {
  const { clock, save } = await setUp()
  const first = await save()
  const second = await save()
  clock.setBack(60_000)
  const third = await save()
  t.same([second.version, third.version], [2, 3])
  t.ok(first.connectedAt < second.connectedAt && second.connectedAt < third.connectedAt)
})

t.test('a disabled connection is not changed by a renewal', async (t) => {
  const { prisma, save, setStatus } = await setUp()
  const { id } = await save()
  await setStatus(id, 'DISABLED')
  const before = await prisma.cloudConnection.findFirst()
  await t.rejects(save(), { code: 'CONNECTION_INACTIVE' })
  t.same(await prisma.cloudConnection.findFirst(), before)
})

t.test('a user has a maximum of connections across providers, and may renew each of them', async (t) => {
  const { store, save } = await setUp()
  const limited = (changes: Partial<NewConnection>) => store.saveConnected(aConnection(changes), () => 'sealed', 2)
  await limited({ accountId: '1' })
  await limited({ accountId: '2', provider: 'webdav' })
  await t.rejects(limited({ accountId: '3' }), { code: 'INVALID_REQUEST' })
  t.equal((await store.list('ann')).length, 2)
  await limited({ accountId: '1' })
  await save({ userId: 'bob' })
})

t.test('credentials are sealed once for the final row, and a failure to seal them stores nothing', async (t) => {
  const { store, save } = await setUp()
  const ids: string[] = []
  const seal = (id: string) => {
    ids.push(id)
    return 'sealed'
  }
  const { id } = await store.saveConnected(aConnection(), seal, 20)
  await store.saveConnected(aConnection(), seal, 20)
  t.same(ids, [id, id])
  const failure = new Error('no key')
  await t.rejects(
    store.saveConnected(
      aConnection({ userId: 'bob' }),
      () => {
        throw failure
      },
      20
    ),
    failure
  )
  t.same(await store.list('bob'), [])
  t.ok(await save({ userId: 'bob' }), 'the next save is not blocked')
})

t.test('removing returns the removed connections', async (t) => {
  const { store, save } = await setUp()
  const [first, second] = [await save({ accountId: '1', scopes: ['a,b', '"'] }), await save({ accountId: '2' })]
  const bobs = await save({ userId: 'bob' })
  const sealed = (row: Connection) => ({ ...row, sealedCredentials: `sealed for ${row.id}` })
  t.same(await store.remove('ann', first.id), sealed(first), 'with their credentials, so that they can be revoked')
  t.equal(await store.remove('ann', first.id), null)
  t.same(await store.removeAll('ann'), [sealed(second)])
  t.same(await store.removeAll('ann'), [])
  t.same(await store.list('bob'), [bobs])
})

t.test('text that PostgreSQL cannot store matches no row', async (t) => {
  const { store, save } = await setUp()
  const { id } = await save()
  // If it were written unchanged, the lone surrogate would become U+FFFD, and its user this one.
  await save({ userId: 'a\ufffd' })
  for (const text of [NUL, LONE_SURROGATE]) {
    t.equal(await store.find('ann', text), null)
    t.equal(await store.find(text, id), null)
    t.equal(await store.findSealed('ann', text), null)
    t.same(await store.list(text), [])
    t.same(await store.listSealed('ann', text), [])
    t.equal(await store.remove('ann', text), null)
    t.same(await store.removeAll(text), [])
    for (const part of ['userId', 'accountId', 'label'] as const) {
      await t.rejects(save({ [part]: text }), { code: 'INVALID_REQUEST' }, part)
    }
    await t.rejects(save({ scopes: [text] }), { code: 'INVALID_REQUEST' })
  }
})

t.test('an account id that exceeds the index is refused in advance', async (t) => {
  const { save } = await setUp()
  // Random, because the index compresses repetitions.
  const random = (length: number) => Array.from({ length }, () => Math.random().toString(36).charAt(2)).join('')
  t.ok(await save({ accountId: random(2550) }))
  await t.rejects(save({ accountId: random(2700) }), { code: 'INVALID_REQUEST' })
})

t.test('a programming error is not reported as an unavailable database', async (t) => {
  const { prisma } = await ownDatabase(t)
  const store = createConnectionStore(prisma)
  await prisma.$executeRaw`ALTER TABLE cloud_connections RENAME COLUMN label TO title`
  const error: unknown = await store.find('ann', 'c1').catch((error: unknown) => error)
  t.notOk(isStorageError(error))
  t.match(error, { code: 'P2022' })
})

t.test('a database is ready if it has the tables and the triggers', async (t) => {
  const { prisma } = await ownDatabase(t)
  const store = createConnectionStore(prisma)
  await t.resolves(store.assertReady())
  await prisma.$executeRaw`ALTER TABLE cloud_connections DISABLE TRIGGER cloud_connections_keep_versions`
  await t.rejects(store.assertReady(), { message: /lacks cloud_connections_keep_versions\. .*prisma migrate deploy/ })
  await prisma.$executeRaw`ALTER TABLE cloud_connections ENABLE REPLICA TRIGGER cloud_connections_keep_versions`
  await t.rejects(store.assertReady(), { message: /keep_versions/ })
  await prisma.$executeRaw`ALTER TABLE cloud_connections ENABLE TRIGGER cloud_connections_keep_versions`
  await t.resolves(store.assertReady())
  await prisma.$executeRaw`DROP TRIGGER cloud_connections_announce_delete ON cloud_connections`
  await t.rejects(store.assertReady(), { message: /lacks cloud_connections_announce_delete\./ })
  await prisma.$executeRaw`DROP TABLE oauth_states`
  await t.rejects(store.assertReady(), { message: /lacks oauth_states, cloud_connections_announce_delete\./ })
  await prisma.$executeRaw`DROP TABLE cloud_connection_changes`
  await prisma.$executeRaw`DROP TRIGGER cloud_connections_announce_insert ON cloud_connections`
  await prisma.$executeRaw`DROP TRIGGER cloud_connections_announce_truncate ON cloud_connections`
  const missing = [
    'cloud_connection_changes',
    'oauth_states',
    ...['insert', 'delete', 'truncate'].map((name) => `cloud_connections_announce_${name}`)
  ]
  await t.rejects(store.assertReady(), { message: new RegExp(`lacks ${missing.join(', ')}\\.`) })
})

t.test('a database is not ready if the role may not use the log of changes', async (t) => {
  const { prisma } = await emptyDatabase()
  await prisma.$executeRaw`CREATE ROLE "the host"`
  await prisma.$executeRaw`GRANT SELECT, INSERT ON cloud_connection_changes TO "the host"`
  t.teardown(async () => {
    await prisma.$executeRaw`DROP OWNED BY "the host"`
    await prisma.$executeRaw`DROP ROLE "the host"`
  })
  const assertReady = () =>
    prisma.$transaction(async (transaction) => {
      await transaction.$executeRaw`SET LOCAL ROLE "the host"`
      await assertSchema(transaction)
    })
  const grant = 'GRANT UPDATE, DELETE ON cloud_connection_changes TO "the host"'
  await t.rejects(assertReady(), { message: `The role "the host" lacks privileges. Run: ${grant}` })
  await prisma.$executeRawUnsafe(grant)
  await t.resolves(assertReady())
})

/** One call of each method of the store. */
function everyCall(store: ConnectionStore): [name: string, call: () => Promise<unknown>][] {
  return [
    ['find', () => store.find('ann', 'c1')],
    ['findSealed', () => store.findSealed('ann', 'c1')],
    ['list', () => store.list('ann')],
    ['listSealed', () => store.listSealed('ann', 'webdav')],
    ['saveConnected', () => store.saveConnected(aConnection(), () => 'sealed', 20)],
    ['remove', () => store.remove('ann', 'c1')],
    ['removeAll', () => store.removeAll('ann')],
    ['assertReady', () => store.assertReady()]
  ]
}

const UNAVAILABLE = { code: 'DATABASE_UNAVAILABLE', retryable: true, retryAfterMs: Number, cause: Error }

/** Returns a port without a server, or with one that handles connections by `onSocket`. */
async function portOf(t: Test, onSocket?: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(onSocket).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  if (onSocket === undefined) server.close()
  else t.teardown(() => server.close())
  return port
}

async function storeAt(t: Test, port: number, timeoutMs?: number): Promise<ConnectionStore> {
  const url = `postgres://nobody:secret@127.0.0.1:${String(port)}/none`
  const { prisma, close } = await openDatabase({ url, migrate: false })
  t.teardown(close)
  return createConnectionStore(prisma, timeoutMs === undefined ? {} : { timeoutMs })
}

t.test('with a closed port every call reports an unavailable database', async (t) => {
  const store = await storeAt(t, await portOf(t))
  for (const [name, call] of everyCall(store)) await t.rejects(call(), UNAVAILABLE, name)
})

t.test('with a server that hangs up every call reports an unavailable database', async (t) => {
  const store = await storeAt(t, await portOf(t, (socket) => socket.destroy()))
  for (const [name, call] of everyCall(store)) await t.rejects(call(), UNAVAILABLE, name)
})

t.test('with a server that does not respond the deadline of the store applies', async (t) => {
  const port = await portOf(t, (socket) => {
    t.teardown(() => socket.destroy())
  })
  const store = await storeAt(t, port, 50)
  await t.rejects(store.find('ann', 'c1'), { ...UNAVAILABLE, cause: { message: /50 ms/ } })
})

t.test('a closed database is unavailable', async (t) => {
  const database = await ownDatabase(t)
  const store = createConnectionStore(database.prisma)
  await database.close()
  for (const [name, call] of everyCall(store)) await t.rejects(call(), UNAVAILABLE, name)
})

t.test('connection errors are reported as an unavailable database, and others are not', async (t) => {
  const unavailable = [
    { code: 'P2024' },
    { code: 'P1017' },
    { errorCode: 'P1001' },
    { code: '57P01' },
    { code: '08006' },
    { code: 'P2010', meta: { driverAdapterError: { cause: { kind: 'postgres', originalCode: '57P03' } } } },
    { code: 'P2010', meta: { driverAdapterError: { cause: { kind: 'DatabaseNotReachable' } } } },
    new Error('outer', { cause: Object.assign(new Error('inner'), { code: 'ECONNRESET' }) }),
    new AggregateError([Object.assign(new Error('::1'), { code: 'ECONNREFUSED' })]),
    new Error('timeout exceeded when trying to connect'),
    new Error('Connection terminated unexpectedly')
  ]
  for (const error of unavailable) t.ok(isDatabaseUnavailable(error), JSON.stringify(error))
  const answers = [
    {
      code: 'P2002',
      meta: { driverAdapterError: { cause: { kind: 'UniqueConstraintViolation', originalCode: '23505' } } }
    },
    { code: 'P2022' },
    { code: '080' },
    new Error('boom'),
    new TypeError('x is not a function'),
    'P1001',
    null,
    undefined
  ]
  for (const error of answers) t.notOk(isDatabaseUnavailable(error), JSON.stringify(error))
})

t.test('an error of the caller passes through a transaction unchanged', async (t) => {
  const cause = Object.assign(new Error('of another service'), { code: 'ECONNRESET' })
  const own = new StorageError('CREDENTIALS_UNREADABLE', 'No.', { cause })
  const prisma = { $transaction: () => Promise.reject(own) } as unknown as PrismaLike
  const store = createConnectionStore(prisma)
  await t.rejects(
    store.saveConnected(aConnection(), () => 'sealed', 20),
    own
  )
})

t.test('rejected credentials set an ACTIVE connection to REQUIRES_REAUTH, if they are still stored', async (t) => {
  const { store, save, setStatus } = await setUp()
  const saved = await save()
  t.equal(await store.requireReauth({ ...saved, userId: 'bob' }), false, 'another user')
  t.equal(await store.requireReauth({ ...saved, id: 'none' }), false)
  t.equal(await store.requireReauth({ ...saved, id: NUL }), false)
  t.equal(await store.requireReauth(saved), true)
  const waiting = await store.find('ann', saved.id)
  t.match(waiting, { status: 'REQUIRES_REAUTH', lastErrorCode: 'ACCESS_DENIED', version: saved.version + 1 })
  t.equal(await store.requireReauth(saved), false, 'a second time')

  const renewed = await store.saveConnected(aConnection(), () => 'sealed anew', 20)
  t.match(renewed, { id: saved.id, status: 'ACTIVE', lastErrorCode: null })
  t.equal(await store.requireReauth(saved), false, 'replaced credentials')
  await setStatus(saved.id, 'DISABLED')
  t.equal(await store.requireReauth({ ...renewed }), false, 'a disabled connection is unchanged')
  t.match(await store.find('ann', saved.id), { status: 'DISABLED' })
})

t.test('each reported use is stored with the time of the database, and changes nothing else', async (t) => {
  const { prisma, store, save } = await setUp()
  const { id } = await save()
  const read = () => prisma.cloudConnection.findUniqueOrThrow({ where: { id } })
  const before = await read()
  t.equal(before.lastUsedAt, null)
  t.teardown(() => prisma.$executeRaw`RESET TIME ZONE`)
  await prisma.$executeRaw`SET TIME ZONE 'Asia/Kolkata'`
  await store.recordUse('ann', id, 3_600_000)
  const { lastUsedAt, ...noted } = await read()
  t.ok(lastUsedAt !== null && Math.abs(lastUsedAt.getTime() - Date.now()) < 60_000, 'in UTC, whatever the session has')
  t.match(noted, { version: before.version, credentialsRevision: before.credentialsRevision, status: 'ACTIVE' })
  await store.recordUse('ann', id, 3_600_000)
  t.same((await read()).lastUsedAt, lastUsedAt)
  await store.recordUse('bob', id, 0)
  t.same((await read()).lastUsedAt, lastUsedAt, 'another user')
  await store.recordUse('ann', id, 0)
  t.notSame((await read()).lastUsedAt, lastUsedAt)
  await store.recordUse('ann', NUL, 0)
})
