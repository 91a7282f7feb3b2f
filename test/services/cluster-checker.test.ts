import t from 'tap'
import { ClusterHistory, type RowState } from '../support/cluster/history.ts'
import { ConsistencyChecker, type CheckedResponse } from '../support/cluster/checker.ts'

const LEASE_MS = 1000
const ROW: RowState = { id: 'c1', account: 'a1', token: 't1', isActive: true, isDefault: false }

interface Change {
  readonly at: number
  readonly rows: readonly RowState[]
  readonly turned?: readonly string[]
}

/** The rows of a user, with each change committed within a tenth of a second before `at`. */
function historyOf(...changes: readonly Change[]): ClusterHistory {
  const history = new ClusterHistory()
  for (const { at, rows, turned = [] } of changes) {
    history.record('ann', { sentAt: at - 100, committedAt: at, rows, changedIds: turned })
  }
  return history
}

function checkerOf(...changes: readonly Change[]): ConsistencyChecker {
  return new ConsistencyChecker(historyOf(...changes), LEASE_MS)
}

/** A listing of the row `c1`, checked and sent at this time. */
function listed(at: number, over: Partial<CheckedResponse> = {}): CheckedResponse {
  return {
    userId: 'ann',
    connectionId: 'c1',
    isRefresh: false,
    arrivedAt: at,
    lastCheckedAfter: at,
    sentAt: at,
    status: 200,
    code: null,
    listing: { connectionId: 'c1', view: { account: 'a1', token: 't1', epoch: 0, at: 5_000 } },
    ...over
  }
}

function refused(at: number, code: string, over: Partial<CheckedResponse> = {}): CheckedResponse {
  return listed(at, { status: 503, code, listing: null, ...over })
}

function violationsOf(checker: ConsistencyChecker, answer: CheckedResponse): string {
  return checker.check(answer).violations.join()
}

t.test('changes that end a connection', async (t) => {
  for (const [what, rows] of [
    ['a connection that was disabled', [{ ...ROW, isActive: false }]],
    ['a connection that was removed', []],
    ['a row with another account', [{ ...ROW, account: 'a2', token: 't2' }]],
    ['a row with other credentials', [{ ...ROW, token: 't2' }]]
  ] as const) {
    const checker = checkerOf({ at: 1_000, rows: [ROW] }, { at: 10_000, rows, turned: ['c1'] })

    await t.test(`${what}: a listing is valid for a lease and no longer`, async (t) => {
      t.same(checker.check(listed(9_950)), { violations: [], staleMs: 0 })
      t.same(checker.check(listed(10_999)), { violations: [], staleMs: 999 })
      t.match(violationsOf(checker, listed(11_003)), /over for 1003\.0 ms/)
    })

    await t.test(`${what}: the time of the check counts, not the time of the response`, async (t) => {
      t.same(violationsOf(checker, listed(13_000, { lastCheckedAfter: 10_999 })), '')
      t.match(violationsOf(checker, listed(13_000, { lastCheckedAfter: 11_003 })), /over for/)
    })
  }
})

t.test('a listing from before the user had a connection is a violation', async (t) => {
  const checker = checkerOf({ at: 1_000, rows: [ROW] })
  t.match(violationsOf(checker, listed(800)), /never had/)
  t.same(violationsOf(checker, listed(950)), '', 'the commit may have happened by then')
})

t.test("another user's listing is a violation", async (t) => {
  const checker = checkerOf({ at: 1_000, rows: [ROW] })
  t.match(violationsOf(checker, listed(5_000, { userId: 'ben' })), /never had/)
})

t.test('a listing of another connection than the requested one is a violation', async (t) => {
  const checker = checkerOf({ at: 1_000, rows: [ROW, { ...ROW, id: 'c2', account: 'a2', isDefault: true }] })
  t.match(violationsOf(checker, listed(5_000, { connectionId: 'c2' })), /another connection/)
})

t.test('a listing from before a connection was disabled is a violation after it was enabled again', async (t) => {
  const checker = checkerOf(
    { at: 1_000, rows: [ROW] },
    { at: 9_998, rows: [{ ...ROW, isActive: false }], turned: ['c1'] },
    { at: 10_000, rows: [ROW], turned: ['c1'] }
  )
  t.same(violationsOf(checker, listed(10_999)), '', 'both changes may still be unknown')
  t.match(violationsOf(checker, listed(11_003)), /from before the last change/)
  const fresh = { connectionId: 'c1', view: { account: 'a1', token: 't1', epoch: 0, at: 9_950 } }
  t.same(violationsOf(checker, listed(11_003, { listing: fresh })), '')
})

t.test('a listing of the default connection', async (t) => {
  const other = { ...ROW, id: 'c2', account: 'a2' }
  const checker = checkerOf(
    { at: 1_000, rows: [{ ...ROW, isDefault: true }, other] },
    { at: 10_000, rows: [ROW, { ...other, isDefault: true }] }
  )
  t.same(violationsOf(checker, listed(10_999, { connectionId: null })), '')
  t.match(violationsOf(checker, listed(11_003, { connectionId: null })), /not the one to choose/)
  t.same(violationsOf(checker, listed(11_003, { connectionId: null, arrivedAt: 10_500 })), '', 'chosen earlier')
  t.same(violationsOf(checker, listed(11_003)), '', 'the connection was requested by its id')
})

t.test('a listing from before the requested refresh is a violation', async (t) => {
  const checker = checkerOf({ at: 1_000, rows: [ROW] })
  t.same(violationsOf(checker, listed(5_100, { isRefresh: true, arrivedAt: 4_999 })), '')
  t.match(violationsOf(checker, listed(5_100, { isRefresh: true, arrivedAt: 5_001 })), /before the refresh/)
  t.match(
    violationsOf(checker, listed(5_100, { isRefresh: true, arrivedAt: 5_001, connectionId: null })),
    /before the ref/
  )
})

t.test('a refusal must have a reason', async (t) => {
  const checker = checkerOf(
    { at: 1_000, rows: [ROW] },
    { at: 10_000, rows: [{ ...ROW, isActive: false }], turned: ['c1'] },
    { at: 20_000, rows: [], turned: ['c1'] },
    { at: 30_000, rows: [ROW] }
  )
  for (const [code, without, reasons] of [
    ['CONNECTION_INACTIVE', [5_000, 31_003], [9_950, 15_000]],
    ['CONNECTION_NOT_FOUND', [5_000, 15_000, 31_003], [19_950, 25_000, 30_999]]
  ] as const) {
    for (const at of without) t.match(violationsOf(checker, refused(at, code)), /nothing is a reason/, `${code} ${at}`)
    for (const at of reasons) t.same(violationsOf(checker, refused(at, code)), '', `${code} ${at}`)
  }
  t.match(violationsOf(checker, refused(15_000, 'CONNECTION_MISSING', { connectionId: null })), /nothing is a reason/)
  t.same(violationsOf(checker, refused(25_000, 'CONNECTION_MISSING', { connectionId: null })), '')
})

t.test('a database that loses changes', async (t) => {
  const added = { at: 1_000, rows: [ROW] }
  const disabled = { at: 10_000, rows: [{ ...ROW, isActive: false }], turned: ['c1'] }
  const replaced = { at: 10_000, rows: [{ ...ROW, account: 'a2', token: 't2' }], turned: ['c1'] }
  const loss = { sentAt: 19_900, committedAt: 20_000 }

  for (const [what, change] of [
    ['a connection that was disabled', disabled],
    ['an account that was replaced', replaced]
  ] as const) {
    await t.test(`${what}: the earlier listing is valid again`, async (t) => {
      const history = historyOf(added, change)
      t.equal(history.revert(9_000, loss), 1)
      const checker = new ConsistencyChecker(history, LEASE_MS)
      t.match(violationsOf(checker, listed(15_000)), /over for/, 'it was not before')
      t.same(violationsOf(checker, listed(19_950)), '', 'it may already be')
      t.same(violationsOf(checker, listed(21_003)), '')
    })
  }

  await t.test('a listing of what was lost is valid for a lease and no longer', async (t) => {
    const history = historyOf(added, replaced)
    history.revert(9_000, loss)
    const checker = new ConsistencyChecker(history, LEASE_MS)
    const listing = { connectionId: 'c1', view: { account: 'a2', token: 't2', epoch: 0, at: 12_000 } }
    t.same(violationsOf(checker, listed(20_999, { listing })), '')
    t.match(violationsOf(checker, listed(21_003, { listing })), /over for 1003/)
  })

  await t.test('a later change counts', async (t) => {
    const history = historyOf(added, disabled)
    history.revert(9_000, loss)
    const changedIds = ['c1']
    history.record('ann', { sentAt: 29_900, committedAt: 30_000, rows: disabled.rows, changedIds })
    history.record('ann', { sentAt: 30_100, committedAt: 30_200, rows: [ROW], changedIds })
    t.match(violationsOf(new ConsistencyChecker(history, LEASE_MS), listed(31_203)), /from before the last change/)
  })

  await t.test('an earlier change is not lost', async (t) => {
    const history = historyOf(added, disabled)
    t.equal(history.revert(10_000, loss), 0)
    t.match(violationsOf(new ConsistencyChecker(history, LEASE_MS), listed(21_003)), /over for/)
  })
})

t.test('a connection is steady if it has not changed for a lease', async (t) => {
  const checker = checkerOf(
    { at: 1_000, rows: [ROW] },
    { at: 10_000, rows: [{ ...ROW, isActive: false }], turned: ['c1'] }
  )
  t.ok(checker.isSteady(listed(5_000)))
  t.notOk(checker.isSteady(listed(1_500)), 'it is new')
  t.notOk(checker.isSteady(listed(9_950)), 'it may be about to be disabled')
  t.notOk(checker.isSteady(listed(15_000)), 'it is disabled')
})
