import { createHash } from 'node:crypto'
import t from 'tap'
import { StorageError } from '../../src/errors.ts'
import type { SharedTier } from '../../src/cache/shared-tier.ts'
import { MinuteLimit } from '../../src/core/user-limits.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { createTestListing } from '../support/listing/listing.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'

t.test('a load costs one read, with or without a lease, and a hit within a lease none', async (t) => {
  const { clock, connections, backend, list } = createTestListing({ leaseMs: 2_000 })
  const { id } = connections.add()
  for (const connectionId of [id, undefined]) {
    connections.reads = []
    await list({ connectionId, folderId: `f${String(connectionId)}` })
    t.same(connections.reads, [connectionId === undefined ? 'listSealed' : 'findSealed'])
    connections.reads = []
    t.equal((await list({ connectionId, folderId: `f${String(connectionId)}` })).status.outcome, 'hit')
    await list({ connectionId, folderId: `g${String(connectionId)}` })
    t.same(connections.reads, ['findSealed'])
    clock.tick(2_000)
  }
  t.equal(backend.listCalls.length, 4)
})

t.test('a lease that expires during a load is renewed before the response', async (t) => {
  const { clock, connections, backend, list } = createTestListing({ leaseMs: 2_000 })
  const { id } = connections.add()
  backend.list = async () => {
    clock.tick(2_000)
    return page([entry('secret')])
  }
  await list({ connectionId: id })
  t.same(connections.reads, ['findSealed'])
  t.equal(connections.polls, 2)
  backend.list = async () => {
    clock.tick(2_000)
    connections.change(id, { status: 'DISABLED' })
    return page([entry('secret')])
  }
  await t.rejects(list({ connectionId: id, refresh: true }), { code: 'CONNECTION_INACTIVE' })
})

t.test('a connection that was disabled without a notification is not used for a load', async (t) => {
  const { connections, backend, list } = createTestListing({ leaseMs: 2_000 })
  const { id } = connections.add()
  await list({ connectionId: id })
  connections.change(id, { status: 'DISABLED' })
  await t.rejects(list({ connectionId: id, folderId: 'other' }), { code: 'CONNECTION_INACTIVE' })
  t.equal(backend.listCalls.length, 1)
})

t.test('a leased connection is valid for its own provider only', async (t) => {
  const { connections, list } = createTestListing({ leaseMs: 2_000 })
  const { id } = connections.add()
  await list({ connectionId: id })
  await t.rejects(list({ connectionId: id, provider: 'other' }), { code: 'CONNECTION_NOT_FOUND' })
})

t.test('refresh applies to the connection that the request resolves to', async (t) => {
  const { connections, backend, list } = createTestListing({ leaseMs: 2_000 })
  const first = connections.add({ isDefault: true })
  const second = connections.add()
  backend.list = async () => page([entry('old')])
  await list({ connectionId: second.id })
  await list()
  connections.change(first.id, { status: 'DISABLED', isDefault: false })
  connections.change(second.id, { isDefault: true, version: second.version })
  backend.list = async () => page([entry('new')])
  const { body } = await list({ refresh: true })
  t.equal(body.connectionId, second.id)
  t.equal(body.entries[0]?.name, 'new')
})

t.test('a row that was removed and created again shows no old listing', async (t) => {
  const { clock, connections, backend, list } = createTestListing({ leaseMs: 2_000 })
  const row = connections.add()
  backend.list = async () => page([entry('old')])
  await list({ connectionId: row.id })
  connections.rows.delete(row.id)
  connections.rows.set(row.id, { ...row, accountId: 'another', connectedAt: new Date(1) })
  backend.list = async () => page([entry('new')])
  clock.tick(2_000)
  t.equal((await list({ connectionId: row.id })).body.entries[0]?.name, 'new')
})

t.test('a change during a load is checked before the response', async (t) => {
  const { connections, leases, backend, list } = createTestListing({ leaseMs: 2_000 })
  const row = connections.add()
  backend.list = async () => {
    connections.change(row.id, { status: 'DISABLED' })
    leases.onNotification({ ...row, version: 2, isRemoved: false })
    return page([entry('secret')])
  }
  await t.rejects(list({ connectionId: row.id }), { code: 'CONNECTION_INACTIVE' })
})

t.test('a connection that another process has changed is served for a lease at most', async (t) => {
  const { clock, connections, backend, list } = createTestListing({ leaseMs: 2_000 })
  const { id } = connections.add()
  backend.list = async () => page([entry('old')])
  await list({ connectionId: id })
  connections.change(id, { accountId: 'another' })
  backend.list = async () => page([entry('new')])
  clock.tick(1_999)
  t.equal((await list({ connectionId: id })).body.entries[0]?.name, 'old')
  clock.tick(1)
  t.equal((await list({ connectionId: id })).body.entries[0]?.name, 'new')
  connections.rows.delete(id)
  clock.tick(2_000)
  await t.rejects(list({ connectionId: id }), { code: 'CONNECTION_NOT_FOUND' })
})

t.test('without a lease a hit costs one read of the connection and no call upstream', async (t) => {
  const { connections, backend, list } = createTestListing()
  const { id } = connections.add()
  backend.list = async () => page([entry('b'), entry('a')])
  const first = await list({ connectionId: id })
  connections.reads = []
  const second = await list({ connectionId: id })
  t.same(connections.reads, ['findSealed'])
  t.equal(backend.listCalls.length, 1)
  t.equal(second.status.outcome, 'hit')
  t.equal(second.etag, first.etag)
  t.same(second.body, first.body)
})

t.test('a folder on one page is sorted with folders first; several pages keep the order of the provider', async (t) => {
  const { connections, backend, list } = createTestListing()
  connections.add()
  const mixed = [
    entry('b10'),
    entry('b9'),
    entry('é'),
    entry('z', { kind: 'folder' }),
    entry('d', { kind: 'drive' }),
    entry('A')
  ]
  backend.list = async () => page(mixed)
  const { body } = await list()
  t.same(
    body.entries.map(({ name }) => name),
    ['d', 'z', 'A', 'b9', 'b10', 'é']
  )
  t.same(body.page, { next: null, complete: true, reason: null, order: 'folder-then-name' })

  backend.list = async (_folder, { cursor }) => page(mixed, cursor === undefined ? 'more' : null)
  const one = await list({ limit: 6 })
  t.equal(one.body.page.order, 'provider')
  t.equal(one.body.entries[0]?.name, 'b10')
  t.match(one.body.page, { complete: false, reason: 'more' })
  const two = await list({ limit: 6, cursor: one.body.page.next! })
  t.equal(two.body.page.order, 'provider', 'the last page is not the whole folder')
  t.equal(backend.listCalls.at(-1)?.call.cursor, 'more')
})

t.test('a cursor is valid for its own listing only', async (t) => {
  const { connections, backend, list } = createTestListing()
  const { id } = connections.add()
  const other = connections.add()
  connections.add({ userId: 'bob' })
  backend.list = async () => page([entry('a')], 'next')
  const cursor = (await list({ connectionId: id, limit: 5 })).body.page.next!
  for (const over of [
    { connectionId: other.id, limit: 5 },
    { connectionId: id, limit: 6 },
    { connectionId: id, limit: 5, kind: 'file' as const },
    { connectionId: id, limit: 5, folderId: 'f' },
    { connectionId: undefined, userId: 'bob', limit: 5 }
  ]) {
    await t.rejects(list({ ...over, cursor }), { code: 'INVALID_CURSOR' }, JSON.stringify(over))
  }
  await list({ connectionId: id, limit: 5, cursor })
})

t.test('a cursor that is too long ends the listing as incomplete', async (t) => {
  const { connections, backend, list } = createTestListing()
  connections.add()
  backend.list = async () => page([entry('a')], 'x'.repeat(5000))
  t.match((await list()).body.page, { next: null, complete: false, reason: 'page-cap' })
})

t.test('the connection is chosen by id, as the only one, or as the default', async (t) => {
  const { connections, list } = createTestListing()
  await t.rejects(list(), { code: 'CONNECTION_MISSING' })
  const first = connections.add()
  t.equal((await list()).body.connectionId, first.id, 'the only one')
  const second = connections.add()
  await t.rejects(list(), { code: 'CONNECTION_AMBIGUOUS' })
  connections.change(second.id, { isDefault: true })
  t.equal((await list()).body.connectionId, second.id, 'the default')
  const foreign = connections.add({ userId: 'bob' })
  await t.rejects(list({ connectionId: foreign.id }), { code: 'CONNECTION_NOT_FOUND' })
  await t.rejects(list({ connectionId: 'none' }), { code: 'CONNECTION_NOT_FOUND' })
  const elsewhere = connections.add({ provider: 'other' })
  await t.rejects(list({ connectionId: elsewhere.id }), { code: 'CONNECTION_NOT_FOUND' })
})

t.test('a connection that is not ACTIVE is refused before any call', async (t) => {
  for (const status of ['DISABLED', 'ERROR', 'REQUIRES_REAUTH'] as const) {
    const { connections, backend, list } = createTestListing()
    connections.add({ status })
    await t.rejects(list(), { code: 'CONNECTION_INACTIVE' })
    t.equal(backend.listCalls.length, 0)
  }
})

t.test('a connection that is disabled or removed during a call upstream returns nothing', async (t) => {
  for (const change of ['disable', 'remove'] as const) {
    const { connections, backend, list } = createTestListing()
    const { id } = connections.add()
    const slow = new Deferred<ReturnType<typeof page>>()
    backend.list = () => slow.promise
    const answer = list({ connectionId: id })
    await nextTurn()
    t.equal(backend.listCalls.length, 1)
    if (change === 'disable') connections.change(id, { status: 'DISABLED' })
    else connections.rows.delete(id)
    slow.resolve(page([entry('secret')]))
    await t.rejects(answer, { code: change === 'disable' ? 'CONNECTION_INACTIVE' : 'CONNECTION_NOT_FOUND' })
  }
})

t.test('a connection that changes its account during a call is listed again', async (t) => {
  const { connections, backend, list } = createTestListing()
  const { id } = connections.add()
  const slow = new Deferred<ReturnType<typeof page>>()
  backend.list = () => (backend.listCalls.length === 1 ? slow.promise : Promise.resolve(page([entry('new')])))
  const answer = list({ connectionId: id })
  await nextTurn()
  connections.change(id, { accountId: 'another' })
  slow.resolve(page([entry('old')]))
  t.same(
    (await answer).body.entries.map(({ name }) => name),
    ['new']
  )
  t.equal((await list({ connectionId: id })).status.outcome, 'hit')
})

t.test('a connection that keeps changing fails the request', async (t) => {
  const { connections, backend, list } = createTestListing()
  const { id } = connections.add()
  backend.list = async () => {
    connections.change(id, {})
    return page([])
  }
  await t.rejects(list(), { code: 'CONNECTION_INACTIVE' })
  t.equal(backend.listCalls.length, 3)
})

t.test('refresh drops every page of the folder and fences the load in flight', async (t) => {
  const { connections, backend, list, cache } = createTestListing()
  const { id } = connections.add()
  backend.list = async (_folder, { cursor }) => page([entry('a')], cursor === undefined ? 'two' : null)
  const first = await list({ connectionId: id })
  await list({ connectionId: id, cursor: first.body.page.next! })
  await list({ connectionId: id, folderId: 'other/' })
  t.equal(cache.stats().entries, 3)
  const slow = new Deferred<ReturnType<typeof page>>()
  backend.list = () => slow.promise
  const refreshing = list({ connectionId: id, refresh: true })
  await nextTurn()
  t.equal(cache.stats().entries, 1, 'the other folder stays')
  backend.list = async () => page([entry('newest')])
  const overtaking = await list({ connectionId: id, refresh: true })
  t.same(
    overtaking.body.entries.map(({ name }) => name),
    ['newest']
  )
  slow.resolve(page([entry('old')]))
  await refreshing
  t.same(
    (await list({ connectionId: id })).body.entries.map(({ name }) => name),
    ['newest']
  )
})

t.test('equal content has an equal ETag, which is a digest of the bytes', async (t) => {
  const { connections, backend, list } = createTestListing()
  connections.add()
  backend.list = async () => page([entry('a')], 'next')
  const first = await list()
  const second = await list({ refresh: true })
  t.equal(second.etag, first.etag)
  const bytes = JSON.stringify(first.body)
  t.equal(first.etag, `"${createHash('sha256').update(bytes).digest('base64url')}"`)
})

t.test('two users of one folder never share a load', async (t) => {
  const { connections, backend, list } = createTestListing()
  connections.add()
  connections.add({ userId: 'bob' })
  await Promise.all([list(), list({ userId: 'bob' })])
  t.equal(backend.listCalls.length, 2)
})

t.test('the duration and the outcome of loads are counted, and hits are not', async (t) => {
  const { clock, connections, backend, list, loads } = createTestListing({ leaseMs: 2_000 })
  const { id } = connections.add()
  backend.list = async () => {
    clock.tick(250)
    return page([])
  }
  await list()
  await list()
  t.same(loads, [['scripted', 0.25, 'ok']])
  for (const [failure, outcome] of [
    [new StorageError('PROVIDER_TIMEOUT', 'late'), 'PROVIDER_TIMEOUT'],
    [new Error('odd'), 'unknown']
  ] as const) {
    backend.list = () => Promise.reject(failure)
    await t.rejects(list({ refresh: true }), failure)
    t.same(loads.splice(1), [['scripted', 0, outcome]])
  }
  const controller = new AbortController()
  backend.list = () => {
    controller.abort(new Error('gone'))
    return Promise.reject(new Error('aborted'))
  }
  await t.rejects(list({ refresh: true }, controller.signal), { message: 'gone' })
  connections.change(id, { status: 'DISABLED' })
  await t.rejects(list({ refresh: true }), { code: 'CONNECTION_INACTIVE' })
  t.equal(loads.length, 1)
})

t.test('refreshes per minute are limited per user', async (t) => {
  const clock = new ManualClock()
  const limit = new MinuteLimit(2, 'Too many.', clock)
  limit.consume('ann')
  clock.tick(20_000)
  limit.consume('ann')
  t.throws(
    () => {
      limit.consume('ann')
    },
    { code: 'TOO_MANY_REQUESTS', retryAfterMs: 40_000 }
  )
  limit.consume('bob')
  clock.tick(40_000)
  limit.consume('ann')
})

t.test('a folder id that the provider cannot have issued reads and stores nothing', async (t) => {
  const asked: unknown[] = []
  const shared: SharedTier = {
    getGeneration: (folder) => {
      asked.push(folder.folderId)
      return 'g'
    },
    getOrLoad: async (_userId, _key, load) => ({ bytes: await load(), ageMs: 0 }),
    invalidate: (scope) => asked.push(scope),
    flush: async () => {},
    close: async () => {}
  }
  const rules = {
    checkFolderId: (id: string) => {
      if (id === 'bad') throw new StorageError('FOLDER_NOT_FOUND', 'The folder was not found.')
    }
  }
  const { connections, backend, cache, list } = createTestListing({ leaseMs: 2_000, shared, rules })
  await t.rejects(list({ folderId: 'bad' }), { code: 'CONNECTION_MISSING' })
  connections.add()
  for (let i = 0; i < 2; i += 1) {
    await t.rejects(list({ folderId: 'bad' }), { code: 'FOLDER_NOT_FOUND' })
    await t.rejects(list({ folderId: 'bad', refresh: true }), { code: 'FOLDER_NOT_FOUND' })
  }
  t.match(cache.stats(), { loads: 0, misses: 0, entries: 0, inFlight: 0 })
  t.strictSame(asked, [])
  t.equal(backend.listCalls.length, 0)
  await list({ folderId: 'good' })
  await list()
  t.strictSame([...new Set(asked)], ['good', null])
})
