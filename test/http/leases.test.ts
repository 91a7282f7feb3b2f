import t from 'tap'
import { testApp } from '../support/app/app.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'
import { until } from '../support/time/until.ts'

const LISTING = '/cloud/scripted/listing'
/** Longer than any test: a change that is noticed is not noticed because the lease has ended. */
const leaseMs = 3_600_000

t.test('a cache hit within a lease reads neither the database nor the provider', async (t) => {
  const { as, connect, db, scripted } = await testApp(t, { leaseMs })
  const id = await connect('ann')
  t.equal((await as('ann').get(LISTING)).statusCode, 200)
  // A change in the database without a notification.
  await db.prisma.cloudConnection.update({ where: { id }, data: { status: 'DISABLED' } })
  for (const url of [LISTING, `${LISTING}?connection=${id}`]) {
    const hit = await as('ann').get(url)
    t.equal(hit.statusCode, 200)
    t.match(hit.headers['cache-status'], /; hit/)
  }
  const miss = await as('ann').get(`${LISTING}?folder=other`)
  t.equal(miss.json<{ code: string }>().code, 'CONNECTION_INACTIVE', 'a load needs the credentials')
  t.equal(scripted.backend.listCalls.length, 1)
  t.equal((await as('ann').get(LISTING)).statusCode, 503, 'the status read by the load is trusted')
})

t.test('a change by this process takes effect at once', async (t) => {
  const { as, connect, scripted } = await testApp(t, { leaseMs })
  const first = await connect('ann', 'first')
  scripted.backend.list = async () => page([entry('a')])
  const shown = async () => (await as('ann').get(LISTING)).json<{ connectionId?: string; code?: string }>()
  t.equal((await shown()).connectionId, first)
  const second = await connect('ann', 'second')
  t.equal((await shown()).code, 'CONNECTION_AMBIGUOUS')
  await as('ann').send('PATCH', `/cloud/connections/${second}`, { default: true })
  t.equal((await shown()).connectionId, second)
  await as('ann').send('PATCH', `/cloud/connections/${first}`, { default: true })
  t.equal((await shown()).connectionId, first)
  await as('ann').send('DELETE', `/cloud/connections/${first}`)
  t.equal((await shown()).connectionId, second)
  t.equal((await as('ann').get(`${LISTING}?connection=${first}`)).statusCode, 404)
  await as('ann').send('DELETE', '/cloud/connections')
  t.equal((await shown()).code, 'CONNECTION_MISSING')
})

t.test('a change by another process takes effect through a notification', async (t) => {
  const { as, app, connect, db } = await testApp(t, { leaseMs, listen: () => db.listen() })
  const id = await connect('ann')
  const change = (data: { status?: 'ACTIVE' | 'DISABLED'; accountId?: string }) =>
    db.prisma.cloudConnection.update({ where: { id }, data })
  const status = async () => (await as('ann').get(LISTING)).statusCode
  // The lease outlasts the test, so a noticed change proves that the app is listening.
  await until(async () => {
    await change({ status: 'ACTIVE', accountId: String(Math.random()) })
    await status()
    await change({ status: 'DISABLED' })
    return (await status()) === 503
  })
  await change({ status: 'ACTIVE' })
  await until(async () => (await status()) === 200)
  t.equal(app.folderCache.stats().entries, 1)
  await db.prisma.cloudConnection.delete({ where: { id } })
  await until(async () => (await status()) === 503)
  t.equal(app.folderCache.stats().entries, 0, 'its cached listings are dropped')
})

t.test('the time of the last use of a connection is stored', async (t) => {
  const { as, connect, db } = await testApp(t)
  const id = await connect('ann')
  const used = async () => (await db.prisma.cloudConnection.findUniqueOrThrow({ where: { id } })).lastUsedAt
  t.equal(await used(), null)
  await as('ann').get(LISTING)
  await until(async () => (await used()) !== null)
})
