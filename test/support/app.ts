import { randomBytes } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import tap, { type Test } from 'tap'
import cloudStorage, { type CloudStorageOptions, defineProvider, Secret, StorageError } from '../../src/index.ts'
import type { Database } from '../../src/infra/db/open-database.ts'
import { openTestDatabase } from './database.ts'
import { ScriptedBackend } from './scripted-backend.ts'

export const encryption = { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } }

/** A provider whose one backend the test writes. Its credentials are a token, which `account()` may refuse. */
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

let shared: Promise<Database> | undefined

/** One database for the tests of a file, which run one after the other: to open one costs seconds. Empty for each. */
export async function emptyDatabase(): Promise<Database> {
  shared ??= openTestDatabase(tap)
  const database = await shared
  await database.prisma.cloudConnection.deleteMany()
  await database.prisma.document.deleteMany()
  return database
}

export interface TestApp {
  readonly app: FastifyInstance
  readonly db: Database
  readonly scripted: ReturnType<typeof scriptedProvider>
  /** Asks as `user`, over the app's own routes. */
  readonly as: (user: string) => Asking
  /** Connects `user` at the scripted provider; gives the connection's id. */
  readonly connect: (user: string, account?: string) => Promise<string>
}

interface Asking {
  readonly get: (url: string, headers?: Record<string, string>) => ReturnType<typeof inject>
  readonly send: (
    method: 'POST' | 'DELETE',
    url: string,
    body?: object,
    headers?: Record<string, string>
  ) => ReturnType<typeof inject>
}

function inject(
  app: FastifyInstance,
  options: {
    method: 'GET' | 'POST' | 'DELETE' | 'HEAD'
    url: string
    headers: Record<string, string>
    payload?: object
  }
) {
  return app.inject(options)
}

/** The plugin in an app whose users say who they are in the header `x-user`. */
export async function testApp(
  t: Test,
  options: Partial<CloudStorageOptions> = {},
  server: FastifyServerOptions = {},
  before: (app: FastifyInstance) => unknown = () => undefined
): Promise<TestApp> {
  const db = await emptyDatabase()
  const scripted = scriptedProvider()
  const app = Fastify(server)
  t.teardown(() => app.close())
  await before(app)
  await app.register(cloudStorage, {
    prisma: db.prisma,
    authenticate: (request) => request.headers['x-user'] as string | undefined,
    encryption,
    ...options,
    providers: { scripted: scripted.provider, ...options.providers }
  })
  const as = (user: string): Asking => ({
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
      const answer = await as(user).send('POST', '/cloud/connections/scripted', { account, token: `token of ${user}` })
      return answer.json<{ id: string }>().id
    }
  }
}
