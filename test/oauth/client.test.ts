import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { isStorageError, type StorageErrorCode } from '../../src/errors.ts'
import type { OAuthConnect, TokenErrorResponse } from '../../src/core/oauth.ts'
import { Secret } from '../../src/core/secret.ts'
import { createOAuthClient } from '../../src/oauth/client.ts'
import { openEgress } from '../support/backend/egress.ts'
import {
  respondsWith,
  respondsWithHtml,
  disconnectsMidBody,
  truncatesJson,
  hangs,
  patchesResponse,
  type OAuthFault,
  padsResponse,
  redirects,
  resets
} from '../fakes/oauth/faults.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET, FAKE_SCOPES, type FakeOAuthOptions } from '../fakes/oauth/rules.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { startServer } from '../support/net/server.ts'
import { oauthConnect } from '../support/app/oauth-cloud.ts'
import { rejectionOf } from '../support/rejection.ts'
import { until } from '../support/time/until.ts'

const REDIRECT_URI = 'https://app.example.org/callback'
const VERIFIER = new Secret('v'.repeat(43))
const STATE = 's'.repeat(43)
const TOKENS = { accessToken: new Secret('access'), refreshToken: new Secret('refresh') }

interface ClientOptions {
  readonly rules?: FakeOAuthOptions
  readonly connect?: Partial<OAuthConnect>
  readonly scopes?: readonly string[]
  readonly egress?: Parameters<typeof openEgress>[0]
}

async function start(t: Test, { rules = {}, connect = {}, scopes, egress: over = {} }: ClientOptions = {}) {
  const oauth = await FakeOAuth.start(t, { redirectUris: [REDIRECT_URI], ...rules })
  const egress = openEgress(over)
  t.teardown(() => egress.close())
  const settings = {
    clientId: FAKE_CLIENT_ID,
    clientSecret: new Secret(FAKE_CLIENT_SECRET),
    ...(scopes !== undefined && { scopes })
  }
  const client = createOAuthClient(oauthConnect(oauth.url, connect), settings, egress)
  const { signal } = new AbortController()
  const answered = async () => {
    const url = await client.authorizationUrl({ redirectUri: REDIRECT_URI, state: STATE, codeVerifier: VERIFIER })
    const parameters = (await oauth.consent(url)).searchParams
    return { redirectUri: REDIRECT_URI, state: STATE, codeVerifier: VERIFIER, parameters }
  }
  const refresh = async () => client.refresh(new Secret(oauth.issueGrant().refresh_token), signal)
  return { oauth, client, signal, answered, refresh, egress }
}

/** Returns the error. Fails if it contains, at any depth, a token or text of the server. */
async function failureOf(t: Test, oauth: FakeOAuth, call: Promise<unknown>, code: StorageErrorCode) {
  const error = await rejectionOf(call)
  t.ok(isStorageError(error, code), `${code}: ${String(error)}`)
  const told = inspect(error, { depth: 10, showHidden: true })
  t.notMatch(told, /SECRET/)
  t.notOk(told.includes(FAKE_CLIENT_SECRET) || told.includes(encodeURIComponent(FAKE_CLIENT_SECRET)))
  t.notOk(told.includes(VERIFIER.reveal()))
  for (const { accessToken, refreshToken = 'none' } of oauth.grants) {
    t.notOk(told.includes(accessToken))
    t.notOk(told.includes(refreshToken) || told.includes(encodeURIComponent(refreshToken)))
  }
  return isStorageError(error) ? error : undefined
}

for (const clientAuthentication of ['client_secret_basic', 'client_secret_post'] as const) {
  t.test(`the complete flow works with ${clientAuthentication}`, async (t) => {
    const { oauth, client, signal, answered } = await start(t, {
      rules: { clientAuthentication, rotation: 'single-use' },
      connect: { clientAuthentication }
    })
    const set = await client.exchange(await answered(), signal)
    t.equal(oauth.check(set.accessToken.reveal())?.user, 'user-1')
    t.equal(set.lifetimeMs, 3_600_000)
    t.same(set.scopes, FAKE_SCOPES.slice(0, 1))
    const refreshToken = set.refreshToken ?? new Secret('none')
    const renewed = await client.refresh(refreshToken, signal)
    t.not(renewed?.refreshToken?.reveal(), refreshToken.reveal())
    t.ok(oauth.check(renewed?.accessToken.reveal() ?? ''))
    await client.revoke(renewed ?? TOKENS, signal)
    t.equal(oauth.grants[0]?.endedBy, 'client')
    for (const { authentication, headers } of [...oauth.calls.token, ...oauth.calls.revoke]) {
      t.equal(authentication, clientAuthentication)
      t.notOk(headers.cookie)
    }
  })
}

t.test('the authorization URL has the provider’s extra parameters and no secret', async (t) => {
  const { client, oauth } = await start(t, { scopes: FAKE_SCOPES })
  const url = await client.authorizationUrl({ redirectUri: REDIRECT_URI, state: STATE, codeVerifier: VERIFIER })
  const params = Object.fromEntries(new URL(url).searchParams)
  t.match(params, { access_type: 'offline', prompt: 'consent', scope: FAKE_SCOPES.join(' '), state: STATE })
  t.notOk(url.includes(VERIFIER.reveal()) || url.includes(encodeURIComponent(FAKE_CLIENT_SECRET)))
  t.same(client.scopes, FAKE_SCOPES)
  t.equal(oauth.calls.authorize.length, 0)
})

t.test('the tenant of the registration is part of every endpoint', async (t) => {
  const server = (origin: string) => ({
    issuer: `${origin}/{tenant}`,
    authorizationEndpoint: `${origin}/{tenant}/authorize`,
    tokenEndpoint: `${origin}/{tenant}/token`,
    revocationEndpoint: `${origin}/{tenant}/revoke`
  })
  for (const tenant of [undefined, 'example.org']) {
    const { origin, requests } = await startServer(t)
    const egress = openEgress()
    t.teardown(() => egress.close())
    const settings = { clientId: 'a', clientSecret: new Secret('b'), ...(tenant !== undefined && { tenant }) }
    const connect = { ...oauthConnect('https://unused.example'), server: server(origin), tenant: 'common' }
    const client = createOAuthClient(connect, settings, egress)
    const { signal } = new AbortController()
    const url = await client.authorizationUrl({ redirectUri: REDIRECT_URI, state: STATE, codeVerifier: VERIFIER })
    const name = tenant ?? 'common'
    t.match(url, `${origin}/${name}/authorize?`)
    await t.rejects(client.refresh(new Secret('x'), signal), { code: 'PROVIDER_UNAVAILABLE' })
    await client.revoke(TOKENS, signal)
    t.same(
      requests.map(({ url }) => url),
      [`/${name}/token`, `/${name}/revoke`]
    )
  }
})

t.test('extra parameters of a provider cannot replace those of the protocol', async (t) => {
  const { client } = await start(t, {
    connect: {
      authorizationParameters: { state: 'fixed', redirect_uri: 'https://evil.example', code_challenge_method: 'plain' }
    }
  })
  const url = await client.authorizationUrl({ redirectUri: REDIRECT_URI, state: STATE, codeVerifier: VERIFIER })
  t.match(Object.fromEntries(new URL(url).searchParams), {
    state: STATE,
    redirect_uri: REDIRECT_URI,
    code_challenge_method: 'S256'
  })
})

t.test('a response with another state or of another issuer is refused without a token request', async (t) => {
  const { client, oauth, signal, answered } = await start(t)
  const changes: ((parameters: URLSearchParams) => void)[] = [
    (parameters) => {
      parameters.set('state', 'x'.repeat(43))
    },
    (parameters) => {
      parameters.delete('state')
    },
    (parameters) => {
      parameters.set('iss', 'https://evil.example')
    },
    (parameters) => {
      parameters.append('code', 'other')
    },
    (parameters) => {
      parameters.delete('code')
    },
    (parameters) => {
      parameters.set('id_token', 'x')
    },
    (parameters) => {
      parameters.set('response', 'x')
    }
  ]
  for (const change of changes) {
    const answer = await answered()
    change(answer.parameters)
    await failureOf(t, oauth, client.exchange(answer, signal), 'INVALID_STATE')
  }
  t.equal(oauth.tokenCalls(), 0)
})

t.test('a response without an issuer is accepted if the server does not declare one', async (t) => {
  const { client, oauth, signal, answered } = await start(t)
  oauth.patchCallback({ iss: undefined })
  t.ok(oauth.check((await client.exchange(await answered(), signal)).accessToken.reveal()))
})

t.test('a code that was used before requires a new login', async (t) => {
  const { client, oauth, signal, answered } = await start(t)
  const answer = await answered()
  await client.exchange(answer, signal)
  await failureOf(t, oauth, client.exchange(answer, signal), 'INVALID_STATE')
})

t.test('invalid_grant ends a refresh token and is not an error', async (t) => {
  const { client, oauth, signal } = await start(t)
  t.equal(await client.refresh(new Secret('unknown'), signal), null)
  const { refresh_token } = oauth.issueGrant()
  oauth.revokeGrant('user-1')
  t.equal(await client.refresh(new Secret(refresh_token), signal), null)
})

t.test('a provider can define which errors end a grant, and exclude invalid_grant', async (t) => {
  const seen: TokenErrorResponse[] = []
  const { oauth, refresh } = await start(t, {
    connect: {
      endsGrant: (refusal) => {
        seen.push(refusal)
        return refusal.error === 'interaction_required'
      }
    }
  })
  oauth.failNext(1, { status: 400, error: 'interaction_required', extraFields: { error_codes: [50076] } })
  t.equal(await refresh(), null)
  t.match(seen, [{ error: 'interaction_required', body: { error_codes: [50076] } }])
  oauth.failNext(1, { status: 400, error: 'invalid_grant', extraFields: { error_codes: [90033] } })
  await failureOf(t, oauth, refresh(), 'PROVIDER_UNAVAILABLE')
  oauth.failNext(1, { status: 429, error: 'interaction_required' })
  await failureOf(t, oauth, refresh(), 'PROVIDER_THROTTLED')
  t.equal(seen.length, 2, 'endsGrant is not called for a throttle')
})

t.test('without registered scopes no scope is requested', async (t) => {
  const { client, oauth, signal, answered } = await start(t, {
    scopes: [],
    rules: { defaultScopes: FAKE_SCOPES }
  })
  await client.exchange(await answered(), signal)
  t.notOk('scope' in (oauth.calls.authorize[0]?.params ?? {}))
  t.same(oauth.grants[0]?.scopes, FAKE_SCOPES)
})

t.test('no other error of a token endpoint ends the refresh token', async (t) => {
  const faults: [string, OAuthFault][] = [
    ['invalid_client', respondsWith({ status: 401, error: 'invalid_client' })],
    ['unauthorized_client', respondsWith({ status: 400, error: 'unauthorized_client' })],
    ['invalid_scope', respondsWith({ status: 400, error: 'invalid_scope' })],
    ['another case', respondsWith({ status: 400, error: 'INVALID_GRANT' })],
    ['an unknown error', respondsWith({ status: 400, error: 'Bearer SECRET' })],
    ['invalid_grant in the description', respondsWith({ status: 400, error: 'x', error_description: 'invalid_grant' })],
    ['invalid_grant with 500', respondsWith({ status: 500, error: 'invalid_grant' })],
    ['500', respondsWith({ status: 500, error: 'server_error' })],
    ['502 HTML', respondsWithHtml(502)],
    ['400 HTML', respondsWithHtml(400)],
    ['200 HTML', respondsWithHtml(200)],
    ['truncated JSON', truncatesJson()],
    ['an interrupted response', disconnectsMidBody()],
    ['reset', resets()],
    ['over the limit', padsResponse(70_000)],
    ['token_type mac', patchesResponse({ token_type: 'mac' })],
    ['no access_token', patchesResponse({ access_token: undefined })],
    ['a token of 10 KB', patchesResponse({ access_token: 'x'.repeat(10_000) })],
    ['a refresh token of 10 KB', patchesResponse({ refresh_token: 'x'.repeat(10_000) })],
    ['a scope that is a list', patchesResponse({ scope: ['a'] })],
    ['a negative lifetime', patchesResponse({ expires_in: -3600 })],
    ['a lifetime that is text', patchesResponse({ expires_in: 'soon' })]
  ]
  for (const [name, fault] of faults) {
    await t.test(name, async (t) => {
      const { oauth, refresh } = await start(t)
      oauth.failNext(1, fault)
      const error = await failureOf(t, oauth, refresh(), 'PROVIDER_UNAVAILABLE')
      t.ok(error?.retryable)
    })
  }
})

t.test('429 is a throttle for the time of its Retry-After', async (t) => {
  const { oauth, refresh } = await start(t)
  oauth.failNext(1, respondsWith({ status: 429, error: 'rate_limit', headers: { 'retry-after': '17' } }))
  t.equal((await failureOf(t, oauth, refresh(), 'PROVIDER_THROTTLED'))?.retryAfterMs, 17_000)
  oauth.failNext(1, respondsWithHtml(429))
  t.equal((await failureOf(t, oauth, refresh(), 'PROVIDER_THROTTLED'))?.retryAfterMs, undefined)
  oauth.failNext(1, respondsWith({ status: 429, error: 'invalid_grant' }))
  await failureOf(t, oauth, refresh(), 'PROVIDER_THROTTLED')
})

t.test('a redirect is not followed, and no credentials are sent there', async (t) => {
  const elsewhere = await startServer(t)
  for (const status of [301, 302, 303, 307, 308]) {
    const { oauth, client, refresh, signal } = await start(t)
    oauth.failNext(1, redirects(`${elsewhere.origin}/token`, status))
    await failureOf(t, oauth, refresh(), 'PROVIDER_UNAVAILABLE')
    oauth.failNext(1, redirects(`${oauth.url}/elsewhere`, status))
    await failureOf(t, oauth, refresh(), 'PROVIDER_UNAVAILABLE')
    oauth.failNext(1, redirects(`${elsewhere.origin}/revoke`, status), { endpoint: 'revoke' })
    await failureOf(t, oauth, client.revoke(TOKENS, signal), 'PROVIDER_UNAVAILABLE')
    t.equal(oauth.tokenCalls(), 2)
  }
  t.equal(elsewhere.connections, 0)
})

t.test('a token endpoint that the operator does not allow is not contacted', async (t) => {
  const { oauth, refresh } = await start(t, { egress: { allowHosts: [] } })
  await failureOf(t, oauth, refresh(), 'ENDPOINT_FORBIDDEN')
  t.equal(oauth.tokenCalls(), 0)
})

t.test('a hanging token endpoint times out', async (t) => {
  for (const timeouts of [{ headersMs: 100 }, { totalMs: 100 }]) {
    const { oauth, refresh } = await start(t, { egress: { timeouts } })
    oauth.failNext(1, hangs())
    await failureOf(t, oauth, refresh(), 'PROVIDER_UNAVAILABLE')
  }
})

t.test('an abort ends with the reason of the caller’s signal', async (t) => {
  const { oauth, client, answered } = await start(t)
  const reason = new Error('the caller has left')
  const gate = oauth.hold()
  const answer = await answered()
  for (const call of [
    (signal: AbortSignal) => client.refresh(new Secret(oauth.issueGrant().refresh_token), signal),
    (signal: AbortSignal) => client.exchange(answer, signal)
  ]) {
    const controller = new AbortController()
    const calls = oauth.tokenCalls()
    const calling = call(controller.signal).catch((error: unknown) => error)
    await until(() => oauth.tokenCalls() > calls)
    controller.abort(reason)
    t.equal(await calling, reason)
  }
  gate.release()
  const gone = AbortSignal.abort(reason)
  t.equal(await client.refresh(new Secret('x'), gone).catch((error: unknown) => error), reason)
  t.equal(oauth.tokenCalls(), 2, 'an aborted caller makes no request')
})

t.test('the lifetime of a token is converted to milliseconds', async (t) => {
  const lifetimes: [unknown, number | null][] = [
    [3600, 3_600_000],
    ['3600', 3_600_000],
    [0, 0],
    [undefined, null]
  ]
  for (const [said, lifetimeMs] of lifetimes) {
    const { oauth, refresh } = await start(t)
    oauth.failNext(1, patchesResponse({ expires_in: said }))
    t.equal((await refresh())?.lifetimeMs, lifetimeMs, JSON.stringify(said))
  }
})

t.test('a refresh without a new refresh token or scopes returns null for them', async (t) => {
  const { oauth, refresh } = await start(t)
  oauth.failNext(1, patchesResponse({ scope: undefined }))
  t.match(await refresh(), { refreshToken: null, scopes: null })
})

t.test('the token type bearer is accepted in any case', async (t) => {
  const { oauth, refresh } = await start(t)
  oauth.failNext(1, patchesResponse({ token_type: 'BEARER' }))
  t.ok(await refresh())
})

t.test('a failed revocation has the reason, and without an endpoint no request is made', async (t) => {
  const { oauth, client, signal } = await start(t)
  oauth.failNext(1, { status: 503, error: 'server_error' }, { endpoint: 'revoke' })
  await failureOf(t, oauth, client.revoke(TOKENS, signal), 'PROVIDER_UNAVAILABLE')
  const { oauth: other, client: without } = await start(t, {
    connect: {
      server: {
        issuer: 'https://x.example',
        authorizationEndpoint: 'https://x.example/a',
        tokenEndpoint: 'https://x.example/t'
      }
    }
  })
  await without.revoke(TOKENS, signal)
  t.equal(other.calls.revoke.length, 0)
})

t.test('a custom revoke function receives a valid access token', async (t) => {
  const ended: string[] = []
  const { oauth, client, signal, egress } = await start(t, {
    connect: {
      revoke: async (accessToken, context) => {
        ended.push(accessToken.reveal())
        t.equal(context.egress, egress)
        t.equal(context.signal, signal)
      }
    }
  })
  const { refresh_token } = oauth.issueGrant()
  oauth.expireAccessTokens()
  await client.revoke({ accessToken: new Secret('old'), refreshToken: new Secret(refresh_token) }, signal)
  t.ok(oauth.check(ended[0] ?? ''), 'a refreshed token')
  await client.revoke({ accessToken: new Secret('only'), refreshToken: null }, signal)
  t.same(ended.slice(1), ['only'], 'the only token')
  oauth.revokeGrant('user-1')
  await client.revoke({ accessToken: new Secret('old'), refreshToken: new Secret(refresh_token) }, signal)
  t.equal(ended.length, 2, 'an ended grant is not revoked again')
  for (const [status, error] of [
    [503, 'server_error'],
    [429, 'slow_down']
  ] as const) {
    oauth.failNext(1, { status, error })
    await client.revoke(
      { accessToken: new Secret(`stored ${status}`), refreshToken: new Secret(refresh_token) },
      signal
    )
    t.equal(ended.at(-1), `stored ${status}`, 'if the refresh fails')
  }
  t.equal(oauth.calls.revoke.length, 0)
})
