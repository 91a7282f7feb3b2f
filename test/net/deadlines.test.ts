import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { compiledUrl } from '../support/source/compiled.ts'
import { openEgress } from '../support/backend/egress.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { NET_CLIENTS, startRespondingServer } from '../support/net/clients.ts'
import { failureOf } from '../support/rejection.ts'
import { startServer, startTcp } from '../support/net/server.ts'
import { readBody } from '../support/app/read-body.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'
import { until } from '../support/time/until.ts'

process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'

const SHORT = 150
const { signal } = new AbortController()

for (const client of NET_CLIENTS) {
  void t.test(client.name, async (t) => {
    t.test('connecting times out, including name resolution', async (t) => {
      const timeouts = { connectMs: SHORT }
      const asked: unknown[] = []
      const egress = openEgress({ timeouts, resolve: (...question) => asked.push(question) })
      const { code, retryable } = await failureOf(client.call(egress, 'http://nas.test:9', { timeouts }))
      t.same([code, retryable, asked.length], [client.mapCode('PROVIDER_TIMEOUT'), true, 1])
    })

    t.test('the TLS handshake times out', async (t) => {
      const server = await startTcp(t, () => {})
      const timeouts = { connectMs: SHORT, headersMs: SHORT }
      const call = client.call(openEgress({ timeouts }), `https://127.0.0.1:${server.port}`, { timeouts })
      t.equal((await failureOf(call)).code, client.mapCode('PROVIDER_TIMEOUT'))
      await until(() => server.sockets.size === 0)
    })

    t.test('waiting for a response times out', async (t) => {
      const server = await startServer(t)
      server.respond = () => {}
      const timeouts = { headersMs: SHORT }
      const call = client.call(openEgress({ timeouts }), server.origin, { timeouts })
      t.equal((await failureOf(call)).code, client.mapCode('PROVIDER_TIMEOUT'))
      await until(() => server.sockets.size === 0)
    })

    t.test('a stalled response times out', async (t) => {
      const server = await startServer(t)
      server.respond = (_request, response) => response.write('<')
      const timeouts = { idleMs: SHORT }
      const call = client.call(openEgress({ timeouts }), server.origin, { timeouts })
      t.equal((await failureOf(call)).code, client.mapCode('PROVIDER_TIMEOUT'))
      await until(() => server.sockets.size === 0)
    })

    t.test('an abort before the start ends with the reason of the caller', async (t) => {
      const server = await startServer(t)
      const reason = new Error('gone')
      const call = client.call(openEgress(), server.origin, { signal: AbortSignal.abort(reason) })
      t.equal(await call.catch((error: unknown) => error), reason)
      t.equal(server.connections, 0)
    })

    t.test('an abort before and during the response ends with the reason of the caller', async (t) => {
      for (const isBegun of [false, true]) {
        for (const reason of [new Error('gone'), new DOMException('gone', 'AbortError')]) {
          const server = await startServer(t)
          const controller = new AbortController()
          server.respond = (_request, response) => {
            if (isBegun) response.write('<')
            setImmediate(() => {
              controller.abort(reason)
            })
          }
          const call = client.call(openEgress(), server.origin, { signal: controller.signal })
          t.equal(await call.catch((error: unknown) => error), reason)
          await until(() => server.sockets.size === 0)
        }
      }
    })

    t.test('an abort during name resolution ends with the reason of the caller', async (t) => {
      const controller = new AbortController()
      const reason = new Error('gone')
      let asked: (() => void) | undefined
      const resolving = new Promise<void>((resolve) => {
        asked = resolve
      })
      // There is never a response: only the caller can end it before the deadline, which is later than the test's.
      const egress = openEgress({ resolve: () => asked?.(), timeouts: { connectMs: 200_000 } })
      const call = client.call(egress, 'http://nas.test:9', { signal: controller.signal })
      await resolving
      controller.abort(reason)
      t.equal(await call.catch((error: unknown) => error), reason)
    })
  })
}

t.test('a slow response ends at the total deadline, and a transfer does not', async (t) => {
  const server = await startServer(t)
  server.respond = (_request, response) => {
    response.write('<')
    const drip = setInterval(() => response.write(' '), 5)
    response.on('close', () => {
      clearInterval(drip)
    })
  }
  const tick = useManualTimers(t)
  const egress = openEgress({ timeouts: { totalMs: SHORT } })
  const url = new URL(server.origin)
  const transfer = await egress.request({ method: 'GET', url, signal, purpose: 'transfer' })
  const answer = await egress.request({ method: 'GET', url, signal })
  const unread = await egress.request({ method: 'GET', url, signal })
  tick(SHORT)
  t.equal((await failureOf(readBody(answer.body))).code, 'PROVIDER_TIMEOUT')
  await until(() => {
    tick(1)
    return unread.body.destroyed && server.sockets.size === 1
  })
  t.notOk(transfer.body.destroyed)
  transfer.body.destroy()
  await until(() => {
    tick(1)
    return server.sockets.size === 0
  })
})

t.test('redirects share one total deadline', async (t) => {
  const server = await startServer(t)
  server.respond = ({ url }, response) => {
    if (url === '/0') response.writeHead(302, { location: '/1' }).end()
  }
  const tick = useManualTimers(t)
  const egress = openEgress({ timeouts: { totalMs: SHORT } })
  const call = egress.request({ method: 'GET', url: new URL('/0', server.origin), signal })
  const failure = failureOf(call)
  await until(() => server.requests.length === 1)
  tick(SHORT - 1)
  await until(() => server.requests.length === 2)
  tick(1)
  t.equal((await failure).code, 'PROVIDER_TIMEOUT')
})

t.test('an abort reason of any type is passed on unchanged', async (t) => {
  const server = await startServer(t)
  const reason = { why: 'no error' }
  const controller = new AbortController()
  server.respond = () => {
    controller.abort(reason)
  }
  const call = openEgress().request({ method: 'GET', url: new URL(server.origin), signal: controller.signal })
  t.equal(await call.catch((error: unknown) => error), reason)
})

t.test('listeners on the signal of the caller are removed with the response', async (t) => {
  const server = await startServer(t)
  const egress = openEgress()
  const counted = new AbortController().signal
  const listeners = (): number => getEventListeners(counted, 'abort').length
  for (let i = 0; i < 3; i++) {
    const answer = await egress.request({ method: 'GET', url: new URL(server.origin), signal: counted })
    t.equal(listeners(), 1)
    await answer.discard()
  }
  await until(() => listeners() === 0)
})

t.test('deadlines survive the garbage collector, and idle sockets do not keep a process alive', async (t) => {
  const [silent, endless, working] = [await startServer(t), await startServer(t), await startRespondingServer(t)]
  // A process that waited for its idle sockets would wait this long.
  working.keepAlive(TEST_TIMEOUTS.totalMs)
  silent.respond = () => {}
  endless.respond = (_request, response) => response.write('<')
  const probe = fileURLToPath(compiledUrl('test/support/net/hang-probe.ts'))
  const origins = [silent.origin, endless.origin, working.origin]
  const child = spawn(process.execPath, ['--expose-gc', probe, ...origins], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const failed = exited.then(() => {
    throw new Error('It said nothing')
  })
  const [codes] = (await Promise.race([once(child.stdout, 'data'), failed])) as [Buffer]
  const [exitCode] = await exited
  const told = NET_CLIENTS.map((client) => client.mapCode('PROVIDER_TIMEOUT'))
  t.same(JSON.parse(codes.toString()), [
    ...told.flatMap((code) => [code, code]),
    'PROVIDER_TIMEOUT',
    'PROVIDER_TIMEOUT'
  ])
  t.equal(exitCode, 0)
  t.equal(working.connections, NET_CLIENTS.length)
})

t.test('a request with a large body has a longer deadline for the response', async (t) => {
  const server = await startServer(t)
  const held: (() => void)[] = []
  server.respond = (_request, response) => {
    held.push(() => response.writeHead(201).end())
  }
  const tick = useManualTimers(t)
  const egress = openEgress({ timeouts: { headersMs: SHORT } })
  const put = (bytes: number) =>
    egress.request({ method: 'PUT', url: new URL(server.origin), signal, body: Buffer.alloc(bytes) })
  const long = put(65_537)
  const short = put(65_536)
  await until(() => held.length === 2)
  tick(SHORT)
  await t.rejects(short, { code: 'PROVIDER_TIMEOUT' })
  for (const answer of held) answer()
  t.equal((await long).status, 201)
})

t.test('a request can extend the deadline for the response of a slow server', async (t) => {
  const server = await startServer(t)
  const held: ServerResponse[] = []
  server.respond = (_request, response) => held.push(response)
  const egress = openEgress({ timeouts: { headersMs: SHORT } })
  t.teardown(() => egress.close())
  const asked = { method: 'MOVE', url: new URL(server.origin), signal, purpose: 'transfer' } as const
  const patient = egress.request({ ...asked, workMs: TEST_TIMEOUTS.headersMs })
  await until(() => held.length === 1)
  t.equal((await failureOf(egress.request(asked))).code, 'PROVIDER_TIMEOUT')
  held[0]?.end()
  const answer = await patient
  t.equal(answer.status, 200)
  await answer.discard()
})
