import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import cloudStorage, { type CloudStorageOptions } from '../../src/index.ts'
import { encryption, oauthApp, PUBLIC_URL } from '../support/app/app.ts'
import { emptyDatabase } from '../support/database/database.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../fakes/oauth/rules.ts'
import { oauthCloudProvider } from '../support/app/oauth-cloud.ts'

const AUTHORIZE = '/cloud/connections/cloud/authorize'

/** Returns the redirect URI and the path of the cookie for an app with this configuration. */
async function placesOf(t: Test, over: Partial<CloudStorageOptions>, host = '', headers: Record<string, string> = {}) {
  const { prisma } = await emptyDatabase()
  const app = Fastify({ pluginTimeout: 0 })
  t.teardown(() => app.close())
  const provider = oauthCloudProvider('https://as.example.org', 'https://cloud.example.org')
  await app.register(
    async (child) => {
      await child.register(cloudStorage, {
        prisma,
        encryption,
        authenticate: () => 'ann',
        providers: { cloud: { provider, clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET } },
        ...over
      })
    },
    { prefix: host }
  )
  const url = `${host}${over.routePrefix === undefined ? AUTHORIZE : AUTHORIZE.replace('/cloud', String(over.routePrefix))}`
  const answer = await app.inject({ method: 'POST', url, headers })
  const { authorizationUrl } = answer.json<{ authorizationUrl: string }>()
  const path = /; Path=([^;]+)/.exec(String(answer.headers['set-cookie']))?.[1]
  return { redirectUri: new URL(authorizationUrl).searchParams.get('redirect_uri'), path }
}

t.test('the prefix of register applies to the routes, the redirect URI and the path of the cookie', async (t) => {
  const { prisma } = await emptyDatabase()
  for (const [host, prefix, routePrefix, at] of [
    ['', '/api', undefined, '/api/cloud'],
    ['', '/api/', undefined, '/api/cloud'],
    ['', '/api/v1', '/files', '/api/v1/files'],
    ['', '', undefined, '/cloud'],
    ['/tenants', '/api', undefined, '/tenants/api/cloud'],
    ['/tenants', '/api/', '/files', '/tenants/api/files'],
    ['/tenants/one', '', undefined, '/tenants/one/cloud']
  ] as const) {
    const app = Fastify({ pluginTimeout: 0 })
    t.teardown(() => app.close())
    const provider = oauthCloudProvider('https://as.example.org', 'https://cloud.example.org')
    await app.register(swagger, { openapi: { openapi: '3.1.0' } })
    let scope: FastifyInstance = app
    await app.register(
      async (child) => {
        scope = child
        await child.register(cloudStorage, {
          prefix,
          prisma,
          encryption,
          authenticate: () => 'ann',
          publicUrl: 'https://app.example.org',
          providers: { cloud: { provider, clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET } },
          ...(routePrefix && { routePrefix })
        })
      },
      { prefix: host }
    )
    const answer = await app.inject({ method: 'POST', url: `${at}/connections/cloud/authorize` })
    const { authorizationUrl } = answer.json<{ authorizationUrl: string }>()
    const callback = `${at}/connections/cloud/callback`
    t.equal(new URL(authorizationUrl).searchParams.get('redirect_uri'), `https://app.example.org${callback}`)
    t.match(String(answer.headers['set-cookie']), `; Path=${callback}`)
    if (at !== '/cloud') t.equal((await app.inject('/cloud/providers')).statusCode, 404, 'the routes exist only there')
    t.ok(scope.hasDecorator('folderCache'), 'the decorators are those of the host')
    const described = Object.keys((app.swagger() as { paths?: object }).paths ?? {})
    t.ok(described.includes(`${at}/connections/{provider}/callback`))
    t.same(
      described.filter((path) => !path.startsWith(`${at}/`)),
      [],
      'the paths in the host’s OpenAPI document have the prefix'
    )

    // The callback receives the cookie and redirects to the application.
    const [cookie = ''] = String(answer.headers['set-cookie']).split(';')
    const state = new URL(authorizationUrl).searchParams.get('state') ?? ''
    const query = new URLSearchParams({ error: 'access_denied', state, iss: 'https://as.example.org' })
    const back = await app.inject({ url: `${callback}?${query.toString()}`, headers: { cookie } })
    t.equal(back.statusCode, 303, back.body)
    t.match(back.headers.location, /^https:\/\/app\.example\.org\/\?error=ACCESS_DENIED$/)
    t.match(String(back.headers['set-cookie']), `Max-Age=0; Path=${callback}`, 'the cookie is deleted at the same path')
  }
  for (const prefix of ['api', '//x', '/a b', 5 as unknown as string]) {
    const app = Fastify()
    const options = { prefix, prisma, encryption, authenticate: () => 'ann' }
    await t.rejects(async () => app.register(cloudStorage, options), { message: /prefix/ })
  }
})

t.test('the redirect URI is publicUrl followed by the callback route, and the cookie has its path', async (t) => {
  const cases: [Partial<CloudStorageOptions>, string, string][] = [
    [{ publicUrl: 'https://app.example.org' }, '', '/cloud/connections/cloud/callback'],
    [{ publicUrl: 'https://app.example.org/' }, '', '/cloud/connections/cloud/callback'],
    [{ publicUrl: 'https://app.example.org/files' }, '', '/files/cloud/connections/cloud/callback'],
    [{ publicUrl: 'https://app.example.org/files/' }, '', '/files/cloud/connections/cloud/callback'],
    [{ publicUrl: 'https://app.example.org' }, '/api', '/api/cloud/connections/cloud/callback'],
    [{ publicUrl: 'https://app.example.org/v1/' }, '/api', '/v1/api/cloud/connections/cloud/callback'],
    [{ publicUrl: 'https://app.example.org', routePrefix: '/my/files' }, '', '/my/files/connections/cloud/callback']
  ]
  for (const [over, host, path] of cases) {
    const places = await placesOf(t, over, host)
    t.same(places, { redirectUri: `https://app.example.org${path}`, path }, JSON.stringify([over, host]))
  }
})

t.test('request headers do not change the redirect URI', async (t) => {
  const lies = {
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    forwarded: 'host=evil.example'
  }
  const { redirectUri } = await placesOf(t, { publicUrl: 'https://app.example.org' }, '', lies)
  t.equal(redirectUri, 'https://app.example.org/cloud/connections/cloud/callback')
})

t.test('the redirect URI keeps the port of publicUrl', async (t) => {
  const { redirectUri } = await placesOf(t, { publicUrl: 'http://localhost:3000' })
  t.equal(redirectUri, 'http://localhost:3000/cloud/connections/cloud/callback')
})

t.test('a returnTo outside of the application is refused before a flow begins', async (t) => {
  const { as, db } = await oauthApp(t)
  const hostile = [
    '//evil.example',
    '//evil.example/files/',
    '/\\evil.example',
    '\\\\evil.example/files/',
    '/\t/evil.example/files/',
    '/\n/evil.example/files/',
    'https://evil.example/files/',
    'https://app.example.org.evil.example/files/',
    'https://app.example.org@evil.example/files/',
    'https://user@app.example.org/files/',
    'https://user:password@app.example.org/files/',
    'https://app.example.org:8443/files/',
    'http://app.example.org/files/',
    'https:\\\\evil.example/files/',
    'javascript:alert(1)',
    'javascript://app.example.org/files/%0aalert(1)',
    'data:text/html,x',
    'blob:https://app.example.org/files/x',
    'file:///files/',
    'https://',
    '/',
    '..',
    '../',
    '../filesystem',
    '/files/../admin',
    '/files/%2e%2e/admin',
    '/files/.%2E/admin',
    '/files\\..\\admin',
    '/filesystem',
    'https://app.example.org/filesystem',
    'https://app.example.org/files/../../admin',
    'https://app.example.org',
    'https://app.example.org/FILES/',
    'https://app.example.org/%66iles/',
    `${PUBLIC_URL}/${'x'.repeat(2048)}`,
    ''
  ]
  for (const returnTo of hostile) {
    const answer = await as('ann').send('POST', AUTHORIZE, { returnTo })
    t.equal(answer.statusCode, 400, JSON.stringify(returnTo))
    t.match(answer.json(), { code: 'INVALID_REQUEST', detail: /returnTo/ })
    t.notMatch(answer.body, 'evil.example')
    t.notOk(answer.headers['set-cookie'])
  }
  t.equal(await db.prisma.oAuthState.count(), 0)
})

t.test('an invalid body of authorize is refused', async (t) => {
  const { as, db } = await oauthApp(t)
  for (const body of [
    { returnTo: 1 },
    { returnto: PUBLIC_URL },
    { label: '' },
    { label: 'a\0b' },
    { label: 'x'.repeat(201) },
    []
  ]) {
    const answer = await as('ann').send('POST', AUTHORIZE, body)
    t.equal(answer.statusCode, 400, JSON.stringify(body))
    t.match(answer.json(), { code: 'INVALID_REQUEST' })
  }
  t.equal(await db.prisma.oAuthState.count(), 0)
})

t.test('the browser is redirected to a returnTo inside of the application, including its query', async (t) => {
  const { authorize: begin, sendCallback: comeBack, oauth } = await oauthApp(t)
  const places: [string | undefined, string][] = [
    [undefined, `${PUBLIC_URL}/`],
    [PUBLIC_URL, PUBLIC_URL],
    [`${PUBLIC_URL}/`, `${PUBLIC_URL}/`],
    [`${PUBLIC_URL}/a/b?c=d%20e&f#g`, `${PUBLIC_URL}/a/b?c=d%20e&f#g`],
    ['/files/a', `${PUBLIC_URL}/a`],
    ['a', `${PUBLIC_URL}/a`],
    ['?a=b', `${PUBLIC_URL}/?a=b`],
    ['#a', `${PUBLIC_URL}/#a`],
    ['//app.example.org/files/a', `${PUBLIC_URL}/a`],
    ['HTTPS://APP.example.org:443/files/a', `${PUBLIC_URL}/a`],
    ['/files/a/../b', `${PUBLIC_URL}/b`],
    ['/files/a\r\nset-cookie: x=y', `${PUBLIC_URL}/aset-cookie:%20x=y`],
    ['/files/\u00e9', `${PUBLIC_URL}/%C3%A9`],
    ['/files/a?error=ACCESS_DENIED&b=c', `${PUBLIC_URL}/a?b=c`]
  ]
  for (const [returnTo, location] of places) {
    const { authorizationUrl, cookie } = await begin('ann', returnTo === undefined ? {} : { returnTo })
    const answer = await comeBack(await oauth.consent(authorizationUrl), { cookie })
    t.equal(answer.statusCode, 303)
    t.equal(answer.headers.location, location)
  }
})

t.test('an error is added to the query, and existing parameters stay', async (t) => {
  const { authorize: begin, sendCallback: comeBack, oauth } = await oauthApp(t)
  const places: [string, string][] = [
    [`${PUBLIC_URL}/`, `${PUBLIC_URL}/?error=ACCESS_DENIED`],
    [`${PUBLIC_URL}/done?step=2&step=3#here`, `${PUBLIC_URL}/done?step=2&step=3&error=ACCESS_DENIED#here`],
    [`${PUBLIC_URL}/done?error=INVALID_STATE&a=b`, `${PUBLIC_URL}/done?error=ACCESS_DENIED&a=b`]
  ]
  for (const [returnTo, location] of places) {
    const { authorizationUrl, cookie } = await begin('ann', { returnTo })
    oauth.deny()
    const answer = await comeBack(await oauth.consent(authorizationUrl), { cookie })
    t.equal(answer.statusCode, 303)
    t.equal(answer.headers.location, location)
  }
})

t.test('a cookie that the host sets is kept', async (t) => {
  const { app, as } = await oauthApp(t, {
    before: (host) => {
      host.addHook('onRequest', async (_request, reply) => {
        reply.header('set-cookie', 'session=1')
      })
    }
  })
  await app.ready()
  const { headers } = await as('ann').send('POST', AUTHORIZE, {})
  t.match(headers['set-cookie'], ['session=1', /^cloud_oauth_/])
})
