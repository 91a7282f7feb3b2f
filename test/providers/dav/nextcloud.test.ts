import t, { type Test } from 'tap'
import { Secret } from '../../../src/domain/secret.ts'
import { provider } from '../../../src/providers/nextcloud.ts'
import { backendContract } from '../../contract/backend.ts'
import { harness, openNextcloud } from '../../contract/harness/nextcloud.ts'
import { call, find, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { lists } from '../../contract/suite/lists.ts'
import { answers, faulty, htmlPage, hrefs } from '../../fakes/faults.ts'
import { openEgress } from '../../support/egress.ts'
import {
  FAKE_APP_PASSWORD,
  FAKE_NEXTCLOUD_LOGIN,
  FAKE_NEXTCLOUD_UID,
  FakeNextcloud,
  type FakeNextcloudOptions
} from '../../fakes/nextcloud/fake-nextcloud.ts'
import { TEST_TIMEOUTS } from '../../support/timeouts.ts'

const LOGIN = { username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }

t.test('the contract', async (t) => {
  backendContract(t, harness)
})

t.test('listings of a server without pages, below a path, with what is not found first', async (t) => {
  lists(t, async (t) => openNextcloud(t, await FakeNextcloud.start(t, { mountPath: '/cloud', notFoundFirst: true })))
})

async function start(t: Test, options: FakeNextcloudOptions = { paginate: true }) {
  const fake = await FakeNextcloud.start(t, options)
  const egress = openEgress()
  t.teardown(() => egress.close())
  const context = { egress, timeouts: TEST_TIMEOUTS, ...call() }
  const { connect } = provider
  if (connect.type !== 'login-flow' || connect.complete === undefined) throw new Error('another way to connect')
  return { fake, context, connect, complete: connect.complete.bind(connect) }
}

t.test('the account is the one that the server names, and what is copied leads to it', async (t) => {
  const { fake, context, connect, complete } = await start(t, { paginate: true, mountPath: '/cloud' })
  for (const path of ['', '/', '/index.php/apps/files/?dir=/a', '/apps/files/files', '/remote.php/dav/files/alice/']) {
    const parsed = await complete(connect.parse({ baseUrl: fake.url + path, ...LOGIN }), context)
    t.equal(parsed.accountId, `${fake.url}/#${FAKE_NEXTCLOUD_UID}`, path)
    const backend = await provider.open({ ...context, credentials: parsed.credentials })
    t.equal(backend.capabilities.paging, 'native')
    t.match(await backend.account(call()), {
      id: parsed.accountId,
      name: 'Alice Example',
      email: 'alice@example.com',
      quota: { used: 24, total: 1024 }
    })
  }
})

t.test('what is no Nextcloud, or refuses the password, is not connected', async (t) => {
  const { fake, context, connect, complete } = await start(t)
  const wrong = connect.parse({ baseUrl: fake.url, ...LOGIN, password: 'wrong' })
  t.match(await complete(wrong, context).catch((error: unknown) => error), {
    code: 'ACCESS_DENIED',
    credentialsRefused: true
  })
  const right = connect.parse({ baseUrl: fake.url, ...LOGIN })
  const user = (id: unknown) => answers(200, { body: JSON.stringify({ ocs: { data: { id } } }) })
  for (const [fault, code] of [
    [answers(404), 'FOLDER_NOT_FOUND'],
    [htmlPage(), 'PROVIDER_ERROR'],
    [user('../x'), 'PROVIDER_ERROR'],
    [user(5), 'PROVIDER_ERROR'],
    [answers(200, { body: 'null' }), 'PROVIDER_ERROR']
  ] as const) {
    fake.dav.script = faulty(fault, { matching: ({ path }) => path.startsWith('/ocs/') })
    await rejectsWith(t, complete(right, context), code)
  }
  fake.dav.script = faulty(answers(404), { matching: ({ method }) => method === 'OPTIONS' })
  await rejectsWith(t, complete(right, context), 'FOLDER_NOT_FOUND', 'files that are not there')
})

t.test('permissions and encryption decide what can be done', async (t) => {
  const { backend, seed } = await openNextcloud(t, await permitted(t))
  await seed({ 'free/a': 'a', 'secret/b': 'b', read: 'x', none: 'x' })
  t.same((await find(backend, 'free')).can, { list: true, download: false, write: true })
  t.same((await find(backend, 'secret')).can, { list: true, download: false, write: true })
  t.same((await find(backend, 'read')).can, { list: false, download: true, write: false })
  t.same((await find(backend, 'none')).can, { list: false, download: false, write: false })
  const { webUrl } = await find(backend, 'read')
  t.match(webUrl, /^http:\/\/127\.0\.0\.1:\d+\/index\.php\/f\/\d+$/)
})

async function permitted(t: Test): Promise<FakeNextcloud> {
  const fake = await FakeNextcloud.start(t, { paginate: true })
  fake.permissions.set('read', 'G').set('none', '')
  fake.encrypted.add('secret')
  return fake
}

t.test('pages go on from one answer, whatever happens in the folder', async (t) => {
  const fake = await FakeNextcloud.start(t, { paginate: true })
  const { backend, seed } = await openNextcloud(t, fake)
  await seed(Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`f${index}`, 'x'])))
  const first = await backend.listFolder(null, { ...call(), limit: 4 })
  fake.tree.delete('f2')
  fake.tree.put('a', 'x')
  const cursor = first.next ?? ''
  const second = await backend.listFolder(null, { ...call(), limit: 2, cursor })
  const rest = await listAll(backend, null, { limit: 3, cursor: second.next ?? '' })
  const names = [...first.entries, ...second.entries, ...rest].map(({ name }) => name)
  t.same(
    names.sort(),
    Array.from({ length: 9 }, (_, index) => `f${index}`)
  )
  fake.expireTokens()
  await rejectsWith(t, backend.listFolder(null, { ...call(), limit: 4, cursor }), 'CURSOR_EXPIRED')
  for (const garbage of ['', 'n.1.2', 'n.1.2.<>', 'n.-1.2.a', 'x'.repeat(4096)]) {
    await rejectsWith(
      t,
      backend.listFolder(null, { ...call(), limit: 4, cursor: garbage }),
      'INVALID_CURSOR',
      garbage.slice(0, 9)
    )
  }
})

t.test('a page that cannot be continued never passes for all there is', async (t) => {
  const fake = await FakeNextcloud.start(t, { paginate: true })
  const { backend } = await openNextcloud(t, fake)
  const base = `/remote.php/dav/files/${FAKE_NEXTCLOUD_UID}/`
  const list = () => backend.listFolder(null, { ...call(), limit: 2 })
  const paged = (headers: Record<string, string>, names: string[]) => {
    fake.dav.script = (request, response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      hrefs(names.map((name) => base + name))(request, response)
      return true
    }
  }
  for (const headers of [
    { 'x-nc-paginate': 'true' },
    { 'x-nc-paginate': 'true', 'x-nc-paginate-token': 'a' },
    { 'x-nc-paginate': 'true', 'x-nc-paginate-token': 'a', 'x-nc-paginate-total': 'many' },
    { 'x-nc-paginate': 'true', 'x-nc-paginate-token': 'a b', 'x-nc-paginate-total': '5' }
  ]) {
    paged(headers, ['', 'a', 'b'])
    await rejectsWith(t, list(), 'PROVIDER_ERROR', JSON.stringify(headers))
  }
  const good = { 'x-nc-paginate': 'true', 'x-nc-paginate-token': 'a', 'x-nc-paginate-total': '9' }
  paged(good, ['', 'a'])
  t.match(await list(), { next: 'n.2.9.a', complete: false }, 'a page shorter than was asked for skips nothing')
  paged({ 'x-nc-paginate': 'true' }, [])
  const cursor = 'n.2.9.a'
  const empty = await backend.listFolder(null, { ...call(), limit: 2, cursor })
  t.match(empty, { next: null, complete: false, reason: 'provider-partial' }, 'a page of nothing is the last one')
})

t.test('maintenance says when to come back', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { backend } = await openNextcloud(t, fake)
  fake.maintenance = true
  for (const work of [backend.account(call()), backend.listFolder(null, { ...call(), limit: 1 })]) {
    const error = await work.catch((error: unknown) => error)
    t.match(error, { code: 'PROVIDER_THROTTLED', retryAfterMs: 120_000 })
  }
})

t.test('a login at the server gives what the user would have typed, once', async (t) => {
  const { fake, context, connect, complete } = await start(t, { mountPath: '/cloud' })
  const { loginUrl, pending } = await connect.begin(`${fake.url}/index.php/apps/files/?dir=/`, context)
  t.match(loginUrl, `${fake.url}/index.php/login/v2/flow/`)
  t.notMatch(JSON.stringify({ pending }), fake.flows.flows[0]?.token ?? 'none')
  const sealed = new Secret(JSON.parse(JSON.stringify(pending.reveal())) as unknown)
  t.equal(await connect.poll(sealed, context), null)
  fake.grant(fake.flows.flows[0]!)
  const fields = await connect.poll(sealed, context)
  t.match(fields, { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN })
  t.match(await complete(connect.parse(fields ?? {}), context), { accountId: `${fake.url}/#${FAKE_NEXTCLOUD_UID}` })
  t.equal(await connect.poll(sealed, context), null, 'told once')
})

t.test('a login that leads to another host goes nowhere', async (t) => {
  const elsewhere = await FakeNextcloud.start(t)
  const { fake, context, connect } = await start(t)
  const { hostname } = new URL(fake.url)
  for (const place of [
    elsewhere.url,
    `http://${hostname}:1`,
    `http://u:p@${new URL(fake.url).host}`,
    'javascript:',
    '//x',
    ''
  ]) {
    for (const field of ['pollEndpoint', 'login'] as const) {
      fake.flows.overrides[field] = place
      await rejectsWith(t, connect.begin(fake.url, context), 'ENDPOINT_FORBIDDEN', `${field} ${place}`)
      Reflect.deleteProperty(fake.flows.overrides, field)
    }
    const { pending } = await connect.begin(fake.url, context)
    fake.flows.overrides.server = place
    fake.grant(fake.flows.flows.at(-1)!)
    await rejectsWith(t, connect.poll(pending, context), 'ENDPOINT_FORBIDDEN', `server ${place}`)
    delete fake.flows.overrides.server
  }
  t.equal(elsewhere.dav.connections, 0)
})

t.test('a login that cannot begin says why', async (t) => {
  const { fake, context, connect } = await start(t)
  for (const [fault, code] of [
    [answers(404), 'INVALID_CREDENTIALS'],
    [htmlPage(), 'INVALID_CREDENTIALS'],
    [answers(200, { body: '{}' }), 'PROVIDER_ERROR'],
    [answers(503, { retryAfter: 1 }), 'PROVIDER_THROTTLED'],
    [answers(302, { headers: { location: 'http://127.0.0.1:1/' } }), 'PROVIDER_ERROR']
  ] as const) {
    fake.dav.script = faulty(fault)
    await rejectsWith(t, connect.begin(fake.url, context), code)
  }
  await rejectsWith(t, connect.begin('nowhere', context), 'INVALID_CREDENTIALS')
  await rejectsWith(t, connect.begin('http://169.254.169.254/', context), 'ENDPOINT_FORBIDDEN')
  fake.dav.script = () => undefined
  const { pending } = await connect.begin(fake.url, context)
  fake.dav.script = faulty(htmlPage())
  await rejectsWith(t, connect.poll(pending, context), 'PROVIDER_ERROR', 'a page instead of an answer')
})
