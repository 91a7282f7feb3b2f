import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { defineProvider } from '../../src/index.ts'
import { CALLBACK_URI, oauthApp, type OAuthApp, type OAuthAppOptions, PUBLIC_URL } from '../support/app/app.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../fakes/oauth/rules.ts'
import { FakeNextcloud } from '../fakes/nextcloud/fake-nextcloud.ts'
import { oauthCloudProvider } from '../support/app/oauth-cloud.ts'

type Answer = Awaited<ReturnType<OAuthApp['sendCallback']>>

/** A flow of ann's after consent, before the callback. */
async function consented(t: Test, options: OAuthAppOptions = {}) {
  const app = await oauthApp(t, options)
  const { authorizationUrl, cookie } = await app.authorize('ann')
  return { ...app, cookie, callback: await app.oauth.consent(authorizationUrl) }
}

type Consented = Awaited<ReturnType<typeof consented>>

/** Checks that the provider was not called, and that the response repeats nothing of the query. */
async function assertRefused(t: Test, { oauth, db, callback }: Consented, answer: Answer, what = '') {
  t.equal(answer.statusCode, 400, what)
  t.match(answer.json(), { code: 'INVALID_STATE', status: 400 })
  t.notOk(answer.headers.location)
  t.notOk(answer.headers['set-cookie'])
  t.equal(oauth.tokenCalls(), 0, 'the token endpoint is not called')
  t.equal(await db.prisma.cloudConnection.count(), 0)
  for (const name of ['state', 'code']) {
    const value = callback.searchParams.get(name) ?? 'none'
    t.notOk(answer.body.includes(value) || answer.body.includes(encodeURIComponent(value)), `${name} is not repeated`)
  }
}

/** Checks that the flow still works. */
async function assertGoesOn(t: Test, { sendCallback, callback, cookie, db }: Consented) {
  t.equal(
    (await sendCallback(callback, { cookie })).headers.location,
    `${PUBLIC_URL}/`,
    'the flow can still be completed'
  )
  t.equal(await db.prisma.cloudConnection.count({ where: { userId: 'ann' } }), 1)
}

t.test('a wrong, missing or malformed state is refused', async (t) => {
  const flow = await consented(t)
  const state = flow.callback.searchParams.get('state') ?? ''
  const states = [
    randomBytes(32).toString('base64url'),
    `${state.slice(0, -1)}${state.endsWith('A') ? 'B' : 'A'}`,
    state.toUpperCase(),
    `${state} `,
    `${state}\0`,
    state.slice(1),
    '',
    '../../x',
    'x'.repeat(10_000),
    '__proto__'
  ]
  for (const wrong of states) {
    const callback = new URL(flow.callback)
    callback.searchParams.set('state', wrong)
    await assertRefused(
      t,
      flow,
      await flow.sendCallback(callback, { cookie: flow.cookie }),
      JSON.stringify(wrong.slice(0, 50))
    )
  }
  const without = new URL(flow.callback)
  without.searchParams.delete('state')
  await assertRefused(t, flow, await flow.sendCallback(without, { cookie: flow.cookie }))
  await assertRefused(t, flow, await flow.sendCallback(CALLBACK_URI, { cookie: flow.cookie }))
  await assertGoesOn(t, flow)
})

t.test('the stored hash of a state is not accepted as the state', async (t) => {
  const flow = await consented(t)
  const { stateHash } = await flow.db.prisma.oAuthState.findFirstOrThrow()
  const callback = new URL(flow.callback)
  callback.searchParams.set('state', stateHash)
  await assertRefused(t, flow, await flow.sendCallback(callback, { cookie: flow.cookie }))
})

t.test('a state can be used once', async (t) => {
  const { sendCallback, callback, cookie, oauth, db } = await consented(t)
  t.equal((await sendCallback(callback, { cookie })).statusCode, 303)
  const again = await sendCallback(callback, { cookie })
  t.equal(again.statusCode, 400)
  t.match(again.json(), { code: 'INVALID_STATE' })
  t.equal(oauth.tokenCalls(), 1)
  t.match(await db.prisma.cloudConnection.findMany(), [{ version: 1 }])
})

t.test('a denied consent consumes the state', async (t) => {
  const { sendCallback, callback, cookie, oauth } = await consented(t)
  const denied = new URL(callback)
  denied.searchParams.delete('code')
  denied.searchParams.set('error', 'access_denied')
  t.equal((await sendCallback(denied, { cookie })).headers.location, `${PUBLIC_URL}/?error=ACCESS_DENIED`)
  t.equal((await sendCallback(callback, { cookie })).statusCode, 400)
  t.equal(oauth.tokenCalls(), 0)
})

t.test('an expired state is refused', async (t) => {
  const flow = await consented(t)
  await flow.db.prisma.oAuthState.updateMany({ data: { expiresAt: new Date(Date.now() - 1) } })
  await assertRefused(t, flow, await flow.sendCallback(flow.callback, { cookie: flow.cookie }))
})

t.test('a flow expires after ten minutes', async (t) => {
  const before = Date.now()
  const { db } = await consented(t)
  const { expiresAt } = await db.prisma.oAuthState.findFirstOrThrow()
  t.ok(expiresAt.getTime() >= before + 600_000)
  t.ok(expiresAt.getTime() <= Date.now() + 600_000)
})

t.test('a state of another provider is refused', async (t) => {
  const other = oauthCloudProvider('http://127.0.0.1:1', 'http://127.0.0.1:1')
  const registration = { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET }
  const flow = await consented(t, {
    plugin: { providers: { other: { ...registration, provider: defineProvider({ ...other, id: 'other' }) } } }
  })
  const path = flow.callback.href.replace('/cloud/callback', '/other/callback')
  await assertRefused(t, flow, await flow.sendCallback(path, { cookie: flow.cookie }))
  await assertGoesOn(t, flow)
})

t.test('unknown providers and providers without OAuth have no callback', async (t) => {
  const flow = await consented(t)
  for (const provider of ['scripted', 'nowhere', '__proto__', 'constructor']) {
    const path = flow.callback.href.replace('/cloud/callback', `/${provider}/callback`)
    const answer = await flow.sendCallback(path, { cookie: flow.cookie })
    t.equal(answer.statusCode, 404, provider)
    t.match(answer.json(), { code: 'PROVIDER_UNKNOWN' })
  }
  await assertGoesOn(t, flow)
})

t.test('the callback does not complete a login flow of another provider', async (t) => {
  const nextcloud = await FakeNextcloud.start(t)
  const flow = await consented(t, {
    plugin: { providers: { nextcloud: { allowHosts: [new URL(nextcloud.url).host] } } }
  })
  const begun = await flow.as('ann').send('POST', '/cloud/connections/nextcloud/authorize', { baseUrl: nextcloud.url })
  const state = begun.json<{ flowId: string }>().flowId
  await assertRefused(
    t,
    flow,
    await flow.sendCallback(`${CALLBACK_URI}?code=x&state=${state}`, { cookie: flow.cookie })
  )
  // Simulates an attacker with write access to the column.
  await flow.db.prisma.oAuthState.updateMany({ where: { provider: 'nextcloud' }, data: { provider: 'cloud' } })
  await assertRefused(
    t,
    flow,
    await flow.sendCallback(`${CALLBACK_URI}?code=x&state=${state}`, { cookie: flow.cookie })
  )
})

t.test('a callback without the browser’s cookie, or with another one, is refused and keeps the flow', async (t) => {
  const flow = await consented(t)
  const other = await flow.authorize('bob')
  const [name = '', value = ''] = flow.cookie.split('=')
  const [otherName = '', otherValue = ''] = other.cookie.split('=')
  const cookies: (string | undefined)[] = [
    undefined,
    '',
    'session=1',
    other.cookie,
    `${name}=${otherValue}`,
    `${otherName}=${value}`,
    `${name}=`,
    `${name}=${value}x`,
    `${name}=${value.slice(1)}`,
    `${name.toUpperCase()}=${value}`,
    `${name}=${(await flow.db.prisma.oAuthState.findFirstOrThrow({ where: { userId: 'ann' } })).bindingHash}`
  ]
  for (const cookie of cookies) {
    const answer = await flow.sendCallback(flow.callback, cookie === undefined ? {} : { cookie })
    await assertRefused(t, flow, answer, String(cookie))
  }
  await assertGoesOn(t, flow)
})

t.test('a victim who opens an attacker’s callback is not connected to the attacker’s account', async (t) => {
  const flow = await consented(t)
  const victim = await flow.authorize('bob')
  await assertRefused(t, flow, await flow.sendCallback(flow.callback, { cookie: victim.cookie, 'x-user': 'bob' }))
})

t.test('an authenticated user must be the one who began the flow', async (t) => {
  const flow = await consented(t)
  const answer = await flow.sendCallback(flow.callback, { cookie: flow.cookie, 'x-user': 'bob' })
  await assertRefused(t, flow, answer)
  t.equal((await flow.sendCallback(flow.callback, { cookie: flow.cookie, 'x-user': 'ann' })).statusCode, 303)
  t.match(await flow.db.prisma.cloudConnection.findMany(), [{ userId: 'ann' }])
})

t.test('a repeated parameter is refused', async (t) => {
  for (const name of ['code', 'state', 'iss', 'error']) {
    const flow = await consented(t)
    const value = flow.callback.searchParams.get(name) ?? 'access_denied'
    for (const [first, second] of [
      [value, value],
      [value, 'other'],
      ['other', value],
      ['', value]
    ] as const) {
      const callback = new URL(flow.callback)
      callback.searchParams.delete(name)
      callback.searchParams.append(name, first)
      callback.searchParams.append(name, second)
      await assertRefused(t, flow, await flow.sendCallback(callback, { cookie: flow.cookie }), `${name} ${first}`)
    }
    const encoded = flow.callback.href.replace(
      '?',
      `?${name.replace(/^./, (letter) => `%${letter.charCodeAt(0).toString(16)}`)}=x&`
    )
    if (name !== 'error')
      await assertRefused(t, flow, await flow.sendCallback(encoded, { cookie: flow.cookie }), 'encoded')
    await assertGoesOn(t, flow)
  }
})

t.test('repeated parameters are counted in the raw query, whatever parser the host has', async (t) => {
  const flow = await consented(t)
  const doubled = new URL(flow.callback)
  doubled.searchParams.append('code', 'other')
  await assertRefused(t, flow, await flow.sendCallback(`${doubled.href}?code=x`, { cookie: flow.cookie }))
})

t.test('a response of a foreign issuer ends the flow without a call to the token endpoint', async (t) => {
  for (const iss of ['https://evil.example', '']) {
    const { sendCallback, callback, cookie, oauth, db } = await consented(t)
    callback.searchParams.set('iss', iss === '' ? `${oauth.url}/` : iss)
    const answer = await sendCallback(callback, { cookie })
    t.equal(answer.statusCode, 303)
    t.equal(answer.headers.location, `${PUBLIC_URL}/?error=INVALID_STATE`)
    t.equal(oauth.tokenCalls(), 0)
    t.equal(await db.prisma.cloudConnection.count(), 0)
  }
})

t.test('a response with a missing or an empty code ends the flow without a call to the token endpoint', async (t) => {
  for (const change of [
    (callback: URL) => {
      callback.searchParams.delete('code')
    },
    (callback: URL) => {
      callback.searchParams.set('code', '')
    }
  ]) {
    const { sendCallback, callback, cookie, oauth, db } = await consented(t)
    change(callback)
    const answer = await sendCallback(callback, { cookie })
    t.equal(answer.statusCode, 303)
    t.match(answer.headers.location, /\?error=(INVALID_STATE|PROVIDER_ERROR)$/)
    t.equal(oauth.tokenCalls(), 0)
    t.equal(await db.prisma.cloudConnection.count(), 0)
  }
})

t.test('forged host headers do not change the token request', async (t) => {
  const { sendCallback, callback, cookie, oauth } = await consented(t)
  const answer = await sendCallback(callback, {
    cookie,
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    forwarded: 'host=evil.example;proto=http'
  })
  t.equal(answer.headers.location, `${PUBLIC_URL}/`)
  t.equal(oauth.calls.token[0]?.params['redirect_uri'], CALLBACK_URI)
})

t.test('a host that cannot authenticate the request answers 503 and keeps the flow', async (t) => {
  const flow = await consented(t, {
    plugin: {
      authenticate: (request) => {
        if (request.headers['x-down'] !== undefined) throw Object.assign(new Error('SECRET'), { statusCode: 503 })
        return request.headers['x-user'] as string | undefined
      }
    }
  })
  const answer = await flow.sendCallback(flow.callback, { cookie: flow.cookie, 'x-down': '1' })
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { code: 'AUTHENTICATION_UNAVAILABLE' })
  t.notMatch(answer.body, 'SECRET')
  t.equal(flow.oauth.tokenCalls(), 0)
  await assertGoesOn(t, flow)
})

t.test('a host that returns a user id of the wrong type answers 500 and keeps the flow', async (t) => {
  const flow = await consented(t, {
    plugin: {
      authenticate: (request) => {
        const user = request.headers['x-user'] as string | undefined
        return user === 'object' ? ({ id: 'ann' } as unknown as string) : user
      }
    }
  })
  const answer = await flow.sendCallback(flow.callback, { cookie: flow.cookie, 'x-user': 'object' })
  t.equal(answer.statusCode, 500)
  t.match(answer.json(), { code: 'INTERNAL' })
  t.equal(flow.oauth.tokenCalls(), 0)
  await assertGoesOn(t, flow)
})

t.test('only one of two concurrent callbacks with the same response connects', async (t) => {
  const { sendCallback, callback, cookie, oauth, db } = await consented(t)
  const gate = oauth.hold('token')
  const both = Promise.all([sendCallback(callback, { cookie }), sendCallback(callback, { cookie })])
  await gate.reached
  gate.release()
  const answers = await both
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [303, 400])
  t.equal(oauth.tokenCalls(), 1)
  t.match(await db.prisma.cloudConnection.findMany(), [{ version: 1 }])
})

t.test('a user has at most five flows, the oldest is replaced, and those of other users stay', async (t) => {
  const { authorize: begin, sendCallback, oauth, db } = await oauthApp(t)
  const theirs = await begin('bob')
  const oldest = await begin('ann')
  for (let index = 0; index < 4; index++) await begin('ann')
  const newest = await begin('ann')
  t.equal(await db.prisma.oAuthState.count({ where: { userId: 'ann' } }), 5)
  const end = async ({ authorizationUrl, cookie }: typeof newest) =>
    (await sendCallback(await oauth.consent(authorizationUrl), { cookie })).statusCode
  t.equal(await end(oldest), 400)
  t.equal(await end(newest), 303)
  t.equal(await end(theirs), 303)
})

t.test('a sealed verifier that is moved to another user’s flow cannot be opened', async (t) => {
  const { authorize: begin, sendCallback, oauth, db } = await oauthApp(t)
  const [anns, bobs] = [await begin('ann'), await begin('bob')]
  const { sealedVerifier } = await db.prisma.oAuthState.findFirstOrThrow({ where: { userId: 'ann' } })
  await db.prisma.oAuthState.updateMany({ where: { userId: 'bob' }, data: { sealedVerifier } })
  const answer = await sendCallback(await oauth.consent(bobs.authorizationUrl), { cookie: bobs.cookie })
  t.equal(answer.headers.location, `${PUBLIC_URL}/?error=CREDENTIALS_UNREADABLE`)
  t.equal(oauth.tokenCalls(), 0)
  t.equal((await sendCallback(await oauth.consent(anns.authorizationUrl), { cookie: anns.cookie })).statusCode, 303)
})

t.test('a code that was granted to another browser does not work in one’s own flow', async (t) => {
  const { authorize: begin, sendCallback, oauth, db } = await oauthApp(t)
  const [anns, bobs] = [await begin('ann'), await begin('bob')]
  const stolen = (await oauth.consent(anns.authorizationUrl)).searchParams.get('code') ?? ''
  const callback = await oauth.consent(bobs.authorizationUrl)
  callback.searchParams.set('code', stolen)
  const answer = await sendCallback(callback, { cookie: bobs.cookie })
  t.equal(answer.headers.location, `${PUBLIC_URL}/?error=INVALID_STATE`, 'PKCE rejects the code')
  t.equal(await db.prisma.cloudConnection.count(), 0)
})

t.test('a cross-site page cannot begin, verify or change anything', async (t) => {
  const { grant, as, db, cloud } = await oauthApp(t)
  await grant('ann')
  const before = await db.prisma.cloudConnection.findFirstOrThrow()
  const asked = cloud.tokens.length
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
    for (const [method, path, body] of [
      ['POST', 'cloud/authorize', {}],
      ['POST', `${before.id}/verify`, undefined],
      ['PATCH', before.id, { label: 'x' }]
    ] as const) {
      const answer = await as('ann').send(method, `/cloud/connections/${path}`, body, {
        cookie: 'session=1',
        ...headers
      })
      t.equal(answer.statusCode, 403, path)
      t.match(answer.json(), { code: 'CROSS_SITE' })
      t.notOk(answer.headers['set-cookie'])
    }
  }
  t.same(await db.prisma.cloudConnection.findFirstOrThrow(), before)
  t.equal(await db.prisma.oAuthState.count(), 0)
  t.equal(cloud.tokens.length, asked)
})

t.test('verifying or changing another user’s connection answers 404, as for an unknown one', async (t) => {
  const { grant, as, db, cloud } = await oauthApp(t)
  await grant('bob')
  const theirs = await db.prisma.cloudConnection.findFirstOrThrow()
  const asked = cloud.tokens.length
  const ids = [
    theirs.id,
    '00000000-0000-4000-8000-000000000000',
    'x',
    '%00',
    encodeURIComponent('../x'),
    'x'.repeat(90)
  ]
  const bodies = await Promise.all(
    ids.flatMap((id) =>
      [
        as('ann').send('POST', `/cloud/connections/${id}/verify`),
        as('ann').send('PATCH', `/cloud/connections/${id}`, { label: 'x' })
      ].map(async (asking) => {
        const answer = await asking
        t.equal(answer.statusCode, 404, id)
        const { requestId, ...body } = answer.json<Record<string, unknown>>()
        return body
      })
    )
  )
  for (const body of bodies) t.same(body, bodies[0])
  t.same(await db.prisma.cloudConnection.findFirstOrThrow(), theirs)
  t.equal(cloud.tokens.length, asked, 'the provider is not called')
})
