import t from 'tap'
import { StorageError } from '../../src/errors.ts'
import { errorCodeOf, HOUR_MS, neverAborted, RefreshWorld } from '../support/refresh/world.ts'

const EXPIRED = { leftMs: 0, ageMs: HOUR_MS }

t.test('a refresh is counted once for all waiting callers', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  await Promise.all(Array.from({ length: 3 }, () => world.tokensOf(row).current(neverAborted)))
  t.same(world.refreshes, ['scripted refreshed'])
})

t.test('a refresh that another process has done is counted as unneeded', async (t) => {
  const first = new RefreshWorld()
  const row = first.add(EXPIRED)
  const second = new RefreshWorld(first)
  await Promise.all([first, second].map((world) => world.tokensOf(row).current(neverAborted)))
  t.same([...first.refreshes, ...second.refreshes].sort(), ['scripted refreshed', 'scripted unneeded'])
})

t.test('an ended grant is counted once, and later calls for its inactive row as failures', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = () => null
  const tokens = world.tokensOf(row)
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'CONNECTION_INACTIVE')
  t.same(world.refreshes, ['scripted ended'])
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'CONNECTION_INACTIVE')
  t.same(world.refreshes, ['scripted ended', 'scripted failed'])
})

t.test('a failing provider or database is counted as a failure, even if the old token is used', async (t) => {
  const world = new RefreshWorld()
  world.endpoint.respond = () => {
    throw new StorageError('PROVIDER_UNAVAILABLE', 'No.')
  }
  await world.tokensOf(world.add({ leftMs: 50_000, ageMs: HOUR_MS })).current(neverAborted)
  t.same(world.refreshes, ['scripted failed'])
  world.failOnce('withRefreshLock')
  t.equal(await errorCodeOf(t, world.tokensOf(world.add(EXPIRED)).current(neverAborted)), 'DATABASE_UNAVAILABLE')
  t.same(world.refreshes, ['scripted failed', 'scripted failed'])
})

t.test('tokens that could not be stored are counted as a failure, and as a refresh once they are stored', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  world.failCommitOnce()
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'DATABASE_UNAVAILABLE')
  t.same(world.refreshes, ['scripted failed'])
  await tokens.current(neverAborted)
  t.same(world.refreshes, ['scripted failed', 'scripted refreshed'])
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('a row that changes during a refresh is counted once, by the outcome', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = () => {
    world.replace(row, { accessToken: 'SECRET-access-new', refreshToken: 'SECRET-refresh-new' })
    return null
  }
  await world.tokensOf(row).current(neverAborted)
  t.same(world.refreshes, ['scripted unneeded'])
})
