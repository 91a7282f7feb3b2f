import t from 'tap'
import type { StoredTokens } from '../../src/connections/tokens.ts'
import { StorageError } from '../../src/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { errorCodeOf, HOUR_MS, neverAborted, RefreshWorld } from '../support/refresh/world.ts'

const EXPIRED = { leftMs: 0, ageMs: HOUR_MS }

/** Runs `happens` during the first call to the provider, which then returns rotated tokens. */
function meanwhile(world: RefreshWorld, happens: () => unknown): void {
  world.endpoint.respond = () => {
    if (world.endpoint.receivedTokens.length === 1) happens()
    return world.endpoint.rotated()
  }
}

t.test('tokens that another process has refreshed meanwhile are used without a request', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  world.replace(row, { accessToken: 'SECRET-access-other', refreshToken: 'SECRET-refresh-other' })
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-other')
  t.same(world.endpoint.receivedTokens, [])
})

t.test('of several concurrent processes one sends a request, and the others use the stored tokens', async (t) => {
  const first = new RefreshWorld()
  const row = first.add(EXPIRED)
  const processes = [first, ...Array.from({ length: 3 }, () => new RefreshWorld(first))]
  const tokens = await Promise.all(processes.map((world) => world.tokensOf(row).current(neverAborted)))
  t.same(
    tokens.map((token) => token.reveal()),
    Array(4).fill('SECRET-access-1')
  )
  t.equal(first.endpoint.receivedTokens.length, 1)
})

t.test('invalid_grant sets REQUIRES_REAUTH, with one event, and rejects all waiting callers', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = () => null
  const [one, other] = [world.tokensOf(row), world.tokensOf(row)]
  const codes = await Promise.all(
    [one, one, other, other].map((tokens) => errorCodeOf(t, tokens.current(neverAborted)))
  )
  t.same(codes, Array(4).fill('CONNECTION_INACTIVE'))
  t.same(world.endedConnections, [row.id])
  t.match(world.row(row), { status: 'REQUIRES_REAUTH', credentialsRevision: row.credentialsRevision })
  t.equal(await errorCodeOf(t, one.current(neverAborted)), 'CONNECTION_INACTIVE')
  t.same(world.endedConnections, [row.id], 'no second event for a caller that has opened the connection before')
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('invalid_grant during an early refresh ends the token that is still valid too', async (t) => {
  const world = new RefreshWorld()
  const row = world.add({ leftMs: 60_000, ageMs: HOUR_MS })
  world.endpoint.respond = () => null
  t.equal(await errorCodeOf(t, world.tokensOf(row).current(neverAborted)), 'CONNECTION_INACTIVE')
  t.equal(world.row(row).status, 'REQUIRES_REAUTH')
})

t.test('invalid_grant for a token that is no longer stored is ignored, and the new tokens are used', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = () => {
    world.replace(row, { accessToken: 'SECRET-access-new', refreshToken: 'SECRET-refresh-new' })
    return null
  }
  t.equal((await world.tokensOf(row).current(neverAborted)).reveal(), 'SECRET-access-new')
  t.equal(world.row(row).status, 'ACTIVE')
  t.same(world.endedConnections, [])
  t.same(world.endpoint.receivedTokens, ['SECRET-refresh-0'])
})

for (const code of ['PROVIDER_UNAVAILABLE', 'PROVIDER_THROTTLED', 'ENDPOINT_FORBIDDEN'] as const) {
  t.test(`${code} leaves the row unchanged`, async (t) => {
    const world = new RefreshWorld()
    const row = world.add(EXPIRED)
    world.endpoint.respond = () => {
      throw new StorageError(code, 'No.')
    }
    t.equal(await errorCodeOf(t, world.tokensOf(row).current(neverAborted)), code)
    t.same(world.row(row), row)
    t.same(world.endedConnections, [])
  })
}

t.test('a row that is disabled during a refresh stays disabled, and its new tokens are not lost', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  meanwhile(world, () => {
    world.connections.change(row.id, { status: 'DISABLED' })
  })
  const tokens = world.tokensOf(row)
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'CONNECTION_INACTIVE')
  t.match(world.row(row), { status: 'DISABLED', sealedCredentials: row.sealedCredentials })
  t.same(world.endedConnections, [])
  world.connections.change(row.id, { status: 'ACTIVE' })
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
  t.equal(world.stored(row).refreshToken, 'SECRET-refresh-1')
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('a row that is removed during a refresh stays removed', async (t) => {
  for (const answer of ['tokens', 'invalid_grant']) {
    const world = new RefreshWorld()
    const row = world.add(EXPIRED)
    world.endpoint.respond = () => {
      world.connections.rows.delete(row.id)
      return answer === 'tokens' ? world.endpoint.rotated() : null
    }
    t.equal(await errorCodeOf(t, world.tokensOf(row).current(neverAborted)), 'CONNECTION_MISSING')
    t.equal(world.connections.rows.size, 0)
    t.same(world.endedConnections, [])
    t.same(world.orphanedTokens, answer === 'tokens' ? ['SECRET-refresh-1'] : [], 'tokens without a row are revoked')
  }
})

t.test('a row that is reconnected during a refresh keeps the tokens of its user', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  meanwhile(world, () => {
    world.replace(row, { accessToken: 'SECRET-access-new', refreshToken: 'SECRET-refresh-new' })
    world.connections.change(row.id, { connectedAt: new Date(world.clock.date()) })
  })
  t.equal((await world.tokensOf(row).current(neverAborted)).reveal(), 'SECRET-access-new')
  t.match(world.stored(row), { accessToken: 'SECRET-access-new', refreshToken: 'SECRET-refresh-new' })
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('a row that is sealed again during a refresh gets the rotated tokens', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  meanwhile(world, () => world.rotateKey(row))
  t.equal((await world.tokensOf(row).current(neverAborted)).reveal(), 'SECRET-access-1')
  t.match(world.stored(row), { accessToken: 'SECRET-access-1', refreshToken: 'SECRET-refresh-1' })
  t.same(world.endpoint.receivedTokens, ['SECRET-refresh-0'], 'the used token is not sent again')
})

t.test('a row that changes on each attempt fails the refresh and keeps its status', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = () => {
    world.replace(row, { ...EXPIRED, refreshToken: `SECRET-refresh-of-user-${world.endpoint.receivedTokens.length}` })
    return world.endpoint.rotated()
  }
  t.equal(await errorCodeOf(t, world.tokensOf(row).current(neverAborted)), 'CONNECTION_INACTIVE')
  t.equal(world.endpoint.receivedTokens.length, 3)
  t.equal(world.row(row).status, 'ACTIVE')
  t.same(world.endedConnections, [])
})

for (const [how, fail] of [
  [
    'not stored',
    (world: RefreshWorld) => {
      world.failOnce('reseal')
    }
  ],
  [
    'stored but not committed',
    (world: RefreshWorld) => {
      world.failCommitOnce()
    }
  ]
] as const) {
  t.test(`tokens that were ${how} are stored by the next caller without another request`, async (t) => {
    const world = new RefreshWorld()
    const row = world.add(EXPIRED)
    const tokens = world.tokensOf(row)
    fail(world)
    t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'DATABASE_UNAVAILABLE')
    t.same(world.row(row), row)
    t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
    t.match(world.stored(row), { accessToken: 'SECRET-access-1', refreshToken: 'SECRET-refresh-1' })
    t.same(world.endpoint.receivedTokens, ['SECRET-refresh-0'])
  })

  t.test(`tokens that were ${how} and have expired since are refreshed with their own refresh token`, async (t) => {
    const world = new RefreshWorld()
    const row = world.add(EXPIRED)
    const tokens = world.tokensOf(row)
    fail(world)
    await errorCodeOf(t, tokens.current(neverAborted))
    world.clock.tick(2 * HOUR_MS)
    // Fails again: the tokens saved in the end are the latest, for the refresh token that is still stored.
    fail(world)
    t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'DATABASE_UNAVAILABLE')
    t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-2')
    t.match(world.stored(row), { accessToken: 'SECRET-access-2', refreshToken: 'SECRET-refresh-2' })
    t.same(world.endpoint.receivedTokens, ['SECRET-refresh-0', 'SECRET-refresh-1'])
  })
}

t.test('a process whose clock is behind that of the previous writer loses no tokens', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const ahead = world.replace(row, { leftMs: HOUR_MS, ageMs: -30_000 })
  const refresh = () => world.tokensOf(ahead).renewed(new Secret('SECRET-access-0'), neverAborted)
  world.failOnce('reseal')
  t.equal(await errorCodeOf(t, refresh()), 'DATABASE_UNAVAILABLE')
  t.equal((await refresh()).reveal(), 'SECRET-access-1')
  t.same(world.endpoint.receivedTokens, ['SECRET-refresh-0'])
})

t.test('tokens that were not stored are discarded once the user has reconnected', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  world.failOnce('reseal')
  await errorCodeOf(t, tokens.current(neverAborted))
  world.replace(row, { ...EXPIRED, refreshToken: 'SECRET-refresh-new' })
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-2')
  t.same(world.endpoint.receivedTokens, ['SECRET-refresh-0', 'SECRET-refresh-new'])
})

t.test('tokens that were not stored are discarded if a newer token is stored meanwhile', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = () => world.endpoint.rotated({ refreshToken: null })
  const tokens = world.tokensOf(row)
  world.failOnce('reseal')
  await errorCodeOf(t, tokens.current(neverAborted))
  world.clock.tick(2 * HOUR_MS)
  world.replace(row, { accessToken: 'SECRET-access-younger', leftMs: 1000 })
  world.clock.tick(1000)
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-2')
  t.equal(world.endpoint.receivedTokens.length, 2)
})

t.test('valid stored tokens are not used while newer ones wait to be stored', async (t) => {
  const world = new RefreshWorld()
  const row = world.add()
  const isOther = (than: string) => (tokens: StoredTokens) => tokens.accessToken.reveal() !== than
  world.failOnce('reseal')
  const refused = world.refresher.refresh(row, isOther('SECRET-access-0'))
  t.equal(await errorCodeOf(t, refused), 'DATABASE_UNAVAILABLE')
  // A caller that opened the row earlier was refused an older token.
  const older = await world.refresher.refresh(row, isOther('SECRET-access-before'))
  t.equal(older.accessToken.reveal(), 'SECRET-access-1')
  t.equal(world.stored(row).refreshToken, 'SECRET-refresh-1')
  t.equal(world.endpoint.receivedTokens.length, 1)
})

t.test('invalid_grant for tokens that were not stored still ends the connection', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  world.failOnce('reseal')
  await errorCodeOf(t, tokens.current(neverAborted))
  world.clock.tick(2 * HOUR_MS)
  world.endpoint.respond = () => null
  t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'CONNECTION_INACTIVE')
  t.equal(world.row(row).status, 'REQUIRES_REAUTH')
  t.same(world.endedConnections, [row.id])
})

t.test('a status that could not be stored does not end the connection', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = () => null
  world.failCommitOnce()
  t.equal(await errorCodeOf(t, world.tokensOf(row).current(neverAborted)), 'DATABASE_UNAVAILABLE')
  t.same(world.endedConnections, [])
  t.equal(world.row(row).status, 'ACTIVE')
})

t.test('unreadable tokens are neither refreshed nor sent', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  const [foreign, garbage] = [world.add(EXPIRED), world.add(EXPIRED)]
  for (const sealed of [
    foreign.sealedCredentials,
    garbage.sealedCredentials.slice(0, -4),
    '{"accessToken":"SECRET"}'
  ]) {
    world.put(row, sealed)
    t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'CREDENTIALS_UNREADABLE')
    t.match(world.row(row), { status: 'ACTIVE', sealedCredentials: sealed })
  }
  t.same(world.endpoint.receivedTokens, [])
})

t.test('a row that waits for its user or the operator is neither opened nor refreshed', async (t) => {
  for (const status of ['DISABLED', 'REQUIRES_REAUTH'] as const) {
    const world = new RefreshWorld()
    const row = world.add(EXPIRED)
    const tokens = world.tokensOf(row)
    world.connections.change(row.id, { status, sealedCredentials: 'garbage' })
    t.equal(await errorCodeOf(t, tokens.current(neverAborted)), 'CONNECTION_INACTIVE')
    t.same(world.endpoint.receivedTokens, [])
    t.equal(world.row(row).status, status)
  }
})

t.test('a row in ERROR is refreshed, because it is verified occasionally, and stays in ERROR', async (t) => {
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  const tokens = world.tokensOf(row)
  world.connections.change(row.id, { status: 'ERROR' })
  t.equal((await tokens.current(neverAborted)).reveal(), 'SECRET-access-1')
  t.equal(world.row(row).status, 'ERROR')
})

t.test('a token endpoint that exceeds the deadline is aborted, and the lock is released', async (t) => {
  const tick = useManualTimers(t)
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = (_token, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error)
      })
    })
  const call = errorCodeOf(t, world.tokensOf(row).current(neverAborted))
  await nextTurn()
  tick(9_999)
  await nextTurn()
  t.equal(world.endpoint.receivedTokens.length, 1)
  tick(1)
  t.equal(await call, 'PROVIDER_UNAVAILABLE')
  world.endpoint.respond = () => world.endpoint.rotated()
  t.equal((await world.tokensOf(row).current(neverAborted)).reveal(), 'SECRET-access-2')
})

t.test('tokens that arrive together with the deadline are stored: the old refresh token is spent', async (t) => {
  const tick = useManualTimers(t)
  const world = new RefreshWorld()
  const row = world.add(EXPIRED)
  world.endpoint.respond = (_token, signal) =>
    new Promise((resolve) => {
      // The response is complete, and its body is still being parsed.
      signal.addEventListener('abort', () => {
        setImmediate(() => {
          resolve(world.endpoint.rotated())
        })
      })
    })
  const call = world.tokensOf(row).current(neverAborted)
  await nextTurn()
  tick(10_000)
  t.equal((await call).reveal(), 'SECRET-access-1')
  t.equal(world.stored(row).refreshToken, 'SECRET-refresh-1')
})
