import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { respondsWith, faultScript, hangs, resets } from '../fakes/faults.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER } from '../fakes/dav/auth.ts'
import { FakeDav } from '../fakes/dav/fake-dav.ts'
import type { AppConfig } from '../../server/config.ts'
import { StorageError } from '../../src/index.ts'
import { createRegistry, createRequestMetrics } from '../../server/health-routes.ts'
import { createRequestIdGenerator } from '../../server/logging.ts'
import { serverApp } from '../support/app/server-app.ts'
import { until } from '../support/time/until.ts'

interface Line {
  readonly level: number
  readonly reqId: string
  readonly req: { readonly method: string; readonly url: string; readonly remoteAddress: string }
  readonly route?: string
  readonly res: { readonly statusCode: number }
  readonly code?: string
  readonly provider?: string
  readonly connectionId?: string
  readonly connectionStatus?: string
  readonly host?: string
  readonly causes?: readonly { readonly message?: string }[]
  readonly msg: string
}

const linesOf = (text: string): Line[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

/** The ready-made server with a reachable WebDAV server, and the log at its default level. */
async function start(t: Test, config: Partial<AppConfig> = {}, options: Parameters<typeof serverApp>[1] = {}) {
  const dav = await FakeDav.start(t, { auth: { type: 'basic' } })
  const host = new URL(dav.url).host
  const server = await serverApp(t, {
    ...options,
    config: {
      logLevel: 'info',
      allowHosts: { s3: [], webdav: [host], nextcloud: [] },
      timeouts: { totalMs: 20_000, headersMs: 2000 },
      leaseMs: 0,
      ...config
    }
  })
  const { app, as, log } = server
  const fields = { baseUrl: dav.url, username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }
  const connect = async (over: object = {}) =>
    app.inject({
      method: 'POST',
      url: '/cloud/connections/webdav',
      headers: as('ann'),
      payload: { ...fields, ...over }
    })
  /** Returns the only log line of a request. */
  const lineOf = async (t: Test, answer: { headers: Record<string, unknown> }): Promise<Line> => {
    const id = answer.headers['x-request-id']
    if (typeof id !== 'string') throw new Error('The response has no X-Request-Id.')
    await until(() => log.text.includes(id))
    const lines = linesOf(log.text).filter(({ reqId }) => reqId === id)
    t.equal(lines.length, 1, 'one line per request')
    return lines[0]!
  }
  const list = async (query = '', user = 'ann') =>
    app.inject({ url: `/cloud/webdav/listing${query}`, headers: as(user) })
  return { ...server, dav, host, connect, lineOf, list }
}

t.test('the log line of a failed request has the request, connection, status, provider, host and reason', async (t) => {
  const { dav, host, connect, lineOf, list, log, database } = await start(t)
  const made = await connect()
  t.equal(made.statusCode, 201, made.body)
  const { id } = made.json<{ id: string }>()
  const set = async (data: object): Promise<void> => {
    await database.prisma.cloudConnection.updateMany({ where: { id }, data })
  }
  const isListing = { matching: ({ method }: { method: string }) => method === 'PROPFIND' }
  const secret = { body: 'SECRET body', headers: { 'x-secret': 'SECRET header' } }

  const unknown = '00000000-0000-4000-8000-000000000000'
  const sealed = (await database.prisma.cloudConnection.findFirstOrThrow({ where: { id } })).credentials
  const cases: [string, () => Promise<unknown>, () => ReturnType<typeof list>, Partial<Line> & { status: number }][] = [
    [
      'no connection',
      async () => undefined,
      () => list('', 'bob'),
      { status: 503, level: 40, code: 'CONNECTION_MISSING', provider: 'webdav' }
    ],
    [
      'an unknown connection',
      async () => undefined,
      () => list(`?connection=${unknown}`),
      { status: 404, level: 30, code: 'CONNECTION_NOT_FOUND', provider: 'webdav', connectionId: unknown }
    ],
    [
      'a disabled connection',
      () => set({ status: 'DISABLED' }),
      () => list(),
      { status: 503, code: 'CONNECTION_INACTIVE', connectionId: id, connectionStatus: 'DISABLED' }
    ],
    [
      'a connection that needs a sign-in',
      () => set({ status: 'REQUIRES_REAUTH' }),
      () => list(),
      { status: 503, code: 'CONNECTION_INACTIVE', connectionId: id, connectionStatus: 'REQUIRES_REAUTH' }
    ],
    [
      'unreadable credentials',
      () => set({ status: 'ACTIVE', credentials: 'v1.k0.AAAA' }),
      () => list(),
      { status: 503, code: 'CREDENTIALS_UNREADABLE', connectionId: id, connectionStatus: 'ACTIVE' }
    ],
    ...(
      [
        ['403', respondsWith(403, secret), { status: 403, level: 30, code: 'ACCESS_DENIED' }],
        ['404', respondsWith(404, secret), { status: 404, level: 30, code: 'FOLDER_NOT_FOUND' }],
        [
          '429',
          respondsWith(429, { ...secret, retryAfter: 600 }),
          { status: 503, level: 40, code: 'PROVIDER_THROTTLED' }
        ],
        ['500', respondsWith(500, secret), { status: 503, level: 40, code: 'PROVIDER_UNAVAILABLE' }],
        ['a reset', resets(), { status: 503, level: 40, code: 'PROVIDER_UNAVAILABLE' }],
        ['silence', hangs(), { status: 504, level: 40, code: 'PROVIDER_TIMEOUT' }],
        [
          '401',
          respondsWith(401, secret),
          { status: 503, code: 'CONNECTION_INACTIVE', connectionStatus: 'REQUIRES_REAUTH' }
        ]
      ] as const
    ).map(
      ([what, fault, expected], at) =>
        [
          what,
          async () => {
            // A new connection each time, because a throttled provider is not called.
            dav.script = () => false
            await database.prisma.cloudConnection.deleteMany({})
            await connect({ baseUrl: dav.url })
            dav.script = faultScript(fault, isListing)
          },
          () => list(`?folder=folder${at}%2F`),
          { provider: 'webdav', host, connectionStatus: 'ACTIVE', ...expected }
        ] as [string, () => Promise<unknown>, () => ReturnType<typeof list>, Partial<Line> & { status: number }]
    )
  ]
  for (const [what, prepare, request, { status, ...expected }] of cases) {
    await prepare()
    const answer = await request()
    t.equal(answer.statusCode, status, what)
    const line = await lineOf(t, answer)
    t.match(line, { route: '/cloud/:provider/listing', res: { statusCode: status }, ...expected }, what)
    t.equal(line.req.url, '/cloud/webdav/listing')
    t.not(line.msg, 'request completed', 'the message is the reason')
    await database.prisma.cloudConnection.updateMany({ data: { credentials: sealed, status: 'ACTIVE' } })
    if (expected.host !== undefined) t.type(line.connectionId, 'string', what)
  }
  t.notMatch(log.text, /SECRET|eyJ/)
  t.notMatch(log.text, FAKE_DAV_PASSWORD)
})

t.test('an open circuit, a forbidden host, an unknown host and a lost database are logged differently', async (t) => {
  let isLost = false
  const lost = Object.assign(new Error('connect SECRET'), { code: 'ECONNREFUSED' })
  const { dav, host, connect, lineOf, list, log } = await start(
    t,
    {},
    {
      database: (database) => ({
        ...database,
        prisma: new Proxy(database.prisma, {
          get: (client, name) => {
            const value: unknown = Reflect.get(client, name)
            return isLost && name === 'cloudConnection' ? { findMany: () => Promise.reject(lost) } : value
          }
        })
      })
    }
  )
  const forbidden = await connect({ baseUrl: 'http://127.0.0.2:9/' })
  t.match(await lineOf(t, forbidden), { code: 'ENDPOINT_FORBIDDEN', provider: 'webdav', host: '127.0.0.2:9' })
  const nowhere = await connect({ baseUrl: 'https://no-such-host.invalid/' })
  t.match(await lineOf(t, nowhere), { code: /^PROVIDER_/, provider: 'webdav', host: 'no-such-host.invalid' })

  const { id } = (await connect()).json<{ id: string }>()
  dav.script = faultScript(resets(), { matching: ({ method }) => method === 'PROPFIND' })
  for (let at = 0; at < 6; at++) {
    const answer = await list(`?folder=f${at}%2F`)
    const line = await lineOf(t, answer)
    t.match(line, { provider: 'webdav', connectionId: id, connectionStatus: 'ACTIVE', host })
    if (at === 5) t.match(line.msg, 'failed repeatedly')
  }

  isLost = true
  const answer = await list()
  t.match(await lineOf(t, answer), { code: 'DATABASE_UNAVAILABLE', provider: 'webdav', level: 40 })
  t.notMatch(log.text, /SECRET/)
})

t.test('a request writes one line with method, path, status, duration and client', async (t) => {
  const { app, as, log } = await serverApp(t, { config: { logLevel: 'info' } })
  log.text = ''
  for (const url of [
    '/cloud/object/listing?folder=SECRET',
    '/nothing?token=SECRET',
    '/health/live',
    '/documents/%ZZ'
  ]) {
    await app.inject({ url, headers: { ...as('ann'), 'user-agent': `test ${'x'.repeat(10_000)}` } })
  }
  await until(() => linesOf(log.text).length === 3)
  const lines = linesOf(log.text)
  t.match(lines, [
    { req: { method: 'GET', url: '/cloud/object/listing' }, res: { statusCode: 200 }, msg: 'request completed' },
    { req: { method: 'GET', url: '/nothing' }, res: { statusCode: 404 } },
    { req: { url: '/documents/%ZZ' }, res: { statusCode: 400 } }
  ])
  for (const line of lines) {
    t.match(line, {
      level: 30,
      responseTime: Number,
      userAgent: /^test x{200,300}…$/,
      req: { remoteAddress: '127.0.0.1' }
    })
  }
  t.notMatch(log.text, /SECRET|incoming/)
})

t.test('X-Request-Id is returned, and accepted from trusted proxies only', async (t) => {
  for (const [trustProxy, given, isTaken] of [
    [[], 'from-the-client', false],
    [['10.0.0.0/8', '::1'], 'from-the-client', false],
    [['127.0.0.1'], 'from-the-proxy', true],
    [['loopback'], 'Root=1-67891233:a.b_c+d', true],
    [['loopback'], 'a"b', false],
    [['loopback'], 'a b', false],
    [['loopback'], 'x'.repeat(129), false],
    [['loopback'], '', false]
  ] as const) {
    const { app } = await serverApp(t, { config: { trustProxy } })
    for (const url of ['/health/live', '/nothing', '/documents/%ZZ', '/documents']) {
      const answer = await app.inject({ url, headers: { 'x-request-id': given } })
      const id = answer.headers['x-request-id']
      t.equal(id === given, isTaken, `${url}: ${given.slice(0, 40)}`)
      if (!isTaken) t.match(id, /^[0-9a-f-]{36}$/)
      if (answer.statusCode >= 400) t.equal(answer.json<{ requestId: string }>().requestId, id)
    }
  }
})

t.test('proxies can be given as IPv4-mapped IPv6 addresses, ranges and names', async (t) => {
  const idOf = (trusted: readonly string[], remoteAddress: string | undefined): string =>
    createRequestIdGenerator(trusted)({ socket: { remoteAddress }, headers: { 'x-request-id': 'given' } } as never)
  for (const [trusted, address] of [
    ['10.0.0.0/8', '10.1.2.3'],
    ['10.0.0.0/8', '::ffff:10.1.2.3'],
    ['uniquelocal', '192.168.1.1'],
    ['uniquelocal', 'fd00::1'],
    ['linklocal', 'fe80::1'],
    ['2001:db8::/32', '2001:db8::5']
  ] as const) {
    t.equal(idOf([trusted], address), 'given', `${trusted} ${address}`)
    t.not(idOf([trusted], '203.0.113.9'), 'given')
    t.not(idOf([trusted], undefined), 'given')
  }
})

t.test(
  'the client is found behind 16 proxies, and no further addresses of X-Forwarded-For are looked up',
  async (t) => {
    const { app, log } = await serverApp(t, { config: { logLevel: 'info', trustProxy: ['loopback'] } })
    /** Returns the address that is logged for a client behind a number of trusted proxies. */
    const addressBehind = async (proxies: number): Promise<string> => {
      log.text = ''
      // The proxy that connects to the server is not listed.
      const listed = Array.from({ length: proxies - 1 }, (_, at) => `127.0.1.${proxies - 1 - at}`)
      const headers = { 'x-forwarded-for': ['203.0.113.7', ...listed].join(', ') }
      await app.inject({ url: '/nothing', headers })
      await until(() => linesOf(log.text).length === 1)
      return linesOf(log.text)[0]!.req.remoteAddress
    }
    t.equal(await addressBehind(1), '203.0.113.7')
    t.equal(await addressBehind(16), '203.0.113.7')
    t.equal(await addressBehind(17), '127.0.1.16')
    t.equal(await addressBehind(200), '127.0.1.16')
  }
)

t.test('a response that is aborted by the client or fails at the source is logged in one line', async (t) => {
  const { app, as, log, object, add } = await serverApp(t, { config: { logLevel: 'info' } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const path = await add()
  for (const isLeft of [true, false]) {
    const body = new Readable({ read: () => undefined })
    body.push('hel')
    object.send = async () => ({ body })
    log.text = ''
    const leaving = new AbortController()
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: as('ann'), signal: leaving.signal })
    if (isLeft) leaving.abort()
    else
      body.destroy(new StorageError('PROVIDER_UNAVAILABLE', 'The transfer broke off.', { cause: new Error('SECRET') }))
    await t.rejects(answer.text())
    await until(() => log.text.includes('\n'))
    const [line, ...others] = linesOf(log.text)
    t.same(others, [])
    t.match(line, { aborted: true, res: { statusCode: 200 }, req: { method: 'GET' } })
    if (isLeft) t.match(line, { level: 30, msg: 'request completed' })
    else
      t.match(line, {
        level: 40,
        code: 'PROVIDER_UNAVAILABLE',
        provider: 'object',
        connectionId: /./,
        msg: 'The transfer broke off.'
      })
    t.notMatch(log.text, 'SECRET')
  }
})

t.test('requests are counted by their route pattern, with bounded labels', async (t) => {
  const registry = createRegistry()
  const { app, as } = await serverApp(t, { onRequestCompleted: createRequestMetrics(registry) })
  const asked = [
    ['GET', '/cloud/object/listing'],
    ['GET', '/cloud/object/listing?folder=another'],
    ['GET', '/nothing'],
    ['GET', '/something/else'],
    ['PROPFIND', '/nothing'],
    ['GET', '/documents/%ZZ']
  ] as const
  for (const [method, url] of asked) await app.inject({ method: method as 'GET', url, headers: as('ann') })
  const text = await registry.metrics()
  t.match(text, /^http_requests_total\{method="GET",route="\/cloud\/:provider\/listing",status="200"\} 2$/m)
  t.match(text, /^http_requests_total\{method="GET",route="unknown",status="404"\} 2$/m)
  t.match(text, /^http_requests_total\{method="OTHER",route="unknown",status="404"\} 1$/m)
  t.match(text, /^http_requests_total\{method="GET",route="unknown",status="400"\} 1$/m)
  t.match(text, /^http_request_duration_seconds_count\{method="GET",route="\/cloud\/:provider\/listing"\} 2$/m)
  t.notMatch(text, /another|something|ann/)
})
