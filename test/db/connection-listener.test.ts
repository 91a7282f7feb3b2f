import { EventEmitter } from 'node:events'
import t, { type Test } from 'tap'
import type { ConnectionNotification } from '../../src/core/connection.ts'
import { ConnectionListener, type ListenClient } from '../../src/db/connection-listener.ts'
import { emptyDatabase } from '../support/database/database.ts'
import { Deferred } from '../support/time/deferred.ts'
import { until } from '../support/time/until.ts'

const MESSAGE = { id: 'c', userId: 'ann', provider: 's3', version: 2 }

/** A scripted database connection. */
class ScriptedClient extends EventEmitter implements ListenClient {
  readonly queries: string[] = []
  ended = false
  answer: (text: string) => Promise<unknown> = async () => ({})

  async query(text: string): Promise<unknown> {
    this.queries.push(text)
    return await this.answer(text)
  }

  async end(): Promise<void> {
    this.ended = true
    this.emit('end')
  }

  notify(payload: string | undefined, channel = 'cloud_connections'): void {
    this.emit('notification', { channel, payload })
  }
}

function start(t: Test, connect?: (n: number) => Promise<ScriptedClient>) {
  const clients: ScriptedClient[] = []
  const heard: (ConnectionNotification | null)[] = []
  const troubles: unknown[] = []
  let attempts = 0
  const listener = new ConnectionListener({
    listen: async () => {
      attempts += 1
      const client = connect === undefined ? new ScriptedClient() : await connect(attempts)
      clients.push(client)
      return client
    },
    onNotification: (message) => heard.push(message),
    logConnectionLoss: (error) => troubles.push(error),
    random: () => 0,
    heartbeatMs: 20,
    responseTimeoutMs: 40
  })
  t.teardown(() => listener.close())
  listener.start()
  return { listener, clients, heard, troubles, attempts: () => attempts }
}

t.test('the listener starts to listen, and first reports a possible gap', async (t) => {
  const { listener, clients, heard } = start(t)
  t.notOk(listener.isConnected)
  await until(() => heard.length === 1)
  t.ok(listener.isConnected)
  t.same(heard, [null])
  const [client] = clients
  t.equal(client?.queries[0], 'LISTEN cloud_connections')
  client?.notify(JSON.stringify(MESSAGE))
  client?.notify(JSON.stringify({ ...MESSAGE, deleted: true }))
  client?.notify(JSON.stringify(MESSAGE), 'another channel')
  t.same(heard, [null, { ...MESSAGE, isRemoved: false }, { ...MESSAGE, isRemoved: true }])
})

t.test('an incomplete or invalid message counts as a change of any connection', async (t) => {
  const { clients, heard } = start(t)
  await until(() => heard.length === 1)
  const odd = ['{}', '', 'null', '[]', '5', '{"id":', JSON.stringify({ ...MESSAGE, version: '2' }), undefined]
  for (const payload of odd) clients[0]?.notify(payload)
  t.same(heard, [null, ...odd.map(() => null)])
})

t.test('the listener reconnects after an end or an error, and reports a possible gap', async (t) => {
  const { clients, heard, troubles } = start(t)
  await until(() => heard.length === 1)
  clients[0]?.emit('end')
  await until(() => heard.length === 2)
  clients[1]?.emit('error', new Error('reset'))
  await until(() => heard.length === 3)
  t.same(heard, [null, null, null])
  t.equal(troubles.length, 2)
  t.ok(clients[0]?.ended && clients[1]?.ended, 'both clients are ended')
})

t.test('a connection that does not respond is replaced, although it is not closed', async (t) => {
  const { clients, heard } = start(t)
  await until(() => heard.length === 1)
  t.ok(clients[0])
  if (clients[0] !== undefined) clients[0].answer = () => new Promise(() => {})
  await until(() => heard.length === 2)
  t.ok(clients[0]?.queries.includes('SELECT 1'))
  t.ok(clients[0]?.ended)
})

t.test('a database that is unreachable, hangs or refuses is retried', async (t) => {
  const hanging = new Deferred<ScriptedClient>()
  const refusing = new ScriptedClient()
  refusing.answer = () => Promise.reject(new Error('no LISTEN here'))
  const { heard, troubles, attempts } = start(t, (n) => {
    if (n === 1) return Promise.reject(new Error('ECONNREFUSED'))
    if (n === 2) return hanging.promise
    return Promise.resolve(n === 3 ? refusing : new ScriptedClient())
  })
  await until(() => heard.length === 1)
  t.equal(attempts(), 4)
  t.equal(troubles.length, 3)
  t.ok(refusing.ended)
  const late = new ScriptedClient()
  hanging.resolve(late)
  await until(() => late.ended)
  t.equal(late.queries.length, 0)
})

t.test('a value that is not a client is reported as trouble and does not end the process', async (t) => {
  const { troubles } = start(t, async () => undefined as unknown as ScriptedClient)
  await until(() => troubles.length > 0)
  t.match(troubles[0], TypeError)
})

t.test('closing takes effect at once in every state', async (t) => {
  for (const wait of ['connect', 'listen', 'heartbeat', 'backoff'] as const) {
    const client = new ScriptedClient()
    if (wait === 'listen') client.answer = () => new Promise(() => {})
    let attempts = 0
    const listener = new ConnectionListener({
      listen: () => {
        attempts += 1
        if (wait === 'connect') return new Promise(() => {})
        return wait === 'backoff' ? Promise.reject(new Error('no')) : Promise.resolve(client)
      },
      onNotification: () => {},
      logConnectionLoss: () => {},
      random: () => 1,
      heartbeatMs: 3_600_000,
      responseTimeoutMs: 3_600_000
    })
    listener.start()
    await until(() => attempts === 1)
    if (wait === 'heartbeat') await until(() => listener.isConnected)
    await listener.close()
    if (wait === 'heartbeat' || wait === 'listen') t.ok(client.ended, wait)
    t.notOk(listener.isConnected)
  }
})

t.test('a listener that was never started can be closed', async () => {
  const listen = () => Promise.reject(new Error('not asked for'))
  await new ConnectionListener({
    listen,
    onNotification: () => {},
    logConnectionLoss: () => {},
    random: () => 0
  }).close()
})

t.test('the embedded database notifies about its own changes', async (t) => {
  const database = await emptyDatabase()
  const heard: (ConnectionNotification | null)[] = []
  const listener = new ConnectionListener({
    listen: database.listen,
    onNotification: (message) => heard.push(message),
    logConnectionLoss: (error) => t.fail(String(error)),
    random: () => 0
  })
  t.teardown(() => listener.close())
  listener.start()
  await until(() => heard.length === 1)
  const data = { userId: 'ann', provider: 's3', accountId: 'a', label: 'l', credentials: 'x' }
  const { id } = await database.prisma.cloudConnection.create({ data })
  await database.prisma.cloudConnection.update({ where: { id }, data: { credentials: 'y', label: 'm' } })
  await database.prisma.cloudConnection.update({ where: { id }, data: { status: 'DISABLED' } })
  await database.prisma.cloudConnection.delete({ where: { id } })
  await until(() => heard.length === 4)
  const row = { id, userId: 'ann', provider: 's3', version: 2 }
  t.same(heard, [
    null,
    { ...row, version: 1, isRemoved: false },
    { ...row, isRemoved: false },
    { ...row, isRemoved: true }
  ])
})
