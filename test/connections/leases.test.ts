import t from 'tap'
import type { Connection, SealedConnection } from '../../src/core/connection.ts'
import { StorageError } from '../../src/errors.ts'
import type { LeaseRenewal } from '../../src/core/telemetry.ts'
import { Leases } from '../../src/connections/leases.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { connectionRow, MemoryConnections } from '../support/database/memory-connections.ts'

const LEASE_MS = 2_000
const longest = () => 0

interface Setting {
  leaseMs?: number
  max?: number
  random?: () => number
}

/** Leases of maximum length, unless the test changes it. */
function make({ leaseMs = LEASE_MS, max, random = longest }: Setting = {}) {
  const clock = new ManualClock()
  const connections = new MemoryConnections()
  const outcomes: LeaseRenewal[] = []
  const leases = new Leases({
    connections,
    leaseMs,
    clock,
    random,
    onRenewed: (outcome) => outcomes.push(outcome),
    ...(max !== undefined && { max })
  })
  return { clock, connections, leases, outcomes }
}

/** Leases on a store with reads that the test settles. */
function makeSlow(leaseMs = LEASE_MS) {
  const clock = new ManualClock()
  const finds: Deferred<SealedConnection | null>[] = []
  const find = () => {
    const answer = new Deferred<SealedConnection | null>()
    finds.push(answer)
    return answer.promise
  }
  const never = () => Promise.reject(new Error('not asked for'))
  const leases = new Leases({
    connections: { find, findSealed: find, listSealed: never },
    leaseMs,
    clock,
    random: longest
  })
  const row = connectionRow()
  return { clock, leases, finds, row, find: () => leases.find('ann', row.id) }
}

/** The leased part of a row: all but the credentials. */
function withoutCredentials({ sealedCredentials: _sealed, ...connection }: SealedConnection): Connection {
  return connection
}

t.test('a row is leased after its read, and read again when the lease expires', async (t) => {
  const { clock, connections, leases, outcomes } = make()
  const { id } = connections.add()
  t.equal(leases.leased('ann', id), undefined)
  t.match(await leases.find('ann', id), { id })
  clock.tick(LEASE_MS - 1)
  t.match(leases.leased('ann', id), { id })
  await leases.find('ann', id)
  t.equal(connections.reads.length, 1)
  clock.tick(1)
  t.equal(leases.leased('ann', id), undefined)
  await leases.find('ann', id)
  t.equal(connections.reads.length, 2)
  t.same(outcomes, ['ok', 'ok'])
})

t.test('leases that begin together expire at different times, and none exceeds the maximum', async (t) => {
  const draws = [0, 0.5, 0.999]
  const { clock, connections, leases } = make({ random: () => draws.shift() ?? 0 })
  const ids = Array.from(
    { length: 3 },
    (_, n) => connections.add({ id: `c${String(n)}`, provider: `p${String(n)}` }).id
  )
  for (const [n, id] of ids.entries()) {
    if (n === 0) await leases.find('ann', id)
    else await leases.choose('ann', `p${String(n)}`)
  }
  const believed = () => ids.filter((id) => leases.leased('ann', id) !== undefined)
  const chosen = () => ids.filter((_, n) => leases.leasedDefault('ann', `p${String(n)}`) !== undefined)
  clock.tick(LEASE_MS / 2)
  t.same(believed(), ['c0', 'c1', 'c2'])
  t.same(chosen(), ['c1', 'c2'])
  clock.tick(1)
  t.same(believed(), ['c0', 'c1'], 'at least half of the maximum')
  clock.tick(LEASE_MS / 4)
  t.same(believed(), ['c0'])
  t.same(chosen(), [], 'a leased default expires with the row that it refers to')
  clock.tick(LEASE_MS / 4 - 1)
  t.same(believed(), [])
  await leases.find('ann', 'c0')
  t.same(believed(), ['c0'], 'the next expiry is random again')
})

t.test('a lease begins at the start of its read', async (t) => {
  const { clock, leases, finds, row, find } = makeSlow()
  const answer = find()
  clock.tick(900)
  finds[0]?.resolve(row)
  await answer
  clock.tick(LEASE_MS - 901)
  t.ok(leases.leased('ann', row.id))
  clock.tick(1)
  t.notOk(leases.leased('ann', row.id))
})

t.test('leases expire while the machine sleeps', async (t) => {
  const { clock, connections, leases } = make()
  const { id } = connections.add()
  await leases.find('ann', id)
  clock.suspend(LEASE_MS)
  t.notOk(leases.leased('ann', id))
})

t.test('setting back the wall clock does not extend a lease', async (t) => {
  const { clock, connections, leases } = make()
  const { id } = connections.add()
  await leases.find('ann', id)
  clock.setBack(3_600_000)
  clock.tick(LEASE_MS)
  t.notOk(leases.leased('ann', id))
})

t.test('concurrent callers share one read, unless it is older than a lease', async (t) => {
  const { clock, finds, row, find } = makeSlow()
  const answers = [find(), find(), find()]
  t.equal(finds.length, 1)
  clock.tick(LEASE_MS)
  const late = find()
  t.equal(finds.length, 2)
  finds[1]?.resolve(row)
  t.equal(await late, row)
  finds[0]?.resolve(row)
  t.equal(finds.length, 2)
  for (const answer of answers) t.equal(await answer, row, 'a read that is too old is repeated')
})

t.test('a read that takes too long is discarded and repeated once', async (t) => {
  const { clock, finds, find } = makeSlow()
  const answer = find()
  clock.tick(LEASE_MS + 1)
  finds[0]?.resolve(null)
  await nextTurn()
  t.equal(finds.length, 2)
  clock.tick(LEASE_MS + 1)
  finds[1]?.resolve(null)
  await t.rejects(answer, { code: 'DATABASE_UNAVAILABLE' })
})

t.test('without a lease each caller reads for itself, and nothing is cached', async (t) => {
  const { clock, leases, finds, row, find } = makeSlow(0)
  const answers = [find(), find()]
  t.equal(finds.length, 2)
  clock.tick(1_000)
  for (const read of finds) read.resolve(row)
  t.same(await Promise.all(answers), [row, row])
  t.notOk(leases.leased('ann', row.id))
  const slow = find()
  clock.tick(4_000)
  finds[2]?.resolve(row)
  t.equal(await slow, row)
})

t.test('with a short lease a read may still take a minimum of time', async (t) => {
  const { clock, leases, finds, row, find } = makeSlow(5)
  const answer = find()
  clock.tick(250)
  finds[0]?.resolve(row)
  t.equal(await answer, row)
  t.notOk(leases.leased('ann', row.id))
  const late = find()
  clock.tick(251)
  finds[1]?.resolve(row)
  await nextTurn()
  t.equal(finds.length, 3, 'no longer')
  finds[2]?.resolve(row)
  await late
})

t.test('a change during a read: its row is not leased, and no caller joins it', async (t) => {
  for (const change of ['drop', 'dropAll', 'hear'] as const) {
    const { leases, finds, row, find } = makeSlow()
    const before = find()
    if (change === 'drop') leases.drop(row)
    else if (change === 'dropAll') leases.dropAll()
    else leases.onNotification({ ...row, version: 2, isRemoved: false })
    const after = find()
    t.equal(finds.length, 2)
    finds[0]?.resolve(row)
    t.equal(await before, row, 'an earlier caller still gets the row')
    t.notOk(leases.leased('ann', row.id))
    const changed = { ...row, version: 2 }
    finds[1]?.resolve(changed)
    t.equal(await after, changed)
    t.strictSame(leases.leased('ann', row.id), withoutCredentials(changed))
  }
})

t.test('a change of another connection does not affect a read', async (t) => {
  const { leases, finds, row, find } = makeSlow()
  const answer = find()
  leases.drop({ userId: 'ann', id: 'another', provider: row.provider })
  leases.drop({ userId: 'bob', id: row.id, provider: row.provider })
  void find()
  t.equal(finds.length, 1)
  finds[0]?.resolve(row)
  await answer
  t.strictSame(leases.leased('ann', row.id), withoutCredentials(row))
})

t.test('a read that began earlier and ends later changes nothing', async (t) => {
  const { clock, leases, finds, row, find } = makeSlow()
  const older = find()
  clock.tick(LEASE_MS)
  const newer = find()
  const changed = { ...row, version: 2 }
  finds[1]?.resolve(changed)
  await newer
  finds[0]?.resolve(row)
  await older
  t.strictSame(leases.leased('ann', row.id), withoutCredentials(changed))
})

t.test('an inactive connection is never leased', async (t) => {
  for (const status of ['DISABLED', 'ERROR', 'REQUIRES_REAUTH'] as const) {
    const { connections, leases } = make()
    const { id } = connections.add()
    await leases.find('ann', id)
    connections.change(id, { status })
    t.match(await leases.findSealed('ann', id), { status })
    t.notOk(leases.leased('ann', id), 'and loses its lease')
    t.match(await leases.find('ann', id), { status })
    t.notOk(leases.leased('ann', id))
  }
})

t.test('another user gets no row, and does not affect the lease of the owner', async (t) => {
  const { connections, leases } = make()
  const { id } = connections.add()
  await leases.find('ann', id)
  t.notOk(leases.leased('bob', id))
  t.equal(await leases.find('bob', id), null)
  t.equal(await leases.findSealed('bob', id), null)
  await t.rejects(leases.confirm({ userId: 'bob', id, accountId: 'account' }, LEASE_MS), {
    code: 'CONNECTION_INACTIVE'
  })
  t.ok(leases.leased('ann', id))
})

t.test('the default connection is leased for the same time', async (t) => {
  const { clock, connections, leases } = make()
  await t.rejects(leases.choose('ann', 'scripted'), { code: 'CONNECTION_MISSING' })
  const first = connections.add()
  t.equal((await leases.choose('ann', 'scripted')).id, first.id, 'a missing default is read again')
  const second = connections.add({ isDefault: true })
  t.equal((await leases.choose('ann', 'scripted')).id, first.id)
  t.equal(leases.leasedDefault('ann', 'scripted')?.id, first.id)
  t.equal(leases.leasedDefault('ann', 'other'), undefined)
  t.equal(leases.leasedDefault('bob', 'scripted'), undefined)
  clock.tick(LEASE_MS)
  t.equal((await leases.choose('ann', 'scripted')).id, second.id)
  t.same(connections.reads, ['listSealed', 'listSealed', 'listSealed'])
  leases.drop({ userId: 'ann', id: first.id, provider: 'scripted' })
  t.equal(leases.leasedDefault('ann', 'scripted'), undefined, 'a change of any connection may change the default')
  connections.rows.set(second.id, { ...second, isDefault: false })
  await t.rejects(leases.choose('ann', 'scripted'), { code: 'CONNECTION_AMBIGUOUS' })
  await t.rejects(leases.choose('ann', 'scripted'), { code: 'CONNECTION_AMBIGUOUS' })
})

t.test('a default whose read overlaps with a change is not leased', async (t) => {
  const clock = new ManualClock()
  const answer = new Deferred<SealedConnection[]>()
  const never = () => Promise.reject(new Error('not asked for'))
  const connections = { find: never, findSealed: never, listSealed: () => answer.promise }
  const leases = new Leases({ connections, leaseMs: LEASE_MS, clock, random: longest })
  const row = connectionRow()
  const chosen = leases.choose('ann', row.provider)
  leases.onNotification({ id: 'another', userId: 'ann', provider: row.provider, version: 1, isRemoved: true })
  answer.resolve([row])
  t.equal(await chosen, row)
  t.equal(leases.leasedDefault('ann', row.provider), undefined)
})

t.test('a row that is read with its credentials is leased without them', async (t) => {
  for (const how of ['find', 'findSealed', 'choose'] as const) {
    const { connections, leases } = make()
    const row = connections.add()
    const { id } = row
    t.strictSame(how === 'choose' ? await leases.choose('ann', 'scripted') : await leases[how]('ann', id), row, how)
    t.strictSame(leases.leased('ann', id), withoutCredentials(row), how)
    t.strictSame(await leases.find('ann', id), withoutCredentials(row), 'a leased row has no sealed credentials')
    if (how === 'choose') t.strictSame(leases.leasedDefault('ann', 'scripted'), withoutCredentials(row))
    connections.rows.delete(id)
    t.equal(await leases.findSealed('ann', id), null)
    t.notOk(leases.leased('ann', id), 'a removed row loses its lease')
  }
})

t.test('a row with credentials whose read overlaps with a change is not leased', async (t) => {
  const { connections, leases } = make()
  const row = connections.add()
  const reading = leases.findSealed('ann', row.id)
  leases.onNotification({ ...row, version: 2, isRemoved: false })
  t.match(await reading, { id: row.id })
  t.notOk(leases.leased('ann', row.id))
})

t.test('a leased default whose row has changed its provider is invalid', async (t) => {
  const { connections, leases } = make()
  const row = connections.add()
  await leases.choose('ann', 'scripted')
  connections.change(row.id, { provider: 'other' })
  await leases.findSealed('ann', row.id)
  t.equal(leases.leasedDefault('ann', 'scripted'), undefined)
})

t.test('a notification of a known version is ignored', async (t) => {
  const { connections, leases } = make()
  const row = connections.add({ version: 5 })
  await leases.find('ann', row.id)
  t.notOk(leases.onNotification({ ...row, version: 4, isRemoved: false }))
  t.notOk(leases.onNotification({ ...row, version: 5, isRemoved: false }))
  t.ok(leases.leased('ann', row.id))
  t.ok(leases.onNotification({ ...row, version: 6, isRemoved: false }))
  t.notOk(leases.leased('ann', row.id))
  await leases.find('ann', row.id)
  t.ok(leases.onNotification({ ...row, version: 5, isRemoved: true }))
  t.notOk(leases.leased('ann', row.id))
})

t.test('the number of leases is limited', async (t) => {
  const { connections, leases } = make({ max: 2 })
  const rows = [connections.add(), connections.add(), connections.add()]
  for (const { id } of rows) await leases.find('ann', id)
  t.same(
    rows.map(({ id }) => leases.leased('ann', id) !== undefined),
    [false, true, true]
  )
})

t.test('a connection is confirmed by a recent read or else by a new one', async (t) => {
  const { clock, connections, leases } = make()
  const row = connections.add()
  await leases.find('ann', row.id)
  clock.tick(500)
  await leases.confirm(row, 501)
  t.equal(connections.reads.length, 1)
  await leases.confirm(row, 500)
  t.equal(connections.reads.length, 2)
  connections.change(row.id, { connectedAt: new Date(1) })
  leases.dropAll()
  await leases.confirm(row, 500)
  connections.change(row.id, { accountId: 'another' })
  clock.tick(500)
  await t.rejects(leases.confirm(row, 500), { code: 'CONNECTION_INACTIVE' })
  connections.change(row.id, { accountId: row.accountId, status: 'DISABLED' })
  leases.dropAll()
  await t.rejects(leases.confirm(row, 500), { code: 'CONNECTION_INACTIVE' })
  connections.rows.delete(row.id)
  await t.rejects(leases.confirm(row, 500), { code: 'CONNECTION_INACTIVE' })
})

t.test('a database outage is reported, except while a lease is valid', async (t) => {
  const { clock, connections, leases, outcomes } = make()
  const { id } = connections.add()
  await leases.find('ann', id)
  connections.findSealed = () => Promise.reject(new StorageError('DATABASE_UNAVAILABLE', 'gone'))
  t.match(await leases.find('ann', id), { id })
  clock.tick(LEASE_MS)
  await t.rejects(leases.find('ann', id), { code: 'DATABASE_UNAVAILABLE' })
  t.equal(outcomes.at(-1), 'failed')
})
