import t from 'tap'
import { parseTokens } from '../../src/connections/tokens.ts'
import { StorageError } from '../../src/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import { errorCodeOf, HOUR_MS, neverAborted, RefreshWorld } from '../support/refresh/world.ts'

for (const [random, skewMs] of [
  [0, 60_000],
  [0.5, 180_000],
  [1, 300_000]
] as const) {
  t.test(
    `with ${random} at random a token is refreshed ${skewMs / 1000} s before its expiry, and not earlier`,
    async (t) => {
      const world = new RefreshWorld()
      const row = world.add()
      const tokens = world.tokensOf(row, random)
      world.clock.tick(HOUR_MS - skewMs - 1)
      t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-0')
      t.same(world.endpoint.receivedTokens, [])
      world.clock.tick(1)
      t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
      t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
      t.same(world.endpoint.receivedTokens, ['SECRET-refresh-0'])
    }
  )
}

t.test('a short-lived token is refreshed at most a quarter of its lifetime early', async (t) => {
  const world = new RefreshWorld()
  const tokens = world.tokensOf(world.add({ leftMs: 100_000 }), 1)
  world.clock.tick(74_999)
  await tokens.current(neverAborted)
  t.same(world.endpoint.receivedTokens, [])
  world.clock.tick(1)
  await tokens.current(neverAborted)
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('the lifetime of a token is measured from before the request', async (t) => {
  const world = new RefreshWorld()
  const row = world.add({ leftMs: 0, ageMs: HOUR_MS })
  const askedAt = world.clock.date()
  world.endpoint.respond = () => {
    world.clock.tick(20_000)
    return world.endpoint.rotated()
  }
  await world.tokensOf(row).current(neverAborted)
  t.equal(world.stored(row).expiresAt, askedAt + HOUR_MS)
})

t.test('new tokens are stored before they are used, and the visible row does not change', async (t) => {
  const world = new RefreshWorld()
  const row = world.add({ leftMs: 0, ageMs: HOUR_MS })
  t.equal((await world.tokensOf(row).current(neverAborted)).reveal(), 'SECRET-access-1')
  t.match(world.stored(row), { accessToken: 'SECRET-access-1', refreshToken: 'SECRET-refresh-1' })
  t.match(world.row(row), {
    version: row.version,
    credentialsRevision: row.credentialsRevision + 1,
    status: 'ACTIVE'
  })
})

t.test('a response without a refresh token keeps the old one, and a token without expiry is always used', async (t) => {
  const world = new RefreshWorld()
  const row = world.add({ leftMs: 0, ageMs: HOUR_MS })
  world.endpoint.respond = () => world.endpoint.rotated({ refreshToken: null, lifetimeMs: null })
  const tokens = world.tokensOf(row)
  await tokens.current(neverAborted)
  t.match(world.stored(row), { accessToken: 'SECRET-access-1', refreshToken: 'SECRET-refresh-0', expiresAt: null })
  world.clock.tick(1000 * HOUR_MS)
  await tokens.current(neverAborted)
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('an endpoint with a Retry-After is not called for that time', async (t) => {
  const world = new RefreshWorld()
  const tokens = world.tokensOf(world.add({ leftMs: 60_000, ageMs: HOUR_MS }))
  world.endpoint.respond = () => {
    throw new StorageError('PROVIDER_THROTTLED', 'Not now.', { retryAfterMs: 45_000 })
  }
  for (const waitMs of [0, 44_999]) {
    world.clock.tick(waitMs)
    await tokens.current(neverAborted)
    t.equal(world.endpoint.receivedTokens.length, 1)
  }
  world.clock.tick(1)
  await tokens.current(neverAborted)
  t.equal(world.endpoint.receivedTokens.length, 2)
})

for (const code of ['PROVIDER_UNAVAILABLE', 'PROVIDER_THROTTLED', 'PROVIDER_TIMEOUT'] as const) {
  t.test(`${code} during an early refresh: the old token is used, and the endpoint not called for 30 s`, async (t) => {
    const world = new RefreshWorld()
    const row = world.add({ leftMs: 60_000, ageMs: HOUR_MS })
    const tokens = world.tokensOf(row)
    world.endpoint.respond = () => {
      throw new StorageError(code, 'Not now.')
    }
    for (const waitMs of [0, 1, 29_998]) {
      world.clock.tick(waitMs)
      t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-0')
      t.equal(world.endpoint.receivedTokens.length, 1)
    }
    world.clock.tick(1)
    await tokens.current(neverAborted)
    t.equal(world.endpoint.receivedTokens.length, 2)
    t.equal(world.row(row).status, 'ACTIVE')
    world.endpoint.respond = () => world.endpoint.rotated()
    world.clock.tick(30_000)
    t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-3')
  })

  t.test(`${code} after the expiry of the token: the call fails with it`, async (t) => {
    const world = new RefreshWorld()
    const row = world.add({ leftMs: 30_000, ageMs: HOUR_MS })
    const tokens = world.tokensOf(row)
    world.endpoint.respond = () => {
      throw new StorageError(code, 'Not now.')
    }
    await tokens.current(neverAborted)
    // The remaining lifetime is too short for a call, although the endpoint must not be called for a while.
    world.clock.tick(25_000)
    t.equal(await errorCodeOf(t, tokens.current(neverAborted)), code)
    world.clock.tick(5_000)
    t.equal(await errorCodeOf(t, tokens.current(neverAborted)), code)
    t.equal(world.endpoint.receivedTokens.length, 3)
    t.equal(world.row(row).status, 'ACTIVE')
    t.same(world.endedConnections, [])
  })
}

t.test('a database outage during an early refresh: the old token is used, and no request is sent', async (t) => {
  const world = new RefreshWorld()
  const row = world.add({ leftMs: 60_000, ageMs: HOUR_MS })
  const tokens = world.tokensOf(row)
  world.failOnce('withRefreshLock')
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-0')
  t.same(world.endpoint.receivedTokens, [])
  world.clock.tick(56_000)
  world.failOnce('withRefreshLock')
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'DATABASE_UNAVAILABLE')
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
})

t.test('a permanent failure is reported at once, even during an early refresh', async (t) => {
  const world = new RefreshWorld()
  const tokens = world.tokensOf(world.add({ leftMs: 60_000, ageMs: HOUR_MS }))
  world.endpoint.respond = () => {
    throw new StorageError('ENDPOINT_FORBIDDEN', 'Connections to this server are not allowed.')
  }
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'ENDPOINT_FORBIDDEN')
})

t.test('without a refresh token a token is used until its expiry, and then the user must reconnect', async (t) => {
  const world = new RefreshWorld()
  const row = world.add({ refreshToken: null, leftMs: 60_000 })
  const tokens = world.tokensOf(row, 1)
  world.clock.tick(59_999)
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-0')
  t.equal(world.row(row).status, 'ACTIVE')
  world.clock.tick(1)
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'CONNECTION_INACTIVE')
  t.equal(world.row(row).status, 'REQUIRES_REAUTH')
  t.same(world.endedConnections, [row.id])
  t.same(world.endpoint.receivedTokens, [])
})

t.test('without a refresh token an early 401 is left to the confirmation by account()', async (t) => {
  for (const leftMs of [60_000, null]) {
    const world = new RefreshWorld()
    const row = world.add({ refreshToken: null, leftMs })
    const tokens = world.tokensOf(row)
    const refused = await tokens.current(neverAborted)
    const failure: unknown = await tokens.renewed(refused, neverAborted).catch((error: unknown) => error)
    t.match(failure, { code: 'ACCESS_DENIED', credentialsRefused: true })
    t.equal(world.row(row).status, 'ACTIVE')
    t.same(world.endedConnections, [])
  }
})

t.test('a valid token that is rejected is refreshed once for all its callers', async (t) => {
  const world = new RefreshWorld()
  const tokens = world.tokensOf(world.add())
  const refused = await tokens.current(neverAborted)
  const renewed = await Promise.all([1, 2, 3].map(() => tokens.renewed(refused, neverAborted)))
  t.same(
    renewed.map((token) => token.reveal()),
    Array(3).fill('SECRET-access-1')
  )
  t.equal((await tokens.renewed(refused, neverAborted)).reveal(), 'SECRET-access-1', 'a later caller gets it too')
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('a rejected token is not refreshed if another process has done so', async (t) => {
  const world = new RefreshWorld()
  const row = world.add()
  const tokens = world.tokensOf(row)
  world.replace(row, { accessToken: 'SECRET-access-other', refreshToken: 'SECRET-refresh-other' })
  const renewed = await tokens.renewed(new Secret('SECRET-access-0'), neverAborted)
  t.equal(renewed.reveal(), 'SECRET-access-other')
  t.same(world.endpoint.receivedTokens, [])
  t.equal((await tokens.renewed(renewed, neverAborted)).reveal(), 'SECRET-access-1')
  t.same(
    world.endpoint.receivedTokens,
    ['SECRET-refresh-other'],
    'the other token is refreshed when it is rejected too'
  )
})

t.test('a caller that joins a refresh which returns the rejected token refreshes again', async (t) => {
  const world = new RefreshWorld()
  const row = world.add({ leftMs: 10_000, ageMs: HOUR_MS })
  // Two callers that opened the row at different times: the first has an old token, the second the stored one.
  const first = world.tokensOf(row)
  world.replace(row, { accessToken: 'SECRET-access-newer' })
  const second = world.tokensOf(row)
  const [taken, renewed] = await Promise.all([
    first.current(neverAborted),
    second.renewed(new Secret('SECRET-access-newer'), neverAborted)
  ])
  t.same([taken.reveal(), renewed.reveal()], ['SECRET-access-newer', 'SECRET-access-1'])
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('tokens that are rejected at once are refreshed three times per minute', async (t) => {
  const world = new RefreshWorld()
  const row = world.add()
  const tokens = world.tokensOf(row)
  const refuse = async () => tokens.renewed(await tokens.current(neverAborted), neverAborted)
  for (let n = 1; n <= 3; n += 1) {
    t.equal((await refuse()).reveal(), `SECRET-access-${n}`)
    world.clock.tick(10_000)
  }
  world.clock.suspend(HOUR_MS / 2)
  t.equal(await errorCodeOf(t, refuse()), 'ACCESS_DENIED', 'sleep of the machine does not count')
  const opened = world.tokensOf(row)
  t.equal(
    await errorCodeOf(t, opened.renewed(await opened.current(neverAborted), neverAborted)),
    'ACCESS_DENIED',
    'for another instance'
  )
  world.clock.tick(29_999)
  t.equal(await errorCodeOf(t, refuse()), 'ACCESS_DENIED')
  t.equal(world.endpoint.receivedTokens.length, 3)
  world.clock.tick(1)
  t.equal((await refuse()).reveal(), 'SECRET-access-4')
  t.equal(await errorCodeOf(t, refuse()), 'ACCESS_DENIED')
  t.equal(world.row(row).status, 'ACTIVE')
  t.equal(
    await errorCodeOf(t, world.tokensOf(world.add()).renewed(new Secret('SECRET-access-0'), neverAborted)),
    'none'
  )
})

t.test('tokens that others have refreshed, and removed grants, do not count as rejections', async (t) => {
  const world = new RefreshWorld()
  const row = world.add()
  const opened = Array.from({ length: 6 }, () => world.tokensOf(row))
  const refused = new Secret('SECRET-access-0')
  world.replace(row, { accessToken: 'SECRET-access-other' })
  for (const tokens of opened) t.equal((await tokens.renewed(refused, neverAborted)).reveal(), 'SECRET-access-other')
  world.connections.change(row.id, { status: 'REQUIRES_REAUTH' })
  const other = new Secret('SECRET-access-other')
  for (const tokens of opened) t.equal(await errorCodeOf(t, tokens.renewed(other, neverAborted)), 'CONNECTION_INACTIVE')
  world.connections.change(row.id, { status: 'ACTIVE' })
  t.equal((await opened[0]!.renewed(other, neverAborted)).reveal(), 'SECRET-access-1')
})

t.test('a token endpoint that returns the rejected token again is called twice', async (t) => {
  const world = new RefreshWorld()
  const row = world.add()
  world.endpoint.respond = () => world.endpoint.rotated({ accessToken: new Secret('SECRET-access-0') })
  t.equal(
    await errorCodeOf(t, world.tokensOf(row).renewed(new Secret('SECRET-access-0'), neverAborted)),
    'ACCESS_DENIED'
  )
  t.equal(world.endpoint.receivedTokens.length, 2)
})

t.test('stored tokens can be parsed as stored, or are unreadable', async (t) => {
  const good = { accessToken: 'SECRET-a', refreshToken: null, obtainedAt: 1, expiresAt: null }
  t.match(parseTokens(new Secret(good)), { obtainedAt: 1, expiresAt: null, refreshToken: null })
  const garbage: unknown[] = [
    null,
    'SECRET',
    7,
    [],
    {},
    { ...good, accessToken: undefined },
    { ...good, accessToken: 7 },
    { ...good, refreshToken: 7 },
    { ...good, refreshToken: undefined },
    { ...good, obtainedAt: '1' },
    { ...good, expiresAt: '1' },
    { accessKeyId: 'SECRET', secretAccessKey: 'SECRET' }
  ]
  for (const value of garbage) {
    const parse = async () => parseTokens(new Secret(value))
    t.equal(await errorCodeOf(t, parse()), 'CREDENTIALS_UNREADABLE', JSON.stringify(value))
  }
})
