import { randomBytes } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import cloudStorage, { type CloudStorageOptions, defineProvider, Secret, StorageError } from '../../../src/index.ts'
import type { OAuthConnect } from '../../../src/core/oauth.ts'
import type { Database } from '../../../src/db/open-database.ts'
import type { OAuthProviderOptions } from '../../../src/options/providers.ts'
import { emptyDatabase } from '../database/database.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET, type FakeOAuthOptions } from '../../fakes/oauth/rules.ts'
import { FakeOAuth } from '../../fakes/oauth/fake-oauth.ts'
import { checkResponses } from '../openapi/response-checks.ts'
import { oauthCloudProvider, startOAuthCloud, type OAuthCloud } from './oauth-cloud.ts'
import { ScriptedBackend } from '../backend/scripted-backend.ts'
import { proxyThroughPrism } from '../openapi/prism-proxy.ts'

export const encryption = { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } }

/** A provider with one backend, which the test scripts. Its credentials are a token that `account()` may reject. */
export function scriptedProvider(backend: ScriptedBackend = new ScriptedBackend()) {
  const opened: unknown[] = []
  const provider = defineProvider({
    id: 'scripted',
    label: 'Scripted',
    capabilities: backend.capabilities,
    connect: {
      type: 'credentials',
      schema: {
        type: 'object',
        properties: { account: { type: 'string' }, token: { type: 'string', writeOnly: true } },
        required: ['account', 'token'],
        additionalProperties: false
      },
      parse: (fields) => ({
        credentials: new Secret({ token: fields.token }),
        accountId: String(fields.account),
        label: `Account ${String(fields.account)}`
      })
    },
    open: async ({ credentials }) => {
      opened.push(credentials.reveal())
      const { token } = credentials.reveal() as { token: string }
      if (token === 'refused') {
        return Object.assign(new ScriptedBackend(), {
          account: () => Promise.reject(new StorageError('ACCESS_DENIED', 'no'))
        })
      }
      return backend
    }
  })
  return { provider, backend, opened }
}

export interface TestApp {
  readonly app: FastifyInstance
  readonly db: Database
  readonly scripted: ReturnType<typeof scriptedProvider>
  /** Sends requests as `user` to the app's own routes. */
  readonly as: (user: string) => UserClient
  /** Connects `user` to the scripted provider. Returns the ID of the connection. */
  readonly connect: (user: string, account?: string) => Promise<string>
}

interface UserClient {
  readonly get: (url: string, headers?: Record<string, string>) => ReturnType<typeof inject>
  readonly send: (
    method: 'POST' | 'PATCH' | 'DELETE',
    url: string,
    body?: object,
    headers?: Record<string, string>
  ) => ReturnType<typeof inject>
}

function inject(
  app: FastifyInstance,
  options: {
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'HEAD'
    url: string
    headers: Record<string, string>
    payload?: object
  }
) {
  return app.inject(options)
}

/** Registers the plugin in an app that authenticates users by the header `x-user`. */
export async function testApp(
  t: Test,
  options: Partial<CloudStorageOptions> = {},
  server: FastifyServerOptions = {},
  before: (app: FastifyInstance) => unknown = () => undefined
): Promise<TestApp> {
  const db = await emptyDatabase()
  const scripted = scriptedProvider()
  const app = Fastify({ pluginTimeout: 0, ...server })
  t.teardown(() => app.close())
  checkResponses(t, app)
  proxyThroughPrism(t, app, true)
  await before(app)
  await app.register(cloudStorage, {
    prisma: db.prisma,
    authenticate: (request) => request.headers['x-user'] as string | undefined,
    encryption,
    // Tests change rows directly in the database, as another process would.
    leaseMs: 0,
    ...options,
    providers: { scripted: scripted.provider, ...options.providers }
  })
  const as = (user: string): UserClient => ({
    get: (url, headers = {}) => inject(app, { method: 'GET', url, headers: { 'x-user': user, ...headers } }),
    send: (method, url, body, headers = {}) =>
      inject(app, { method, url, headers: { 'x-user': user, ...headers }, ...(body && { payload: body }) })
  })
  return {
    app,
    db,
    scripted,
    as,
    connect: async (user, account = 'main') => {
      const response = await as(user).send('POST', '/cloud/connections/scripted', {
        account,
        token: `token of ${user}`
      })
      return response.json<{ id: string }>().id
    }
  }
}

/** The app runs behind a proxy that strips this path prefix. */
export const PUBLIC_URL = 'https://app.example.org/files'
export const CALLBACK_URI = `${PUBLIC_URL}/cloud/connections/cloud/callback`

export interface OAuthAppOptions {
  readonly plugin?: Partial<CloudStorageOptions>
  /** The behaviour of the authorization server. */
  readonly rules?: FakeOAuthOptions
  readonly connect?: Partial<OAuthConnect>
  readonly registration?: Partial<OAuthProviderOptions>
  readonly before?: (app: FastifyInstance) => unknown
}

export interface StartedFlow {
  readonly authorizationUrl: string
  readonly setCookie: string
  /** The cookie as the browser sends it back. */
  readonly cookie: string
}

export interface OAuthApp extends TestApp {
  readonly oauth: FakeOAuth
  readonly cloud: OAuthCloud
  /** All log lines, at the lowest level. */
  readonly log: string[]
  readonly authorize: (user: string, body?: object) => Promise<StartedFlow>
  /** Sends the callback as the user's browser, with these headers. */
  readonly sendCallback: (callback: URL | string, headers?: Record<string, string>) => ReturnType<typeof inject>
  /** Runs the whole flow with consent. */
  readonly grant: (user: string, body?: object) => ReturnType<typeof inject>
}

/** An app with the provider `cloud`, where users grant access at a {@link FakeOAuth}. */
export async function oauthApp(
  t: Test,
  { plugin = {}, rules = {}, connect = {}, registration = {}, before }: OAuthAppOptions = {}
): Promise<OAuthApp> {
  const oauth = await FakeOAuth.start(t, { redirectUris: [CALLBACK_URI], ...rules })
  const cloud = await startOAuthCloud(t, oauth)
  const provider = oauthCloudProvider(oauth.url, cloud.origin, connect)
  const log: string[] = []
  const providerOption = {
    provider,
    clientId: FAKE_CLIENT_ID,
    clientSecret: FAKE_CLIENT_SECRET,
    allowHosts: [new URL(oauth.url).host, new URL(cloud.origin).host],
    ...registration
  }
  const base = await testApp(
    t,
    { publicUrl: PUBLIC_URL, ...plugin, providers: { cloud: providerOption, ...plugin.providers } },
    { logger: { level: 'trace', stream: { write: (line: string) => log.push(line) } } },
    before
  )

  const authorize = async (user: string, body: object = {}): Promise<StartedFlow> => {
    const response = await base.as(user).send('POST', '/cloud/connections/cloud/authorize', body)
    if (response.statusCode !== 200) throw new Error(`authorize answered ${response.body}`)
    const setCookie = String(response.headers['set-cookie'])
    const [cookie = ''] = setCookie.split(';')
    return { ...response.json<{ authorizationUrl: string }>(), setCookie, cookie }
  }
  const sendCallback = (callback: URL | string, headers: Record<string, string> = {}) => {
    const { pathname, search } = new URL(callback)
    const url = pathname.slice(new URL(PUBLIC_URL).pathname.length) + search
    return inject(base.app, { method: 'GET', url, headers })
  }
  const grant = async (user: string, body?: object) => {
    const { authorizationUrl, cookie } = await authorize(user, body)
    return sendCallback(await oauth.consent(authorizationUrl), { cookie })
  }
  return { ...base, oauth, cloud, log, authorize, sendCallback, grant }
}
