import { randomBytes } from 'node:crypto'
import t from 'tap'
import { rotateKeys, Secret } from '../src/index.ts'
import { createCredentialCipher } from '../src/crypto/credentials.ts'
import { createKeyRing } from '../src/crypto/key-ring.ts'
import { createConnectionStore } from '../src/db/connection-store.ts'
import { emptyDatabase } from './support/database/database.ts'

const k1 = randomBytes(32).toString('base64')
const k2 = randomBytes(32).toString('base64')
/** As a LIKE pattern, this key ID matches the other one. */
const rings = {
  old: { current: 'k1', keys: { k1 } },
  both: { current: 'k_', keys: { k1, k_: k2 } },
  fresh: { current: 'k_', keys: { k_: k2 } }
}
const cipherOf = (ring: keyof typeof rings) => createCredentialCipher(createKeyRing(rings[ring]))

async function start(users: number) {
  const { prisma } = await emptyDatabase()
  const store = createConnectionStore(prisma)
  const save = (userId: string, ring: keyof typeof rings, secret = userId) =>
    store.saveConnected(
      { userId, provider: 's3', accountId: 'a', label: 'l', scopes: [] },
      (id) => cipherOf(ring).seal(new Secret({ secret }), { userId, id, provider: 's3' }),
      10
    )
  for (let index = 0; index < users; index += 1) await save(`user ${String(index)}`, 'old')
  const read = async (ring: keyof typeof rings) => {
    const rows = await prisma.cloudConnection.findMany({ orderBy: { userId: 'asc' } })
    return rows.map(({ id, userId, provider, credentials }) =>
      cipherOf(ring).open(credentials, { userId, id, provider }).reveal()
    )
  }
  return { prisma, save, read, store }
}

t.test('all rows are readable with the new key alone, and nothing else in them has changed', async (t) => {
  const { prisma, save, read } = await start(7)
  await save('user 7', 'both')
  const before = await prisma.cloudConnection.findMany({ orderBy: { userId: 'asc' } })
  const progress: { done: number; total: number }[] = []
  const summary = await rotateKeys({
    prisma,
    encryption: rings.both,
    batchSize: 3,
    onProgress: (at) => progress.push(at)
  })
  t.same(summary, { resealed: 7, unreadable: [], left: 0 })
  t.same(
    progress.map(({ done, total }) => [done, total]),
    [
      [3, 7],
      [6, 7],
      [7, 7]
    ]
  )
  t.same(
    await read('fresh'),
    before.map(({ userId }) => ({ secret: userId }))
  )
  const after = await prisma.cloudConnection.findMany({ orderBy: { userId: 'asc' } })
  for (const [index, row] of after.entries()) {
    const was = before[index]
    t.equal(row.version, was?.version, 'cached listings stay valid')
    t.equal(row.credentialsRevision, index === 7 ? 1 : 2)
    t.same(row.connectedAt, was?.connectedAt)
  }
  t.same(await rotateKeys({ prisma, encryption: rings.both }), { resealed: 0, unreadable: [], left: 0 }, 'no row')
})

t.test('unreadable rows are reported, stay unchanged, and do not stop the rotation', async (t) => {
  const { prisma, read } = await start(5)
  const [first, , third] = await prisma.cloudConnection.findMany({ orderBy: { id: 'asc' } })
  const altered = { credentials: 'v1.gone.AAAA' }
  for (const row of [first, third]) await prisma.cloudConnection.update({ where: { id: row?.id ?? '' }, data: altered })
  const summary = await rotateKeys({ prisma, encryption: rings.both, batchSize: 2 })
  t.same(summary, { resealed: 3, unreadable: [first?.id, third?.id], left: 0 })
  t.equal(await prisma.cloudConnection.count({ where: altered }), 2)
  await prisma.cloudConnection.deleteMany({ where: altered })
  t.equal((await read('fresh')).length, 3)
})

t.test('a row that changes during the rotation keeps its change, and is sealed in the next pass', async (t) => {
  const { prisma, read, save } = await start(4)
  let isFirst = true
  const racing = new Proxy(prisma, {
    get(target, name) {
      if (name !== '$executeRaw') return Reflect.get(target, name) as unknown
      return async (...args: Parameters<typeof prisma.$executeRaw>) => {
        // The user reconnects, through a process that still encrypts with the old key.
        if (isFirst) await save('user 2', 'old', 'renewed')
        isFirst = false
        return await target.$executeRaw(...args)
      }
    }
  })
  const summary = await rotateKeys({ prisma: racing, encryption: rings.both })
  t.same(summary, { resealed: 4, unreadable: [], left: 0 })
  t.same(
    await read('fresh'),
    ['user 0', 'user 1', 'renewed', 'user 3'].map((secret) => ({ secret }))
  )
  t.equal(await prisma.cloudConnection.count({ where: { version: 2 } }), 1)
})

t.test('a rotation that ends early reports the remaining rows, and can be continued', async (t) => {
  const { prisma, read } = await start(6)
  const stop = new AbortController()
  const summary = await rotateKeys({
    prisma,
    encryption: rings.both,
    batchSize: 2,
    signal: stop.signal,
    onProgress: () => {
      stop.abort()
    }
  })
  t.same(summary, { resealed: 2, unreadable: [], left: 4 })
  t.equal((await read('both')).length, 6, 'both keys together read all rows')
  t.same(await rotateKeys({ prisma, encryption: rings.both }), { resealed: 4, unreadable: [], left: 0 })
  t.equal((await read('fresh')).length, 6)
})

t.test('an invalid key ring is refused by name', async (t) => {
  const { prisma } = await start(0)
  await t.rejects(rotateKeys({ prisma, encryption: { current: 'k3', keys: { k1 } } }), {
    message: /encryption.current/
  })
})
