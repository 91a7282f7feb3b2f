import t from 'tap'
import type { PendingFlow } from '../../src/core/stores.ts'
import { OAuthStateStore } from '../../src/db/oauth-state-store.ts'
import { ManualClock } from '../support/time/clock.ts'
import { emptyDatabase } from '../support/database/database.ts'

async function setUp() {
  const { prisma } = await emptyDatabase()
  const clock = new ManualClock()
  const store = new OAuthStateStore(prisma, { clock })
  const flow = (stateHash: string, over: Partial<PendingFlow> = {}): PendingFlow => ({
    stateHash,
    userId: 'ann',
    provider: 'nextcloud',
    sealedVerifier: 'sealed',
    returnTo: '',
    bindingHash: '',
    expiresAt: new Date(clock.date() + 600_000),
    ...over
  })
  return { store, clock, flow, prisma }
}

t.test('a flow is found by its user and provider until it expires', async (t) => {
  const { store, clock, flow } = await setUp()
  await store.save(flow('one'), 5)
  t.same(await store.find('one', 'ann', 'nextcloud'), flow('one'))
  t.equal(await store.find('one', 'bob', 'nextcloud'), null)
  t.equal(await store.find('one', 'ann', 'google_drive'), null)
  t.equal(await store.find('two', 'ann', 'nextcloud'), null)
  t.equal(await store.find('one', 'a\0nn', 'nextcloud'), null)
  clock.tick(599_999)
  t.ok(await store.find('one', 'ann', 'nextcloud'))
  clock.tick(1)
  t.equal(await store.find('one', 'ann', 'nextcloud'), null)
})

t.test('saving deletes the expired flows of all users, and all but the newest flows of the user', async (t) => {
  const { store, clock, flow, prisma } = await setUp()
  await store.save(flow('bobs', { userId: 'bob' }), 5)
  clock.tick(600_000)
  for (let index = 0; index < 4; index++) {
    clock.tick(1000)
    await store.save(flow(`ann ${index}`), 2)
  }
  const left = await prisma.oAuthState.findMany({ orderBy: { stateHash: 'asc' } })
  t.same(
    left.map(({ stateHash }) => stateHash),
    ['ann 2', 'ann 3']
  )
})

t.test('sealed data can be replaced, and a flow is removed once', async (t) => {
  const { store, flow } = await setUp()
  await store.save(flow('one'), 5)
  await store.reseal('one', 'sealed anew')
  t.match(await store.find('one', 'ann', 'nextcloud'), { sealedVerifier: 'sealed anew' })
  t.equal(await store.remove('one'), true)
  t.equal(await store.remove('one'), false)
  await store.reseal('one', 'too late')
  t.equal(await store.find('one', 'ann', 'nextcloud'), null)
})
