import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import type { BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildPage } from '../../scripts/build-page.mjs'
import { buildPicker } from '../../scripts/build-picker.mjs'
import { type DemoConfig, readConfig } from '../../server/config.ts'
import { openDatabase } from '../../src/db/open-database.ts'
import { buildApp } from '../../server/app.ts'
import { Demo, openDemoFolder } from '../../server/demo/demo.ts'
import type { DocumentView } from '../../server/documents/store.ts'
import { migratedImage } from '../support/database/database-image.ts'
import { openPage } from './browser-page.ts'

export interface RunningDemo {
  readonly app: FastifyInstance
  /** The link it prints, with a token behind the `#`. */
  readonly signInUrl: string
  /** `http://127.0.0.1:port/` */
  readonly address: string
  readonly token: string
  readonly documents: () => Promise<readonly DocumentView[]>
  /** Returns the content of a document, using the routes. */
  readonly content: (id: string) => Promise<Buffer>
}

const folder = await mkdtemp(join(tmpdir(), 'page-'))
const builtUrl = pathToFileURL(`${folder}/built/`)
await buildPage(join(folder, 'built/page'))
await buildPicker(join(folder, 'built/picker'))
t.teardown(() => rm(folder, { recursive: true }))

/** Starts the demo like `npm start`, except for an in-memory database. */
export async function startDemo(t: Test, variables: Record<string, string> = {}): Promise<RunningDemo> {
  const dataDir = await mkdtemp(join(folder, 'data-'))
  const config = readConfig({ PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'silent', ...variables }) as DemoConfig
  const demo = await Demo.open(config, await openDemoFolder(config))
  const database = await openDatabase({ image: await migratedImage() })
  const app = buildApp(demo.appConfig, { database, webRoot: builtUrl, isDemo: true })
  t.teardown(async () => {
    await app.close()
    await demo.close()
    await database.close()
  })
  await app.ready()
  await demo.seed(app, database)
  const greeting = demo.greeting(app, await app.listen({ host: '127.0.0.1', port: 0 }))
  const [signInUrl = ''] = /^ *http:\S+#token=\S+$/m.exec(greeting) ?? []
  const [address = '', token = ''] = signInUrl.trim().split('#token=')
  const headers = { authorization: `Bearer ${token}` }
  return {
    app,
    signInUrl: signInUrl.trim(),
    address,
    token,
    documents: async () =>
      (await app.inject({ url: '/documents', headers })).json<{ documents: DocumentView[] }>().documents,
    content: async (id) => (await app.inject({ url: `/documents/${id}/content`, headers })).rawPayload
  }
}

/** Opens a page that also fails its test for each policy violation. */
export async function openDemoPage(t: Test, options: BrowserContextOptions = {}): Promise<Page> {
  const violations: string[] = []
  const page = await openPage(t, { viewport: { width: 1280, height: 800 }, ...options }, () => violations)
  await page.exposeFunction('reportViolation', (violation: string) => violations.push(violation))
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, sourceFile, blockedURI }) => {
      const { reportViolation } = window as unknown as { reportViolation: (violation: string) => void }
      reportViolation(`${violatedDirective} ${sourceFile} ${blockedURI}`)
    })
  })
  return page
}
