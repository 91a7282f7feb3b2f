import t from 'tap'
import { ConnectionOpener, fixedTokens } from '../../src/connections/open.ts'
import { ProviderCatalog } from '../../src/connections/provider-catalog.ts'
import { RefreshCoordinator, serialiseTokens } from '../../src/connections/tokens.ts'
import { type Connection, withoutCredentials } from '../../src/core/connection.ts'
import type { OAuthClient } from '../../src/core/oauth.ts'
import { defineProvider } from '../../src/core/provider.ts'
import { Secret } from '../../src/core/secret.ts'
import { MinuteLimit } from '../../src/core/user-limits.ts'
import { ConnectionHealth } from '../../src/layers/health.ts'
import { NO_TRACING } from '../../src/telemetry/tracing.ts'
import { scriptedProvider } from '../support/app/app.ts'
import { openEgress } from '../support/backend/egress.ts'
import { ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { TEST_SPOOL } from '../support/backend/spool.ts'
import { connectionRow } from '../support/database/memory-connections.ts'
import { errorCodeOf, neverAborted } from '../support/refresh/world.ts'
import { ManualClock } from '../support/time/clock.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

const unused = (): never => {
  throw new Error('not used in this test')
}

t.test(
  'an OAuth provider is opened with the user of the connection, and without one before it is stored',
  async (t) => {
    const users: unknown[] = []
    const backend = new ScriptedBackend()
    const provider = defineProvider({
      id: 'scripted',
      label: 'Scripted',
      capabilities: backend.capabilities,
      connect: {
        type: 'oauth2',
        server: {
          issuer: 'https://a.example',
          authorizationEndpoint: 'https://a.example/a',
          tokenEndpoint: 'https://a.example/t'
        },
        clientAuthentication: 'client_secret_post',
        scopes: []
      },
      open: async ({ userId }) => {
        users.push(userId)
        return backend
      }
    })
    const client: OAuthClient = {
      scopes: [],
      authorizationUrl: unused,
      exchange: unused,
      refresh: unused,
      revoke: unused
    }
    const egress = openEgress()
    const enabled = { egress, oauth: () => client, load: async () => provider }
    const providers = new ProviderCatalog(new Map([['scripted', enabled]]), TEST_TIMEOUTS)
    const clock = new ManualClock()
    const accessToken = new Secret('SECRET-access-0')
    const stored = serialiseTokens({ accessToken, refreshToken: null, obtainedAt: 0, expiresAt: null })
    const opener = new ConnectionOpener({
      cipher: { seal: unused, open: () => stored, isCurrent: () => true },
      providers,
      clock,
      tracing: NO_TRACING,
      health: new ConnectionHealth(clock),
      failedAttempts: new MinuteLimit(5, 'too many', clock),
      tokens: { refreshes: new RefreshCoordinator({ refresh: unused }, clock), clock, random: () => 0 },
      spool: TEST_SPOOL,
      reseal: unused,
      requireReauth: unused
    })

    const prepared = await providers.prepare('scripted')
    if (prepared.client === null) throw new Error('not an OAuth provider')
    t.equal(prepared, await providers.prepare('scripted'), 'a provider is prepared once')
    await opener.openAuthorized(prepared, accessToken)
    await opener.openStored(connectionRow({ userId: 'ann' }))
    t.same(users, [undefined, 'ann'])
    await egress.close()
  }
)

t.test('an open backend is found for the same version of its connection', async (t) => {
  const backend = new ScriptedBackend()
  const { provider } = scriptedProvider(backend)
  const enabled = { egress: openEgress(), oauth: undefined, load: async () => provider }
  const clock = new ManualClock()
  const opener = new ConnectionOpener({
    cipher: { seal: unused, open: () => new Secret({ token: 'token' }), isCurrent: () => true },
    providers: new ProviderCatalog(new Map([['scripted', enabled]]), TEST_TIMEOUTS),
    clock,
    tracing: NO_TRACING,
    health: new ConnectionHealth(clock),
    failedAttempts: new MinuteLimit(5, 'too many', clock),
    tokens: { refreshes: new RefreshCoordinator({ refresh: unused }, clock), clock, random: () => 0 },
    spool: TEST_SPOOL,
    reseal: unused,
    requireReauth: unused
  })
  t.teardown(() => enabled.egress.close())
  const row = connectionRow()
  t.equal(opener.findOpen(row), undefined)
  const opened = await opener.openStored(row)
  t.equal(opener.findOpen(withoutCredentials(row)), opened)
  t.equal(opener.findOpen({ ...row, label: 'New', sealedCredentials: 'new tokens' } as Connection), opened)
  for (const change of [{ version: 2 }, { connectedAt: new Date(1) }, { userId: 'ben' }, { provider: 'other' }]) {
    t.equal(opener.findOpen({ ...row, ...change }), undefined, Object.keys(change).join())
  }
  opener.forget(row.id)
  t.equal(opener.findOpen(row), undefined)
})

t.test('tokens of a connection that is not stored yet are not refreshed', async (t) => {
  const accessToken = new Secret('SECRET-access-0')
  const tokens = fixedTokens(accessToken)
  t.equal(await tokens.current(neverAborted), accessToken)
  t.equal(await errorCodeOf(t, tokens.renewed(accessToken, neverAborted)), 'ACCESS_DENIED')
})
