import t, { type Test } from 'tap'
import { type ConnectionEvent, StorageError, type StorageErrorCode } from '../../src/index.ts'
import { oauthApp, type OAuthAppOptions, testApp } from '../support/app/app.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { respondsWith, respondsWithHtml, hangs } from '../fakes/oauth/faults.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { until } from '../support/time/until.ts'

const LISTING = '/cloud/scripted/listing'
const BOB = { id: 'user-2', email: 'bob@example.com', name: 'Bob Example' }

interface ConnectionView {
  readonly id: string
  readonly label: string
  readonly default: boolean
  readonly status: string
  readonly lastError: string | null
}

/** A connection of ann's to the scripted provider, with functions to use it. */
async function connected(t: Test) {
  const log: string[] = []
  const testing = await testApp(t, {}, { logger: { stream: { write: (line: string) => log.push(line) } } })
  const id = await testing.connect('ann')
  const { as, app, db, scripted } = testing
  let failure: StorageErrorCode | null = null
  let asked = 0
  scripted.backend.account = async () => {
    asked++
    if (failure !== null) throw new StorageError(failure, 'No.', { cause: new Error('Bearer SECRET') })
    return { id: 'main', name: 'Main', email: null, quota: null }
  }
  return {
    ...testing,
    id,
    log,
    failWith: (code: StorageErrorCode | null) => (failure = code),
    asked: () => asked,
    verify: () => as('ann').send('POST', `/cloud/connections/${id}/verify`),
    list: () => as('ann').get(LISTING),
    row: () => db.prisma.cloudConnection.findUniqueOrThrow({ where: { id } }),
    cached: () => app.folderCache.stats().entries
  }
}

t.test('a user renames a connection, and nothing else about it changes', async (t) => {
  const { as, id, row } = await connected(t)
  const before = await row()
  const answer = await as('ann').send('PATCH', `/cloud/connections/${id}`, { label: 'Ünïcödé ☁' })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.json(), { id, label: 'Ünïcödé ☁', default: false, status: 'ACTIVE' })
  t.notMatch(answer.body, /credentials|token/)
  t.same(await row(), { ...before, label: 'Ünïcödé ☁', updatedAt: (await row()).updatedAt })
})

t.test('each user and provider has at most one default, which can be cleared', async (t) => {
  const { as, connect, grant, db } = await oauthApp(t)
  const [one, two] = [await connect('ann', 'one'), await connect('ann', 'two')]
  const theirs = await connect('bob')
  await grant('ann')
  const { id: other } = await db.prisma.cloudConnection.findFirstOrThrow({ where: { provider: 'cloud' } })
  const mark = (user: string, id: string, isDefault = true) =>
    as(user).send('PATCH', `/cloud/connections/${id}`, { default: isDefault })
  const defaults = async () => {
    const rows = await db.prisma.cloudConnection.findMany({ where: { isDefault: true } })
    return rows.map(({ id }) => id).sort()
  }
  for (const [user, id] of [
    ['ann', one],
    ['bob', theirs],
    ['ann', other]
  ] as const) {
    t.match((await mark(user, id)).json<ConnectionView>(), { id, default: true })
  }
  t.same(await defaults(), [one, theirs, other].sort())
  await mark('ann', two)
  t.same(await defaults(), [two, theirs, other].sort(), 'the previous default is cleared')
  t.match((await mark('ann', two)).json<ConnectionView>(), { default: true }, 'it is marked again')
  t.match((await mark('ann', two, false)).json<ConnectionView>(), { default: false })
  t.same(await defaults(), [theirs, other].sort())
})

t.test('two concurrent changes of the default leave one default', async (t) => {
  const { as, connect, db } = await testApp(t)
  const ids = [await connect('ann', 'one'), await connect('ann', 'two'), await connect('ann', 'three')]
  const answers = await Promise.all(
    ids.map((id) => as('ann').send('PATCH', `/cloud/connections/${id}`, { default: true }))
  )
  t.same(
    answers.map(({ statusCode }) => statusCode),
    [200, 200, 200]
  )
  t.equal(await db.prisma.cloudConnection.count({ where: { isDefault: true } }), 1)
})

t.test('empty, invalid and forbidden changes are refused', async (t) => {
  const { as, app, id, row } = await connected(t)
  const before = await row()
  for (const body of [
    {},
    [],
    { label: '' },
    { label: 'a\0b' },
    { label: '\ud800' },
    { label: 'x'.repeat(201) },
    { label: null },
    { default: 'true' },
    { default: null },
    { status: 'ACTIVE' },
    { label: 'x', userId: 'bob' },
    { label: 'x', credentials: 'x' }
  ]) {
    const answer = await as('ann').send('PATCH', `/cloud/connections/${id}`, body)
    t.equal(answer.statusCode, 400, JSON.stringify(body))
    t.match(answer.json(), { code: 'INVALID_REQUEST' })
  }
  const headers = { 'x-user': 'ann' }
  const url = `/cloud/connections/${id}`
  t.equal((await app.inject({ method: 'PATCH', url, headers })).statusCode, 400, 'a missing body')
  const json = { ...headers, 'content-type': 'application/json' }
  for (const payload of ['', 'null', '{"label":']) {
    t.equal((await app.inject({ method: 'PATCH', url, headers: json, payload })).statusCode, 400, payload)
  }
  t.same(await row(), before)
})

t.test('a successful verification leaves an ACTIVE connection unchanged', async (t) => {
  const { verify, asked, row, list, cached } = await connected(t)
  await list()
  const before = await row()
  const answer = await verify()
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.json(), { id: before.id, status: 'ACTIVE', lastError: null })
  t.equal(asked(), 1)
  t.same(await row(), before)
  t.equal(cached(), 1, 'the cached listing stays')
})

t.test('a permanent failure sets ERROR the second time, and a success resets it', async (t) => {
  for (const code of ['ACCESS_DENIED', 'FOLDER_NOT_FOUND', 'OBJECT_NOT_FOUND', 'INSUFFICIENT_SCOPE'] as const) {
    const { verify, failWith, row, list, cached, as, asked, log } = await connected(t)
    await list()
    const before = await row()
    failWith(code)
    const first = await verify()
    t.match(first.json(), { code })
    t.notMatch(first.body + log.join(''), 'SECRET')
    t.match(await row(), { status: 'ACTIVE', lastErrorCode: code, version: before.version })
    t.equal((await list()).statusCode, 200, 'a single failure does not change the status')

    await verify()
    t.match(await row(), { status: 'ERROR', lastErrorCode: code, version: before.version + 1 })
    t.equal(cached(), 0)
    const refused = await list()
    t.equal(refused.statusCode, 503)
    t.match(refused.json(), { code: 'CONNECTION_INACTIVE' })
    const { connections } = (await as('ann').get('/cloud/connections')).json<{ connections: ConnectionView[] }>()
    t.match(connections, [{ status: 'ERROR', lastError: code }])

    failWith(null)
    const back = await verify()
    t.match(back.json(), { status: 'ACTIVE', lastError: null })
    t.match(await row(), { status: 'ACTIVE', lastErrorCode: null, version: before.version + 2 })
    t.equal((await list()).statusCode, 200)
    t.equal(asked(), 3)
  }
})

t.test('a success between two failures restarts the count', async (t) => {
  const { verify, failWith, row } = await connected(t)
  for (const code of ['ACCESS_DENIED', null, 'ACCESS_DENIED'] as const) {
    failWith(code)
    await verify()
  }
  t.match(await row(), { status: 'ACTIVE', lastErrorCode: 'ACCESS_DENIED' })
})

t.test('a temporary failure changes nothing', async (t) => {
  for (const code of ['PROVIDER_UNAVAILABLE', 'PROVIDER_THROTTLED', 'PROVIDER_TIMEOUT', 'PROVIDER_ERROR'] as const) {
    const { verify, failWith, row, list, log } = await connected(t)
    await list()
    const before = await row()
    failWith(code)
    for (let time = 0; time < 3; time++) {
      const answer = await verify()
      t.ok(answer.statusCode >= 500, code)
      t.notMatch(answer.body + log.join(''), 'SECRET')
    }
    t.same(await row(), before)
    t.equal((await list()).statusCode, 200, 'the listing is still available')
  }
})

t.test('a connection that waits for its user or the operator cannot be verified', async (t) => {
  const { verify, row, asked, db, scripted } = await connected(t)
  const opened = scripted.opened.length
  for (const status of ['REQUIRES_REAUTH', 'DISABLED'] as const) {
    await db.prisma.cloudConnection.updateMany({ data: { status } })
    const before = await row()
    const answer = await verify()
    t.equal(answer.statusCode, 503, status)
    t.match(answer.json(), { code: 'CONNECTION_INACTIVE' })
    t.same(await row(), before)
  }
  t.equal(asked(), 0)
  t.equal(scripted.opened.length, opened, 'credentials are not decrypted')
})

t.test('a connection that is disabled during a verification stays disabled', async (t) => {
  const { verify, row, scripted, db } = await connected(t)
  scripted.backend.account = async () => {
    await db.prisma.cloudConnection.updateMany({ data: { status: 'DISABLED' } })
    return { id: 'main', name: 'Main', email: null, quota: null }
  }
  for (const before of [
    { status: 'ERROR', lastErrorCode: 'ACCESS_DENIED' },
    // Then nothing needs to be written.
    { status: 'ACTIVE', lastErrorCode: null }
  ] as const) {
    await db.prisma.cloudConnection.updateMany({ data: before })
    const answer = await verify()
    t.equal(answer.statusCode, 503, before.status)
    t.match(answer.json(), { code: 'CONNECTION_INACTIVE' })
    t.match(await row(), { status: 'DISABLED' })
  }
})

/** Users that have granted access, and the recorded events of the host. */
async function granted(t: Test, users: readonly string[], options: OAuthAppOptions = {}) {
  const events: ConnectionEvent[] = []
  const plugin = { onConnectionChange: (event: ConnectionEvent) => events.push(event), ...options.plugin }
  const testing = await oauthApp(t, { ...options, plugin })
  for (const user of users) await testing.grant(user)
  const { db, as } = testing
  const idOf = async (user: string) =>
    (await db.prisma.cloudConnection.findFirstOrThrow({ where: { userId: user } })).id
  const remove = async (user: string) => as(user).send('DELETE', `/cloud/connections/${await idOf(user)}`)
  return { ...testing, events, idOf, remove }
}

t.test('a removed connection is revoked once at the provider, with its refresh token', async (t) => {
  const { oauth, remove } = await granted(t, ['ann'])
  const [grant] = oauth.grants
  t.equal((await remove('ann')).statusCode, 204)
  await until(() => grant?.isAlive === false)
  t.equal(grant?.endedBy, 'client')
  t.equal(oauth.calls.revoke.length, 1)
  t.match(oauth.calls.revoke[0]?.params, { token: grant?.refreshToken })
})

t.test('responses do not wait for a revocation', async (t) => {
  const { oauth, remove, as, db } = await granted(t, ['ann'])
  const gate = oauth.hold('revoke')
  t.equal((await remove('ann')).statusCode, 204)
  await gate.reached
  t.ok(oauth.grants[0]?.isAlive)
  t.equal(await db.prisma.cloudConnection.count(), 0)
  t.equal((await as('ann').get('/cloud/cloud/listing')).statusCode, 503)
  gate.release()
  await until(() => oauth.grants[0]?.isAlive === false)
})

t.test('removing all connections of a user revokes their grants only', async (t) => {
  const { oauth, grant, as } = await granted(t, ['ann', 'bob'])
  oauth.signIn(BOB)
  await grant('ann')
  t.equal((await as('ann').send('DELETE', '/cloud/connections')).statusCode, 204)
  const [first, theirs, second] = oauth.grants
  await until(() => first?.isAlive === false && second?.isAlive === false)
  t.ok(theirs?.isAlive)
  t.equal(oauth.calls.revoke.length, 2)
})

t.test('a failed revocation is logged without secrets, and the connection is removed', async (t) => {
  for (const fault of [
    respondsWith({ status: 503, error: 'server_error' }),
    respondsWithHtml(400),
    respondsWithHtml(500),
    hangs()
  ]) {
    const { oauth, remove, log, db } = await granted(t, ['ann'], {
      plugin: { timeouts: { connectMs: 1000, headersMs: 150, idleMs: 150, totalMs: 1000 } }
    })
    oauth.failNext(1, fault, { endpoint: 'revoke' })
    t.equal((await remove('ann')).statusCode, 204)
    await until(() => log.join('').includes('a removed connection could not be revoked'))
    t.equal(await db.prisma.cloudConnection.count(), 0)
    t.equal(oauth.calls.revoke.length, 1, 'there is one attempt')
    t.notMatch(log.join(''), /SECRET|Scripted/)
    const [grant] = oauth.grants
    for (const secret of [grant?.accessToken, grant?.refreshToken]) t.notOk(log.join('').includes(secret ?? ''))
  }
})

t.test('a connection with unreadable credentials can be removed', async (t) => {
  const { oauth, remove, log, db } = await granted(t, ['ann'])
  await db.prisma.cloudConnection.updateMany({ data: { credentials: 'plain text' } })
  t.equal((await remove('ann')).statusCode, 204)
  await until(() => log.join('').includes('a removed connection could not be revoked'))
  t.equal(await db.prisma.cloudConnection.count(), 0)
  t.equal(oauth.calls.revoke.length, 0)
})

t.test('another user cannot remove a connection, and it is not revoked', async (t) => {
  const { oauth, idOf, as, db } = await granted(t, ['ann'])
  const answer = await as('bob').send('DELETE', `/cloud/connections/${await idOf('ann')}`)
  t.equal(answer.statusCode, 404)
  await nextTurn()
  t.equal(await db.prisma.cloudConnection.count(), 1)
  t.equal(oauth.calls.revoke.length, 0)
})

t.test('the app waits for the last revocation before it closes', async (t) => {
  const { app, oauth, remove } = await granted(t, ['ann'])
  const gate = oauth.hold('revoke')
  await remove('ann')
  await gate.reached
  let isClosed = false
  const closing = app.close().then(() => (isClosed = true))
  for (let turn = 0; turn < 50; turn++) await nextTurn()
  t.notOk(isClosed)
  gate.release()
  await closing
  t.equal(oauth.grants[0]?.endedBy, 'client')
})

t.test('a hanging revocation delays the closing app no longer than its deadline', async (t) => {
  const { app, oauth, remove, log } = await granted(t, ['ann'])
  oauth.failNext(1, hangs(), { endpoint: 'revoke' })
  const advance = useManualTimers(t)
  await remove('ann')
  await until(() => oauth.calls.revoke.length === 1)
  let isClosed = false
  const closing = app.close().then(() => {
    isClosed = true
  })
  advance(4999)
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  t.equal(isClosed, false)
  advance(1)
  await closing
  t.match(log.join(''), 'a removed connection could not be revoked')
})

t.test('the host receives the events of a connection in order', async (t) => {
  const { oauth, grant, remove, as, idOf, events } = await granted(t, ['ann'])
  const id = await idOf('ann')
  await grant('ann')
  oauth.revokeGrant('user-1')
  t.equal((await as('ann').get('/cloud/cloud/listing')).statusCode, 503)
  await grant('ann')
  await remove('ann')
  const about = { connectionId: id, userId: 'ann', provider: 'cloud' }
  t.same(
    events,
    ['connected', 'renewed', 'requiresReauth', 'renewed', 'disconnected'].map((type) => ({ type, ...about }))
  )
})

t.test('each change of a connection drops its cached listings', async (t) => {
  const { grant, remove, as, idOf, app } = await granted(t, ['ann'])
  const id = await idOf('ann')
  const fill = async () => {
    await as('ann').get('/cloud/cloud/listing')
    t.equal(app.folderCache.stats().entries, 1)
  }
  const changes: (readonly [string, () => Promise<unknown>])[] = [
    ['renewed', () => grant('ann')],
    ['label', () => as('ann').send('PATCH', `/cloud/connections/${id}`, { label: 'x' })],
    ['default', () => as('ann').send('PATCH', `/cloud/connections/${id}`, { default: true })],
    ['removed', () => remove('ann')]
  ]
  for (const [name, change] of changes) {
    await fill()
    await change()
    t.equal(app.folderCache.stats().entries, 0, name)
  }
})

t.test('the ERROR of an OAuth connection is cleared once its provider confirms the account', async (t) => {
  const { as, idOf, db, oauth } = await granted(t, ['ann'])
  const id = await idOf('ann')
  await db.prisma.cloudConnection.updateMany({ data: { status: 'ERROR', lastErrorCode: 'ACCESS_DENIED' } })
  // The connection has not been used for hours.
  oauth.expireAccessTokens()
  const answer = await as('ann').send('POST', `/cloud/connections/${id}/verify`)
  t.equal(answer.statusCode, 200)
  t.match(await db.prisma.cloudConnection.findFirstOrThrow(), { status: 'ACTIVE', lastErrorCode: null })
})

t.test('a connection in ERROR whose grant has ended requires reauthentication', async (t) => {
  const { as, idOf, db, oauth } = await granted(t, ['ann'])
  const id = await idOf('ann')
  await db.prisma.cloudConnection.updateMany({ data: { status: 'ERROR', lastErrorCode: 'ACCESS_DENIED' } })
  oauth.revokeGrant('user-1')
  const answer = await as('ann').send('POST', `/cloud/connections/${id}/verify`)
  t.equal(answer.json<{ code: string }>().code, 'CONNECTION_INACTIVE')
  t.match(await db.prisma.cloudConnection.findFirstOrThrow(), { status: 'REQUIRES_REAUTH' })
  t.equal(oauth.tokenCalls('refresh_token'), 1)
})
