import t, { type Test } from 'tap'
import type { Listing } from '../../src/core/entry.ts'
import type { ConnectionEvent } from '../../src/index.ts'
import { testApp, type TestApp } from '../support/app/app.ts'
import { respondsWith, truncates, faultScript, htmlPage, resets, xml } from '../fakes/faults.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER, type FakeDavAuth } from '../fakes/dav/auth.ts'
import { FakeDav } from '../fakes/dav/fake-dav.ts'

const CONNECT = '/cloud/connections/webdav'
const LISTING = '/cloud/webdav/listing'

interface Problem {
  readonly code: string
}

/** Starts a server, and an app that allows its host. */
async function start(t: Test, auth: FakeDavAuth = { type: 'basic' }) {
  const fake = await FakeDav.start(t, { auth })
  const events: ConnectionEvent[] = []
  const lines: string[] = []
  const app = await testApp(
    t,
    {
      providers: { webdav: { allowHosts: [new URL(fake.url).host] } },
      onConnectionChange: (event) => events.push(event)
    },
    { logger: { level: 'debug', stream: { write: (line: string) => lines.push(line) } } }
  )
  const propfinds = (): number => fake.requests.filter(({ method }) => method === 'PROPFIND').length
  return { fake, ...app, events, lines, propfinds }
}

function fields(fake: FakeDav, over: object = {}): object {
  return { baseUrl: fake.url, username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD, ...over }
}

async function connect({ as, fake }: Pick<TestApp, 'as'> & { fake: FakeDav }): Promise<string> {
  const made = await as('ann').send('POST', CONNECT, fields(fake))
  if (made.statusCode !== 201) throw new Error(made.body)
  return made.json<{ id: string }>().id
}

for (const auth of [
  { type: 'basic' },
  { type: 'digest', algorithms: ['MD5'] },
  { type: 'digest', algorithms: ['SHA-256', 'MD5'] }
] as const) {
  t.test(`a user connects a server and browses it: ${JSON.stringify(auth)}`, async (t) => {
    const { fake, as, db, lines } = await start(t, auth)
    fake.tree.put('docs/a.txt', 'a')
    fake.tree.put('b.txt', 'b')
    const made = await as('ann').send('POST', CONNECT, fields(fake))
    t.equal(made.statusCode, 201)
    t.match(made.json(), { provider: 'webdav', account: `${fake.url}#${FAKE_DAV_USER}`, status: 'ACTIVE' })
    t.same(fake.tree.list(), ['b.txt', 'docs/', 'docs/a.txt'], 'nothing is written to the server')

    const names = async (query: string) =>
      (await as('ann').get(LISTING + query)).json<Listing>().entries.map(({ id, kind }) => [id, kind])
    t.same(await names(''), [
      ['docs/', 'folder'],
      ['b.txt', 'file']
    ])
    t.same(await names('?folder=docs%2F'), [['docs/a.txt', 'file']])
    const before = fake.requests.length
    t.match((await as('ann').get(LISTING)).headers['cache-status'], /; hit; ttl=\d+$/)
    t.equal(fake.requests.length, before, 'a hit makes no request')

    const [row] = await db.prisma.cloudConnection.findMany()
    for (const text of [made.body, JSON.stringify(row), ...lines]) t.notMatch(text, FAKE_DAV_PASSWORD)
  })
}

t.test('credentials that the server rejects are not stored', async (t) => {
  const { fake, as, db } = await start(t)
  fake.tree.put('file.txt', 'x')
  for (const [what, over] of Object.entries({
    'another password': { password: 'wrong' },
    'a folder that is not there': { baseUrl: `${fake.url}none/` },
    'a file': { baseUrl: `${fake.url}file.txt` }
  })) {
    const answer = await as('ann').send('POST', CONNECT, fields(fake, over))
    t.equal(answer.statusCode, 400, what)
    t.equal(answer.json<Problem>().code, 'INVALID_CREDENTIALS', what)
    t.notMatch(answer.body, /wrong|SECRET/)
  }
  t.equal(await db.prisma.cloudConnection.count(), 0)
})

t.test('invalid fields are reported without a request', async (t) => {
  const { fake, as } = await start(t)
  for (const over of [
    { baseUrl: 'ftp://files.example.org/' },
    { baseUrl: `${fake.url}?x=1` },
    { baseUrl: fake.url.replace('://', '://user:secret@') },
    { username: 'a:b' },
    { token: 'both' },
    { username: undefined },
    { more: 'x' }
  ]) {
    const answer = await as('ann').send('POST', CONNECT, fields(fake, over))
    t.equal(answer.statusCode, 400, JSON.stringify(over))
  }
  t.equal(fake.requests.length, 0)
})

t.test('a server that the operator does not allow is refused, and no connection is opened', async (t) => {
  const fake = await FakeDav.start(t)
  const { as, db } = await testApp(t, { providers: { webdav: true } })
  const { port } = new URL(fake.url)
  for (const host of [
    '127.0.0.1',
    'localhost',
    'localhost.',
    '0x7f.1',
    '2130706433',
    '[::ffff:127.0.0.1]',
    '１２７.0.0.1'
  ]) {
    for (const scheme of ['http', 'https']) {
      const baseUrl = `${scheme}://${host}:${port}/dav/`
      const answer = await as('ann').send('POST', CONNECT, fields(fake, { baseUrl }))
      t.equal(answer.statusCode, 403, baseUrl)
      t.match(
        answer.json(),
        { code: 'ENDPOINT_FORBIDDEN', detail: 'Connections to this server are not allowed.' },
        baseUrl
      )
    }
  }
  t.equal(fake.connections, 0)
  t.equal(await db.prisma.cloudConnection.count(), 0)
})

t.test('while the server is throttling, a hundred requests make one call', async (t) => {
  const { fake, as, propfinds, ...app } = await start(t)
  for (let index = 0; index < 100; index++) fake.tree.mkdir(`folder ${index}`)
  await connect({ fake, as })
  fake.script = faultScript(respondsWith(429, { retryAfter: 30 }))
  const before = propfinds()
  const waits: number[] = []
  for (let index = 0; index < 100; index++) {
    const answer = await as('ann').get(`${LISTING}?folder=${encodeURIComponent(`folder ${index}/`)}`)
    t.equal(answer.statusCode, 503)
    t.equal(answer.json<Problem>().code, 'PROVIDER_THROTTLED')
    waits.push(Number(answer.headers['retry-after']))
  }
  t.equal(propfinds() - before, 1)
  t.ok(
    waits.every((wait, index) => wait >= 1 && wait <= (waits[index - 1] ?? 30)),
    waits.join()
  )
  t.equal(app.app.folderCache.stats().entries, 0)
})

t.test('two thousand children are one PROPFIND and ten pages', async (t) => {
  const { fake, as, propfinds } = await start(t)
  for (let index = 0; index < 2000; index++) fake.tree.put(`many/file ${index}.txt`, 'x')
  await connect({ fake, as })
  const before = propfinds()
  const ids = new Set<string>()
  let pages = 0
  let cursor: string | null = null
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { entries, page } = (await as('ann').get(`${LISTING}?folder=many%2F&limit=200${query}`)).json<Listing>()
    for (const { id } of entries) ids.add(id)
    t.equal(page.complete, page.next === null)
    cursor = page.next
    pages += 1
  } while (cursor !== null)
  t.same({ ids: ids.size, pages, propfinds: propfinds() - before }, { ids: 2000, pages: 10, propfinds: 1 })
})

t.test('a cursor of a changed listing is expired', async (t) => {
  const { fake, as } = await start(t)
  for (const name of ['a', 'b', 'c']) fake.tree.put(name, name)
  await connect({ fake, as })
  const first = (await as('ann').get(`${LISTING}?limit=2`)).json<Listing>()
  fake.tree.put('d', 'd')
  await as('ann').get(`${LISTING}?limit=2&refresh=true`)
  const answer = await as('ann').get(`${LISTING}?limit=2&cursor=${encodeURIComponent(first.page.next ?? '')}`)
  t.equal(answer.statusCode, 410)
  t.equal(answer.json<Problem>().code, 'CURSOR_EXPIRED')
})

t.test('a rejected password marks the connection as requiring reauthentication', async (t) => {
  let password: string = FAKE_DAV_PASSWORD
  const accepts = (user: string, given: string): boolean => user === FAKE_DAV_USER && given === password
  const { fake, as, db, events } = await start(t, { type: 'basic', accepts })
  const id = await connect({ fake, as })
  password = 'changed at the server'
  const answer = await as('ann').get(LISTING)
  t.equal(answer.statusCode, 503)
  t.equal(answer.json<Problem>().code, 'CONNECTION_INACTIVE')
  const row = await db.prisma.cloudConnection.findUniqueOrThrow({ where: { id } })
  t.match(row, { status: 'REQUIRES_REAUTH', lastErrorCode: 'ACCESS_DENIED' })
  const before = fake.requests.length
  t.equal((await as('ann').get(LISTING)).statusCode, 503)
  t.equal(fake.requests.length, before, 'the server is not contacted again')

  const renewed = await as('ann').send('POST', CONNECT, fields(fake, { password }))
  t.match(renewed.json(), { id, status: 'ACTIVE', lastError: null })
  t.equal((await as('ann').get(LISTING)).statusCode, 200)
  t.same(
    events.map(({ type }) => type),
    ['connected', 'requiresReauth', 'renewed']
  )
})

t.test('a single 401 that the account check does not confirm fails only that request', async (t) => {
  const { fake, as, db } = await start(t)
  const id = await connect({ fake, as })
  fake.script = faultScript(respondsWith(401, {}), { matching: ({ headers }) => headers.depth === '1' })
  const answer = await as('ann').get(LISTING)
  t.equal(answer.statusCode, 403)
  t.equal(answer.json<Problem>().code, 'ACCESS_DENIED')
  t.match(await db.prisma.cloudConnection.findUniqueOrThrow({ where: { id } }), { status: 'ACTIVE' })
})

t.test('a failure is never a listing, neither now nor from the cache', async (t) => {
  const { fake, as, app, lines } = await start(t)
  fake.tree.put('a.txt', 'a')
  await connect({ fake, as })
  const listing = Buffer.from('<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">')
  const faults = {
    403: [respondsWith(403, {}), 403],
    404: [respondsWith(404, {}), 404],
    500: [respondsWith(500, {}), 503],
    html: [htmlPage(207), 502],
    'html 200': [htmlPage(200), 502],
    'another XML': [xml('<feed/>'), 502],
    short: [truncates({ content: listing, afterBytes: 20, status: 207 }), 503],
    'short and chunked': [truncates({ content: listing, afterBytes: 20, framing: 'chunked', status: 207 }), 503],
    reset: [resets(), 503]
  } as const
  for (const [what, [fault, status]] of Object.entries(faults)) {
    fake.script = faultScript(fault)
    const answer = await as('ann').get(`${LISTING}?refresh=true`)
    t.equal(answer.statusCode, status, what)
    t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
    t.notMatch(answer.body, /SECRET|entries/)
    t.equal(app.folderCache.stats().entries, 0, `${what}: nothing is cached`)
    fake.script = () => undefined
  }
  for (const line of lines) t.notMatch(line, /SECRET/)
})
