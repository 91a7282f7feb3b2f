import { Readable } from 'node:stream'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { Secret } from '../../src/core/secret.ts'
import { systemClock } from '../../src/core/time.ts'
import { type Database, openDatabase } from '../../src/db/open-database.ts'
import { isStorageError } from '../../src/errors.ts'
import { type AppDeps, type OpenApp, openApp } from '../app.ts'
import type { AppConfig, DemoConfig } from '../config.ts'
import { MANAGED_STORE } from '../documents/store.ts'
import type { ServerRun } from '../run.ts'
import { DemoFolder } from './folder.ts'
import { formatGreeting } from './greeting.ts'
import {
  LONG_FOLDER,
  LONG_TEXT,
  longText,
  NESTED_FOLDER,
  openSampleStore,
  SAMPLE_BUCKET,
  type SampleStore
} from './samples.ts'

const USER = 'demo'
const ISSUER = 'fastify-cloud-storage demo'
const AUDIENCE = 'fastify-cloud-storage demo'
const TOKEN_TTL_S = 10 * 365 * 24 * 3600
/** The label of the demo's own connection, to distinguish it from the user's connections. */
const LABEL = 'Sample objects'
const MANAGED_DOCUMENT = { id: 'demo-managed', name: 'Welcome — read me first.txt', objectKey: 'demo/welcome.txt' }
const MANAGED_TEXT = longText('Welcome')
const CONNECTED_DOCUMENT = {
  id: 'demo-connected',
  name: 'Reading a folder page by page.txt',
  objectKey: LONG_TEXT,
  size: BigInt(Buffer.byteLength(longText('Reading a folder page by page')))
}

/** A demonstration on one machine. It generates the whole configuration of a service. */
export class Demo {
  readonly appConfig: AppConfig
  readonly #folder: DemoFolder
  readonly #store: SampleStore
  #connection: string | undefined

  private constructor(appConfig: AppConfig, folder: DemoFolder, store: SampleStore) {
    this.appConfig = appConfig
    this.#folder = folder
    this.#store = store
  }

  static async open(config: DemoConfig, folder: DemoFolder): Promise<Demo> {
    const store = await openSampleStore()
    const { encryptionKey, jwtSecret } = folder.secrets.reveal()
    const appConfig: AppConfig = {
      ...config,
      encryption: new Secret({ current: 'demo', keys: { demo: encryptionKey } }),
      jwt: { algorithm: 'HS256', key: new Secret(jwtSecret), issuer: ISSUER, audience: AUDIENCE },
      managed: { type: 'disk', directory: folder.objects },
      // Only the store of this run, in addition to the hosts that the operator allows.
      allowHosts: { ...config.allowHosts, s3: [...config.allowHosts.s3, store.address] }
    }
    return new Demo(appConfig, folder, store)
  }

  /** The URL of the sample store. */
  get storeUrl(): string {
    return `http://${this.#store.address}`
  }

  /** Connects the sample store through the application, and creates the two documents. */
  async seed(app: FastifyInstance, { prisma }: Pick<Database, 'prisma'>): Promise<void> {
    const connectionId = await this.#connect(new DemoClient(app, this.token(app)))
    this.#connection = connectionId
    const common = { userId: USER, mimeType: 'text/plain; charset=utf-8' }
    const managed = {
      ...common,
      ...MANAGED_DOCUMENT,
      storageBackend: MANAGED_STORE,
      connectionId: null,
      size: BigInt(Buffer.byteLength(MANAGED_TEXT))
    }
    // An existing row stays unchanged: the user may have uploaded other content.
    const { id, objectKey } = await prisma.document.upsert({ where: { id: managed.id }, create: managed, update: {} })
    if (objectKey === MANAGED_DOCUMENT.objectKey) await this.#writeManaged(app, id)
    const connected = { ...common, ...CONNECTED_DOCUMENT, storageBackend: 's3', connectionId }
    await prisma.document.upsert({ where: { id: connected.id }, create: connected, update: connected })
  }

  /** Returns the text for the terminal. The application must listen at `address`, and `seed` must have run. */
  greeting(app: FastifyInstance, address: string): string {
    if (this.#connection === undefined) throw new Error('The demo has no connection')
    // Each command names the connection, so that it still works when the user adds others.
    const connection = this.#connection
    return formatGreeting({
      address,
      token: this.token(app),
      folder: this.#folder.path,
      store: this.storeUrl,
      objects: this.#store.objects,
      listings: [
        { title: 'The root of the connected bucket', query: { connection } },
        { title: 'A folder in it', query: { connection, folder: NESTED_FOLDER } },
        {
          title: 'A folder with 240 files: "next" is the cursor of the second page, for &cursor=',
          query: { connection, folder: LONG_FOLDER }
        }
      ],
      documents: [
        { title: 'The first 200 bytes of a document in the connected bucket', id: CONNECTED_DOCUMENT.id },
        { title: 'The first 200 bytes of a document that this server stores', id: MANAGED_DOCUMENT.id }
      ]
    })
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  /** Returns the token of the demo's user. It is the same at each start, since it is as old as the secret. */
  token(app: FastifyInstance): string {
    const { madeAt } = this.#folder.secrets.reveal()
    return app.jwt.sign({ sub: USER, iat: madeAt, exp: madeAt + TOKEN_TTL_S })
  }

  /** Replaces the connection of the previous run, as its store no longer exists. */
  async #connect(client: DemoClient): Promise<string> {
    for (const { id, label } of await client.connections()) {
      if (label === LABEL) await client.disconnect(id)
    }
    return client.connect({
      label: LABEL,
      endpoint: this.storeUrl,
      bucket: SAMPLE_BUCKET,
      accessKeyId: 'demo',
      secretAccessKey: 'demo'
    })
  }

  async #writeManaged(app: FastifyInstance, id: string): Promise<void> {
    const { objectKey } = MANAGED_DOCUMENT
    const document = { id, userId: USER, storageBackend: MANAGED_STORE, objectKey }
    const backend = await app.getStorageBackendForDocument(document, { id: USER })
    const { signal } = new AbortController()
    try {
      await backend.stat(objectKey, { signal })
    } catch (error) {
      if (!isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
      await backend.upload?.({ id: objectKey }, Readable.from([MANAGED_TEXT], { objectMode: false }), { signal })
    }
  }
}

/** A client of the application in the same process, through its public routes. */
class DemoClient {
  readonly #app: FastifyInstance
  readonly #headers: { readonly authorization: string }

  constructor(app: FastifyInstance, token: string) {
    this.#app = app
    this.#headers = { authorization: `Bearer ${token}` }
  }

  async connections(): Promise<{ id: string; label: string }[]> {
    const { connections } = await this.#call<{ connections: { id: string; provider: string; label: string }[] }>({
      method: 'GET',
      url: '/cloud/connections'
    })
    return connections.filter(({ provider }) => provider === 's3')
  }

  async connect(credentials: object): Promise<string> {
    const { id } = await this.#call<{ id: string }>({
      method: 'POST',
      url: '/cloud/connections/s3',
      payload: credentials
    })
    return id
  }

  async disconnect(id: string): Promise<void> {
    await this.#call({ method: 'DELETE', url: `/cloud/connections/${id}` })
  }

  async #call<T>(request: InjectOptions): Promise<T> {
    const response = await this.#app.inject({ ...request, headers: this.#headers })
    if (response.statusCode >= 300)
      throw new Error(`The demo could not be set up: ${response.statusCode} ${response.body}`)
    return (response.body === '' ? undefined : response.json()) as T
  }
}

/** Opens the folder of a demo. Call it first: it fails if no demo can run in that folder. */
export function openDemoFolder({ dataDir }: DemoConfig): Promise<DemoFolder> {
  return DemoFolder.open(dataDir, systemClock)
}

export interface OpenDemo extends OpenApp {
  readonly demo: Demo
}

export interface OpenDemoDeps extends Pick<AppDeps, 'providers' | 'webRoot'> {
  /** Receives the name of each slow step. */
  readonly onStep?: (step: string) => void
}

/** Opens the demo with its samples, not listening yet. It logs only warnings until the greeting is printed. */
export async function openDemo(
  run: ServerRun,
  config: DemoConfig,
  { onStep = () => {}, ...deps }: OpenDemoDeps = {}
): Promise<OpenDemo> {
  const folder = await openDemoFolder(config)
  onStep('Opening the database')
  const database = await openDatabase({ dataDir: folder.path })
  run.add(database.close)
  onStep('Filling the sample bucket')
  const demo = await Demo.open(config, folder)
  run.add(() => demo.close())
  onStep('Starting the server')
  const opened = await openApp(run, demo.appConfig, { database, summary: { type: 'embedded' }, ...deps, isDemo: true })
  opened.app.log.level = 'warn'
  await demo.seed(opened.app, database)
  return { ...opened, demo }
}
