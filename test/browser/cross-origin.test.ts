import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import cors from '@fastify/cors'
import { parseCookie } from 'cookie'
import type { FastifyInstance } from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { reservePort } from '../../demo/reserved-port.ts'
import { buildPicker } from '../../scripts/build-picker.mjs'
import type { CloudStorageOptions } from '../../src/index.ts'
import { buildApp } from '../../server/app.ts'
import { openSampleStore, SAMPLE_BUCKET } from '../../server/demo/samples.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../fakes/oauth/rules.ts'
import { testApp } from '../support/app/app.ts'
import { emptyDatabase } from '../support/database/database.ts'
import { oauthCloudProvider, startOAuthCloud } from '../support/app/oauth-cloud.ts'
import { appConfig } from '../support/app/server-app.ts'
import { openPage } from './browser-page.ts'

const folder = mkdtempSync(join(tmpdir(), 'picker-'))
await buildPicker(folder)
t.teardown(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** How the routes authenticate users: by a bearer token (the ready-made server), or by the host's own cookie. */
type AuthMode = 'bearer' | 'cookie'

const FRONT_SCRIPT = `
  const query = new URLSearchParams(location.search)
  const picker = document.createElement('cloud-folder-picker')
  picker.base = query.get('api') + '/cloud'
  picker.returnTo = '/picker/landing.html'
  if (query.has('token')) picker.headers = { authorization: 'Bearer ' + query.get('token') }
  else picker.credentials = 'include'
  document.querySelector('main').append(picker)
`

/**
 * Starts the server of a front end.
 * @param host `127.0.0.1` is the host of the routes: another origin of the same site. `localhost` is another site.
 * @returns its origin
 */
async function startFront(t: Test, host: '127.0.0.1' | 'localhost'): Promise<string> {
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://front')
    const [, file] = /^\/picker\/([\w-]+\.(?:js|html))$/.exec(pathname) ?? []
    if (pathname === '/favicon.ico') response.writeHead(204).end()
    else if (pathname === '/front.js') response.setHeader('content-type', 'text/javascript').end(FRONT_SCRIPT)
    else if (file !== undefined) {
      response.setHeader('content-type', file.endsWith('.js') ? 'text/javascript' : 'text/html')
      response.end(readFileSync(join(folder, file)))
    } else {
      response.setHeader('content-type', 'text/html; charset=utf-8')
      response.end(`<!doctype html><html lang="en"><title>Front end</title><main></main>
        <script type="module" src="/picker/cloud-folder-picker.js"></script>
        <script type="module" src="/front.js"></script></html>`)
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

interface Api {
  readonly url: string
  readonly token: string | null
  /** Requests and their statuses: `204 DELETE /cloud/connections`. Excludes preflight requests. */
  readonly responses: string[]
  readonly store: { readonly endpoint: string }
}

/** Starts the routes on a port of their own, with an S3 store and an OAuth provider. */
async function startApi(t: Test, mode: AuthMode, allowedOrigins: readonly string[]): Promise<Api> {
  const reserved = await reservePort(0)
  t.teardown(() => reserved.release())
  const url = `http://127.0.0.1:${reserved.port}`
  const redirectUri = `${url}/cloud/connections/cloud/callback`
  const oauth = await FakeOAuth.start(t, { redirectUris: [redirectUri] })
  const cloud = await startOAuthCloud(t, oauth)
  const store = await openSampleStore()
  t.teardown(() => store.close())
  const allowHosts = [new URL(oauth.url).host, new URL(cloud.origin).host]
  const registration = { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET, allowHosts }
  const providers = {
    cloud: { provider: oauthCloudProvider(oauth.url, cloud.origin), ...registration },
    s3: { allowHosts: [store.address] }
  }
  const responses: string[] = []
  const recordResponses = (app: FastifyInstance): void => {
    app.addHook('onResponse', async ({ method, url }, { statusCode }) => {
      if (method !== 'OPTIONS' && url !== '/favicon.ico')
        responses.push(`${statusCode} ${method} ${url.split('?')[0] ?? ''}`)
    })
  }
  const options = { publicUrl: url, allowedOrigins, providers }
  const app =
    mode === 'bearer'
      ? await startServerApp(t, options, recordResponses)
      : await startCookieApp(t, options, recordResponses)
  await reserved.release()
  await app.listen({ host: '127.0.0.1', port: reserved.port })
  const token = mode === 'bearer' ? app.jwt.sign({ sub: 'ann' }, { expiresIn: '1h' }) : null
  return { url, token, responses, store: { endpoint: `http://${store.address}` } }
}

type ApiOptions = Required<Pick<CloudStorageOptions, 'allowedOrigins' | 'providers'>> & { readonly publicUrl: string }

/** The ready-made server with `CORS_ORIGINS`. */
async function startServerApp(
  t: Test,
  { publicUrl, allowedOrigins, providers }: ApiOptions,
  recordResponses: (app: FastifyInstance) => void
): Promise<FastifyInstance> {
  const database = await emptyDatabase()
  const app = buildApp(appConfig({ publicUrl, allowedOrigins }), { database, providers })
  recordResponses(app)
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** A host that authenticates users by a cookie, as in docs/connections.md. */
async function startCookieApp(
  t: Test,
  { publicUrl, allowedOrigins, providers }: ApiOptions,
  recordResponses: (app: FastifyInstance) => void
): Promise<FastifyInstance> {
  const { app } = await testApp(
    t,
    {
      publicUrl,
      allowedOrigins,
      providers,
      transfers: {},
      authenticate: ({ headers }) => parseCookie(headers.cookie ?? '')['session']
    },
    {},
    async (host) => {
      recordResponses(host)
      await host.register(cors, {
        origin: [...allowedOrigins],
        credentials: true,
        methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
        exposedHeaders: ['Content-Disposition', 'ETag', 'Retry-After']
      })
      host.get('/sign-in', async (_request, reply) =>
        reply
          .header('set-cookie', 'session=ann; Path=/; HttpOnly; Secure; SameSite=None')
          .type('text/html')
          .send('<!doctype html><html lang="en"><title>Signed in</title></html>')
      )
    }
  )
  return app
}

/** Opens the front end; with cookies, after signing in at the host. */
async function openFront(
  t: Test,
  frontOrigin: string,
  api: Api,
  isExpected?: (text: string) => boolean
): Promise<Page> {
  const isOtherSite = new URL(frontOrigin).hostname !== new URL(api.url).hostname
  const page = await openPage(t, { allowsThirdPartyCookies: isOtherSite }, () => [], isExpected)
  if (api.token === null) await page.goto(`${api.url}/sign-in`)
  const query = new URLSearchParams({ api: api.url, ...(api.token !== null && { token: api.token }) })
  await page.goto(`${frontOrigin}/?${query.toString()}`)
  return page
}

for (const mode of ['bearer', 'cookie'] as const) {
  for (const host of ['127.0.0.1', 'localhost'] as const) {
    const siteName = host === 'localhost' ? 'another site' : 'another port'
    t.test(`a listed front end on ${siteName} works with ${mode === 'bearer' ? 'tokens' : 'cookies'}`, async (t) => {
      const frontOrigin = await startFront(t, host)
      const api = await startApi(t, mode, [frontOrigin])
      const page = await openFront(t, frontOrigin, api)
      const row = (name: string) =>
        page.locator('.body > .row').filter({ has: page.locator('bdi').getByText(name, { exact: true }) })

      await page.getByRole('button', { name: /^Connect S3/ }).click()
      await page.getByLabel('Endpoint').fill(api.store.endpoint)
      await page.getByLabel('Bucket').fill(SAMPLE_BUCKET)
      await page.getByLabel('Access key').fill('demo')
      await page.getByLabel('Secret key').fill('demo')
      await page.getByRole('button', { name: 'Connect', exact: true }).click()
      await row('Welcome.txt').waitFor()

      const [chooser] = await Promise.all([
        page.waitForEvent('filechooser'),
        page.locator('cloud-folder-picker').getByRole('button', { name: 'Upload' }).click()
      ])
      await chooser.setFiles({ name: 'Über.txt', mimeType: 'text/plain', buffer: Buffer.from('from elsewhere') })
      await row('Über.txt').waitFor()

      const [saved] = await Promise.all([
        page.waitForEvent('download'),
        row('Über.txt').getByRole('button', { name: 'Download' }).click()
      ])
      t.equal(saved.suggestedFilename(), 'Über.txt')
      t.equal(readFileSync(await saved.path(), 'utf8'), 'from elsewhere')

      const [popup] = await Promise.all([
        page.waitForEvent('popup'),
        page.getByRole('button', { name: 'Connect Cloud' }).click()
      ])
      const landed: string[] = []
      popup.on('framenavigated', (frame) => landed.push(frame.url()))
      if (!popup.isClosed()) await popup.waitForEvent('close')
      await row('file of user-1').waitFor()
      t.ok(
        landed.some((url) => url.startsWith(`${frontOrigin}/picker/landing.html?flow=`) && !url.includes('error')),
        landed.join(' ')
      )
      t.same(
        api.responses.filter((line) => !/^(?:2\d\d|30[34]) /.test(line)),
        [],
        'no request was refused'
      )
      t.ok(api.responses.includes('303 GET /cloud/connections/cloud/callback'))

      const removed = await page.evaluate(
        async ([url, token]) => {
          const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
          const credentials = token === null ? 'include' : 'same-origin'
          return (await fetch(`${url}/cloud/connections`, { method: 'DELETE', headers, credentials })).status
        },
        [api.url, api.token] as const
      )
      t.equal(removed, 204)
    })
  }
}

for (const mode of ['bearer', 'cookie'] as const) {
  t.test(
    `an unlisted front end can neither read nor change anything with ${mode === 'bearer' ? 'tokens' : 'cookies'}`,
    async (t) => {
      const listed = await startFront(t, '127.0.0.1')
      const api = await startApi(t, mode, [listed])
      for (const host of ['127.0.0.1', 'localhost'] as const) {
        const frontOrigin = await startFront(t, host)
        const page = await openFront(t, frontOrigin, api, (text) => text.includes('blocked by CORS policy'))
        await page.getByRole('alert').getByText('The server cannot be reached.').waitFor()
        api.responses.length = 0
        const outcomes = await page.evaluate(
          async ([url, token]) => {
            const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
            const send = async (path: string, init: RequestInit): Promise<string> => {
              try {
                return (await fetch(url + path, { credentials: 'include', ...init })).type
              } catch {
                return 'rejected'
              }
            }
            const body = JSON.stringify({ label: 'x' })
            return [
              await send('/cloud/connections', { headers }),
              await send('/cloud/connections', { method: 'DELETE', headers }),
              await send('/cloud/connections/s3', {
                method: 'POST',
                body,
                headers: { ...headers, 'content-type': 'application/json' }
              }),
              // Browsers send these without a preflight request.
              await send('/cloud/connections/1/verify', { method: 'POST' }),
              await send('/cloud/connections/s3', { method: 'POST', mode: 'no-cors', body })
            ]
          },
          [api.url, api.token] as const
        )
        t.same(outcomes, ['rejected', 'rejected', 'rejected', 'rejected', 'opaque'], host)
        const changes = api.responses.filter((line) => !line.includes(' GET '))
        const refusal = mode === 'bearer' ? 401 : 403
        t.same(
          changes,
          [`${refusal} POST /cloud/connections/1/verify`, `${refusal} POST /cloud/connections/s3`],
          'preflight requests stop the others'
        )

        // A form is the only way to send cookies without a script.
        await page.setContent(
          `<form method="post" action="${api.url}/cloud/connections/1/verify"><button>Send</button></form>`
        )
        const [answer] = await Promise.all([
          page.waitForResponse((response) => response.url().endsWith('/verify')),
          page.getByRole('button').click()
        ])
        t.equal(answer.status(), refusal)
        if (mode === 'cookie') t.match(await answer.text(), 'CROSS_SITE')
      }
    }
  )
}
