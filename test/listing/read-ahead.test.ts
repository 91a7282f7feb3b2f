import t, { type Test } from 'tap'
import type { EntryPage, Listing } from '../../src/core/entry.ts'
import type { SharedTier } from '../../src/cache/shared-tier.ts'
import type { ListFolderRequest } from '../../src/listing/list-folder.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { type ListingOptions, createTestListing } from '../support/listing/listing.ts'
import { entry, page, pages } from '../support/backend/scripted-backend.ts'

const LEASE = { leaseMs: 2_000 }

/** A user with a folder of many pages. Records the calls to the provider. */
function make(options: ListingOptions = LEASE) {
  const world = createTestListing(options)
  const { backend, list } = world
  backend.list = pages(9)
  /** Follows the cursors up to this page. */
  const turnTo = async (last: number, over: Partial<ListFolderRequest> = {}) => {
    let answer = await list(over)
    for (let i = 1; i < last; i += 1) answer = await list({ ...over, cursor: answer.body.page.next! })
    // A read-ahead that this starts first reads the connection.
    await nextTurn()
    return answer
  }
  /** Holds this page at the provider until the test settles it; other pages respond at once. */
  const hold = (held: string) => {
    const others = backend.list
    const answers: { answer: Deferred<EntryPage>; signal: AbortSignal }[] = []
    backend.list = (folderId, call) => {
      if (call.cursor !== held) return others(folderId, call)
      const answer = new Deferred<EntryPage>()
      answers.push({ answer, signal: call.signal })
      return answer.promise
    }
    return answers
  }
  return { ...world, turnTo, hold, asked: () => backend.listCalls.map(({ call }) => call.cursor ?? 'p1') }
}

const names = ({ entries }: Listing): string[] => entries.map(({ name }) => name)
const more = (name: string): EntryPage => page([entry(name)], 'p4')

/** Collects unhandled rejections until the end of the test. */
function unhandledIn(t: Test): unknown[] {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  return unhandled
}

t.test('the first page loads nothing ahead, however often it is requested', async (t) => {
  const { connections, list, asked } = make()
  connections.add()
  for (let i = 0; i < 3; i += 1) await list()
  await nextTurn()
  t.strictSame(asked(), ['p1'])
})

t.test('the second page loads the third one ahead, once for all requests', async (t) => {
  for (const options of [LEASE, {}]) {
    const { connections, list, turnTo, asked } = make(options)
    connections.add()
    const second = await turnTo(2)
    const cursor = (await list()).body.page.next!
    await nextTurn()
    t.strictSame(asked(), ['p1', 'p2', 'p3'])
    for (let i = 0; i < 10; i += 1) t.equal((await list({ cursor })).status.outcome, 'hit')
    await Promise.all(Array.from({ length: 20 }, () => list({ cursor })))
    await nextTurn()
    t.strictSame(asked(), ['p1', 'p2', 'p3'])

    const third = await list({ cursor: second.body.page.next! })
    t.equal(third.status.outcome, 'hit')
    t.strictSame(names(third.body), ['p3'])
    t.strictSame(asked().slice(0, 3), ['p1', 'p2', 'p3'], 'without another call')
    await nextTurn()
    t.strictSame(asked(), ['p1', 'p2', 'p3', 'p4'], 'the fourth page is loaded ahead')
  }
})

t.test('a cached second page that is requested for the first time loads the third one ahead too', async (t) => {
  const { connections, list, turnTo, hold, asked } = make()
  connections.add()
  const answers = hold('p2')
  const first = await turnTo(1)
  const readers = Array.from({ length: 5 }, () => list({ cursor: first.body.page.next! }))
  await nextTurn()
  answers[0]!.answer.resolve(page([entry('p2')], 'p3'))
  await Promise.all(readers)
  await nextTurn()
  t.strictSame(asked(), ['p1', 'p2', 'p3'], 'many waiting requests load one page ahead')
})

t.test('after the last page nothing is loaded', async (t) => {
  const { connections, backend, turnTo, asked } = make()
  connections.add()
  backend.list = pages(2)
  await turnTo(2)
  t.strictSame(asked(), ['p1', 'p2'])
})

t.test('a request for a page that is being loaded ahead joins it', async (t) => {
  const { connections, list, turnTo, hold, asked } = make()
  connections.add()
  const answers = hold('p3')
  const second = await turnTo(2)
  const third = list({ cursor: second.body.page.next! })
  await nextTurn()
  answers[0]!.answer.resolve(more('p3'))
  const { body, status } = await third
  t.strictSame(names(body), ['p3'])
  t.equal(status.outcome, 'join')
  await nextTurn()
  t.strictSame(asked(), ['p1', 'p2', 'p3', 'p4'], 'the fourth page is loaded ahead')
})

t.test('a failed read-ahead is not reported, and the request for its page tries again', async (t) => {
  const unhandled = unhandledIn(t)
  const { connections, list, turnTo, hold, asked } = make()
  connections.add()
  const answers = hold('p3')
  const second = await turnTo(2)
  answers[0]!.answer.reject(new Error('upstream'))
  await nextTurn()
  const again = await list({ cursor: (await list()).body.page.next! })
  t.equal(again.status.outcome, 'hit', 'the previous page is still cached')
  await nextTurn()
  t.strictSame(asked(), ['p1', 'p2', 'p3'], 'it is not loaded ahead repeatedly')
  const third = list({ cursor: second.body.page.next! })
  await nextTurn()
  answers[1]!.answer.resolve(more('p3'))
  t.equal((await third).status.outcome, 'miss')
  t.strictSame(unhandled, [])
})

t.test('a request that has joined a failed read-ahead fails', async (t) => {
  const unhandled = unhandledIn(t)
  const { connections, list, turnTo, hold } = make()
  connections.add()
  const answers = hold('p3')
  const second = await turnTo(2)
  const third = list({ cursor: second.body.page.next! })
  await nextTurn()
  answers[0]!.answer.reject(new Error('upstream'))
  await t.rejects(third, { message: 'upstream' })
  t.equal(answers.length, 1)
  t.strictSame(unhandled, [])
})

t.test('one page is loaded ahead per user, and another one on a later request', async (t) => {
  const { connections, turnTo, hold, asked } = make()
  connections.add()
  const answers = hold('p3')
  await turnTo(2)
  await turnTo(2, { folderId: 'other' })
  await nextTurn()
  t.equal(answers.length, 1)
  answers[0]!.answer.resolve(more('p3'))
  await nextTurn()
  t.equal(answers.length, 1, 'no load starts by itself')
  await turnTo(2, { folderId: 'other' })
  t.equal(answers.length, 2)
  answers[1]!.answer.reject(new Error('upstream'))
  await nextTurn()
  await turnTo(2, { folderId: 'third' })
  t.equal(answers.length, 3, 'a failed load does not count either')
  t.strictSame(
    asked().filter((cursor) => cursor !== 'p3'),
    ['p1', 'p2', 'p1', 'p2', 'p1', 'p2']
  )
})

t.test('at most sixteen pages are loaded ahead for all users together', async (t) => {
  const warnings: Error[] = []
  const warn = (warning: Error) => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const { connections, turnTo, hold } = make()
  const answers = hold('p3')
  const users = Array.from({ length: 18 }, (_, i) => `user ${i}`)
  for (const userId of users) {
    connections.add({ userId })
    await turnTo(2, { userId })
  }
  t.equal(answers.length, 16)
  answers[7]!.answer.resolve(more('p3'))
  await nextTurn()
  for (const userId of users.slice(16)) await turnTo(2, { userId })
  t.equal(answers.length, 17)
  t.strictSame(warnings, [], 'the listeners on the signal cause no leak warning')
})

t.test('close() aborts fetches that no request has joined, waits for all, and starts no more', async (t) => {
  const unhandled = unhandledIn(t)
  const { connections, cache, readAhead, list, turnTo, hold } = make()
  for (const userId of ['ann', 'bob', 'eve']) connections.add({ userId })
  const answers = hold('p3')
  await turnTo(2)
  const second = await turnTo(2, { userId: 'bob' })
  const third = list({ userId: 'bob', cursor: second.body.page.next! })
  await nextTurn()
  let hasClosed = false
  const closing = readAhead.close().then(() => {
    hasClosed = true
  })
  t.strictSame(
    answers.map(({ signal }) => signal.aborted),
    [true, false]
  )
  answers[0]!.answer.reject(new Error('aborted'))
  await nextTurn()
  t.equal(hasClosed, false)
  answers[1]!.answer.resolve(more('p3'))
  t.strictSame(names((await third).body), ['p3'])
  await closing
  await turnTo(2, { userId: 'eve' })
  await nextTurn()
  t.equal(answers.length, 2)
  t.equal(cache.stats().inFlight, 0)
  t.strictSame(unhandled, [])
})

t.test('without readAhead no page is loaded ahead', async (t) => {
  const { connections, turnTo, asked } = make({ ...LEASE, hasReadAhead: false })
  connections.add()
  await turnTo(3)
  await nextTurn()
  t.strictSame(asked(), ['p1', 'p2', 'p3'])
})

t.test('a page that was loaded ahead before an invalidation is not served after it', async (t) => {
  const { connections, cache, list, turnTo, hold, asked } = make()
  const { id } = connections.add()
  const answers = hold('p3')
  const second = await turnTo(2)
  cache.invalidateConnection(id)
  const third = list({ cursor: second.body.page.next! })
  await nextTurn()
  t.equal(answers.length, 2)
  answers[1]!.answer.resolve(more('new'))
  t.strictSame(names((await third).body), ['new'])
  answers[0]!.answer.resolve(more('old'))
  await nextTurn()
  t.strictSame(names((await list({ cursor: second.body.page.next! })).body), ['new'])
  t.equal(asked().filter((cursor) => cursor === 'p3').length, 2)
})

t.test('a page that is loaded ahead for a connection that changes meanwhile is not served', async (t) => {
  const { connections, leases, list, turnTo, hold } = make()
  const row = connections.add()
  const answers = hold('p3')
  const second = await turnTo(2)
  const cursor = second.body.page.next!
  const early = list({ cursor })
  await nextTurn()
  t.equal(answers.length, 1, 'the request has joined it')
  connections.change(row.id, { accountId: 'another' })
  leases.onNotification({ ...row, version: 2, isRemoved: false })
  answers[0]!.answer.resolve(more('old'))
  await nextTurn()
  t.equal(answers.length, 2, 'it is loaded again for the changed connection')
  answers[1]!.answer.resolve(more('new'))
  t.strictSame(names((await early).body), ['new'])
  t.strictSame(names((await list({ cursor })).body), ['new'])
  connections.change(row.id, { status: 'DISABLED' })
  leases.onNotification({ ...row, version: 3, isRemoved: false })
  await t.rejects(list({ cursor }), { code: 'CONNECTION_INACTIVE' })
})

t.test('nothing is loaded ahead for a connection that has changed without a notification', async (t) => {
  const unhandled = unhandledIn(t)
  const { connections, clock, list, turnTo, asked } = make()
  const { id } = connections.add()
  const first = await turnTo(1)
  const cursor = first.body.page.next!
  await list({ cursor })
  await nextTurn()
  const third = (await list({ cursor })).body.page.next!
  await list({ cursor: third })
  await nextTurn()
  t.strictSame(asked(), ['p1', 'p2', 'p3', 'p4'])
  // The read-ahead reads the connection again, although it was leased, to open it.
  connections.change(id, { status: 'DISABLED' })
  const fourth = await list({ cursor: (await list({ cursor: third })).body.page.next! })
  t.equal(fourth.status.outcome, 'hit', 'within a lease')
  await nextTurn()
  t.equal(asked().length, 4)
  clock.tick(2_000)
  await t.rejects(list({ cursor }), { code: 'CONNECTION_INACTIVE' })
  t.strictSame(unhandled, [])
})

t.test('a page of another process is used for read-ahead and keeps its age', async (t) => {
  const held = new Map<string, Buffer>()
  const shared: SharedTier = {
    getGeneration: () => 'g',
    getOrLoad: async (_userId, key, load) => {
      const bytes = held.get(key)
      if (bytes !== undefined) return { bytes, ageMs: 20_000 }
      const own = await load()
      held.set(key, own)
      return { bytes: own, ageMs: 0 }
    },
    invalidate: () => {},
    flush: async () => {},
    close: async () => {}
  }
  const one = make({ ...LEASE, shared })
  const two = make({ ...LEASE, shared })
  const row = one.connections.add()
  two.connections.rows.set(row.id, row)
  await one.turnTo(3)
  const second = await two.turnTo(2)
  const third = await two.list({ cursor: second.body.page.next! })
  t.match(third.status, { outcome: 'hit', ageMs: 20_000, ttlMs: 40_000 })
  t.strictSame(names(third.body), ['p3'])
  t.strictSame(two.asked(), [])
  two.clock.tick(40_000)
  t.equal((await two.list({ cursor: second.body.page.next! })).status.outcome, 'miss', 'its lifetime is not extended')
})

t.test('read-ahead does not count towards the user’s loads in flight', async (t) => {
  const { connections, list, turnTo, hold } = make({ ...LEASE, maxInFlightPerUser: 1 })
  connections.add()
  const answers = hold('p3')
  const second = await turnTo(2)
  t.equal(answers.length, 1)
  t.equal((await list({ folderId: 'other' })).status.outcome, 'miss')
  const third = list({ cursor: second.body.page.next! })
  await nextTurn()
  t.equal((await list({ folderId: 'another' })).status.outcome, 'miss', 'a request that joins it does not count either')
  answers[0]!.answer.resolve(more('p3'))
  await third
})
