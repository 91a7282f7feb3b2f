import t from 'tap'
import type { ConnectionEvent } from '../../src/index.ts'
import { testApp } from '../support/app/app.ts'
import { Deferred } from '../support/time/deferred.ts'

interface ConnectionView {
  id: string
}

t.test('a connection is verified, sealed, listed and removed, and its secret is never shown', async (t) => {
  const events: ConnectionEvent[] = []
  const { as, db, scripted } = await testApp(t, { onConnectionChange: (event) => events.push(event) })
  const made = await as('ann').send('POST', '/cloud/connections/scripted', {
    account: 'acc',
    token: 'hunter2',
    label: 'Mine'
  })
  t.equal(made.statusCode, 201)
  t.equal(made.headers['cache-control'], 'no-store')
  const view = made.json<ConnectionView>()
  t.match(view, {
    provider: 'scripted',
    label: 'Mine',
    account: 'acc',
    status: 'ACTIVE',
    default: false,
    lastError: null
  })
  t.match(view, { createdAt: /^\d{4}-\d\d-\d\dT.*Z$/ })
  const { credentials } = await db.prisma.cloudConnection.findUniqueOrThrow({ where: { id: view.id } })
  t.notMatch(credentials, 'hunter2')

  const listed = await as('ann').get('/cloud/connections')
  t.same(listed.json(), { connections: [view] })
  t.notMatch(listed.body + made.body, /hunter2|credentials/)
  t.same((await as('bob').get('/cloud/connections')).json(), { connections: [] })

  await as('ann').get('/cloud/scripted/listing')
  t.same(scripted.opened.at(-1), { token: 'hunter2' })
  t.equal((await as('ann').send('DELETE', `/cloud/connections/${view.id}`)).statusCode, 204)
  t.same((await as('ann').get('/cloud/connections')).json(), { connections: [] })
  t.equal((await as('ann').get('/cloud/scripted/listing')).statusCode, 503)
  t.same(events, [
    { type: 'connected', connectionId: view.id, userId: 'ann', provider: 'scripted' },
    { type: 'disconnected', connectionId: view.id, userId: 'ann', provider: 'scripted' }
  ])
})

t.test('connecting an account again keeps its row, replaces the credentials and drops its listings', async (t) => {
  const events: ConnectionEvent[] = []
  const { app, as, scripted } = await testApp(t, { onConnectionChange: (event) => events.push(event) })
  const first = await as('ann').send('POST', '/cloud/connections/scripted', { account: 'acc', token: 'old' })
  await as('ann').get('/cloud/scripted/listing')
  t.equal(app.folderCache.stats().entries, 1)
  const second = await as('ann').send('POST', '/cloud/connections/scripted', { account: 'acc', token: 'new' })
  t.equal(second.json<ConnectionView>().id, first.json<ConnectionView>().id)
  t.equal(app.folderCache.stats().entries, 0)
  await as('ann').get('/cloud/scripted/listing')
  t.same(scripted.opened.at(-1), { token: 'new' })
  t.same(
    events.map(({ type }) => type),
    ['connected', 'renewed']
  )
})

t.test('credentials that the server rejects are not stored', async (t) => {
  const { as } = await testApp(t)
  const refused = await as('ann').send('POST', '/cloud/connections/scripted', { account: 'acc', token: 'refused' })
  t.equal(refused.statusCode, 400)
  t.match(refused.json(), { code: 'INVALID_CREDENTIALS' })
  t.same((await as('ann').get('/cloud/connections')).json(), { connections: [] })
})

t.test('a client that disconnects while its credentials are checked ends the check and stores nothing', async (t) => {
  const { app, db, scripted } = await testApp(t)
  const asked = new Deferred<AbortSignal>()
  scripted.backend.account = ({ signal }) => {
    asked.resolve(signal)
    return new Promise(() => undefined)
  }
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new AbortController()
  const leaving = fetch(`${address}/cloud/connections/scripted`, {
    method: 'POST',
    headers: { 'x-user': 'ann', 'content-type': 'application/json' },
    body: JSON.stringify({ account: 'a', token: 't' }),
    signal: client.signal
  })
  const signal = await asked.promise
  t.equal(signal.aborted, false)
  const ended = new Promise((resolve) => {
    signal.addEventListener('abort', resolve)
  })
  client.abort()
  await t.rejects(leaving)
  await ended
  t.equal(await db.prisma.cloudConnection.count(), 0)
})

t.test('an invalid body is refused without repeating its values', async (t) => {
  const { as, app, scripted } = await testApp(t)
  for (const [body, names] of [
    [{ account: 'a' }, /token/],
    [{ account: 1, token: 'hunter2' }, /account/],
    [{ account: 'a', token: 'hunter2', extra: 'hunter2' }, /additional/],
    [{ account: 'a', token: 'hunter2', label: '' }, /label/],
    [{ account: 'a', token: 'hunter2', label: 'x'.repeat(201) }, /label/],
    [{ account: 'a', token: 'hunter2', label: 'a\0b' }, /label/],
    [[], /object/]
  ] as const) {
    const answer = await as('ann').send('POST', '/cloud/connections/scripted', body)
    t.equal(answer.statusCode, 400)
    t.match(answer.json(), { code: 'INVALID_REQUEST', detail: names })
    t.notMatch(answer.body, 'hunter2')
  }
  const post = (payload: string, type: string) =>
    app.inject({
      method: 'POST',
      url: '/cloud/connections/scripted',
      headers: { 'x-user': 'ann', 'content-type': type },
      payload
    })
  t.match((await post('{"account":', 'application/json')).json(), { code: 'INVALID_REQUEST', status: 400 })
  t.match((await post('<a/>', 'application/xml')).json(), { code: 'UNSUPPORTED_MEDIA_TYPE', status: 415 })
  t.match((await post(JSON.stringify({ account: 'x'.repeat(70_000) }), 'application/json')).json(), {
    code: 'PAYLOAD_TOO_LARGE',
    status: 413
  })
  t.match((await as('ann').send('POST', '/cloud/connections/nowhere', {})).json(), {
    code: 'PROVIDER_UNKNOWN',
    status: 404
  })
  t.equal(scripted.opened.length, 0)
})

t.test('removing another user’s connection answers 404, as for an unknown one', async (t) => {
  const { as, connect, db } = await testApp(t)
  const theirs = await connect('bob')
  const bodies = await Promise.all(
    [theirs, '00000000-0000-4000-8000-000000000000', 'x', '%00', encodeURIComponent('../x')].map(async (id) => {
      const answer = await as('ann').send('DELETE', `/cloud/connections/${id}`)
      t.equal(answer.statusCode, 404)
      const { requestId, ...body } = answer.json<Record<string, unknown>>()
      return body
    })
  )
  for (const body of bodies) t.same(body, bodies[0])
  t.equal(await db.prisma.cloudConnection.count(), 1)
})

t.test('removing all connections of a user leaves those of other users', async (t) => {
  const { app, as, connect, db } = await testApp(t)
  await connect('ann', 'one')
  await connect('ann', 'two')
  const theirs = await connect('bob')
  await as('bob').get('/cloud/scripted/listing')
  t.equal((await as('ann').send('DELETE', '/cloud/connections')).statusCode, 204)
  t.same(
    (await db.prisma.cloudConnection.findMany()).map(({ id }) => id),
    [theirs]
  )
  t.equal(app.folderCache.stats().entries, 1)
})

t.test('a user has at most connectionsPerUser connections', async (t) => {
  const { as } = await testApp(t, { limits: { connectionsPerUser: 2 } })
  const connect = (account: string) => as('ann').send('POST', '/cloud/connections/scripted', { account, token: 't' })
  for (const account of ['a', 'b']) t.equal((await connect(account)).statusCode, 201)
  const third = await connect('c')
  t.equal(third.statusCode, 400)
  t.equal((await connect('a')).statusCode, 201, 'an existing connection can be renewed')
})

t.test('an exception of a listener is logged and has no other effect', async (t) => {
  const lines: string[] = []
  const listeners = [
    () => {
      throw new Error('host bug')
    },
    // A listener may be async in spite of its type.
    () => Promise.reject(new Error('host bug'))
  ]
  for (const onConnectionChange of listeners) {
    lines.length = 0
    const logger = { stream: { write: (line: string) => lines.push(line) } }
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- that is what is tested
    const { as } = await testApp(t, { onConnectionChange }, { logger })
    const made = await as('ann').send('POST', '/cloud/connections/scripted', { account: 'a', token: 't' })
    t.equal(made.statusCode, 201)
    t.match(lines.join(''), 'host bug')
  }
})

t.test('a cross-site page changes nothing, even with valid cookies', async (t) => {
  const { as, connect, db } = await testApp(t, { publicUrl: 'https://app.example.org' })
  const id = await connect('ann')
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'not a url' },
    { origin: 'http://localhost:81' },
    { origin: 'https://app.example.org.evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'https://app.example.org', 'sec-fetch-site': 'cross-site' }
  ]) {
    for (const [method, url] of [
      ['DELETE', `/cloud/connections/${id}`],
      ['DELETE', '/cloud/connections'],
      ['POST', '/cloud/connections/scripted']
    ] as const) {
      const body = method === 'POST' ? { account: 'x', token: 't' } : undefined
      const answer = await as('ann').send(method, url, body, { cookie: 'session=1', ...headers })
      t.equal(answer.statusCode, 403)
      t.match(answer.json(), { code: 'CROSS_SITE' })
    }
  }
  t.equal(await db.prisma.cloudConnection.count(), 1)
  t.equal(
    (await as('ann').get('/cloud/connections', { origin: 'https://evil.example' })).statusCode,
    200,
    'reading is left to CORS'
  )
  for (const headers of [
    { origin: 'https://app.example.org' },
    { origin: 'http://localhost:80', 'sec-fetch-site': 'same-origin' },
    {}
  ]) {
    const answer = await as('ann').send('POST', '/cloud/connections/scripted', { account: 'x', token: 't' }, headers)
    t.equal(answer.statusCode, 201, JSON.stringify(headers))
  }
})

t.test('the enabled providers describe their connect method and capabilities', async (t) => {
  const { as } = await testApp(t, { providers: { s3: { allowHosts: ['127.0.0.1:9000'] } } })
  const { providers } = (await as('ann').get('/cloud/providers')).json<{ providers: Record<string, unknown>[] }>()
  t.same(
    providers.map(({ id }) => id),
    ['scripted', 's3']
  )
  t.match(providers[1], {
    label: String,
    connect: { type: 'credentials', schema: { type: 'object', required: Array } },
    capabilities: { paging: 'native', remove: 'native' }
  })
  for (const ability of Object.values(providers[1]!.capabilities as object)) {
    t.match(ability, /^(native|emulated|unsupported)$/)
  }
})
