import t, { type Test } from 'tap'
import type { Listing } from '../../src/core/entry.ts'
import { defineProvider, Secret } from '../../src/index.ts'
import { testApp } from '../support/app/app.ts'
import { takeMistakes } from '../support/dav/requests.ts'
import {
  FAKE_APP_PASSWORD,
  FAKE_NEXTCLOUD_LOGIN,
  FAKE_NEXTCLOUD_UID,
  FakeNextcloud
} from '../fakes/nextcloud/fake-nextcloud.ts'
import { FakeDav } from '../fakes/dav/fake-dav.ts'
import { ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { until } from '../support/time/until.ts'

const AUTHORIZE = '/cloud/connections/nextcloud/authorize'

interface Begun {
  readonly loginUrl: string
  readonly flowId: string
}

async function start(t: Test) {
  const fake = await FakeNextcloud.start(t)
  const app = await testApp(t, { providers: { nextcloud: { allowHosts: [new URL(fake.url).host] } } })
  await app.db.prisma.oAuthState.deleteMany()
  const begin = (user: string, body: object = { baseUrl: fake.url }) => app.as(user).send('POST', AUTHORIZE, body)
  const poll = (user: string, flowId: string) => app.as(user).send('POST', `${AUTHORIZE}/${flowId}/poll`)
  return { fake, ...app, begin, poll }
}

t.test('a user logs in at the server and is connected with a new app password', async (t) => {
  const { fake, begin, poll, as, db } = await start(t)
  fake.tree.put('Notes/today.md', 'x')
  const answer = await begin('ann', { baseUrl: fake.url, label: 'Work' })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { loginUrl, flowId } = answer.json<Begun>()
  const [flow] = fake.flows.flows
  t.equal(loginUrl, flow?.login)
  t.match(flow?.userAgent, /fastify-cloud-storage/, 'the user sees the name of the application')
  t.match(flowId, /^[\w-]{43}$/)

  const waiting = await poll('ann', flowId)
  t.equal(waiting.statusCode, 202)
  t.equal(await db.prisma.cloudConnection.count(), 0)

  const appPassword = flow === undefined ? '' : fake.grant(flow)
  const made = await poll('ann', flowId)
  t.equal(made.statusCode, 201)
  t.match(made.json(), {
    provider: 'nextcloud',
    label: 'Work',
    account: `${fake.url}/#${FAKE_NEXTCLOUD_UID}`,
    status: 'ACTIVE'
  })
  const listing = (await as('ann').get('/cloud/nextcloud/listing')).json<Listing>()
  t.same(
    listing.entries.map(({ id }) => id),
    ['Notes/']
  )
  const stored = JSON.stringify([await db.prisma.cloudConnection.findMany(), await db.prisma.oAuthState.findMany()])
  t.notMatch(stored + made.body, appPassword)
  t.equal((await poll('ann', flowId)).json<{ code: string }>().code, 'INVALID_STATE', 'a flow can be completed once')
})

t.test('only its user can poll a flow, and its row is of no use to others', async (t) => {
  const { fake, begin, poll, db } = await start(t)
  const { flowId } = (await begin('ann')).json<Begun>()
  const [flow] = fake.flows.flows
  if (flow !== undefined) fake.grant(flow)
  for (const [user, id] of [
    ['bob', flowId],
    ['ann', 'x'.repeat(43)],
    ['ann', 'short']
  ] as const) {
    const answer = await poll(user, id)
    t.equal(answer.statusCode, 400, `${user} ${id}`)
    t.equal(answer.json<{ code: string }>().code, 'INVALID_STATE')
  }
  const [row] = await db.prisma.oAuthState.findMany()
  t.notMatch(JSON.stringify(row), flowId)
  t.notMatch(JSON.stringify(row), flow?.token)
  t.equal((await poll('ann', row?.stateHash ?? '')).statusCode, 400)
  t.equal((await poll('ann', flowId)).statusCode, 201, 'ann’s own flow still works')
})

t.test('an expired flow is refused', async (t) => {
  const { fake, begin, poll, db } = await start(t)
  const { flowId } = (await begin('ann')).json<Begun>()
  if (fake.flows.flows[0] !== undefined) fake.grant(fake.flows.flows[0])
  await db.prisma.oAuthState.updateMany({ data: { expiresAt: new Date(Date.now() - 1) } })
  t.equal((await poll('ann', flowId)).json<{ code: string }>().code, 'INVALID_STATE')
  await begin('ann')
  t.equal(await db.prisma.oAuthState.count(), 1, 'the next flow deletes it')
})

t.test('the number of flows of a user is limited', async (t) => {
  const { begin, poll, db } = await start(t)
  const ids: string[] = []
  for (let index = 0; index < 7; index++) ids.push((await begin('ann')).json<Begun>().flowId)
  await begin('bob')
  t.equal(await db.prisma.oAuthState.count({ where: { userId: 'ann' } }), 5)
  t.equal(await db.prisma.oAuthState.count({ where: { userId: 'bob' } }), 1)
  t.equal((await poll('ann', ids.at(-1) ?? '')).statusCode, 202, 'the newest flow still works')
})

t.test('a server that refers to another origin is refused, and that origin is not contacted', async (t) => {
  const { fake, begin, poll, db } = await start(t)
  const other = await FakeDav.start(t)
  const elsewhere = [other.origin, new URL(fake.url).origin.replace('127.0.0.1', 'localhost'), 'https://evil.example']
  for (const origin of elsewhere) {
    for (const overrides of [{ pollEndpoint: `${origin}/poll` }, { login: `${origin}/login` }]) {
      Object.assign(fake.flows.overrides, { pollEndpoint: undefined, login: undefined }, overrides)
      const answer = await begin('ann')
      t.equal(answer.statusCode, 403, JSON.stringify(overrides))
      t.equal(answer.json<{ code: string }>().code, 'ENDPOINT_FORBIDDEN')
      t.notMatch(answer.body, origin)
    }
    Object.assign(fake.flows.overrides, { pollEndpoint: undefined, login: undefined, server: origin })
    const { flowId } = (await begin('ann')).json<Begun>()
    const flow = fake.flows.flows.at(-1)
    if (flow !== undefined) fake.grant(flow)
    t.equal((await poll('ann', flowId)).statusCode, 403, `server ${origin}`)
    delete fake.flows.overrides.server
  }
  t.equal(other.connections, 0)
  t.equal(await db.prisma.cloudConnection.count(), 0)
})

t.test('the app password, which the server returns once, survives a failure of the next step', async (t) => {
  const { fake, begin, poll, db } = await start(t)
  const { flowId } = (await begin('ann')).json<Begun>()
  const flow = fake.flows.flows[0]
  if (flow !== undefined) fake.grant(flow)
  fake.dav.script = ({ path }, response) => {
    if (!path.includes('/ocs/')) return false
    response.writeHead(500).end()
    return true
  }
  t.equal((await poll('ann', flowId)).statusCode, 503)
  t.equal(await db.prisma.cloudConnection.count(), 0)
  fake.dav.script = () => undefined
  t.equal((await poll('ann', flowId)).statusCode, 201)
})

t.test('an address without Nextcloud, a forbidden host and a provider without a login flow are refused', async (t) => {
  const { fake, begin, as } = await start(t)
  const code = (answer: Awaited<ReturnType<typeof begin>>) => answer.json<{ code: string }>().code
  t.equal(code(await begin('ann', { baseUrl: `${new URL(fake.url).origin}/elsewhere` })), 'INVALID_ADDRESS')
  t.equal(code(await begin('ann', { baseUrl: 'not a URL' })), 'INVALID_CREDENTIALS')
  t.equal(code(await begin('ann', { baseUrl: 'https://127.0.0.1:1' })), 'ENDPOINT_FORBIDDEN')
  t.equal(code(await begin('ann', {})), 'INVALID_REQUEST')
  t.equal(code(await begin('ann', { baseUrl: fake.url, x: 1 })), 'INVALID_REQUEST')
  t.equal(code(await as('ann').send('POST', '/cloud/connections/scripted/authorize', { baseUrl: 'x' })), 'UNSUPPORTED')
  t.equal(code(await as('ann').send('POST', '/cloud/connections/none/authorize', { baseUrl: 'x' })), 'PROVIDER_UNKNOWN')
  t.equal(code(await as('ann').send('POST', '/cloud/connections/scripted/authorize/x/poll')), 'UNSUPPORTED')
  takeMistakes(fake.dav)
})

t.test('an app password can be entered, and the account id is the one that the server reports', async (t) => {
  const { fake, as } = await start(t)
  const password = fake.grant({ token: '', login: '', userAgent: undefined, appPassword: undefined })
  const fields = { baseUrl: `${fake.url}/index.php/apps/files/files?dir=/`, username: FAKE_NEXTCLOUD_LOGIN, password }
  const made = await as('ann').send('POST', '/cloud/connections/nextcloud', { ...fields, baseUrl: fake.url })
  t.equal(made.statusCode, 201)
  t.match(made.json(), { account: `${fake.url}/#${FAKE_NEXTCLOUD_UID}` })
  const wrong = await as('ann').send('POST', '/cloud/connections/nextcloud', {
    ...fields,
    baseUrl: fake.url,
    password: 'x'
  })
  t.equal(wrong.json<{ code: string }>().code, 'INVALID_CREDENTIALS')
})

t.test('the providers describe their connect method', async (t) => {
  const { as } = await start(t)
  const { providers } = (await as('ann').get('/cloud/providers')).json<{ providers: { id: string }[] }>()
  t.match(
    providers.find(({ id }) => id === 'nextcloud'),
    { connect: { type: 'login-flow', schema: { required: ['baseUrl', 'username', 'password'] } } }
  )
})

t.test('an issued app password is revoked with its connection, an entered one is not', async (t) => {
  const { fake, begin, poll, as, app } = await start(t)
  const { flowId } = (await begin('ann')).json<Begun>()
  const appPassword = fake.flows.flows[0] === undefined ? '' : fake.grant(fake.flows.flows[0])
  const made = (await poll('ann', flowId)).json<{ id: string }>()
  t.ok(fake.appPasswords.has(appPassword))
  t.equal((await as('ann').send('DELETE', `/cloud/connections/${made.id}`)).statusCode, 204)
  await until(() => !fake.appPasswords.has(appPassword))

  const fields = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
  const marked = await as('ann').send('POST', '/cloud/connections/nextcloud', { ...fields, isIssued: true })
  t.equal(marked.statusCode, 400, 'a client cannot mark a password as issued')
  const typed = (await as('ann').send('POST', '/cloud/connections/nextcloud', fields)).json<{ id: string }>()
  t.equal((await as('ann').send('DELETE', `/cloud/connections/${typed.id}`)).statusCode, 204)
  await app.close()
  t.ok(fake.appPasswords.has(FAKE_APP_PASSWORD))
})

t.test(
  'a wrong address, a wrong password, a disabled account and a misconfigured proxy have distinct codes and messages',
  async (t) => {
    const { fake, as } = await start(t)
    const fields = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
    const connect = async (changed: object = {}) => {
      const answer = await as('ann').send('POST', '/cloud/connections/nextcloud', { ...fields, ...changed })
      const { status, code, detail } = answer.json<{ status: number; code: string; detail: string }>()
      return { status, code, detail }
    }
    const said = [
      await connect({ baseUrl: `${fake.url}/elsewhere` }),
      await connect({ password: 'wrong' }),
      await ((fake.disabled = true), connect()),
      await ((fake.disabled = false), (fake.maintenance = true), connect())
    ]
    fake.maintenance = false
    fake.dav.script = (_request, response) => {
      response.writeHead(301, { location: fake.url.replace('http:', 'https:') }).end()
      return true
    }
    said.push(await connect())
    t.match(said, [
      { status: 400, code: 'INVALID_ADDRESS' },
      { status: 400, code: 'INVALID_CREDENTIALS' },
      { status: 403, code: 'ACCOUNT_DISABLED' },
      { status: 503, code: 'PROVIDER_THROTTLED' },
      { status: 502, code: 'SCHEME_MISMATCH' }
    ])
    t.equal(new Set(said.map(({ detail }) => detail)).size, said.length)
    for (const { detail } of said) t.notMatch(detail, /reached/)
    takeMistakes(fake.dav)
  }
)

t.test('a server that responds with failures is contacted each time', async (t) => {
  const { fake, as } = await start(t)
  const fields = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
  const made = await as('ann').send('POST', '/cloud/connections/nextcloud', fields)
  t.equal(made.statusCode, 201)
  const list = async () => (await as('ann').get('/cloud/nextcloud/listing')).json<{ code?: string }>().code
  fake.disabled = true
  for (let count = 0; count < 7; count++) t.equal(await list(), 'ACCOUNT_DISABLED')
  const verified = await as('ann').send('POST', `/cloud/connections/${made.json<{ id: string }>().id}/verify`)
  t.equal(verified.json<{ code: string }>().code, 'ACCOUNT_DISABLED', 'the password is not considered revoked')
  fake.disabled = false
  t.equal((await as('ann').send('POST', `/cloud/connections/${made.json<{ id: string }>().id}/verify`)).statusCode, 200)
  t.equal(await list(), undefined)
})

t.test('a login page with an unsafe URL is refused', async (t) => {
  let loginUrl = ''
  const provider = defineProvider({
    id: 'own',
    label: 'Own',
    capabilities: new ScriptedBackend().capabilities,
    connect: {
      type: 'login-flow',
      schema: { type: 'object', properties: {} },
      parse: () => ({ credentials: new Secret({}), accountId: 'one', label: 'One' }),
      begin: async () => ({ loginUrl, pending: new Secret({}) }),
      poll: async () => null
    },
    open: async () => new ScriptedBackend()
  })
  const { as, db } = await testApp(t, { providers: { own: provider } })
  const begin = () => as('ann').send('POST', '/cloud/connections/own/authorize', { baseUrl: 'https://own.example' })
  for (const unsafe of [
    'javascript:alert(1)',
    ' java\nscript:alert(1)',
    'data:text/html,x',
    'blob:https://own.example/1',
    'https://ann:secret@own.example/',
    'http://own.example/',
    '/login'
  ]) {
    loginUrl = unsafe
    const answer = await begin()
    t.match([answer.statusCode, answer.json()], [502, { code: 'PROVIDER_ERROR' }], unsafe)
    t.notMatch(answer.body, /alert|secret/)
  }
  t.equal(await db.prisma.oAuthState.count(), 0)
  loginUrl = 'https://own.example/login'
  t.match((await begin()).json(), { loginUrl })
})
