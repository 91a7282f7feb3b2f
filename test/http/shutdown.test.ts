import { once } from 'node:events'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { ListCall } from '../../src/core/backend.ts'
import cloudStorage, { type CloudStorageOptions, defineProvider } from '../../src/index.ts'
import type { AccessTokens } from '../../src/core/oauth.ts'
import type { PrismaLike } from '../../src/db/prisma-client.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../fakes/oauth/rules.ts'
import { encryption, oauthApp } from '../support/app/app.ts'
import { ManualClock } from '../support/time/clock.ts'
import { emptyDatabase, ownDatabase } from '../support/database/database.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { MemoryRedis } from '../support/redis/memory-redis.ts'
import { oauthConnect } from '../support/app/oauth-cloud.ts'
import { RefreshRows } from '../support/refresh/rows.ts'
import { pages, ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { until } from '../support/time/until.ts'

const LISTING = '/cloud/paged/listing'
const EXPIRED_MS = -1000
const ORDERS = ['before', 'after'] as const

/** A client that fails once the host has closed it. Each statement is its own transaction: PGlite has one session. */
class ClosablePrisma implements PrismaLike {
  readonly #prisma: PrismaLike
  isClosed = false
  callsAfterClose = 0

  constructor(prisma: PrismaLike) {
    this.#prisma = prisma
  }

  get cloudConnection(): PrismaLike['cloudConnection'] {
    return this.#open().cloudConnection
  }

  get oAuthState(): PrismaLike['oAuthState'] {
    return this.#open().oAuthState
  }

  $queryRaw: PrismaLike['$queryRaw'] = (query, ...values) => this.#open().$queryRaw(query, ...values)
  $executeRaw: PrismaLike['$executeRaw'] = (query, ...values) => this.#open().$executeRaw(query, ...values)
  $transaction: PrismaLike['$transaction'] = (work) => work(this)

  #open(): PrismaLike {
    if (!this.isClosed) return this.#prisma
    this.callsAfterClose += 1
    throw new Error('The database is closed')
  }
}

/**
 * An application with a provider that needs a rotating token for its pages, and with a host that closes its database
 * in an `onClose` hook.
 */
async function start(
  t: Test,
  order: (typeof ORDERS)[number],
  plugin: Partial<CloudStorageOptions> = {},
  pluginTimeout = 0
) {
  const oauth = await FakeOAuth.start(t, { rotation: 'single-use' })
  const { prisma } = await emptyDatabase()
  const closable = new ClosablePrisma(prisma)
  const lines: string[] = []
  const list = pages(9)
  const world = {
    /** Runs in the provider before it responds. */
    ask: async (tokens: AccessTokens, { signal }: ListCall): Promise<unknown> => tokens.current(signal)
  }
  const provider = defineProvider({
    id: 'paged',
    label: 'Paged',
    capabilities: new ScriptedBackend().capabilities,
    connect: oauthConnect(oauth.url),
    open: async ({ accessTokens }) =>
      Object.assign(new ScriptedBackend(), {
        listFolder: async (folderId: string | null, call: ListCall) => {
          await world.ask(accessTokens, call)
          return list(folderId, call)
        }
      })
  })
  const app = Fastify({
    pluginTimeout,
    logger: { level: 'trace', stream: { write: (line: string) => lines.push(line) } }
  })
  t.teardown(() => app.close())
  const addHook = (): void => {
    app.addHook('onClose', async () => {
      closable.isClosed = true
    })
  }
  if (order === 'before') addHook()
  await app.register(cloudStorage, {
    prisma: closable,
    authenticate: () => 'ann',
    encryption,
    publicUrl: 'http://127.0.0.1:3000',
    leaseMs: 0,
    ...plugin,
    providers: {
      paged: {
        provider,
        allowHosts: ['127.0.0.1'],
        clientId: FAKE_CLIENT_ID,
        clientSecret: FAKE_CLIENT_SECRET
      }
    }
  })
  if (order === 'after') addHook()
  await app.ready()
  const rows = new RefreshRows(prisma, encryption, 'paged')
  const get = (cursor?: string) => app.inject(cursor === undefined ? LISTING : `${LISTING}?cursor=${cursor}`)
  return { app, oauth, closable, lines, rows, world, get }
}

/** Returns the warnings and errors of a log. */
function troubles(lines: readonly string[]): string[] {
  return lines.filter((line) => (JSON.parse(line) as { level: number }).level >= 40)
}

const nextOf = ({ body }: { body: string }): string => (JSON.parse(body) as { page: { next: string } }).page.next

for (const order of ORDERS) {
  t.test(`a token that a refresh rotates is stored: the host's hook was registered ${order} the plugin`, async (t) => {
    const { app, oauth, closable, lines, rows, get } = await start(t, order)
    const id = await rows.add(oauth.issueGrant(), { leftMs: EXPIRED_MS })
    const gate = oauth.hold('token', { isPerformed: true })
    const listing = get()
    await gate.reached
    const closing = app.close()
    for (let turn = 0; turn < 20; turn += 1) await nextTurn()
    t.equal(closable.isClosed, false, 'the database is still open')
    gate.release()
    await closing
    t.equal((await listing).statusCode, 200)
    t.equal((await rows.tokens(id)).refreshToken, oauth.grants[0]?.refreshToken)
    t.equal(closable.isClosed, true)
    t.equal(closable.callsAfterClose, 0)
    t.same(troubles(lines), [])
  })

  t.test(`a token that read-ahead rotates is stored: the host's hook was registered ${order} the plugin`, async (t) => {
    const { app, oauth, closable, lines, rows, get } = await start(t, order)
    const grant = oauth.issueGrant()
    const id = await rows.add(grant)
    const second = await get(nextOf(await get()))
    // The third page is read ahead, with the token that is still valid.
    await until(() => app.folderCache.stats().entries === 3)
    await rows.replace(id, grant, EXPIRED_MS)
    const gate = oauth.hold('token', { isPerformed: true })
    t.equal((await get(nextOf(second))).statusCode, 200)
    await gate.reached
    const closing = app.close()
    for (let turn = 0; turn < 20; turn += 1) await nextTurn()
    t.equal(closable.isClosed, false, 'the database is still open')
    gate.release()
    await closing
    t.equal((await rows.tokens(id)).refreshToken, oauth.grants[0]?.refreshToken)
    t.equal(closable.callsAfterClose, 0)
    t.same(troubles(lines), [])
  })

  t.test(`a token that a request in flight rotates is stored: the hook was registered ${order}`, async (t) => {
    const { app, oauth, closable, lines, rows, world } = await start(t, order)
    const grant = oauth.issueGrant()
    const id = await rows.add(grant)
    const [reached, held] = [new Deferred<undefined>(), new Deferred<undefined>()]
    world.ask = async (tokens, { signal }) => {
      reached.resolve(undefined)
      await held.promise
      const token = await tokens.current(signal)
      await tokens.renewed(token, signal)
    }
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const client = request({ host: '127.0.0.1', port, path: LISTING, agent: false }).on('error', () => {})
    client.end()
    await reached.promise
    const closing = app.close()
    // The preClose hook has nothing to wait for.
    await until(() => !app.server.listening)
    const gate = oauth.hold('token', { isPerformed: true })
    held.resolve(undefined)
    await gate.reached
    // A refresh belongs to no request: its client disconnects, and the server has closed.
    client.destroy()
    await once(app.server, 'close')
    for (let turn = 0; turn < 20; turn += 1) await nextTurn()
    t.equal(closable.isClosed, false, 'the database is still open')
    gate.release()
    await closing
    t.equal((await rows.tokens(id)).refreshToken, oauth.grants[0]?.refreshToken)
    t.equal(closable.callsAfterClose, 0)
    t.same(troubles(lines), [])
  })
}

for (const [what, isAnswered] of [
  ['is answered late is stored', true],
  ['is never answered ends at its deadline', false]
] as const) {
  t.test(`a refresh that outlasts the pluginTimeout and ${what}, before the host's database closes`, async (t) => {
    // Shorter than the time limit of a refresh (10 s).
    const pluginTimeout = 9000
    const { app, oauth, closable, rows, get } = await start(t, 'before', {}, pluginTimeout)
    const id = await rows.add(oauth.issueGrant(), { leftMs: EXPIRED_MS })
    const gate = oauth.hold('token', { isPerformed: true })
    const advance = useManualTimers(t)
    const listing = get()
    await gate.reached
    // Fastify reports the hook timeout when everything has closed.
    const closing = t.rejects(app.close(), { code: 'AVV_ERR_READY_TIMEOUT' })
    for (let turn = 0; turn < 20; turn += 1) await nextTurn()
    t.equal(closable.isClosed, false)
    advance(pluginTimeout)
    for (let turn = 0; turn < 20; turn += 1) await nextTurn()
    t.equal(closable.isClosed, false, 'Fastify has abandoned the hook, and the database is still open')
    if (isAnswered) gate.release()
    else advance(1000)
    await closing
    t.equal(closable.isClosed, true)
    t.equal(closable.callsAfterClose, 0)
    if (!isAnswered) {
      gate.release()
      return
    }
    t.equal((await listing).statusCode, 200)
    t.equal((await rows.tokens(id)).refreshToken, oauth.grants[0]?.refreshToken)
  })
}

t.test('a login whose code was exchanged is stored', async (t) => {
  const { prisma } = await emptyDatabase()
  const closable = new ClosablePrisma(prisma)
  const { app, oauth, authorize: begin, sendCallback } = await oauthApp(t, { plugin: { prisma: closable } })
  app.addHook('onClose', async () => {
    closable.isClosed = true
  })
  const { authorizationUrl, cookie } = await begin('ann')
  const callback = await oauth.consent(authorizationUrl)
  const gate = oauth.hold('token', { isPerformed: true })
  // An injected request delays nothing, like one from a browser that has disconnected.
  const answer = sendCallback(callback, { cookie })
  await gate.reached
  const closing = app.close()
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  t.equal(closable.isClosed, false, 'the database is still open')
  gate.release()
  await closing
  t.equal((await answer).statusCode, 303)
  t.equal(await prisma.cloudConnection.count(), 1)
  t.equal(closable.callsAfterClose, 0)
})

t.test('a clean shutdown logs no warning, wherever the host closes its database and Redis', async (t) => {
  for (const order of ORDERS) {
    const database = await ownDatabase(t)
    const lines: string[] = []
    const redis = new MemoryRedis(new ManualClock())
    const app: FastifyInstance = Fastify({
      pluginTimeout: 0,
      logger: { level: 'trace', stream: { write: (line: string) => lines.push(line) } }
    })
    const addHook = (): void => {
      app.addHook('onClose', async () => {
        redis.mode = 'fails'
        await database.close()
      })
    }
    if (order === 'before') addHook()
    const { prisma, listen } = database
    const cache = { shared: { redis } }
    await app.register(cloudStorage, { prisma, listen, authenticate: () => 'ann', encryption, cache })
    if (order === 'after') addHook()
    await app.ready()
    await until(async () => {
      const listening = await prisma.$queryRaw<{ count: number }[]>`
        SELECT count(*)::int AS count FROM pg_listening_channels() AS channel WHERE channel = 'cloud_connections'`
      return listening[0]?.count === 1
    })
    app.folderCache.clear()
    await app.close()
    app.folderCache.clear()
    await nextTurn()
    t.same(troubles(lines), [], order)
  }
})
