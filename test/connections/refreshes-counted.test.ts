import t from 'tap'
import { StorageError } from '../../src/domain/errors.ts'
import { codeOf, HOUR, never, RefreshWorld } from '../support/refresh-world.ts'

const EXPIRED = { leftMs: 0, ageMs: HOUR }

t.test('a refresh is counted once, for all who wait for it', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  await Promise.all(Array.from({ length: 3 }, () => world.tokensOf(row).current(never)))
  t.same(world.refreshes, ['scripted refreshed'])
})

t.test('one that another process has done is counted as unneeded', async (t) => {
  const first = new RefreshWorld()
  const row = first.add(EXPIRED)
  const second = new RefreshWorld(first)
  await Promise.all([first, second].map((world) => world.tokensOf(row).current(never)))
  t.same([...first.refreshes, ...second.refreshes].sort(), ['scripted refreshed', 'scripted unneeded'])
})

t.test('a grant that has ended is counted once, and its row that is not ACTIVE as a failure', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.answer = () => null
  const tokens = world.tokensOf(row)
  t.equal(await codeOf(t, tokens.current(never)), 'CONNECTION_INACTIVE')
  t.same(world.refreshes, ['scripted ended'])
  t.equal(await codeOf(t, tokens.current(never)), 'CONNECTION_INACTIVE')
  t.same(world.refreshes, ['scripted ended', 'scripted failed'])
})

t.test('a provider or a database that fails is counted as a failure, also where the old token goes on', async (t) => {
  const world = new RefreshWorld()
  world.endpoint.answer = () => {
    throw new StorageError('PROVIDER_UNAVAILABLE', 'No.')
  }
  await world.tokensOf(world.add({ leftMs: 50_000, ageMs: HOUR })).current(never)
  t.same(world.refreshes, ['scripted failed'])
  world.failOnce('withRefreshLock')
  t.equal(await codeOf(t, world.tokensOf(world.add(EXPIRED)).current(never)), 'DATABASE_UNAVAILABLE')
  t.same(world.refreshes, ['scripted failed', 'scripted failed'])
})

t.test('tokens that came and were not stored are a failure, and a refresh once they are', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  world.loseCommitOnce()
  t.equal(await codeOf(t, tokens.current(never)), 'DATABASE_UNAVAILABLE')
  t.same(world.refreshes, ['scripted failed'])
  await tokens.current(never)
  t.same(world.refreshes, ['scripted failed', 'scripted refreshed'])
  t.equal(world.endpoint.asked.length, 1)
})

t.test('a row that changed while the provider was asked is one refresh, by how it ends', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.answer = () => {
    world.replace(row, { accessToken: 'SECRET-access-new', refreshToken: 'SECRET-refresh-new' })
    return null
  }
  await world.tokensOf(row).current(never)
  t.same(world.refreshes, ['scripted unneeded'])
})
