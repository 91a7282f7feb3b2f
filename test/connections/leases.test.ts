import t from 'tap'
import type { Connection, SealedConnection } from '../../src/core/connection.ts'
import type { ChangePoll, ConnectionChange } from '../../src/core/stores.ts'
import type { ChangePollOutcome } from '../../src/core/telemetry.ts'
import { StorageError } from '../../src/errors.ts'
import { Leases } from '../../src/connections/leases.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { connectionRow, MemoryConnections } from '../support/database/memory-connections.ts'

const LEASE_MS = 2_000

/** Leases on a database that responds at once. */
function make({ leaseMs = LEASE_MS, maxUsers = 100 } = {}) {
  const clock = new ManualClock()
  const connections = new MemoryConnections()
  const outcomes: ChangePollOutcome[] = []
  const leases = new Leases({
    connections,
    changeLog: connections,
    leaseMs,
    clock,
    maxUsers,
    onPolled: (outcome) => outcomes.push(outcome)
  })
  const leased = (userId: string, connectionId?: string, provider = 'scripted') =>
    leases.findLeased({ userId, provider, connectionId })
  const select = (userId: string, connectionId?: string, provider = 'scripted') =>
    leases.select({ userId, provider, connectionId })
  return { clock, connections, leases, outcomes, leased, select }
}

interface SlowPoll {
  readonly since: string | null
  readonly response: Deferred<ChangePoll>
}

/** Leases on a database whose responses the test sends. */
function makeUnpolled(leaseMs = LEASE_MS) {
  const clock = new ManualClock()
  const finds: Deferred<SealedConnection | null>[] = []
  const polls: SlowPoll[] = []
  const find = () => {
    const response = new Deferred<SealedConnection | null>()
    finds.push(response)
    return response.promise
  }
  const poll = (since: string | null) => {
    const response = new Deferred<ChangePoll>()
    polls.push({ since, response })
    return response.promise
  }
  const leases = new Leases({
    connections: { find, findSealed: find, listSealed: () => Promise.reject(new Error('not expected')) },
    changeLog: { poll, prune: () => Promise.resolve() },
    leaseMs,
    clock
  })
  const row = connectionRow()
  const { id, provider } = row
  return {
    clock,
    leases,
    finds,
    polls,
    row,
    /** Calls `find`, and lets its read or its poll begin. */
    find: async () => {
      const result = leases.find('ann', id)
      result.catch(() => {})
      await nextTurn()
      return { result }
    },
    leased: () => leases.findLeased({ userId: 'ann', provider, connectionId: id }),
    /** Sends the response of the nth poll. */
    respond: async (n: number, changes: ConnectionChange[] | null = [], position = String(n)) => {
      polls[n]?.response.resolve({ position, changes })
      await nextTurn()
    },
    fail: async (n: number) => {
      polls[n]?.response.reject(new StorageError('DATABASE_UNAVAILABLE', 'gone'))
      await nextTurn()
    }
  }
}

/** The same after the first poll, whose position is `first`. */
async function makeSlow(leaseMs = LEASE_MS) {
  const made = makeUnpolled(leaseMs)
  const { find, finds, polls, respond } = made
  const { result } = await find()
  await respond(0, null, 'first')
  finds[0]?.resolve(null)
  await result
  finds.length = polls.length = 0
  return made
}

/** The same with the leased row. */
async function makeLeased(leaseMs = LEASE_MS) {
  const made = await makeSlow(leaseMs)
  const { find, finds, row } = made
  const { result } = await find()
  finds[0]?.resolve(row)
  await result
  finds.length = 0
  return made
}

/** The leased part of a row: all but the credentials. */
function withoutCredentials({ sealedCredentials: _sealed, ...connection }: SealedConnection): Connection {
  return connection
}

// Validity

t.test('one poll per lease covers all connections, and no other query is made', async (t) => {
  const { clock, connections, leased, select, outcomes } = make()
  const ids = Array.from({ length: 50 }, (_, n) => connections.add({ userId: `user${String(n)}` }).id)
  for (const [n, id] of ids.entries()) await select(`user${String(n)}`, id)
  t.equal(connections.polls, 1)
  t.equal(connections.reads.length, 50)
  for (let second = 0; second < 10; second += 1) {
    clock.tick(1_000)
    for (const [n, id] of ids.entries()) t.match(leased(`user${String(n)}`, id), { id })
    await nextTurn()
  }
  t.equal(connections.reads.length, 50)
  t.equal(connections.polls, 11, 'one per half lease')
  t.same(outcomes, ['reset', ...Array.from({ length: 10 }, () => 'ok')])
})

t.test('a lease ends although the machine sleeps or its clock is set', async (t) => {
  for (const end of ['tick', 'suspend', 'setBack'] as const) {
    const { clock, connections, leased, select } = make()
    const { id } = connections.add()
    await select('ann', id)
    clock.tick(LEASE_MS - 1)
    connections.poll = () => new Promise(() => {})
    t.match(leased('ann', id), { id })
    if (end === 'suspend') clock.suspend(1)
    else {
      if (end === 'setBack') clock.setBack(3_600_000)
      clock.tick(1)
    }
    t.equal(leased('ann', id), undefined, end)
  }
})

t.test('a lease begins at the start of its poll, not at its end', async (t) => {
  const { clock, leased, respond } = await makeLeased()
  clock.tick(1_000)
  leased()
  clock.tick(900)
  await respond(0)
  clock.tick(1_099)
  t.ok(leased())
  clock.tick(1)
  t.equal(leased(), undefined)
})

t.test('a change drops what is leased of its user, and nothing of other users', async (t) => {
  const { clock, connections, leased, select } = make()
  const [first, second, other] = [connections.add(), connections.add(), connections.add({ userId: 'bob' })]
  await select('ann', first.id)
  await select('ann', second.id)
  await select('bob', other.id)
  connections.change(first.id, {})
  clock.tick(LEASE_MS / 2)
  t.match(leased('ann', first.id), { version: 1 }, 'the poll is on its way')
  await nextTurn()
  t.equal(leased('ann', first.id), undefined)
  t.equal(leased('ann', second.id), undefined)
  t.match(leased('bob', other.id), { id: other.id })
  t.match(await select('ann', first.id), { version: 2 })
})

t.test('a connection that moves is dropped for both users', async (t) => {
  const { clock, connections, leased, select } = make()
  const { id } = connections.add()
  const other = connections.add({ userId: 'bob', isDefault: true })
  await select('ann')
  await select('bob')
  connections.change(id, { userId: 'bob' })
  clock.tick(LEASE_MS)
  t.equal(leased('ann'), undefined)
  t.equal(leased('bob'), undefined)
  await t.rejects(select('ann'), { code: 'CONNECTION_MISSING' })
  await t.rejects(select('ann', id), { code: 'CONNECTION_NOT_FOUND' })
  t.match(await select('bob', id), { id })
  t.match(await select('bob'), { id: other.id })
})

t.test('an inactive connection is never leased', async (t) => {
  for (const status of ['DISABLED', 'ERROR', 'REQUIRES_REAUTH'] as const) {
    const { connections, leases, leased, select } = make()
    const { id } = connections.add()
    await leases.find('ann', id)
    connections.change(id, { status })
    t.match(await leases.findSealed('ann', id), { status })
    t.notOk(leased('ann', id), 'and loses its lease')
    t.match(await leases.find('ann', id), { status })
    t.notOk(leased('ann', id))
    await t.rejects(select('ann', id), { code: 'CONNECTION_INACTIVE' })
    await t.rejects(select('ann'), { code: 'CONNECTION_INACTIVE' })
    t.notOk(leased('ann'))
  }
})

t.test('another user gets no row, and does not affect the lease of the owner', async (t) => {
  const { connections, leases, leased } = make()
  const { id } = connections.add()
  await leases.find('ann', id)
  t.notOk(leased('bob', id))
  t.equal(await leases.find('bob', id), null)
  t.equal(await leases.findSealed('bob', id), null)
  await t.rejects(leases.confirm({ userId: 'bob', id, accountId: 'account' }, LEASE_MS), {
    code: 'CONNECTION_INACTIVE'
  })
  t.ok(leased('ann', id))
})

t.test('a connection of another provider is not found', async (t) => {
  const { connections, leased, select } = make()
  const { id } = connections.add()
  await select('ann', id)
  t.equal(leased('ann', id, 'other'), undefined)
  await t.rejects(select('ann', id, 'other'), { code: 'CONNECTION_NOT_FOUND' })
})

t.test('the default connection is leased, too', async (t) => {
  const { clock, connections, leased, select } = make()
  await t.rejects(select('ann'), { code: 'CONNECTION_MISSING' })
  const first = connections.add()
  t.equal((await select('ann')).id, first.id, 'a missing default is read again')
  t.equal((await select('ann')).id, first.id)
  const second = connections.add({ isDefault: true })
  t.equal((await select('ann')).id, first.id)
  t.equal(leased('ann')?.id, first.id)
  t.equal(leased('ann', undefined, 'other'), undefined)
  t.equal(leased('bob'), undefined)
  clock.tick(LEASE_MS)
  t.equal((await select('ann')).id, second.id)
  t.same(connections.reads, ['listSealed', 'listSealed', 'listSealed'])
  connections.rows.set(second.id, { ...second, isDefault: false })
  clock.tick(LEASE_MS)
  await t.rejects(select('ann'), { code: 'CONNECTION_AMBIGUOUS' }, 'the default flag does not raise the version')
  await t.rejects(select('ann'), { code: 'CONNECTION_AMBIGUOUS' })
})

t.test(
  'a connection of the default that has moved to another provider is dropped by the read that finds it',
  async (t) => {
    const { connections, leases, leased, select } = make()
    const row = connections.add()
    await select('ann')
    connections.change(row.id, { provider: 'other' })
    await leases.findSealed('ann', row.id)
    t.equal(leased('ann'), undefined)
  }
)

t.test('a row that is read with its credentials is leased without them', async (t) => {
  for (const how of ['find', 'findSealed', 'select'] as const) {
    const { connections, leases, leased, select } = make()
    const row = connections.add()
    const { id } = row
    await leases.find('bob', 'any')
    t.strictSame(how === 'select' ? await select('ann') : await leases[how]('ann', id), row, how)
    t.strictSame(leased('ann', id), withoutCredentials(row), how)
    t.strictSame(await leases.find('ann', id), withoutCredentials(row), 'a leased row has no sealed credentials')
    if (how === 'select') t.strictSame(leased('ann'), withoutCredentials(row))
    connections.rows.delete(id)
    t.equal(await leases.findSealed('ann', id), null)
    t.notOk(leased('ann', id), 'a removed row loses its lease')
  }
})

t.test('without leases each caller reads for itself, nothing is leased, and nothing is polled', async (t) => {
  const { clock, leases, finds, polls, row, find, leased } = makeUnpolled(0)
  const [first, second] = [await find(), await find()]
  t.equal(finds.length, 2)
  clock.tick(1_000)
  for (const read of finds) read.resolve(row)
  t.same(await Promise.all([first.result, second.result]), [row, row])
  t.notOk(leased())
  const slow = await find()
  clock.tick(4_000)
  finds[2]?.resolve(row)
  t.equal(await slow.result, row)
  const confirmed = [leases.confirm(row, 1_000), leases.confirm(row, 1_000)]
  t.equal(finds.length, 5)
  for (const read of finds) read.resolve(row)
  await Promise.all(confirmed)
  leases.onNotification(null)
  leases.dropAll()
  t.equal(polls.length, 0)
})

t.test('changes are made through a row that is read now, or through the default of now', async (t) => {
  const { connections, leases, leased, select } = make()
  const [first, second] = [connections.add({ isDefault: true }), connections.add()]
  await select('ann')
  await connections.update('ann', second.id, { isDefault: true })
  const selector = { userId: 'ann', provider: 'scripted', connectionId: undefined }
  t.equal(leased('ann')?.id, first.id)
  t.match(await leases.selectSealed(selector), { id: second.id, sealedCredentials: 'sealed' })
  connections.change(first.id, { status: 'DISABLED' })
  await t.rejects(leases.selectSealed({ ...selector, connectionId: first.id }), { code: 'CONNECTION_INACTIVE' })
  await t.rejects(leases.selectSealed({ ...selector, connectionId: 'none' }), { code: 'CONNECTION_NOT_FOUND' })
})

t.test(
  'a connection is confirmed by a recent poll or else by a new one, and by a read if it is not leased',
  async (t) => {
    const { clock, connections, leases } = make()
    const row = connections.add()
    await leases.find('ann', row.id)
    clock.tick(500)
    await leases.confirm(row, 501)
    t.equal(connections.polls, 1)
    await leases.confirm(row, 500)
    t.equal(connections.polls, 2)
    t.equal(connections.reads.length, 1)
    connections.change(row.id, { connectedAt: new Date(1) })
    clock.tick(500)
    await leases.confirm(row, 500)
    t.equal(connections.reads.length, 2, 'renewed meanwhile')
    connections.change(row.id, { accountId: 'another' })
    clock.tick(500)
    await t.rejects(leases.confirm(row, 500), { code: 'CONNECTION_INACTIVE' })
    connections.change(row.id, { accountId: row.accountId, status: 'DISABLED' })
    leases.dropAll()
    await t.rejects(leases.confirm(row, 500), { code: 'CONNECTION_INACTIVE' })
    connections.rows.delete(row.id)
    await t.rejects(leases.confirm(row, 500), { code: 'CONNECTION_INACTIVE' })
  }
)

t.test('a confirmation does not use a read that is older than it permits', async (t) => {
  const { clock, leases, finds, row, find } = await makeSlow()
  const { result } = await find()
  clock.tick(500)
  const confirmed = leases.confirm(row, 500)
  t.equal(finds.length, 2)
  finds[0]?.resolve(row)
  finds[1]?.resolve({ ...row, version: 2, status: 'DISABLED' })
  await t.rejects(confirmed, { code: 'CONNECTION_INACTIVE' })
  t.equal(await result, row)
})

t.test('the number of users with leases is limited', async (t) => {
  const { connections, leases, leased } = make({ maxUsers: 2 })
  const rows = ['ann', 'bob', 'eve'].map((userId) => connections.add({ userId }))
  for (const { id, userId } of rows) await leases.find(userId, id)
  t.same(
    rows.map(({ id, userId }) => leased(userId, id) !== undefined),
    [false, true, true]
  )
})

t.test('a user who is evicted during a poll is read again: the poll could not drop the lease', async (t) => {
  const { clock, connections, leases, select } = make({ maxUsers: 1 })
  const row = connections.add()
  await select('ann', row.id)
  clock.tick(LEASE_MS)
  const found = leases.find('ann', row.id)
  connections.change(row.id, {})
  void select('bob', connections.add({ userId: 'bob' }).id)
  t.match(await found, { version: 2 })
})

// Races

t.test('concurrent callers share one read, unless it is older than a lease', async (t) => {
  const { clock, finds, row, find } = await makeSlow()
  const early = [await find(), await find(), await find()]
  t.equal(finds.length, 1)
  clock.tick(LEASE_MS)
  const late = await find()
  t.equal(finds.length, 2)
  finds[1]?.resolve(row)
  t.equal(await late.result, row)
  finds[0]?.resolve(row)
  t.equal(finds.length, 2)
  for (const { result } of early) t.equal(await result, row)
})

t.test('a read that takes too long is discarded and repeated once', async (t) => {
  const { clock, finds, find } = await makeSlow()
  const { result } = await find()
  clock.tick(LEASE_MS + 1)
  finds[0]?.resolve(null)
  await nextTurn()
  t.equal(finds.length, 2)
  clock.tick(LEASE_MS + 1)
  finds[1]?.resolve(null)
  await t.rejects(result, { code: 'DATABASE_UNAVAILABLE' })
})

t.test('a change during a read: its row is not leased, and no caller joins it', async (t) => {
  const changes: Record<string, (made: Awaited<ReturnType<typeof makeSlow>>) => unknown> = {
    drop: ({ leases }) => {
      leases.drop('ann')
    },
    dropAll: ({ leases }) => {
      leases.dropAll()
    },
    notification: ({ leases, row }) => leases.onNotification({ ...row, version: 2, isRemoved: false }),
    'notification of another connection': ({ leases, row }) =>
      leases.onNotification({ ...row, id: 'another', isRemoved: true }),
    'poll that names it': async ({ leased, clock, respond, row }) => {
      clock.tick(LEASE_MS / 2)
      leased()
      await respond(0, [row])
    },
    'poll that names another connection of the user': async ({ leased, clock, respond, row }) => {
      clock.tick(LEASE_MS / 2)
      leased()
      await respond(0, [{ ...row, id: 'another' }])
    },
    'poll that starts anew': async ({ leased, clock, respond }) => {
      clock.tick(LEASE_MS / 2)
      leased()
      await respond(0, null)
    }
  }
  for (const [name, change] of Object.entries(changes)) {
    const made = await makeSlow()
    const { finds, row, find, leased } = made
    const before = await find()
    await change(made)
    const after = await find()
    t.equal(finds.length, 2, name)
    finds[0]?.resolve(row)
    t.equal(await before.result, row, 'an earlier caller still gets the row')
    t.notOk(leased(), name)
    const changed = { ...row, version: 2 }
    finds[1]?.resolve(changed)
    t.equal(await after.result, changed)
    t.strictSame(leased(), withoutCredentials(changed), name)
  }
})

t.test('a change of another user does not affect a read', async (t) => {
  const { clock, leases, finds, row, find, leased, respond } = await makeSlow()
  const { result } = await find()
  leases.drop('bob')
  clock.tick(LEASE_MS / 2)
  leased()
  await respond(0, [{ ...row, userId: 'bob' }])
  await find()
  t.equal(finds.length, 1)
  finds[0]?.resolve(row)
  await result
  t.strictSame(leased(), withoutCredentials(row))
})

t.test('a read that began earlier and ends later changes nothing', async (t) => {
  const { clock, finds, row, find, leased, respond } = await makeSlow()
  const older = await find()
  clock.tick(LEASE_MS)
  const newer = await find()
  await respond(0)
  const changed = { ...row, version: 2 }
  finds[1]?.resolve(changed)
  await newer.result
  finds[0]?.resolve(row)
  await older.result
  t.strictSame(leased(), withoutCredentials(changed))
})

t.test('a read that finds another version than the leased one drops the user', async (t) => {
  const { connections, leases, leased, select } = make()
  const row = connections.add()
  await leases.find('bob', 'any')
  const response = new Deferred<SealedConnection[]>()
  connections.listSealed = () => response.promise
  const choosing = select('ann')
  await nextTurn()
  connections.change(row.id, { accountId: 'another' })
  t.match(await select('ann', row.id), { version: 2 })
  response.resolve([row])
  t.equal(await choosing, row)
  t.equal(leased('ann', row.id), undefined, 'the outdated version does not replace it')
  t.equal(leased('ann'), undefined)
})

t.test('a default whose read overlaps with a change is not leased', async (t) => {
  const { connections, leases, leased, select } = make()
  const row = connections.add()
  await leases.find('bob', 'any')
  const response = new Deferred<SealedConnection[]>()
  connections.listSealed = () => response.promise
  const choosing = select('ann')
  await nextTurn()
  leases.onNotification({ ...row, id: 'another', isRemoved: true })
  response.resolve([row])
  t.equal(await choosing, row)
  t.equal(leased('ann'), undefined)
})

t.test('the first read waits for the first poll', async (t) => {
  const { finds, row, find, leased, respond } = makeUnpolled()
  const { result } = await find()
  t.equal(finds.length, 0)
  await respond(0, null)
  t.equal(finds.length, 1)
  finds[0]?.resolve(row)
  await result
  t.ok(leased())
})

t.test('what was read before the first poll is not leased', async (t) => {
  for (const order of ['read ends first', 'poll ends first'] as const) {
    const { leases, finds, row, find, leased, respond } = makeUnpolled()
    const reading = leases.findSealed('ann', row.id)
    const { result } = await find()
    t.notOk(leased())
    if (order === 'read ends first') {
      finds[0]?.resolve(row)
      await reading
      t.notOk(leased())
    }
    await respond(0, null)
    finds[0]?.resolve(row)
    t.equal(await reading, row)
    t.notOk(leased(), order)
    finds[1]?.resolve(row)
    await result
    t.ok(leased())
  }
})

t.test('a poll that starts anew drops everything', async (t) => {
  const { clock, finds, find, leased, respond } = await makeLeased()
  clock.tick(LEASE_MS)
  const { result } = await find()
  await respond(0, null)
  t.equal(finds.length, 1, 'the waiting caller reads its row again')
  finds[0]?.resolve(null)
  t.equal(await result, null)
  t.notOk(leased())
})

t.test('more than 1,000 changes drop everything', async (t) => {
  const { clock, connections, leased, select, outcomes } = make()
  const { id } = connections.add()
  await select('ann', id)
  for (let n = 0; n < 1_000; n += 1) connections.add({ userId: 'bob' })
  clock.tick(LEASE_MS / 2)
  leased('ann', id)
  await nextTurn()
  t.ok(leased('ann', id))
  for (let n = 0; n < 1_001; n += 1) connections.add({ userId: 'bob' })
  clock.tick(LEASE_MS / 2)
  leased('ann', id)
  await nextTurn()
  t.notOk(leased('ann', id))
  t.same(outcomes, ['reset', 'ok', 'reset'])
})

t.test('after a failed poll the lease is held to its end, and the next poll starts anew', async (t) => {
  const { clock, polls, leased, respond, fail } = await makeLeased()
  clock.tick(LEASE_MS / 2)
  leased()
  t.equal(polls[0]?.since, 'first')
  await fail(0)
  clock.tick(LEASE_MS / 2 - 1)
  t.ok(leased())
  t.equal(polls[1]?.since, null)
  clock.tick(1)
  t.notOk(leased())
  await respond(1, null)
  t.notOk(leased(), 'the row was read before the new position')
})

t.test('what is read between a failed poll and the next one is not leased any longer', async (t) => {
  const { clock, finds, row, find, leased, respond, fail } = await makeSlow()
  clock.tick(LEASE_MS / 2)
  leased()
  await fail(0)
  const { result } = await find()
  finds[0]?.resolve(row)
  t.equal(await result, row)
  t.ok(leased(), 'until the lease ends')
  await respond(1, null)
  t.notOk(leased())
})

t.test('of two polls in flight, the one that began later counts', async (t) => {
  for (const order of [
    [0, 1],
    [1, 0]
  ]) {
    const { clock, polls, find, leased, respond } = await makeLeased()
    clock.tick(LEASE_MS)
    const early = await find()
    clock.tick(LEASE_MS)
    const late = await find()
    t.same([polls[0]?.since, polls[1]?.since], ['first', 'first'])
    for (const n of order) await respond(n)
    await Promise.all([early.result, late.result])
    clock.tick(LEASE_MS - 1)
    t.ok(leased(), 'the lease began with the later poll')
    t.equal(polls[2]?.since, '1')
  }
})

t.test('the changes of an outdated poll are not ignored', async (t) => {
  const { clock, finds, row, find, leased, respond } = await makeLeased()
  clock.tick(LEASE_MS)
  await find()
  clock.tick(LEASE_MS)
  await find()
  await respond(1)
  t.ok(leased())
  await respond(0, [row])
  t.notOk(leased())
  t.equal(finds.length, 1, 'and its waiting caller reads the row')
})

t.test('a poll that was in flight when another one failed does not continue the log', async (t) => {
  for (const [failed, succeeded] of [
    [0, 1],
    [1, 0]
  ] as const) {
    const { clock, polls, find, leased, respond, fail } = await makeLeased()
    clock.tick(LEASE_MS)
    await find()
    clock.tick(LEASE_MS)
    await find()
    await fail(failed)
    await respond(succeeded)
    t.notOk(leased())
    t.equal(polls[2]?.since, null)
  }
})

t.test('a clock that is set back does not reverse the order of polls', async (t) => {
  const { clock, polls, find, leased, respond } = await makeLeased()
  clock.setBack(3_600_000)
  clock.tick(LEASE_MS)
  const { result } = await find()
  await respond(0)
  await result
  t.ok(leased(), 'the lease is renewed')
  clock.tick(LEASE_MS / 2)
  leased()
  t.equal(polls[1]?.since, '0')
})

t.test('a row that is read after a notification is leased, although a poll from before is in flight', async (t) => {
  const { clock, leases, finds, row, find, leased, respond } = await makeLeased()
  clock.tick(LEASE_MS / 2)
  leased()
  leases.onNotification({ ...row, version: 2, isRemoved: false })
  t.notOk(leased())
  const { result } = await find()
  finds[0]?.resolve({ ...row, version: 2 })
  await result
  await respond(0)
  t.match(leased(), { version: 2 })
})

// When to poll

t.test('the second half of a lease starts one poll in the background', async (t) => {
  const { clock, polls, leased, respond } = await makeLeased()
  clock.tick(LEASE_MS / 2 - 1)
  t.ok(leased())
  t.equal(polls.length, 0)
  clock.tick(1)
  t.ok(leased(), 'at once')
  t.ok(leased())
  t.equal(polls.length, 1)
  await respond(0)
  clock.tick(LEASE_MS / 2)
  t.ok(leased(), 'its lease has begun with it')
})

t.test('after the end of the lease all callers wait for one poll, and read nothing', async (t) => {
  const { clock, leases, finds, polls, row, find, leased, respond } = await makeLeased()
  clock.tick(LEASE_MS)
  t.notOk(leased())
  const { result } = await find()
  const selector = { userId: 'ann', provider: row.provider, connectionId: row.id }
  const others = [leases.select(selector), leases.confirm(row, LEASE_MS)]
  await nextTurn()
  t.equal(polls.length, 1)
  await respond(0)
  t.strictSame(await result, withoutCredentials(row))
  await Promise.all(others)
  t.equal(polls.length, 1)
  t.equal(finds.length, 0)
})

t.test('a row that is not leased is read while the poll is in flight, and leased by it', async (t) => {
  const { clock, polls, finds, row, find, leased, respond } = await makeSlow()
  clock.tick(10 * LEASE_MS)
  const { result } = await find()
  t.equal(polls.length, 1)
  finds[0]?.resolve(row)
  t.equal(await result, row)
  t.notOk(leased())
  await respond(0)
  t.ok(leased())
})

t.test('an instance without requests does not poll', async (t) => {
  const { clock, connections, select } = make()
  await select('ann', connections.add().id)
  clock.tick(3_600_000)
  await nextTurn()
  t.equal(connections.polls, 1)
})

t.test('notifications that may have been missed bring the next poll forward', async (t) => {
  const { leases, polls, leased, respond } = await makeLeased()
  t.notOk(leases.onNotification(null))
  t.equal(polls.length, 0, 'not without a request')
  t.ok(leased())
  t.equal(polls.length, 1)
  leases.onNotification(null)
  t.ok(leased())
  t.equal(polls.length, 1, 'one at a time')
  await respond(0)
  t.ok(leased())
  t.equal(polls.length, 2, 'since the first one may have begun too early')
  await respond(1)
  t.ok(leased())
  t.equal(polls.length, 2)
})

t.test('a notification drops its user, and tells whether its version was leased', async (t) => {
  const { connections, leases, leased } = make()
  const row = connections.add({ version: 5 })
  for (const [version, isRemoved, isNews] of [
    [4, false, false],
    [5, false, false],
    [6, false, true],
    [5, true, true]
  ] as const) {
    await leases.find('ann', row.id)
    t.ok(leased('ann', row.id))
    t.equal(leases.onNotification({ ...row, version, isRemoved }), isNews)
    t.notOk(leased('ann', row.id), 'the default may have changed, which does not raise the version')
  }
  t.ok(leases.onNotification({ ...row, isRemoved: false }), 'unknown')
})

t.test('a poll that takes longer than the lease is repeated once', async (t) => {
  const { clock, polls, find, respond } = await makeLeased()
  clock.tick(LEASE_MS)
  const { result } = await find()
  clock.tick(LEASE_MS + 1)
  await respond(0)
  t.equal(polls.length, 2)
  clock.tick(LEASE_MS + 1)
  await respond(1)
  await t.rejects(result, { code: 'DATABASE_UNAVAILABLE' })
})

t.test('with a short lease a poll or a read may still take a minimum of time', async (t) => {
  const { clock, finds, polls, row, find, leased, respond } = await makeSlow(5)
  const first = await find()
  clock.tick(250)
  finds[0]?.resolve(row)
  t.equal(await first.result, row)
  t.notOk(leased())
  await respond(0)
  t.ok(leased(), 'the poll began after the read')
  clock.tick(5)
  const second = await find()
  clock.tick(250)
  await respond(1)
  t.strictSame(await second.result, withoutCredentials(row))
  const third = await find()
  clock.tick(251)
  await respond(2)
  t.equal(polls.length, 4, 'no longer')
  await respond(3)
  t.strictSame(await third.result, withoutCredentials(row))
})

t.test('an outage is reported to callers that wait, and not while the lease is held', async (t) => {
  const { clock, connections, leases, leased, outcomes } = make()
  const { id } = connections.add()
  await leases.find('ann', id)
  const poll = connections.poll.bind(connections)
  connections.poll = () => Promise.reject(new StorageError('DATABASE_UNAVAILABLE', 'gone'))
  clock.tick(LEASE_MS - 1)
  t.match(await leases.find('ann', id), { id }, 'the failure of the poll in the background is not reported')
  clock.tick(1)
  await t.rejects(leases.find('ann', id), { code: 'DATABASE_UNAVAILABLE' })
  await t.rejects(leases.find('bob', 'any'), { code: 'DATABASE_UNAVAILABLE' }, 'there is no position to read after')
  t.same(new Set(outcomes.slice(1)), new Set(['failed']))
  connections.poll = poll
  t.match(await leases.find('ann', id), { id })
  t.ok(leased('ann', id))
})

t.test('the log is pruned with a poll, at most once a minute, and a failure has no effect', async (t) => {
  const clock = new ManualClock()
  const connections = new MemoryConnections()
  let pruned = 0
  connections.prune = () => {
    pruned += 1
    return Promise.reject(new Error('no privilege'))
  }
  const failures: unknown[] = []
  const leases = new Leases({
    connections,
    changeLog: connections,
    leaseMs: LEASE_MS,
    clock,
    onPruneFailed: (error) => failures.push(error)
  })
  const { id } = connections.add()
  for (let second = 0; second <= 120; second += 1) {
    t.match(await leases.find('ann', id), { id })
    clock.tick(1_000)
  }
  t.equal(pruned, 2)
  t.match(failures, [{ message: 'no privilege' }, { message: 'no privilege' }])
})
