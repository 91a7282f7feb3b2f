import t from 'tap'
import type { SharedTier } from '../../src/cache/shared-tier.ts'
import { StorageError } from '../../src/errors.ts'
import { changeOnce, createWatching } from '../support/listing/watching.ts'

const CHECK_MS = 20_000

t.test('a change that the feed reports is announced by the check, once, under the requested name', async (t) => {
  const { watch, list, time, cloud, calls, sent, connection } = createWatching()
  const client = await watch('f', 'other')
  await list({ folderId: 'f' })
  await list({ folderId: 'other' })
  await time.pass(CHECK_MS)
  t.same(client.events, [], 'nothing has changed')
  t.equal(calls.checks, 1, 'one check confirms the scope')
  cloud.changes = changeOnce('f')
  await time.pass(CHECK_MS + 2_000)
  t.same(client.events, ['f'])
  t.same(sent, [connection.provider])
})

t.test('many pages are confirmed without a warning about listeners', async (t) => {
  const { watch, list, time, calls } = createWatching()
  const folders = Array.from({ length: 20 }, (_, at) => `f${at}`)
  await watch(...folders)
  for (const folderId of folders) await list({ folderId })
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  await time.pass(CHECK_MS)
  process.off('warning', onWarning)
  t.equal(calls.checks, 1)
  t.same(warnings, [])
})

t.test('a folder that is read by others is checked when its interval has passed', async (t) => {
  const { watch, list, time, calls } = createWatching()
  const client = await watch('f')
  await list({ folderId: 'f' })
  await time.pass(10_000)
  await list({ folderId: 'f' })
  await time.pass(0)
  t.equal(calls.checks, 1, 'of the reader')
  await time.pass(10_000)
  t.equal(calls.checks, 1, 'the page is not old enough')
  await time.pass(8_000)
  t.equal(calls.checks, 2)
  t.same(client.events, [])
})

t.test('an invalidation announces the folder at once, in any form of its name and without a cached page', async (t) => {
  const { watch, cache, time, connection } = createWatching()
  const composed = 'caf\u00e9'
  const decomposed = 'cafe\u0301'
  const client = await watch(decomposed, 'root')
  const of = { userId: 'ann', provider: 'scripted', connectionId: connection.id }
  cache.invalidateFolder({ ...of, folderId: decomposed })
  t.same(client.events, [decomposed], 'in this turn')
  await time.pass(1_000)
  cache.invalidateFolder({ ...of, folderId: composed })
  t.same(client.events, [decomposed, decomposed])
  cache.invalidateFolder({ ...of, folderId: null })
  t.same(client.events.splice(0), [decomposed, decomposed, 'root'])

  await time.pass(1_000)
  cache.invalidateFolder({ ...of, folderId: 'unwatched' })
  cache.invalidateFolder({ ...of, folderId: null, connectionId: 'another' })
  cache.invalidateFolder({ ...of, folderId: null, userId: 'bob' })
  cache.invalidateFolder({ ...of, folderId: null, provider: 'another' })
  cache.invalidateConnection('another')
  cache.invalidateProvider('bob', 'scripted')
  t.same(client.events, [])
  cache.invalidateConnection(connection.id)
  t.same(client.events.splice(0).sort(), [decomposed, 'root'].sort())
  for (const invalidate of [() => cache.invalidateProvider('ann', 'scripted'), cache.clear.bind(cache)]) {
    await time.pass(1_000)
    invalidate()
    t.same(client.events.splice(0).sort(), [decomposed, 'root'].sort())
  }
})

t.test('a folder has one event per second, and one at the end of the second for what was held back', async (t) => {
  const { watch, cache, time, connection } = createWatching()
  const client = await watch('f', 'g')
  const invalidate = (folderId: string) =>
    cache.invalidateFolder({ userId: 'ann', provider: 'scripted', connectionId: connection.id, folderId })
  for (let count = 0; count < 5; count += 1) invalidate('f')
  invalidate('g')
  t.same(client.events, ['f', 'g'], 'each folder has its own second')
  await time.pass(999)
  t.same(client.events, ['f', 'g'])
  await time.pass(1)
  t.same(client.events, ['f', 'g', 'f'])
  invalidate('f')
  t.same(client.events, ['f', 'g', 'f'], 'the second begins anew')
  await time.pass(1_000)
  t.same(client.events, ['f', 'g', 'f', 'f'])
  await time.pass(5_000)
  t.equal(client.events.length, 4)
})

t.test('a page that is not covered is announced when it has expired, and not again until it is read', async (t) => {
  const { watch, list, time } = createWatching({ freshness: null })
  const client = await watch('f')
  await list({ folderId: 'f' })
  await time.pass(50_000)
  t.same(client.events, [])
  await time.pass(30_000)
  t.same(client.events, ['f'])
  await time.pass(600_000)
  t.same(client.events, ['f'], 'the client may be hidden')
  await list({ folderId: 'f' })
  await time.pass(100_000)
  t.same(client.events, ['f', 'f'])
})

t.test('a watch without cached pages is announced once', async (t) => {
  const { watch, time } = createWatching()
  const client = await watch('f')
  await time.pass(600_000)
  t.same(client.events, ['f'])
})

t.test('content that another reader has loaded is announced, and equal content is not', async (t) => {
  const { watch, list, time, cloud } = createWatching({ freshness: null })
  const client = await watch('f')
  // Its pages expire between two checks.
  await time.pass(5_000)
  await list({ folderId: 'f' })
  await time.pass(59_999)
  for (const [content, count] of [
    ['one', 0],
    ['two', 1]
  ] as const) {
    cloud.content = content
    await time.pass(1)
    await list({ folderId: 'f' })
    await time.pass(20_000)
    t.equal(client.events.length, count, content)
    await time.pass(39_999)
  }
})

t.test('a variant that has expired is announced although another one is current', async (t) => {
  const { watch, list, time } = createWatching({ freshness: null })
  const client = await watch('f')
  await list({ folderId: 'f' })
  await time.pass(40_000)
  await list({ folderId: 'f', kind: 'folder' })
  await time.pass(40_000)
  t.same(client.events, ['f'])
})

t.test('a page that no check can confirm is announced, but not while the provider is unavailable', async (t) => {
  const { watch, list, time, cloud } = createWatching()
  const client = await watch('f')
  await list({ folderId: 'f' })
  cloud.changes = () => Promise.reject(new StorageError('PROVIDER_UNAVAILABLE'))
  await time.pass(100_000)
  t.same(client.events, [])
  cloud.changes = () => Promise.reject(new StorageError('ACCESS_DENIED'))
  await time.pass(100_000)
  t.same(client.events, ['f'], 'once')
})

t.test('the watch ends when the connection has changed, is removed, or cannot be read', async (t) => {
  for (const leaseMs of [0, 2_000]) {
    for (const [what, break_] of [
      [
        'changed',
        ({ connections, connection }) => {
          connections.change(connection.id, {})
        }
      ],
      [
        'disabled',
        ({ connections, connection }) => {
          connections.change(connection.id, { status: 'DISABLED' })
        }
      ],
      ['removed', ({ connections, connection }) => connections.rows.delete(connection.id)],
      [
        'unreadable',
        ({ connections }) => {
          const fail = () => Promise.reject(new StorageError('DATABASE_UNAVAILABLE'))
          Object.assign(connections, { poll: fail, find: fail, findSealed: fail })
        }
      ]
    ] as [string, (watching: ReturnType<typeof createWatching>) => unknown][]) {
      const watching = createWatching({ leaseMs })
      const { watch, time, watches, list } = watching
      const client = await watch('f')
      await list({ folderId: 'f' })
      await time.pass(5_000)
      t.equal(client.isEnded, false)
      break_(watching)
      await time.pass(leaseMs === 0 ? 10_000 : 4_000)
      t.equal(client.isEnded, true, `${what}, lease ${leaseMs}`)
      t.same([watches.count, watches.connectionCount, time.count], [0, 0, 0], 'nothing is left')
      client.stop()
      t.equal(watches.count, 0)
    }
  }
})

t.test('no event follows a change of the connection, even if it was not noticed yet', async (t) => {
  for (const leaseMs of [0, 2_000]) {
    const { watch, cache, time, connections, connection, leases } = createWatching({ leaseMs })
    const client = await watch('f')
    connections.change(connection.id, {})
    leases.drop('ann')
    cache.invalidateConnection(connection.id)
    await time.pass(0)
    t.same([client.events, client.isEnded], [[], true])
  }
})

t.test('a dropped connection ends its streams in the same turn', async (t) => {
  const { watch, watches, connection, time } = createWatching()
  const clients = [await watch('f'), await watch('g')]
  watches.end('another')
  t.notOk(clients.some(({ isEnded }) => isEnded))
  watches.end(connection.id)
  t.ok(clients.every(({ isEnded }) => isEnded))
  t.same([watches.count, time.count], [0, 0])
})

t.test('clients of one connection share its checks, and nothing is left when the last one leaves', async (t) => {
  const { watch, list, time, watches, calls, cache, connection } = createWatching()
  const one = await watch('f')
  const other = await watch('f', 'g')
  await list({ folderId: 'f' })
  await list({ folderId: 'g' })
  await time.pass(CHECK_MS)
  t.equal(calls.checks, 1)
  t.same([watches.count, watches.connectionCount], [2, 1])
  other.stop()
  other.stop()
  const of = { userId: 'ann', provider: 'scripted', connectionId: connection.id }
  cache.invalidateFolder({ ...of, folderId: 'f' })
  cache.invalidateFolder({ ...of, folderId: 'g' })
  t.same([one.events, other.events, other.isEnded], [['f'], [], false])
  one.stop()
  t.same([watches.count, watches.connectionCount, time.count], [0, 0, 0])
  const { checks } = calls
  await time.pass(600_000)
  t.equal(calls.checks, checks)
})

t.test('a page that was read and has expired between two checks is announced', async (t) => {
  const { watch, list, time, cloud } = createWatching()
  const client = await watch('f')
  await time.pass(600_000)
  t.same(client.events, ['f'], 'there was no page')
  // It cannot be confirmed, and is too old at the next check.
  cloud.changes = () => Promise.reject(new StorageError('ACCESS_DENIED'))
  await list({ folderId: 'f' })
  await time.pass(30_000)
  t.same(client.events, ['f', 'f'])
})

t.test('a client that leaves within the second after an event leaves no timer', async (t) => {
  const { watch, watches, cache, time, connection } = createWatching()
  const client = await watch('f')
  cache.invalidateConnection(connection.id)
  client.stop()
  t.equal(time.count, 0)
  const ended = await watch('f')
  cache.invalidateConnection(connection.id)
  watches.end(connection.id)
  t.same([ended.events, time.count], [['f'], 0])
})

t.test('a new version of the connection ends the watches of the old one', async (t) => {
  const { watch, connections, connection, leases, watches } = createWatching()
  const old = await watch('f')
  connections.change(connection.id, {})
  leases.drop('ann')
  const current = await watch('f')
  t.same([old.isEnded, current.isEnded, watches.count, watches.connectionCount], [true, false, 1, 1])
})

t.test('an invalidation by another instance is announced within two seconds, and an own one once', async (t) => {
  let generation = 'g1'
  const shared: SharedTier = {
    getGeneration: () => generation,
    getOrLoad: async (_userId, _key, load) => ({ bytes: await load(), ageMs: 0 }),
    invalidate: () => {
      generation = 'own'
    },
    flush: async () => {},
    close: async () => {}
  }
  const { watch, time, cache, connection } = createWatching({ shared })
  const client = await watch('f')
  await time.pass(3_000)
  t.same(client.events, [])
  generation = 'g2'
  await time.pass(1_000)
  t.same(client.events, ['f'])
  await time.pass(2_500)
  cache.invalidateFolder({ userId: 'ann', provider: 'scripted', connectionId: connection.id, folderId: 'f' })
  await time.pass(5_000)
  t.same(client.events, ['f', 'f'])
})

t.test('what cannot be watched is refused before the stream begins', async (t) => {
  const refused = new StorageError('FOLDER_NOT_FOUND')
  const rules = {
    checkFolderId: (folderId: string) => {
      if (folderId === 'impossible') throw refused
      t.not(folderId, 'root')
    }
  }
  const { watches, connection, connections, watch } = createWatching({ rules, maxStreams: 1 })
  const request = { userId: 'ann', connectionId: connection.id, folders: ['root'] }
  await t.rejects(watches.select({ ...request, userId: 'bob' }), { code: 'CONNECTION_NOT_FOUND' })
  await t.rejects(watches.select({ ...request, connectionId: 'x' }), { code: 'CONNECTION_NOT_FOUND' })
  await t.rejects(watches.select({ ...request, folders: ['impossible'] }), refused)
  await t.rejects(watches.select({ ...request, folders: ['a\0'] }), { code: 'INVALID_REQUEST' })
  const client = await watch('root')
  await t.rejects(watch('f'), { code: 'TOO_MANY_REQUESTS', retryAfterMs: 30_000 })
  client.stop()
  const last = await watch('f')
  watches.close()
  t.ok(last.isEnded)
  await t.rejects(watch('f'), { code: 'SHUTTING_DOWN' })
  t.equal(watches.count, 0)
  const inactive = connections.add({ status: 'REQUIRES_REAUTH' })
  await t.rejects(watches.select({ ...request, connectionId: inactive.id }), { code: 'CONNECTION_INACTIVE' })
})
