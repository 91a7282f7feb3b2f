import t from 'tap'
import type { Egress, HttpAnswer, HttpRequest } from '../../../src/domain/egress.ts'
import { openEgress } from '../../support/egress.ts'
import { failureOf, NET_CLIENTS, startContenting } from '../../support/net-clients.ts'
import { startServer } from '../../support/net-server.ts'
import { readBody } from '../../support/read-body.ts'
import { until } from '../../support/until.ts'

const { signal } = new AbortController()
const KIB = 1024

const get = (egress: Egress, origin: string, request: Partial<HttpRequest> = {}): Promise<HttpAnswer> =>
  egress.request({ method: 'GET', url: new URL(origin), signal, ...request })

for (const purpose of ['answer', 'transfer'] as const) {
  t.test(`discarding a short ${purpose} keeps its connection`, async (t) => {
    const server = await startServer(t)
    server.answer = (_request, response) => response.end(Buffer.alloc(60 * KIB))
    const egress = openEgress()
    for (let i = 0; i < 5; i++) await (await get(egress, server.origin, { purpose })).discard()
    t.equal(server.connections, 1)
    t.equal(server.requests.length, 5)
  })

  t.test(`discarding a long ${purpose} drops its connection`, async (t) => {
    const server = await startServer(t)
    server.answer = (_request, response) => response.end(Buffer.alloc(8 * KIB * KIB))
    await (await get(openEgress(), server.origin, { purpose })).discard()
    await until(() => server.sockets.size === 0)
  })

  t.test(`discarding a ${purpose} that says nothing more ends`, async (t) => {
    const server = await startServer(t)
    server.answer = (_request, response) => response.write('<')
    await (await get(openEgress({ timeouts: { idleMs: 100 } }), server.origin, { purpose })).discard()
    await until(() => server.sockets.size === 0)
  })

  t.test(`an unread ${purpose} that is destroyed leaves no socket`, async (t) => {
    const server = await startServer(t)
    server.answer = (_request, response) => response.end(Buffer.alloc(2 * KIB * KIB))
    const egress = openEgress()
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(egress, server.origin, { purpose })))
    t.equal(server.sockets.size, 20)
    for (const { body } of answers) body.destroy()
    await until(() => server.sockets.size === 0)
  })

  t.test(`discarding a ${purpose} that was read, or has failed, does no harm`, async (t) => {
    const server = await startServer(t)
    const answer = await get(openEgress(), server.origin, { purpose })
    await readBody(answer.body)
    await answer.discard()
    server.answer = (_request, response) => {
      response.write('<', () => response.destroy())
    }
    const cut = await get(openEgress(), server.origin, { purpose })
    await failureOf(readBody(cut.body))
    await cut.discard()
  })
}

t.test('calls one after the other share a connection', async (t) => {
  const server = await startServer(t)
  const egress = openEgress()
  for (let i = 0; i < 5; i++) await readBody((await get(egress, server.origin)).body)
  t.equal(server.connections, 1)
})

for (const client of NET_CLIENTS) {
  t.test(`closing ends the sockets of ${client.name}, idle or not`, async (t) => {
    const server = await startContenting(t)
    const egress = openEgress()
    await client.call(egress, server.origin)
    t.equal(server.sockets.size, 1)
    server.answer = () => {}
    const calls = [client.call(egress, server.origin), client.call(egress, server.origin)].map(failureOf)
    await until(() => server.requests.length === 3)
    await egress.close()
    for (const call of calls) t.equal((await call).code, 'PROVIDER_UNAVAILABLE')
    await until(() => server.sockets.size === 0)
  })
}

t.test('closing what was never used does no harm, nor does closing twice', async () => {
  const egress = openEgress()
  await egress.close()
  await egress.close()
})

t.test('after closing nothing is reached any more', async (t) => {
  const server = await startServer(t)
  const egress = openEgress()
  await (await get(egress, server.origin)).discard()
  await egress.close()
  t.equal((await failureOf(get(egress, server.origin))).code, 'PROVIDER_UNAVAILABLE')
  t.equal(server.connections, 1)
})
