import Module from 'node:module'
import sensible from '@fastify/sensible'
import Fastify from 'fastify'
import t from 'tap'
import cloudStorage, { type CloudStorageOptions, defineProvider, isStorageError } from '../src/index.ts'
import { encryption, scriptedProvider, testApp } from './support/app/app.ts'
import { emptyDatabase, ownDatabase } from './support/database/database.ts'
import { LogLines } from './support/app/server-app.ts'

const LISTING = '/cloud/scripted/listing'

t.test('an invalid option makes ready() reject with its name', async (t) => {
  const { prisma } = await emptyDatabase()
  const good: CloudStorageOptions = { prisma, encryption, authenticate: () => 'ann' }
  const provider = scriptedProvider().provider
  const bucket = { type: 's3', bucket: 'documents', credentials: { accessKeyId: 'a', secretAccessKey: 's' } }
  const bad: [Record<string, unknown>, RegExp][] = [
    [{ prisma: undefined }, /prisma/],
    [{ prisma: {} }, /prisma/],
    [{ authenticate: undefined }, /authenticate/],
    [{ authenticate: 'ann' }, /authenticate/],
    [{ encryption: undefined }, /encryption/],
    [{ encryption: { current: 'k1', keys: {} } }, /encryption/],
    [{ encryption: { current: 'k2', keys: encryption.keys } }, /encryption\.current/],
    [{ encryption: { current: 'k1', keys: { k1: 'short' } } }, /encryption\.keys\.k1/],
    [{ providers: { nowhere: true } }, /providers\.nowhere/],
    [{ providers: { mine: { open: () => undefined } } }, /providers\.mine/],
    [{ providers: { other: provider } }, /providers\.other/],
    [{ providers: { s3: { allowHost: [] } } }, /providers\.s3\.allowHost/],
    [{ providers: { s3: { allowHosts: 'nas.lan' } } }, /providers\.s3\.allowHosts/],
    [{ providers: { s3: { allowHosts: ['*.lan'] } } }, /providers\.s3\.allowHosts.*\*\.lan/],
    [{ providers: { scripted: { provider, allowHosts: ['*.lan'] } } }, /providers\.scripted\.allowHosts.*\*\.lan/],
    [{ providers: { other: { provider } } }, /providers\.other/],
    [{ providers: { s3: { provider: {} } } }, /providers\.s3/],
    [{ providers: { __proto__: null, constructor: true } }, /providers\.constructor/],
    [{ cache: { ttlMs: 0 } }, /cache\.ttlMs/],
    [{ cache: { ttlMs: 1.5 } }, /cache\.ttlMs/],
    [{ cache: { max: '1000' } }, /cache\.max/],
    [{ cache: { maxSharePerUser: 0 } }, /cache\.maxSharePerUser/],
    [{ cache: { maxSharePerUser: 25 } }, /cache\.maxSharePerUser/],
    [{ cache: { maxSharePerUser: '0.5' } }, /cache\.maxSharePerUser/],
    [{ cache: { maxSharePerUser: null } }, /cache\.maxSharePerUser/],
    [{ cache: { readAhead: 'false' } }, /cache\.readAhead/],
    [{ cache: { readAhead: 0 } }, /cache\.readAhead/],
    [{ cache: { readAhead: null } }, /cache\.readAhead/],
    [{ cache: { check: true } }, /cache\.check/],
    [{ cache: { check: { afterMs: 0 } } }, /cache\.check\.afterMs/],
    [{ cache: { check: { onedrive: '30s' } } }, /cache\.check\.onedrive/],
    [{ cache: { check: { s3: 1000 } } }, /cache\.check\.s3/],
    [{ cache: { coveredTtlMs: 0 } }, /cache\.coveredTtlMs/],
    [{ cache: { staleIfErrorMs: -1 } }, /cache\.staleIfErrorMs/],
    [{ cache: { staleIfErrorMs: null } }, /cache\.staleIfErrorMs/],
    [{ limits: { refreshPerMinute: -1 } }, /limits\.refreshPerMinute/],
    [{ timeouts: { totalMs: Infinity } }, /timeouts\.totalMs/],

    [{ encryption: { ...encryption, curent: 'k1' } }, /encryption\.curent/],
    [{ managed: { minio: { type: 'tape' } } }, /managed\.minio/],
    [{ managed: { minio: { ...bucket, endpoint: 'minio:9000' } } }, /managed\.minio.*endpoint/],
    [{ managed: { minio: { ...bucket, prefix: '../x' } } }, /managed\.minio.*prefix/],
    [{ managed: { minio: { ...bucket, buket: 'b' } } }, /managed\.minio\.buket/],
    [{ managed: { minio: { type: 'disk' } } }, /managed\.minio\.directory/],
    [
      {
        managed: { minio: { type: 's3', bucket: 'documents', credentials: { accessKeyId: '', secretAccessKey: 's' } } }
      },
      /accessKeyId/
    ],
    [
      { managed: { scripted: { type: 'disk', directory: '/tmp/x' } }, providers: { scripted: provider } },
      /managed\.scripted/
    ],
    [{ publicUrl: 'app.example.org' }, /publicUrl/],
    [{ publicUrl: 'ftp://app.example.org' }, /publicUrl/],
    [{ onConnectionChange: true }, /onConnectionChange/],
    [{ cache: { shared: {} } }, /cache\.shared\.redis/],
    [{ cache: { shared: { redis: { get: () => null } } } }, /cache\.shared\.redis.*getBuffer/],
    [{ cache: { shared: { redis: {}, prefix: 'a' } } }, /cache\.shared\.prefix/],
    [{ spool: { maxBytes: 0 } }, /spool\.maxBytes/],
    [{ spool: { maxBytes: 2, maxBytesPerUser: 1 } }, /spool\.maxBytesPerUser/],
    [{ spool: { maxBytes: 2, maxTotalBytes: 1 } }, /spool\.maxTotalBytes/],
    [{ spool: { folder: 'spool' } }, /spool\.folder.*absolute/],
    [{ spool: { folder: '/nonexistent' } }, /spool\.folder/],
    [{ spool: { maxbytes: 1 } }, /spool\.maxbytes/],
    [{ leaseMs: -1 }, /leaseMs/],
    [{ routePrefix: 'cloud' }, /routePrefix/],
    [{ routePrefix: '/cloud/' }, /routePrefix/],
    [{ authentcate: () => 'ann' }, /authentcate/]
  ]
  for (const [over, message] of bad) {
    const app = Fastify({ pluginTimeout: 0 })
    app.register(cloudStorage, { ...good, ...over })
    await t.rejects(async () => app.ready(), { message }, String(message))
    await app.close()
  }
  const app = Fastify({ pluginTimeout: 0 })
  await app.register(cloudStorage, { ...good, listen: () => Promise.reject(new Error('no')), leaseMs: 0 })
  await app.ready()
  await app.close()
})

t.test('an enabled provider whose package is not installed is logged when the application is ready', async (t) => {
  const { prisma } = await emptyDatabase()
  const modules = Module as unknown as { _resolveFilename: (name: string, ...rest: unknown[]) => string }
  const resolve = modules._resolveFilename
  t.teardown(() => {
    modules._resolveFilename = resolve
  })
  modules._resolveFilename = (name, ...rest) => {
    if (name === 'googleapis') throw Object.assign(new Error('not found'), { code: 'MODULE_NOT_FOUND' })
    return resolve(name, ...rest)
  }
  const log = new LogLines()
  const app = Fastify({ pluginTimeout: 0, logger: { level: 'warn', stream: log } })
  t.teardown(() => app.close())
  await app.register(cloudStorage, {
    prisma,
    encryption,
    authenticate: () => 'ann',
    publicUrl: 'https://app.example.org',
    providers: { google_drive: { clientId: 'id', clientSecret: 'secret' }, s3: true }
  })
  await app.ready()
  t.match(log.text, /"provider":"google_drive","packages":\["googleapis"\].*npm install googleapis/)
  t.notMatch(log.text, '"s3"')
})

t.test('an error about an option never contains a key', async (t) => {
  const { prisma } = await emptyDatabase()
  const key = 'c2VjcmV0LXNlY3JldC1zZWNyZXQ'
  const app = Fastify({ pluginTimeout: 0 })
  app.register(cloudStorage, { prisma, authenticate: () => 'ann', encryption: { current: key, keys: { k1: key } } })
  await t.rejects(async () => app.ready(), { message: /^((?!c2VjcmV0).)*$/ })
})

t.test('a database without the trigger makes ready() reject', async (t) => {
  const { prisma } = await ownDatabase(t)
  const triggers = await prisma.$queryRaw<{ name: string }[]>`
    SELECT tgname AS name FROM pg_trigger WHERE tgrelid = 'cloud_connections'::regclass AND NOT tgisinternal`
  t.ok(triggers.length > 0)
  await prisma.$executeRawUnsafe(`DROP TRIGGER "${triggers[0]!.name}" ON cloud_connections`)
  const app = Fastify({ pluginTimeout: 0 })
  app.register(cloudStorage, { prisma, encryption, authenticate: () => 'ann' })
  await t.rejects(async () => app.ready(), { message: new RegExp(triggers[0]!.name) })
})

t.test('registering twice in one tree is a clear error', async (t) => {
  const { app, db } = await testApp(t)
  app.register(async (child) => {
    await child.register(cloudStorage, { prisma: db.prisma, encryption, authenticate: () => 'ann' })
  })
  await t.rejects(async () => app.ready(), { message: /already registered/ })
})

t.test('the host may register @fastify/sensible before, after, or not at all', async (t) => {
  for (const order of ['before', 'after', 'none']) {
    const { app, as, connect } = await testApp(t, {}, {}, async (host) => {
      if (order === 'before') await host.register(sensible)
    })
    if (order === 'after') app.register(sensible)
    await connect('ann')
    const answer = await as('ann').get(LISTING)
    t.equal(answer.statusCode, 200, order)
    t.equal(answer.headers.vary, 'Authorization, Cookie, Accept-Encoding')
    t.equal(app.hasReplyDecorator('vary'), order !== 'none', 'the plugin adds no decorator to the host')
  }
})

t.test('Vary is extended, never overwritten', async (t) => {
  const { as, connect } = await testApp(t, {}, {}, (host) => {
    host.addHook('onRequest', async (_request, reply) => {
      reply.header('vary', 'Origin')
    })
  })
  await connect('ann')
  t.equal((await as('ann').get(LISTING)).headers.vary, 'Origin, Authorization, Cookie, Accept-Encoding')
})

t.test('the routes do not affect the host: no error handler, no validator, no prefix', async (t) => {
  const { app, as } = await testApp(t, { routePrefix: '/api/files' }, {}, (host) => {
    host.setErrorHandler(async (error: Error, _request, reply) => reply.code(418).send({ host: error.message }))
    host.setValidatorCompiler(() => () => true)
    host.get('/own', async () => {
      throw new Error('mine')
    })
  })
  t.equal((await app.inject('/own')).body, '{"host":"mine"}')
  t.equal((await as('ann').get('/cloud/providers')).statusCode, 404)
  t.equal((await as('ann').get('/api/files/scripted/listing?limit=0')).statusCode, 400, 'the validator of the plugin')
})

t.test('without routes only the decorators are added', async (t) => {
  const { app, as } = await testApp(t, { routePrefix: false })
  await app.ready()
  t.equal((await as('ann').get('/cloud/providers')).statusCode, 404)
  t.type(app.getStorageBackendForDocument, 'function')
  t.equal(await app.folderCache.getOrFetch({ userId: 'a', provider: 'p', folderId: null }, async () => 1), 1)
})

t.test('authenticate determines the user before anything else', async (t) => {
  const cases: [() => unknown, number, string][] = [
    [() => undefined, 401, 'UNAUTHENTICATED'],
    [() => null, 401, 'UNAUTHENTICATED'],
    [() => '', 401, 'UNAUTHENTICATED'],
    [() => Promise.reject(new Error('no token')), 401, 'UNAUTHENTICATED'],
    [
      () => {
        throw Object.assign(new Error('no'), { statusCode: 403 })
      },
      401,
      'UNAUTHENTICATED'
    ],
    [
      () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- a host may throw anything
        throw null
      },
      401,
      'UNAUTHENTICATED'
    ],
    [
      () => {
        throw Object.assign(new Error('down: SECRET'), { statusCode: 500 })
      },
      503,
      'AUTHENTICATION_UNAVAILABLE'
    ],
    [
      () => {
        throw Object.assign(new Error('down: SECRET'), { statusCode: 503 })
      },
      503,
      'AUTHENTICATION_UNAVAILABLE'
    ],
    [() => ({ id: 'ann' }), 500, 'INTERNAL'],
    [() => 42, 500, 'INTERNAL'],
    [() => ['ann'], 500, 'INTERNAL'],
    [() => true, 500, 'INTERNAL']
  ]
  for (const [authenticate, status, code] of cases) {
    const lines: string[] = []
    const { app, scripted } = await testApp(
      t,
      { authenticate: authenticate as CloudStorageOptions['authenticate'] },
      { logger: { stream: { write: (line: string) => lines.push(line) } } }
    )
    for (const [method, url] of [
      ['GET', `${LISTING}?limit=nonsense`],
      ['GET', '/cloud/providers'],
      ['GET', '/cloud/connections'],
      ['POST', '/cloud/connections/scripted'],
      ['DELETE', '/cloud/connections']
    ] as const) {
      const answer = await app.inject({ method, url })
      t.equal(answer.statusCode, status, `${code} ${url}`)
      t.match(answer.json(), { code, status })
      t.notMatch(answer.body, 'SECRET')
    }
    if (status === 500) t.match(lines.join(''), /authenticate must return a string/)
    t.equal(scripted.opened.length, 0)
    t.equal(app.folderCache.stats().loads, 0)
  }
})

t.test('a challenge that the host sets reaches the client', async (t) => {
  const { app } = await testApp(t, {
    authenticate: () => {
      throw Object.assign(new Error('no'), { statusCode: 401, headers: { 'www-authenticate': 'Bearer realm="x"' } })
    }
  })
  t.equal((await app.inject('/cloud/providers')).headers['www-authenticate'], 'Bearer realm="x"')
})

t.test('an error of the host’s own hooks keeps its status, headers and code', async (t) => {
  const { as } = await testApp(t, {}, {}, (host) => {
    host.addHook('onRequest', async (request) => {
      if (request.headers['x-busy'] === 'limited') {
        throw Object.assign(new Error('Slow down'), {
          statusCode: 429,
          code: 'HOST_LIMIT',
          headers: { 'retry-after': '7' }
        })
      }
      if (request.headers['x-busy'] === 'broken') throw new Error('SECRET')
    })
  })
  const limited = await as('ann').get('/cloud/providers', { 'x-busy': 'limited' })
  t.equal(limited.statusCode, 429)
  t.equal(limited.headers['retry-after'], '7')
  t.match(limited.json(), { type: 'about:blank', code: 'HOST_LIMIT', detail: 'Slow down', status: 429 })
  const broken = await as('ann').get('/cloud/providers', { 'x-busy': 'broken' })
  t.equal(broken.statusCode, 500)
  t.match(broken.json(), { code: 'INTERNAL', detail: 'An internal error occurred on the server.' })
})

t.test('a client that disconnects before the response ends the call upstream', async (t) => {
  const { app, connect, scripted } = await testApp(t)
  await connect('ann')
  scripted.backend.list = () => new Promise(() => undefined)
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  const controller = new AbortController()
  const gone = fetch(`${address}${LISTING}`, { headers: { 'x-user': 'ann' }, signal: controller.signal })
  while (scripted.backend.listCalls.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const aborted = new Promise((resolve) => {
    scripted.backend.listCalls[0]!.call.signal.addEventListener('abort', resolve)
  })
  controller.abort()
  await t.rejects(gone)
  await aborted
  t.pass('the call upstream is aborted')
})

t.test('defineProvider refuses an id that is not valid in a route', async (t) => {
  const { provider } = scriptedProvider()
  for (const id of ['', 'a/b', 'Upper', '..', 'connections', 'providers', '1a', 'x'.repeat(65)]) {
    t.throws(() => defineProvider({ ...provider, id }), TypeError, id)
  }
})

t.test('the plugin never disconnects a client that was passed to it', async (t) => {
  const { app, db } = await testApp(t)
  await app.ready()
  await app.close()
  t.equal(await db.prisma.cloudConnection.count(), 0)
})

t.test('the resolver rejects with SHUTTING_DOWN while the app closes', async (t) => {
  const { app } = await testApp(t)
  await app.ready()
  await app.close()
  const failure = await app
    .getStorageBackendForDocument({ id: 'd', userId: 'ann', storageBackend: 'minio', objectKey: 'k' }, { id: 'ann' })
    .catch((error: unknown) => error)
  t.ok(isStorageError(failure, 'SHUTTING_DOWN'))
  t.match(failure, { statusCode: 503 })
})

t.test('a custom provider may reach public servers, and others only if the host allows them', async (t) => {
  const reached = async (allowHosts?: string[]): Promise<string[]> => {
    const { provider } = scriptedProvider()
    const urls = ['https://cloud.example', 'http://cloud.example', 'http://127.0.0.1:9', 'http://169.254.169.254']
    const open: string[] = []
    const asking = defineProvider({
      ...provider,
      open: (context) => {
        for (const url of urls) {
          try {
            context.egress.assertAllowed(new URL(url))
            open.push(url)
          } catch (error) {
            t.ok(isStorageError(error, 'ENDPOINT_FORBIDDEN'))
          }
        }
        return provider.open(context)
      }
    })
    const value = allowHosts === undefined ? asking : { provider: asking, allowHosts }
    const { connect } = await testApp(t, { providers: { scripted: value } })
    await connect('ann')
    return open
  }
  t.same(await reached(), ['https://cloud.example'])
  t.same(await reached(['127.0.0.1:9', 'cloud.example', '169.254.0.0/16']), [
    'https://cloud.example',
    'http://cloud.example',
    'http://127.0.0.1:9'
  ])
})
