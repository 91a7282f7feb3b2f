import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { AxeResults } from 'axe-core'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { Entry } from '../../src/domain/entry.ts'
import { PickerCloud } from '../support/picker-cloud.ts'
import { connectionTo, entryOf, folderOf, S3 } from '../support/picker-entries.ts'
import { buildPicker } from '../../scripts/build-picker.mjs'

export interface Heard {
  readonly type: 'select' | 'open' | 'error'
  readonly detail: {
    readonly entries?: readonly Entry[]
    readonly entry?: Entry
    readonly code?: string
    readonly status?: number
    readonly provider?: string | null
    readonly connectionId?: string | null
  }
}

declare global {
  interface Window {
    heard: Heard[]
    violations: string[]
    keepsClosed?: boolean
  }
}

export interface PageOptions extends BrowserContextOptions {
  readonly attributes?: string
  readonly dir?: 'ltr' | 'rtl'
  readonly lang?: string
  /** The host hands in a bearer token. */
  readonly hasToken?: boolean
  /** What is there before the page is. */
  readonly prepare?: (cloud: PickerCloud) => void
}

export interface PickerPage {
  readonly cloud: PickerCloud
  readonly page: Page
  readonly heard: () => Promise<Heard[]>
  /** A row, by the name of its entry. */
  readonly row: (name: string) => Locator
  /** The name of each row that is in the document, in its order. */
  readonly names: () => Promise<string[]>
}

const folder = mkdtempSync(join(tmpdir(), 'picker-'))
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
let launched: Promise<Browser> | null = null

/** One browser and one build for all tests of a file. */
async function launch(): Promise<Browser> {
  await buildPicker(folder)
  return await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage']
  })
}

t.teardown(async () => {
  await (await launched)?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A page with a picker in it, under the strict policy. It fails its test for each violation and each error. */
export async function openPicker(t: Test, options: PageOptions = {}): Promise<PickerPage> {
  launched ??= launch()
  const browser = await launched
  const { attributes = '', dir = 'ltr', lang = 'en', hasToken = false, prepare = sample, ...rest } = options
  const cloud = await PickerCloud.start(t, folder)
  prepare(cloud)
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, locale: 'en-GB', ...rest })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // What a server refuses, a browser reports by itself.
    const isOurs = !message.text().startsWith('Failed to load resource')
    if (['error', 'warning'].includes(message.type()) && isOurs) complaints.push(message.text())
  })
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  t.teardown(async () => {
    await context.close()
    const wrong = [...complaints, ...cloud.violations]
    if (wrong.length === 0) return
    // Nobody comes to close it after a teardown that throws.
    await browser.close()
    launched = null
    throw new Error(`the page complained: ${wrong.join('; ')}`)
  })
  const query = new URLSearchParams({ attributes, dir, lang, ...(hasToken && { token: '' }) })
  await page.goto(`${cloud.origin}/?${query.toString()}`)
  return {
    cloud,
    page,
    heard: async () => await page.evaluate(() => window.heard),
    row: (name) => page.locator('.body > .row').filter({ has: page.locator('bdi', { hasText: name }) }),
    names: async () => await page.locator('.body > .row bdi').allTextContents()
  }
}

/** Two folders and three files, of one connection. */
export function sample(cloud: PickerCloud): void {
  cloud.providers = [S3]
  cloud.connected = [connectionTo('s3')]
  cloud.folders.set('', [
    folderOf('Invoices/'),
    folderOf('Photos/'),
    entryOf('a.pdf'),
    entryOf('b.png', { size: 1_500_000 }),
    entryOf('c.txt', { size: null, modifiedAt: null })
  ])
  cloud.folders.set('Invoices/', [folderOf('Invoices/2025/'), entryOf('Invoices/2026.pdf')])
  cloud.folders.set('Invoices/2025/', [])
  cloud.folders.set('Photos/', [entryOf('Photos/x.jpg')])
}

/** Resolves once `holds` does; a browser needs a moment. */
export async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await holds()) return
    await setTimeout(25)
  }
  throw new Error(`never: ${what}`)
}

/** What axe-core finds wrong. */
export async function violationsOf(page: Page): Promise<string[]> {
  await page.evaluate(axeSource)
  const { violations } = await page.evaluate(
    async () => await (window as unknown as { axe: { run: (context: string) => Promise<AxeResults> } }).axe.run('body')
  )
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}
