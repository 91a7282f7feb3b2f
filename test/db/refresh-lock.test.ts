import t from 'tap'
import type { NewConnection } from '../../src/core/stores.ts'
import { StorageError } from '../../src/errors.ts'
import { createConnectionStore } from '../../src/db/connection-store.ts'
import { emptyDatabase } from '../support/database/database.ts'
import { Deferred } from '../support/time/deferred.ts'

const WITHIN_MS = 5000
const NEW: NewConnection = { userId: 'ann', provider: 'cloud', accountId: 'a', label: 'Mine', scopes: [] }

async function setUp(timeoutMs?: number) {
  const { prisma } = await emptyDatabase()
  const store = createConnectionStore(prisma, timeoutMs === undefined ? {} : { timeoutMs })
  const { id } = await store.saveConnected(NEW, () => 'sealed', 20)
  const row = await store.findSealed('ann', id)
  if (row === null) throw new Error('not saved')
  return { store, id, row }
}

t.test('work receives the row as it is under the lock, not as the caller knew it', async (t) => {
  const { store, id, row } = await setUp()
  const isWithin = new Deferred<void>()
  const end = new Deferred<void>()
  const seen: unknown[] = []
  const first = store.withRefreshLock(row, WITHIN_MS, async (locked, { reseal }) => {
    isWithin.resolve()
    await end.promise
    return locked !== null && (await reseal(locked, 'sealed anew'))
  })
  await isWithin.promise
  const second = store.withRefreshLock({ userId: 'ann', id }, WITHIN_MS, async (locked) => {
    seen.push(locked?.sealedCredentials, locked?.credentialsRevision)
  })
  t.same(seen, [])
  end.resolve()
  t.equal(await first, true)
  await second
  t.same(seen, ['sealed anew', row.credentialsRevision + 1])
})

t.test('storing tokens increments the revision and not the version', async (t) => {
  const { store, id, row } = await setUp()
  await store.withRefreshLock(row, WITHIN_MS, async (locked, { reseal }) => reseal(locked!, 'sealed anew'))
  t.same(await store.findSealed('ann', id), {
    ...row,
    sealedCredentials: 'sealed anew',
    credentialsRevision: row.credentialsRevision + 1
  })
})

t.test('work that throws changes nothing, and its error is passed on', async (t) => {
  const { store, id, row } = await setUp()
  for (const error of [new Error('mine'), new StorageError('PROVIDER_UNAVAILABLE', 'Down.')]) {
    const failing = store.withRefreshLock(row, WITHIN_MS, async (locked, { reseal }) => {
      t.equal(await reseal(locked!, 'never stored'), true)
      throw error
    })
    t.equal(await failing.catch((thrown: unknown) => thrown), error)
    t.same(await store.findSealed('ann', id), row)
  }
  t.equal(await store.withRefreshLock(row, WITHIN_MS, async (locked) => locked?.id), id, 'the lock is released')
})

t.test('an ended grant is stored only for the row that was read', async (t) => {
  const { store, id, row } = await setUp()
  const stale = { ...row, credentialsRevision: row.credentialsRevision + 1 }
  t.equal(await store.withRefreshLock(row, WITHIN_MS, async (_, { requireReauth }) => requireReauth(stale)), false)
  t.match(await store.find('ann', id), { status: 'ACTIVE' })
  t.equal(await store.withRefreshLock(row, WITHIN_MS, async (_, { requireReauth }) => requireReauth(row)), true)
  t.match(await store.find('ann', id), { status: 'REQUIRES_REAUTH', version: row.version + 1 })
  t.equal(await store.withRefreshLock(row, WITHIN_MS, async (_, { requireReauth }) => requireReauth(row)), false)
})

t.test('a seal is stored only for the row that was read', async (t) => {
  const { store, id, row } = await setUp()
  const { version, credentialsRevision } = row
  const others = [
    { ...row, version: version + 1 },
    { ...row, credentialsRevision: credentialsRevision + 1 },
    { ...row, status: 'DISABLED' as const },
    { ...row, userId: 'ben' }
  ]
  for (const other of others) {
    t.equal(await store.withRefreshLock(row, WITHIN_MS, async (_, { reseal }) => reseal(other, 'another')), false)
  }
  t.same(await store.findSealed('ann', id), row)
})

t.test('another user, an unknown id and an invalid id have no row', async (t) => {
  const { store, id, row } = await setUp()
  const unknown = [
    { userId: 'ben', id },
    { userId: 'ann', id: 'no such id' },
    { userId: 'ann', id: 'a\0b' },
    { userId: 'a\0b', id },
    { userId: 'ann', id: 'a\ud800' }
  ]
  for (const connection of unknown) {
    const given = await store.withRefreshLock(connection, WITHIN_MS, async (locked, { reseal, requireReauth }) => [
      locked,
      await reseal({ ...row, ...connection }, 'another').catch(() => false),
      await requireReauth({ ...row, ...connection }).catch(() => false)
    ])
    t.same(given, [null, false, false], JSON.stringify(connection))
  }
  t.same(await store.findSealed('ann', id), row)
})

t.test('work that exceeds its time stores nothing and releases the database', async (t) => {
  const { store, id, row } = await setUp(50)
  const end = new Deferred<void>()
  const late = new Deferred<unknown>()
  const call = store.withRefreshLock(row, 50, async (locked, { reseal }) => {
    await end.promise
    const stored = reseal(locked!, 'too late')
    stored.then(late.resolve, late.resolve)
    return stored
  })
  await t.rejects(call, { code: 'DATABASE_UNAVAILABLE', retryable: true })
  end.resolve()
  t.not(await late.promise, true)
  t.same(await store.findSealed('ann', id), row)
})
