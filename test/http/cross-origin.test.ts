import t from 'tap'
import { CALLBACK_URI, oauthApp, testApp } from '../support/app/app.ts'
import { serverApp } from '../support/app/server-app.ts'

const FRONT = 'https://front.example.net'
const AUTHORIZE = '/cloud/connections/cloud/authorize'

t.test('pages of a listed origin may make changes with cookies; pages of other origins may not', async (t) => {
  const { as, connect, db } = await testApp(t, { allowedOrigins: [FRONT, 'http://localhost:5173'] })
  await connect('ann')
  const remove = (origin: string, headers: Record<string, string> = {}) =>
    as('ann').send('DELETE', '/cloud/connections', undefined, {
      cookie: 'session=1',
      'sec-fetch-site': 'cross-site',
      origin,
      ...headers
    })
  for (const origin of [
    'https://evil.example',
    `${FRONT}.evil.example`,
    `${FRONT}:8443`,
    'http://front.example.net',
    'null'
  ]) {
    for (const headers of [{}, { authorization: 'Bearer abc' }, { authorization: 'Basic YTpi', cookie: '' }]) {
      const answer = await remove(origin, headers)
      t.equal(answer.statusCode, 403, origin)
      t.match(answer.json(), { code: 'CROSS_SITE' })
    }
  }
  t.equal(await db.prisma.cloudConnection.count(), 1, 'nothing is removed')
  t.equal((await remove('http://localhost:5173')).statusCode, 204)
  await connect('ann')
  t.equal((await remove(FRONT)).statusCode, 204)
})

t.test('a bearer token without cookies is accepted from every origin; other schemes are not', async (t) => {
  const { as, connect } = await testApp(t)
  const remove = (headers: Record<string, string>) =>
    as('ann').send('DELETE', '/cloud/connections', undefined, { origin: 'https://any.example', ...headers })
  await connect('ann')
  for (const authorization of ['Basic YTpi', 'Negotiate abc', 'Digest username="a"', 'Bearerabc', '']) {
    t.equal((await remove({ authorization })).statusCode, 403, authorization)
  }
  t.equal((await remove({ authorization: 'Bearer abc', cookie: 'a=b' })).statusCode, 403, 'with a cookie')
  t.equal((await remove({ authorization: 'bearer abc', 'sec-fetch-site': 'cross-site' })).statusCode, 204)
})

t.test('a login of a listed front end returns to it, with a cookie that its browser stores', async (t) => {
  const { as } = await oauthApp(t, { plugin: { allowedOrigins: [FRONT] } })
  const begin = (returnTo: string, headers: Record<string, string>) =>
    as('ann').send('POST', AUTHORIZE, { returnTo }, headers)
  for (const [site, sameSite] of [
    ['cross-site', 'None'],
    ['same-site', 'Lax'],
    ['same-origin', 'Lax'],
    [undefined, 'None']
  ] as const) {
    const headers = { origin: FRONT, ...(site !== undefined && { 'sec-fetch-site': site }) }
    const answer = await begin(`${FRONT}/landing.html?flow=1`, headers)
    t.equal(answer.statusCode, 200, answer.body)
    t.match(
      String(answer.headers['set-cookie']),
      new RegExp(`HttpOnly; Secure; SameSite=${sameSite}`, 'i'),
      String(site)
    )
  }
  for (const place of [
    'https://evil.example/',
    `${FRONT}.evil.example/`,
    'http://front.example.net/',
    'https://u:p@front.example.net/'
  ]) {
    t.equal((await begin(place, { origin: FRONT })).statusCode, 400, place)
  }
  t.ok(CALLBACK_URI.startsWith('https://'))
})

t.test('allowedOrigins accepts exact origins only', async (t) => {
  const wrong = ['https://a.example/', 'https://a.example/x', 'https://A.example', 'https://a.example:443', '*', 'null']
  for (const origin of [...wrong, 'https://*.a.example', 'http://a.example', 'ftp://a.example', 'a.example', '']) {
    await t.rejects(testApp(t, { allowedOrigins: [origin] }), { message: /allowedOrigins\[0\]/ }, origin)
  }
  await t.rejects(testApp(t, { allowedOrigins: FRONT as never }), { message: /allowedOrigins/ })
})

t.test('the server answers CORS requests of listed origins only, including preflights without a token', async (t) => {
  const { app, as } = await serverApp(t, { config: { allowedOrigins: [FRONT] } })
  const preflight = (origin: string) =>
    app.inject({
      method: 'OPTIONS',
      url: '/cloud/connections',
      headers: { origin, 'access-control-request-method': 'DELETE', 'access-control-request-headers': 'authorization' }
    })
  const allowed = await preflight(FRONT)
  t.equal(allowed.statusCode, 204)
  t.match(allowed.headers, {
    'access-control-allow-origin': FRONT,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': /PUT.*PATCH.*DELETE/,
    'access-control-allow-headers': 'authorization'
  })
  for (const url of ['/cloud/connections', '/documents']) {
    const answer = await app.inject({ url, headers: { ...as('ann'), origin: FRONT } })
    t.match(answer.headers, { 'access-control-allow-origin': FRONT, vary: /Origin/ }, url)
    t.match(answer.headers['access-control-expose-headers'], /Content-Disposition.*ETag.*Retry-After/)
    const refused = await app.inject({ url, headers: { origin: FRONT } })
    t.match(refused, { statusCode: 401, headers: { 'access-control-allow-origin': FRONT } }, 'the refusal is readable')
  }
  for (const answer of [
    await preflight('https://evil.example'),
    await app.inject({ url: '/documents', headers: { ...as('ann'), origin: 'https://evil.example' } })
  ]) {
    t.notOk(Object.keys(answer.headers).some((name) => name.startsWith('access-control-')))
  }
})
