import t from 'tap'
import type { Egress, HttpResponse, HttpRequest } from '../../src/core/egress.ts'
import { openEgress } from '../support/backend/egress.ts'
import { NET_CLIENTS, startRespondingServer } from '../support/net/clients.ts'
import { failureOf } from '../support/rejection.ts'
import { startServer } from '../support/net/server.ts'
import { readBody } from '../support/app/read-body.ts'
import { until } from '../support/time/until.ts'
import { isAtDeclaredHost, isSameOrigin } from '../../src/net/redirects.ts'

const { signal } = new AbortController()
const KIB = 1024

const get = (egress: Egress, origin: string, request: Partial<HttpRequest> = {}): Promise<HttpResponse> =>
  egress.request({ method: 'GET', url: new URL(origin), signal, ...request })

for (const purpose of ['answer', 'transfer'] as const) {
  t.test(`discarding a short ${purpose} keeps its connection`, async (t) => {
    const server = await startServer(t)
    server.respond = (_request, response) => response.end(Buffer.alloc(60 * KIB))
    const egress = openEgress()
    for (let i = 0; i < 5; i++) await (await get(egress, server.origin, { purpose })).discard()
    t.equal(server.connections, 1)
    t.equal(server.requests.length, 5)
  })

  t.test(`discarding a long ${purpose} closes its connection`, async (t) => {
    const server = await startServer(t)
    server.respond = (_request, response) => response.end(Buffer.alloc(8 * KIB * KIB))
    await (await get(openEgress(), server.origin, { purpose })).discard()
    await until(() => server.sockets.size === 0)
  })

  t.test(`discarding a stalled ${purpose} ends`, async (t) => {
    const server = await startServer(t)
    server.respond = (_request, response) => response.write('<')
    await (await get(openEgress({ timeouts: { idleMs: 100 } }), server.origin, { purpose })).discard()
    await until(() => server.sockets.size === 0)
  })

  t.test(`destroying an unread ${purpose} closes its socket`, async (t) => {
    const server = await startServer(t)
    server.respond = (_request, response) => response.end(Buffer.alloc(2 * KIB * KIB))
    const egress = openEgress()
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(egress, server.origin, { purpose })))
    t.equal(server.sockets.size, 20)
    for (const { body } of answers) body.destroy()
    await until(() => server.sockets.size === 0)
  })

  t.test(`discarding a ${purpose} that was read or has failed is harmless`, async (t) => {
    const server = await startServer(t)
    const answer = await get(openEgress(), server.origin, { purpose })
    await readBody(answer.body)
    await answer.discard()
    server.respond = (_request, response) => {
      response.write('<', () => response.destroy())
    }
    const cut = await get(openEgress(), server.origin, { purpose })
    await failureOf(readBody(cut.body))
    await cut.discard()
  })
}

t.test('sequential calls share a connection', async (t) => {
  const server = await startServer(t)
  const egress = openEgress()
  for (let i = 0; i < 5; i++) await readBody((await get(egress, server.origin)).body)
  t.equal(server.connections, 1)
})

for (const client of NET_CLIENTS) {
  t.test(`closing ends the sockets of ${client.name}, idle or not`, async (t) => {
    const server = await startRespondingServer(t)
    const egress = openEgress()
    await client.call(egress, server.origin)
    t.equal(server.sockets.size, 1)
    server.respond = () => {}
    const calls = [client.call(egress, server.origin), client.call(egress, server.origin)].map(failureOf)
    await until(() => server.requests.length === 3)
    await egress.close()
    for (const call of calls) t.equal((await call).code, 'PROVIDER_UNAVAILABLE')
    await until(() => server.sockets.size === 0)
  })
}

t.test('closing is harmless if nothing was used, and can be repeated', async () => {
  const egress = openEgress()
  await egress.close()
  await egress.close()
})

t.test('after closing no host can be reached', async (t) => {
  const server = await startServer(t)
  const egress = openEgress()
  await (await get(egress, server.origin)).discard()
  await egress.close()
  t.equal((await failureOf(get(egress, server.origin))).code, 'PROVIDER_UNAVAILABLE')
  t.equal(server.connections, 1)
})

const same = (a: string, b: string): boolean => isSameOrigin(new URL(a), new URL(b))
const at = (url: string, ...hosts: string[]): boolean => isAtDeclaredHost(new URL(url), hosts)

t.test('an origin consists of scheme, host and port', async (t) => {
  t.ok(same('https://nas.lan/a', 'https://NAS.lan:443/b?c#d'))
  t.notOk(same('https://nas.lan', 'http://nas.lan'))
  t.notOk(same('https://nas.lan', 'https://nas.lan:444'))
  t.notOk(same('https://nas.lan', 'https://nas.lan.'))
  t.notOk(same('https://nas.lan', 'https://a.nas.lan'))
  // An opaque origin equals no origin, not even itself.
  t.notOk(same('file:///a', 'file:///a'))
  t.notOk(same('data:,a', 'data:,a'))
})

t.test('a declared host matches exactly', async (t) => {
  t.ok(at('https://content.example.org/x?y', 'other.org', 'content.example.org'))
  t.ok(at('https://CONTENT.example.org:443', 'content.example.org'))
  for (const url of [
    'https://example.org',
    'https://a.content.example.org',
    'https://xcontent.example.org',
    'https://content.example.org.evil.org',
    'https://content.example.org.',
    'http://content.example.org',
    'https://content.example.org:8443',
    'https://user@content.example.org',
    'https://:secret@content.example.org',
    'ftp://content.example.org',
    'https://evil.org/content.example.org',
    'https://evil.org#content.example.org'
  ])
    t.notOk(at(url, 'content.example.org'), url)
  t.notOk(at('https://content.example.org'))
})

t.test('a wildcard matches all subdomains and not the host itself', async (t) => {
  t.ok(at('https://a.example.org', '*.example.org'))
  t.ok(at('https://a.b.example.org', '*.example.org'))
  for (const url of [
    'https://example.org',
    'https://xexample.org',
    'https://a.example.org.evil.org',
    'http://a.example.org'
  ])
    t.notOk(at(url, '*.example.org'), url)
})
