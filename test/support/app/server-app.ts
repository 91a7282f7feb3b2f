import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { AppConfig } from '../../../server/config.ts'
import type { Entry } from '../../../src/core/entry.ts'
import type { Download, DownloadCall, StorageBackend } from '../../../src/core/backend.ts'
import { defineProvider, Secret, StorageError } from '../../../src/index.ts'
import type { Database } from '../../../src/db/open-database.ts'
import { buildApp } from '../../../server/app.ts'
import { MANAGED_STORE } from '../../../server/documents/store.ts'
import type { RequestDrain } from '../../../server/drain.ts'
import type { CompletedRequest } from '../../../server/logging.ts'
import { encryption } from './app.ts'
import { emptyDatabase } from '../database/database.ts'
import { checkResponses, serverDescription } from '../openapi/response-checks.ts'
import { entry, ScriptedBackend } from '../backend/scripted-backend.ts'
import { proxyThroughPrism } from '../openapi/prism-proxy.ts'

export const JWT = {
  algorithm: 'HS256',
  key: new Secret('a secret of the tests, 32 bytes and more'),
  issuer: 'https://issuer.example',
  audience: 'documents'
} as const

export function appConfig(overrides: Partial<AppConfig> = {}): AppConfig {
  return {
    host: '127.0.0.1',
    port: 0,
    logLevel: 'silent',
    trustProxy: [],
    publicUrl: undefined,
    allowedOrigins: [],
    shutdownTimeoutMs: 1000,
    allowHosts: { s3: [], webdav: [], nextcloud: [] },
    registrations: {},
    cache: {},
    leaseMs: undefined,
    redisUrl: undefined,
    isListenEnabled: true,
    metricsPort: undefined,
    limits: {},
    timeouts: {},
    transfers: {},
    spool: {},
    encryption: new Secret(encryption),
    jwt: JWT,
    managed: { type: 'disk', directory: '/nonexistent' },
    ...overrides
  }
}

/** A backend with one object and scripted responses. */
export class OneObject extends ScriptedBackend {
  override readonly capabilities: StorageBackend['capabilities']
  metadata: Partial<Entry> = { size: 5, version: 'v1', modifiedAt: '2026-01-02T03:04:05.678Z' }
  readonly downloads: DownloadCall[] = []
  send: (call: DownloadCall) => Promise<Partial<Download>> = async () => ({
    body: Readable.from([Buffer.from('hello')])
  })

  constructor(rangeDownload: 'native' | 'unsupported' = 'native') {
    super()
    this.capabilities = { ...new ScriptedBackend().capabilities, rangeDownload }
  }

  override stat(id: string): Promise<Entry> {
    return Promise.resolve(entry(id, this.metadata))
  }

  override async download(_id?: string, call?: DownloadCall): Promise<Download> {
    this.downloads.push(call!)
    const { size = null, version = null, modifiedAt = null } = this.metadata
    const metadata = { size, range: null, mimeType: 'text/html', etag: version, modifiedAt }
    return { body: Readable.from([]), ...metadata, ...(await this.send(call!)) }
  }
}

export interface ServerUnderTest {
  readonly app: FastifyInstance
  readonly database: Database
  readonly object: OneObject
  readonly log: LogLines
  /** Returns the headers of a signed-in user. */
  readonly as: (user: string) => { authorization: string }
  /** Adds a document of ann's: in the scripted object, or in the managed store if `text` is given. */
  readonly add: (overrides?: { id?: string; name?: string; mimeType?: string | null; text?: string }) => Promise<string>
}

interface ServerOptions {
  readonly config?: Partial<AppConfig>
  readonly object?: OneObject
  /** Replaces the backend that the provider opens. */
  readonly backend?: StorageBackend
  readonly drain?: RequestDrain
  readonly onRequestCompleted?: (request: CompletedRequest) => void
  readonly database?: (database: Database) => Database
}

/** The application of the ready-made server, with a provider `object` besides S3 and an in-memory log. */
export async function serverApp(t: Test, options: ServerOptions = {}): Promise<ServerUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'server-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const database = await emptyDatabase()
  const description = await serverDescription()
  const { object = new OneObject(), drain, config } = options
  const backend = options.backend ?? object
  const log = new LogLines()
  const provider = defineProvider({
    id: 'object',
    label: 'One object',
    capabilities: backend.capabilities,
    connect: {
      type: 'credentials',
      schema: { type: 'object', properties: {} },
      parse: () => ({ credentials: new Secret({}), accountId: 'one', label: 'One' })
    },
    open: async () => backend
  })
  const app = buildApp(appConfig({ managed: { type: 'disk', directory }, ...config }), {
    database: options.database?.(database) ?? database,
    providers: { object: provider },
    logStream: log,
    ...(drain && { drain }),
    ...(options.onRequestCompleted && { onRequestCompleted: options.onRequestCompleted })
  })
  t.teardown(() => app.close())
  checkResponses(t, app, description)
  proxyThroughPrism(t, app, false)
  await app.ready()
  const as = (user: string) => ({ authorization: `Bearer ${app.jwt.sign({ sub: user }, { expiresIn: '1h' })}` })
  // Without the private key, the test cannot sign tokens.
  if ((config?.jwt ?? JWT).algorithm === 'HS256') {
    await app.inject({ method: 'POST', url: '/cloud/connections/object', headers: as('ann'), payload: {} })
  }

  const add: ServerUnderTest['add'] = async ({ id, name = 'a.txt', mimeType = 'text/plain', text } = {}) => {
    const storageBackend = text === undefined ? 'object' : MANAGED_STORE
    const row = {
      userId: 'ann',
      storageBackend,
      objectKey: 'k',
      name,
      mimeType,
      ...(id !== undefined && { id })
    }
    const document = await database.prisma.document.create({ data: row })
    if (text !== undefined) {
      const backend = await app.getStorageBackendForDocument(document, { id: 'ann' })
      const body = Readable.from([Buffer.from(text)])
      await backend.upload?.({ id: 'k' }, body, { signal: new AbortController().signal })
    }
    return `/documents/${encodeURIComponent(document.id)}/content`
  }
  return { app, database, object, log, as, add }
}

/** Collects log lines. */
export class LogLines extends Writable {
  text = ''

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

export function unavailable(): StorageError {
  return new StorageError('PROVIDER_UNAVAILABLE', 'The transfer was interrupted. Try again.')
}
