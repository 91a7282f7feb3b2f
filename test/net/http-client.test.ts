import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { Agent, buildConnector } from 'undici'
import type { HttpResponse, HttpRequest } from '../../src/core/egress.ts'
import { parseAllowHosts } from '../../src/net/allow-hosts.ts'
import { EgressRules } from '../../src/net/egress-rules.ts'
import { HttpClient } from '../../src/net/http-client.ts'
import { openEgress } from '../support/backend/egress.ts'
import { NET_CLIENTS } from '../support/net/clients.ts'
import { failureOf } from '../support/rejection.ts'
import { startServer } from '../support/net/server.ts'
import { readBody } from '../support/app/read-body.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

const { signal } = new AbortController()
const MESSAGE = 'The provider sent a redirect that is not allowed.'

/** A server that redirects from each of `places` to its location. Other paths respond with the path. */
async function leading(t: Test, places: Record<string, string>, status = 302, isTls = false) {
  const server = await startServer(t, { isTls })
  server.respond = ({ url = '' }, response) => {
    const location = places[url]
    if (location === undefined) response.end(`at ${url}`)
    else response.writeHead(status, { location }).end('elsewhere')
  }
  return server
}

const egress = openEgress({ allowHosts: ['127.0.0.0/8', 'localhost'] })

const get = (url: string, request: Partial<HttpRequest> = {}): Promise<HttpResponse> =>
  egress.request({ method: 'GET', url: new URL(url), signal, ...request })

t.test('a redirect to the same origin is followed, and the response has the final URL', async (t) => {
  for (const status of [301, 302, 303, 307, 308]) {
    const server = await leading(t, { '/a?b=1': '/c/d?e=2#f' }, status)
    const answer = await get(`${server.origin}/a?b=1`, { headers: { authorization: 'Bearer SECRET' } })
    t.equal((await readBody(answer.body)).toString(), 'at /c/d?e=2')
    t.same([answer.status, answer.url.pathname], [200, '/c/d'])
    t.equal(server.requests[1]?.headers.authorization, 'Bearer SECRET')
    t.equal(server.connections, 1)
  }
})

t.test('a relative location is resolved against the redirecting URL', async (t) => {
  const server = await leading(t, { '/a/b': 'c', '/a/c': '../d', '/d': '' })
  server.respond = ((before) => (request, response) => {
    if (request.url !== '/d') before(request, response)
    else response.writeHead(302, { location: `//127.0.0.1:${server.port}/e` }).end()
  })(server.respond)
  t.equal((await readBody((await get(`${server.origin}/a/b`)).body)).toString(), 'at /e')
})

t.test('three redirects are followed, and a fourth is not', async (t) => {
  const server = await leading(t, { '/0': '/1', '/1': '/2', '/2': '/3', '/3': '/4' })
  t.equal((await readBody((await get(`${server.origin}/1`)).body)).toString(), 'at /4')
  const { code, cause } = await failureOf(get(`${server.origin}/0`))
  t.equal(code, 'PROVIDER_ERROR')
  t.match(cause, { message: /was redirected too often$/ })
  t.equal(server.requests.length, 4 + 4)
})

t.test('a redirect to another origin is refused without a request to it', async (t) => {
  const other = await startServer(t)
  const elsewhere = await startServer(t, { host: '127.0.0.2' })
  const server = await startServer(t)
  const { port } = server
  const places = [
    `${other.origin}/x`,
    `${elsewhere.origin}/x`,
    `http://localhost:${port}/x`,
    `http://127.0.0.2:${port}/x`,
    `http://user:secret@127.0.0.1:${port}/x`,
    `http://user@127.0.0.1:${port}/x`,
    `http://127.0.0.1.:${port + 1}/`,
    'http://10.0.0.1/',
    'http://169.254.169.254/latest/meta-data/',
    'https://example.org/',
    'file:///etc/passwd',
    'data:text/plain,SECRET',
    'secret-scheme:SECRET',
    'http://',
    'http://[',
    '//'
  ]
  for (const location of places) {
    server.respond = (_request, response) => response.writeHead(302, { location }).end()
    const { code, message, cause } = await failureOf(get(`${server.origin}/start`))
    t.same({ code, message }, { code: 'PROVIDER_ERROR', message: MESSAGE }, location)
    t.notMatch((cause as Error).message, /secret|passwd|meta-data/i)
  }
  t.equal(server.requests.length, places.length)
  t.same([other.connections, elsewhere.connections], [0, 0])
})

t.test('a redirect without a location, or with another status, is a response', async (t) => {
  const server = await startServer(t)
  for (const status of [300, 304, 305, 201, 200, 401]) {
    server.respond = (_request, response) => response.writeHead(status, { location: '/x' }).end()
    const answer = await get(server.origin)
    t.equal(answer.status, status)
    await answer.discard()
  }
  server.respond = (_request, response) => response.writeHead(302).end()
  const answer = await get(server.origin)
  t.equal(answer.status, 302)
  await answer.discard()
})

t.test('with manual redirects the caller receives them, whatever their location is', async (t) => {
  const server = await startServer(t)
  for (const location of ['/x', 'https://example.org/', 'http://10.0.0.1/', 'http://[']) {
    for (const method of ['GET', 'POST']) {
      server.respond = (_request, response) => response.writeHead(302, { location }).end('elsewhere')
      const answer = await get(server.origin, { method, redirects: 'manual' })
      t.match(answer, { status: 302, headers: { location } })
      t.equal((await readBody(answer.body)).toString(), 'elsewhere')
    }
  }
  t.same([...new Set(server.requests.map(({ url }) => url))], ['/'])
})

t.test('methods that write are not redirected', async (t) => {
  const server = await leading(t, { '/a': '/b' }, 307)
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'MKCOL', 'MOVE', 'LOCK']) {
    const { code, cause } = await failureOf(get(`${server.origin}/a`, { method }))
    t.equal(code, 'PROVIDER_ERROR', method)
    t.match(cause, { message: /although it is a write request$/ })
  }
  t.same([...new Set(server.requests.map(({ url }) => url))], ['/a'])
})

for (const client of NET_CLIENTS) {
  t.test(`${client.name} follows no redirect to another origin and reveals no secret there`, async (t) => {
    const [other, server] = [await startServer(t), await startServer(t)]
    const places = [`${other.origin}/token`, `http://localhost:${server.port}/token`, 'http://10.0.0.1/token']
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of places) {
        server.respond = (_request, response) => response.writeHead(status, { location }).end()
        const failure = await failureOf(client.call(egress, server.origin))
        t.equal(failure.code, client.mapCode('PROVIDER_ERROR'), location)
        t.notMatch(inspect(failure, { depth: 20, showHidden: true }), /SECRET/)
      }
    }
    t.equal(server.requests.length, 5 * places.length)
    t.equal(other.connections, 0)
  })
}

t.test('the OAuth client does not follow redirects within its own server either', async (t) => {
  const oauth = NET_CLIENTS.find(({ name }) => name === 'the OAuth client')!
  for (const status of [301, 302, 303, 307, 308]) {
    const server = await leading(t, { '/token': '/elsewhere' }, status)
    t.equal((await failureOf(oauth.call(egress, server.origin))).code, 'PROVIDER_UNAVAILABLE')
    t.match(server.requests, [{ method: 'POST', url: '/token', body: /SECRET-refresh/ }])
    t.equal(server.requests.length, 1)
  }
})

t.test('PROPFIND keeps its method, headers and body', async (t) => {
  for (const status of [301, 302, 303, 307, 308]) {
    const server = await leading(t, { '/dav': '/dav/' }, status)
    const asked = { method: 'PROPFIND', headers: { depth: '1' }, body: '<propfind/>' }
    await (await get(`${server.origin}/dav`, asked)).discard()
    t.match(server.requests[1], { method: 'PROPFIND', url: '/dav/', headers: { depth: '1' }, body: '<propfind/>' })
  }
})

t.test('a streamed body is not sent again', async (t) => {
  const server = await leading(t, { '/a': '/b' })
  const body = Readable.from([Buffer.from('once')])
  const { code } = await failureOf(get(`${server.origin}/a`, { method: 'PROPFIND', body }))
  t.equal(code, 'PROVIDER_ERROR')
  t.equal(server.requests.length, 1)
  t.ok(body.destroyed)
})

t.test('a body that is not sent is destroyed', async (t) => {
  const body = Readable.from([Buffer.from('never')])
  const { code } = await failureOf(get('http://10.0.0.1/', { method: 'PUT', body }))
  t.equal(code, 'ENDPOINT_FORBIDDEN')
  t.ok(body.destroyed)
})

t.test('a redirect to a declared host is followed over https, without credentials', async (t) => {
  const content = await startServer(t, { isTls: true })
  const server = await leading(t, {}, 302, true)
  // A declared host has the default port, which a test cannot use: it is connected to the test's server.
  const connect = buildConnector({ rejectUnauthorized: false })
  const dispatcher = new Agent({
    connect: (asked, callback) => {
      const port = asked.port === '' ? content.port : asked.port
      connect({ ...asked, hostname: '127.0.0.1', port: String(port) }, callback)
    }
  })
  t.teardown(() => dispatcher.destroy())
  const { agents, transferAgents, clock } = egress
  const client = new HttpClient({
    rules: new EgressRules(parseAllowHosts(['content.test', 'api.test'])),
    timeouts: TEST_TIMEOUTS,
    agents,
    transferAgents,
    clock,
    createDispatcher: async () => dispatcher
  })
  const headers = {
    authorization: 'Bearer SECRET',
    cookie: 'SECRET',
    'proxy-authorization': 'SECRET',
    'x-api-key': 'SECRET',
    'x-amz-security-token': 'SECRET',
    range: 'bytes=0-9'
  }
  const ask = (location: string, redirectHosts?: readonly string[]): Promise<HttpResponse> => {
    server.respond = (_request, response) => response.writeHead(302, { location }).end()
    const url = new URL(`https://api.test:${server.port}/`)
    return client.request({ method: 'GET', url, headers, signal, ...(redirectHosts && { redirectHosts }) })
  }
  const answer = await ask('https://content.test/file?sig=1', ['content.test'])
  await answer.discard()
  t.equal(answer.url.href, 'https://content.test/file?sig=1')
  t.match(content.requests, [{ url: '/file?sig=1', headers: { range: 'bytes=0-9' } }])
  t.notMatch(JSON.stringify(content.requests), /SECRET/)
  t.equal(server.requests[0]?.headers.authorization, 'Bearer SECRET')

  for (const [location, hosts] of [
    ['https://content.test/', undefined],
    ['https://content.test/', ['*.content.test']],
    ['https://xcontent.test/', ['content.test', '*.content.test']],
    ['http://content.test/', ['content.test']],
    [`https://content.test:${content.port}/`, ['content.test']],
    ['https://user@content.test/', ['content.test']],
    ['https://content.test./', ['content.test']]
  ] as const)
    t.equal((await failureOf(ask(location, hosts))).code, 'PROVIDER_ERROR', location)
  // A host declared by the provider must still be allowed by the operator.
  t.equal((await failureOf(ask('https://169.254.169.254/', ['169.254.169.254']))).code, 'ENDPOINT_FORBIDDEN')
  t.equal(content.requests.length, 1)
})

t.test('a redirect from https to http is not followed', async (t) => {
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  const plain = await startServer(t)
  const server = await leading(t, { '/a': `http://127.0.0.1:${plain.port}/a`, '/b': '/c' }, 301, true)
  t.equal((await failureOf(get(`${server.origin}/a`, { redirectHosts: ['127.0.0.1'] }))).code, 'SCHEME_MISMATCH')
  t.equal((await readBody((await get(`${server.origin}/b`)).body)).toString(), 'at /c')
  t.equal(plain.connections, 0)
})
