import { deepEqual } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import pg from 'pg'
import t, { type Test } from 'tap'
import { compiledUrl } from '../support/source/compiled.ts'
import { freePort } from '../support/process/daemon.ts'
import { PostgresFrames, readNotification } from '../support/database/postgres-frames.ts'
import { PostgresProxy } from '../support/database/postgres-proxy.ts'
import { isPostgresInstalled, startPostgres } from '../support/database/postgres.ts'
import { isRedisInstalled, startRedis } from '../support/redis/redis.ts'
import { requireService } from '../support/process/services.ts'
import { TcpProxy, type ProxyTarget, type Transform } from '../support/process/tcp-proxy.ts'
import { until } from '../support/time/until.ts'

/** Enough time for loopback. If it is too short, a test passes wrongly instead of failing. */
const MOMENT_MS = 50

/** Longer than a busy machine needs for a few bytes on loopback. */
const DELAY_MS = 300

/** One end of a connection, with its recorded events. */
class End {
  heard = ''
  hasEnded = false
  code: string | undefined
  readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => (this.heard += chunk.toString()))
    socket.on('end', () => (this.hasEnded = true))
    socket.on('error', (error: NodeJS.ErrnoException) => (this.code = error.code))
  }

  static async connect(t: Test, port: number): Promise<End> {
    const end = End.dial(t, port)
    await once(end.socket, 'connect')
    return end
  }

  /** A client that is reset at once may not even see a connection. */
  static dial(t: Test, port: number): End {
    const end = new End(connect({ port, host: '127.0.0.1', allowHalfOpen: true }))
    t.teardown(() => end.socket.destroy())
    return end
  }

  get isOpen(): boolean {
    return !this.hasEnded && !this.socket.destroyed
  }
}

/** A server with one end of each connection. */
async function listen(t: Test, port = 0): Promise<{ readonly target: ProxyTarget; readonly ends: readonly End[] }> {
  const ends: End[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => ends.push(new End(socket)))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const { socket } of ends) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, ends }
}

/** Starts a proxy, with both ends of connections through it. */
async function setUp(t: Test) {
  const { target, ends } = await listen(t)
  const proxy = await TcpProxy.start(t, target)
  const open = async () => {
    const before = ends.length
    const client = await End.connect(t, proxy.port)
    await until(() => ends.length > before)
    return { client, server: ends[before]! }
  }
  return { proxy, ends, open }
}

t.test('a relay forwards both directions and the end of each', async (t) => {
  const { proxy, open } = await setUp(t)
  const { client, server } = await open()
  t.equal(proxy.connections.size, 1)
  client.socket.end('ping')
  await until(() => server.hasEnded)
  t.equal(server.heard, 'ping')
  t.ok(client.isOpen)
  const long = 'pong'.repeat(1_000_000)
  server.socket.end(long)
  await until(() => client.hasEnded)
  t.ok(client.heard === long)
  await until(() => proxy.connections.size === 0)
})

t.test('a relay forwards the reset of a connection', async (t) => {
  const { open } = await setUp(t)
  const [first, second] = [await open(), await open()]
  first.client.socket.resetAndDestroy()
  second.server.socket.resetAndDestroy()
  await until(() => first.server.code === 'ECONNRESET' && second.client.code === 'ECONNRESET')
})

t.test('a client that connects while the server is down is reset, and served once it is up', async (t) => {
  const port = await freePort()
  const proxy = await TcpProxy.start(t, { host: '127.0.0.1', port })
  const early = End.dial(t, proxy.port)
  await until(() => early.socket.destroyed)
  t.equal(early.code, 'ECONNRESET')
  const { ends } = await listen(t, port)
  const client = await End.connect(t, proxy.port)
  client.socket.write('ping')
  await until(() => ends[0]?.heard === 'ping')
})

t.test('an open connection stays open during a black hole, and is dead afterwards', async (t) => {
  const { proxy, open } = await setUp(t)
  const { client, server } = await open()
  const hangsUp = await open()
  proxy.mode = 'blackhole'
  client.socket.write('lost')
  server.socket.write('lost')
  hangsUp.client.socket.destroy()
  await until(() => proxy.connections.size === 1)
  proxy.mode = 'relay'
  client.socket.write('lost too')
  server.socket.write('lost too')
  // A response on a connection after the blackhole proves that the proxy has read the earlier bytes.
  const later = await open()
  later.server.socket.write('ping')
  await until(() => later.client.heard === 'ping')
  await setTimeout(MOMENT_MS)
  for (const end of [client, server, hangsUp.server]) {
    t.equal(end.heard, '')
    t.ok(end.isOpen)
  }
  proxy.resetAll()
  await until(() => [client, server, hangsUp.server].every(({ code }) => code === 'ECONNRESET'))
})

t.test('the end of a server is not visible during a black hole', async (t) => {
  const { proxy, open } = await setUp(t)
  const [ended, reset] = [await open(), await open()]
  proxy.mode = 'blackhole'
  ended.server.socket.end('bye')
  reset.server.socket.resetAndDestroy()
  await setTimeout(MOMENT_MS)
  for (const { client } of [ended, reset]) {
    t.ok(client.isOpen)
    t.equal(client.heard, '')
  }
  t.equal(proxy.connections.size, 2)
})

t.test('data in transit is lost when a black hole begins', async (t) => {
  const { proxy, open } = await setUp(t)
  const { client, server } = await open()
  proxy.delayMs = DELAY_MS
  server.socket.write('late')
  client.socket.write('ping')
  // The server's bytes were written before the client's.
  await until(() => server.heard === 'ping')
  proxy.mode = 'blackhole'
  await setTimeout(DELAY_MS + MOMENT_MS)
  t.equal(client.heard, '')
})

t.test('a connection that is opened during a black hole never reaches the server', async (t) => {
  const { proxy, ends, open } = await setUp(t)
  proxy.mode = 'blackhole'
  const client = await End.connect(t, proxy.port)
  client.socket.write('lost')
  await until(() => proxy.connections.size === 1)
  proxy.mode = 'relay'
  await open()
  await setTimeout(MOMENT_MS)
  t.ok(client.isOpen)
  t.equal(ends.length, 1)
  t.equal(ends[0]?.heard, '')
  client.socket.end()
  await until(() => proxy.connections.size === 1)
  proxy.resetAll()
  await until(() => client.code === 'ECONNRESET')
})

t.test('a delay applies to the data of the server and its end, in order', async (t) => {
  const { proxy, open } = await setUp(t)
  const { client, server } = await open()
  const begun = performance.now()
  proxy.delayMs = DELAY_MS
  server.socket.write('first ')
  client.socket.write('not delayed')
  await until(() => server.heard === 'not delayed')
  t.equal(client.heard, '')
  proxy.delayMs = 0
  server.socket.end('second')
  await until(() => client.hasEnded)
  t.ok(performance.now() - begun >= DELAY_MS)
  t.equal(client.heard, 'first second')
})

t.test('all open connections are killed, and later ones are not', async (t) => {
  const { proxy, open } = await setUp(t)
  const opened = [await open(), await open()]
  proxy.resetAll()
  const later = await open()
  await until(() => proxy.connections.size === 1)
  for (const { client, server } of opened) {
    await until(() => client.socket.destroyed && server.socket.destroyed)
    t.same([client.code, server.code], ['ECONNRESET', 'ECONNRESET'])
  }
  later.client.socket.write('ping')
  await until(() => later.server.heard === 'ping')
})

t.test('new connections are refused, and existing ones stay', async (t) => {
  const { proxy, ends, open } = await setUp(t)
  const { client, server } = await open()
  proxy.mode = 'refuse'
  const refused = End.dial(t, proxy.port)
  await until(() => refused.socket.destroyed)
  t.equal(refused.code, 'ECONNRESET')
  client.socket.write('ping')
  await until(() => server.heard === 'ping')
  t.equal(ends.length, 1)
  t.equal(proxy.connections.size, 1)
  proxy.mode = 'relay'
  await open()
})

t.test('frames of PostgreSQL are parsed in pieces of any size', async () => {
  const frame = fc
    .tuple(fc.nat({ max: 255 }), fc.uint8Array({ maxLength: 40 }))
    .map(([type, body]) => aFrame(type, Buffer.from(body)))
  fc.assert(
    fc.property(fc.array(frame), fc.array(fc.nat({ max: 500 })), fc.boolean(), (frames, cuts, byBytes) => {
      const all = Buffer.concat(frames)
      const ats = byBytes ? [...all.keys()] : cuts.map((cut) => Math.min(cut, all.length)).sort((a, b) => a - b)
      const chunks = [0, ...ats].map((at, index) => all.subarray(at, ats[index]))
      const parser = new PostgresFrames()
      deepEqual(
        chunks.flatMap((chunk) => parser.push(chunk)),
        frames
      )
    })
  )
})

t.test('a notification of PostgreSQL is parsed, and no other frame is mistaken for one', async (t) => {
  const body = Buffer.from('\0\0\0\x07chännel\0päyload\0')
  t.same(readNotification(aFrame('A'.charCodeAt(0), body)), { channel: 'chännel', payload: 'päyload' })
  t.equal(readNotification(aFrame('D'.charCodeAt(0), body)), undefined)
  t.throws(() => new PostgresFrames().push(Buffer.from('A\0\0\0\x03')), /length 3/)
})

function aFrame(type: number, body: Buffer): Buffer {
  const header = Buffer.from([type, 0, 0, 0, 0])
  header.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([header, body])
}

/** Simulates a network that delivers one byte at a time. */
class CrumblingPostgresProxy extends PostgresProxy {
  static override async start(t: Test, target: ProxyTarget): Promise<CrumblingPostgresProxy> {
    const proxy = new CrumblingPostgresProxy(target)
    await proxy.listen(t)
    return proxy
  }

  protected override fromServer(): Transform {
    const transform = super.fromServer()
    return (chunk) => [...chunk.keys()].flatMap((at) => transform(chunk.subarray(at, at + 1)))
  }
}

t.test('notifications of a PostgreSQL server', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const server = await startPostgres(t)

  for (const [name, kind] of [
    ['in the received pieces', PostgresProxy],
    ['byte by byte', CrumblingPostgresProxy]
  ] as const) {
    const hear = async (t: Test) => {
      const url = await server.createDatabase()
      const proxy = await kind.start(t, { host: '127.0.0.1', port: Number(new URL(url).port) })
      const [listener, notifier] = [await openClient(t, proxy.proxiedUrl(url)), await openClient(t, url)]
      const heard: string[] = []
      listener.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload ?? ''}`))
      await listener.query('LISTEN news')
      await listener.query('LISTEN weather')
      return { proxy, listener, notifier, heard }
    }
    const answers = async (client: pg.Client, value: number) =>
      (await client.query<{ value: number }>('SELECT $1::int AS value', [value])).rows[0]?.value === value

    t.test(`notifications are forwarded, ${name}`, async (t) => {
      const { listener, notifier, heard } = await hear(t)
      await notifier.query(`NOTIFY news, 'one'; NOTIFY weather, 'two'`)
      await until(() => heard.length === 2)
      t.same(heard, ['news one', 'weather two'])
      t.ok(await answers(listener, 1))
    })

    t.test(`notifications can be dropped, ${name}`, async (t) => {
      const { proxy, listener, notifier, heard } = await hear(t)
      proxy.onNotification = (payload, channel) => (payload === 'one' && channel === 'news' ? 'drop' : 'pass')
      await notifier.query(`NOTIFY news, 'one'; NOTIFY weather, 'one'; NOTIFY news, 'two'`)
      await until(() => heard.length === 2)
      t.same(heard, ['weather one', 'news two'])
      proxy.onNotification = () => 'drop'
      await notifier.query(`NOTIFY news, 'three'`)
      // The listener receives notifications of its own transaction before the end of its query.
      await listener.query(`NOTIFY news, 'four'`)
      t.ok(await answers(listener, 1))
      t.equal(heard.length, 2)
    })

    t.test(`notifications can be delayed and are overtaken by later messages, ${name}`, async (t) => {
      const { proxy, listener, notifier, heard } = await hear(t)
      const begun = performance.now()
      proxy.onNotification = (payload) => (payload === 'late' ? DELAY_MS : 'pass')
      await notifier.query(`NOTIFY news, 'late'; NOTIFY news, 'soon'`)
      await until(() => heard.length > 0)
      t.ok(await answers(listener, 1))
      await until(() => heard.length === 2)
      t.same(heard, ['news soon', 'news late'])
      t.ok(performance.now() - begun >= DELAY_MS)
    })

    t.test(`delayed notifications are inserted between the rows of a response, ${name}`, async (t) => {
      const { proxy, listener, heard } = await hear(t)
      const late = Array.from({ length: 20 }, (_each, index) => String(index + 1))
      proxy.onNotification = (payload) => Number(payload)
      await listener.query(late.map((payload) => `NOTIFY news, '${payload}'`).join('; '))
      const { rows } = await listener.query<{ text: string }>(
        `SELECT repeat('x', n) AS text FROM generate_series(1, 600) AS n`
      )
      t.same(
        rows.map(({ text }) => text),
        Array.from({ length: 600 }, (_each, index) => 'x'.repeat(index + 1))
      )
      await until(() => heard.length === late.length)
      t.same(
        heard,
        late.map((payload) => `news ${payload}`)
      )
    })
  }
})

async function openClient(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => undefined)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Sends a line like a user at a terminal. */
async function ask(t: Test, port: number, line: string): Promise<End> {
  const end = await End.connect(t, port)
  end.socket.write(`${line}\r\n`)
  return end
}

async function answer(t: Test, port: number, line: string): Promise<string> {
  const end = await ask(t, port, line)
  await until(() => end.heard.endsWith('\r\n') || !end.isOpen)
  end.socket.destroy()
  return end.heard.trim()
}

const STARTS_AND_PAUSES = `
  import { startRedis } from ${JSON.stringify(compiledUrl('test/support/redis/redis.ts').href)}
  const redis = await startRedis({ teardown() {} })
  redis.pause()
  console.log(redis.port)
  setInterval(() => {}, 1000)
`

t.test('a Redis server', async (t) => {
  if (!requireService(t, 'redis', isRedisInstalled)) return

  t.test('restarts on its port and empty, after it was stopped and after it was killed', async (t) => {
    const redis = await startRedis(t)
    const { port } = redis
    t.equal(await answer(t, port, 'PING'), '+PONG')
    for (const end of [() => redis.stop(), () => redis.kill()]) {
      t.equal(await answer(t, port, 'SET key value'), '+OK')
      t.equal(await answer(t, port, 'EXISTS key'), ':1')
      const client = await ask(t, port, 'PING')
      await end()
      await until(() => !client.isOpen)
      await t.rejects(End.connect(t, port), { code: 'ECONNREFUSED' })
      await redis.start()
      t.equal(await answer(t, port, 'EXISTS key'), ':0')
    }
  })

  t.test('refuses to start twice, and to be killed while it is not running', async (t) => {
    const redis = await startRedis(t)
    await t.rejects(redis.start(), /runs already/)
    await redis.stop()
    await redis.stop()
    await t.rejects(redis.kill(), /does not run/)
    t.throws(() => {
      redis.pause()
    }, /does not run/)
  })

  t.test('stores nothing on disk', async (t) => {
    let folder = ''
    await t.test('while it is running', async (t) => {
      const { port } = await startRedis(t)
      folder = (await answer(t, port, 'CONFIG GET dir')).split('\r\n').at(-1) ?? ''
      t.ok(existsSync(folder))
      t.match(await answer(t, port, 'CONFIG GET save'), /\$0$/)
      t.match(await answer(t, port, 'CONFIG GET appendonly'), /no$/)
      t.match(await answer(t, port, 'CONFIG GET bind'), /127\.0\.0\.1$/)
    })
    t.notOk(existsSync(folder))
  })

  t.test('does not respond while it is paused, and responds afterwards', async (t) => {
    const redis = await startRedis(t)
    redis.pause()
    const client = await ask(t, redis.port, 'PING')
    await setTimeout(MOMENT_MS)
    t.equal(client.heard, '')
    redis.resume()
    await until(() => client.heard === '+PONG\r\n')
  })

  t.test('can be stopped and killed while it is paused', async (t) => {
    const redis = await startRedis(t)
    for (const end of [() => redis.stop(), () => redis.kill()]) {
      redis.pause()
      await end()
      await redis.start()
      t.equal(await answer(t, redis.port, 'PING'), '+PONG')
    }
    // The teardown also stops it.
    redis.pause()
  })

  t.test('ends with its test process, even if that is killed and Redis is paused', async (t) => {
    // Here it leaves its folder behind.
    const folder = await mkdtemp(join(tmpdir(), 'fcs-killed-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const child = spawn(process.execPath, ['--input-type=module', '-e', STARTS_AND_PAUSES], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    t.teardown(() => child.kill('SIGKILL'))
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    const client = await End.connect(t, Number(said.toString()))
    child.kill('SIGKILL')
    await until(() => !client.isOpen)
  })

  t.test('is reachable through a proxy', async (t) => {
    const redis = await startRedis(t)
    const proxy = await TcpProxy.start(t, { host: '127.0.0.1', port: redis.port })
    const client = await ask(t, proxy.port, 'PING')
    await until(() => client.heard === '+PONG\r\n')
    await redis.kill()
    await until(() => !client.isOpen)
    await redis.start()
    t.equal(await answer(t, proxy.port, 'PING'), '+PONG')
    t.equal(proxy.proxiedUrl('redis://127.0.0.1:6379/1'), `redis://127.0.0.1:${proxy.port}/1`)
  })
})
