import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import type { Egress } from '../../src/core/egress.ts'
import type { Resolver } from '../../src/net/guarded-connection.ts'
import { openEgress } from '../support/backend/egress.ts'
import {
  respondToAnyClient,
  FETCH_CLIENTS,
  NET_CLIENTS,
  type NetClient,
  SOCKET_CLIENTS,
  startRespondingServer
} from '../support/net/clients.ts'
import { failureOf } from '../support/rejection.ts'
import { startServer, startTcp } from '../support/net/server.ts'

const MESSAGE = 'Connections to this server are not allowed.'

// The test certificate is untrusted. These tests are not about TLS verification.
process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'

/** Responds to each query with the next of `answers`, and then with the last one. Records the names. */
function resolver(...answers: readonly string[][]): Resolver & { readonly names: string[] } {
  const names: string[] = []
  const resolve: Resolver = (name, _options, callback) => {
    const addresses = answers[Math.min(names.push(name), answers.length) - 1] ?? []
    const all: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    process.nextTick(() => {
      callback(null, all)
    })
  }
  return Object.assign(resolve, { names })
}

async function refused(t: Test, client: NetClient, egress: Egress, origin: string): Promise<void> {
  const { code, message, retryable } = await failureOf(client.call(egress, origin))
  t.same({ code, message, retryable }, { code: 'ENDPOINT_FORBIDDEN', message: MESSAGE, retryable: false }, origin)
}

for (const client of SOCKET_CLIENTS) {
  void t.test(client.name, async (t) => {
    t.test('it reaches an allowed host and keeps the socket', async (t) => {
      const server = await startRespondingServer(t)
      const egress = openEgress({ allowHosts: [`nas.test:${server.port}`], resolve: resolver(['127.0.0.1']) })
      await client.call(egress, `http://nas.test:${server.port}`)
      await client.call(egress, `http://nas.test:${server.port}`)
      t.equal(server.requests.length, 2)
      t.equal(server.connections, 1)
      t.equal(server.requests[0]?.headers.host, `nas.test:${server.port}`)
    })

    t.test('it reaches an allowed literal address of either family', async (t) => {
      for (const host of ['127.0.0.1', '::1']) {
        const server = await startRespondingServer(t, { host })
        await client.call(openEgress({ allowHosts: [host] }), server.origin)
        t.equal(server.requests.length, 1, host)
      }
    })

    t.test('a name that later resolves to a forbidden address is refused', async (t) => {
      const allowed = await startRespondingServer(t, { host: '127.0.0.2' })
      const forbidden = await startRespondingServer(t, { port: allowed.port })
      // Without a keep-alive socket, the next call resolves the name again.
      allowed.respond = (request, response) => {
        respondToAnyClient(request, response.setHeader('connection', 'close'))
      }
      const resolve = resolver(['127.0.0.2'], ['127.0.0.1'])
      const egress = openEgress({ allowHosts: ['127.0.0.2'], resolve })
      await client.call(egress, `http://nas.test:${allowed.port}`)
      await refused(t, client, egress, `http://nas.test:${allowed.port}`)
      t.same([allowed.connections, forbidden.connections, resolve.names.length], [1, 0, 2])
    })

    t.test('a name with one forbidden address is refused, whatever its other addresses are', async (t) => {
      const v4 = await startRespondingServer(t)
      const others = [
        await startRespondingServer(t, { host: '127.0.0.2', port: v4.port }),
        await startRespondingServer(t, { host: '::1', port: v4.port })
      ]
      const cases: [string, string[]][] = [
        ['127.0.0.1', ['127.0.0.1', '127.0.0.2']],
        ['127.0.0.1', ['127.0.0.2', '127.0.0.1']],
        ['127.0.0.1', ['::1', '127.0.0.1']],
        ['127.0.0.1', ['127.0.0.1', '::1']],
        ['::1', ['::1', '127.0.0.1']],
        ['::1', ['127.0.0.1', '::1']],
        ['127.0.0.1', ['127.0.0.1', '169.254.169.254']],
        ['127.0.0.0/8', ['127.0.0.1', '93.184.216.34']]
      ]
      for (const [allowed, addresses] of cases) {
        const egress = openEgress({ allowHosts: [allowed], resolve: resolver(addresses) })
        await refused(t, client, egress, `http://nas.test:${v4.port}`)
      }
      t.same(
        [v4, ...others].map(({ connections }) => connections),
        [0, 0, 0]
      )
    })

    t.test('of several allowed addresses it uses the one that responds', async (t) => {
      const server = await startRespondingServer(t)
      const egress = openEgress({ resolve: resolver(['::1', '127.0.0.1']) })
      await client.call(egress, `http://nas.test:${server.port}`)
      t.equal(server.requests.length, 1)
    })

    t.test('a name without an address is PROVIDER_UNAVAILABLE', async (t) => {
      const nothing = openEgress({ resolve: resolver([]) })
      t.equal((await failureOf(client.call(nothing, 'http://nas.test:9'))).code, 'PROVIDER_UNAVAILABLE')
      const failing: Resolver = (_name, _options, callback) => {
        callback(Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' }))
      }
      const { code, retryable } = await failureOf(client.call(openEgress({ resolve: failing }), 'http://nas.test:9'))
      t.same([code, retryable], ['PROVIDER_UNAVAILABLE', true])
    })

    t.test('a forbidden address is refused even if the resolver calls back synchronously', async (t) => {
      const resolve: Resolver = (_name, _options, callback) => {
        callback(null, [{ address: '127.0.0.1', family: 4 }])
      }
      await refused(t, client, openEgress({ allowHosts: ['127.0.0.2'], resolve }), 'http://nas.test:9')
    })

    t.test('loopback is refused in every notation, without a connection', async (t) => {
      const [v4, v6] = [await startRespondingServer(t), await startRespondingServer(t, { host: '::1' })]
      // Clients that do not parse URLs treat notations such as `127.1` as names, which a system resolves.
      const resolve = resolver(['127.0.0.1'])
      const egress = openEgress({ allowHosts: ['127.0.0.9', 'nas.test'], resolve })
      for (const scheme of ['http', 'https']) {
        for (const host of LOOPBACK) await refused(t, client, egress, `${scheme}://${host}:${v4.port}`)
        await refused(t, client, egress, `${scheme}://[::1]:${v6.port}`)
      }
      t.same([v4.connections, v6.connections], [0, 0])
    })

    t.test('metadata and link-local addresses are refused whatever is allowed, without name resolution', async (t) => {
      const resolve = resolver(['127.0.0.1'])
      const names = ['metadata.google.internal', 'metadata']
      const egress = openEgress({ allowHosts: ['0.0.0.0/0', '::/0', '169.254.169.254', ...names], resolve })
      for (const host of [...METADATA, ...names]) await refused(t, client, egress, `http://${host}`)
      t.same(resolve.names, [])
      const linkLocal = openEgress({ allowHosts: ['nas.test'], resolve: resolver(['169.254.169.254']) })
      await refused(t, client, linkLocal, 'http://nas.test')
      await refused(t, client, linkLocal, 'https://nas.test')
    })

    t.test('no data is sent if the socket is connected to another address than the allowed one', async (t) => {
      // The system treats 0.0.0.0 as this machine.
      const server = await startTcp(t, () => {})
      for (const scheme of ['http', 'https']) {
        const literal = openEgress({ allowHosts: ['0.0.0.0'] })
        await refused(t, client, literal, `${scheme}://0.0.0.0:${server.port}`)
        const named = openEgress({ allowHosts: ['0.0.0.0'], resolve: resolver(['0.0.0.0']) })
        await refused(t, client, named, `${scheme}://nas.test:${server.port}`)
      }
      t.equal(server.connections, 4)
      t.equal(server.bytes, 0)
    })

    t.test('a server that resets at once is not reported as forbidden', async (t) => {
      const server = await startTcp(t, (socket) => socket.resetAndDestroy())
      const egress = openEgress()
      const codes = new Set<string>()
      for (let i = 0; i < 20; i++)
        codes.add((await failureOf(client.call(egress, `http://127.0.0.1:${server.port}`))).code)
      t.same([...codes], ['PROVIDER_UNAVAILABLE'])
    })

    t.test('a socket that was opened under other rules is not reused', async (t) => {
      const server = await startRespondingServer(t)
      const origin = `http://nas.test:${server.port}`
      await client.call(openEgress({ resolve: resolver(['127.0.0.1']) }), origin)
      const strict = openEgress({ allowHosts: ['127.0.0.2'], resolve: resolver(['127.0.0.1']) })
      await refused(t, client, strict, origin)
      await refused(t, client, strict, server.origin)
      await client.call(openEgress({ resolve: resolver(['127.0.0.1']) }), origin)
      t.same([server.requests.length, server.connections], [2, 2])
    })

    t.test('TLS uses the host name, over any address that responds', async (t) => {
      const server = await startRespondingServer(t, { isTls: true })
      const names: unknown[] = []
      const resumed: boolean[] = []
      server.respond = (request, response) => {
        const { socket } = request
        if (!(socket instanceof TLSSocket)) throw new TypeError('no TLS')
        names.push('servername' in socket && socket.servername)
        resumed.push(socket.isSessionReused())
        respondToAnyClient(request, response.setHeader('connection', 'close'))
      }
      const egress = openEgress({ allowHosts: ['nas.test'], resolve: resolver(['::1', '127.0.0.1'], ['127.0.0.1']) })
      for (let i = 0; i < 3; i++) await client.call(egress, `https://nas.test:${server.port}`)
      t.same(names, ['nas.test', 'nas.test', 'nas.test'])
      // undici drops its TLS sessions with the last socket.
      t.equal(resumed.at(-1), !FETCH_CLIENTS.includes(client))
    })

    t.test('TLS connections are refused by the same rules', async (t) => {
      const server = await startRespondingServer(t, { isTls: true })
      const egress = openEgress({ allowHosts: ['nas.test'], resolve: resolver(['127.0.0.1']) })
      await refused(t, client, egress, server.origin)
      await refused(t, client, egress, `https://localhost:${server.port}`)
      await refused(t, client, egress, `https://localhost.:${server.port}`)
      t.equal(server.connections, 0)
    })
  })
}

for (const client of NET_CLIENTS) {
  t.test(`${client.name} refuses public servers over plain http, without name resolution`, async (t) => {
    const resolve = resolver(['127.0.0.1'])
    await refused(t, client, openEgress({ allowHosts: [], resolve }), 'http://example.org')
    await refused(t, client, openEgress({ allowHosts: [] }), 'http://93.184.216.34')
    t.same(resolve.names, [])
  })
}

t.test('our client refuses URLs with a user name, and other schemes', async (t) => {
  const server = await startServer(t)
  const egress = openEgress()
  const { port } = server
  for (const url of [`http://user@127.0.0.1:${port}`, `http://:x@127.0.0.1:${port}`, 'file:///etc/passwd', 'data:,x']) {
    const call = egress.request({ method: 'GET', url: new URL(url), signal: new AbortController().signal })
    t.equal((await failureOf(call)).code, 'ENDPOINT_FORBIDDEN', url)
  }
  t.equal(server.connections, 0)
})

t.test('the agents reach neither UNIX sockets nor addresses outside of the resolver', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'net-'))
  const path = join(folder, 'socket')
  const local = createServer((_request, response) => response.end('local'))
  local.listen(path)
  await once(local, 'listening')
  t.teardown(async () => {
    local.close()
    await rm(folder, { recursive: true })
  })
  let connections = 0
  local.on('connection', () => connections++)
  const server = await startServer(t)
  const { agents } = openEgress({ allowHosts: ['nas.test'], resolve: resolver(['169.254.169.254']) })
  const lookup = (_name: string, _options: unknown, callback: (...answer: unknown[]) => void): void => {
    callback(null, [{ address: '127.0.0.1', family: 4 }])
  }
  for (const bypass of [{ socketPath: path }, { path, lookup }]) {
    const call = request({ host: 'nas.test', port: server.port, agent: agents.http, ...bypass } as object)
    const [error] = (await Promise.race([once(call.end(), 'error'), once(call, 'response')])) as [unknown]
    t.match(error, { code: 'ENDPOINT_FORBIDDEN' })
  }
  t.same([connections, server.connections], [0, 0])
})

t.test('refused hosts leave no state in the agents', async (t) => {
  const { agents } = openEgress({ allowHosts: [] })
  for (const host of ['10.0.0.1', '10.0.0.2', 'nas.test']) {
    const [error] = (await once(request({ host, agent: agents.http }).end(), 'error')) as [unknown]
    t.match(error, { code: 'ENDPOINT_FORBIDDEN' })
  }
  t.same([Object.keys(agents.http.sockets), Object.keys(agents.http.requests)], [[], []])
})

const LOOPBACK = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '0177.0.0.1',
  '017700000001',
  '127.0.0.1.',
  '１２７.0.0.1',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '0.0.0.0',
  '[::]',
  'localhost',
  'localhost.',
  'LOCALHOST'
]

const METADATA = [
  '169.254.169.254',
  '[::ffff:169.254.169.254]',
  '[64:ff9b::a9fe:a9fe]',
  '[2002:a9fe:a9fe::]',
  '[fe80::1]',
  '[fd00:ec2::254]',
  '100.100.100.200'
]
