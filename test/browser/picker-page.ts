import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContextOptions, Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { Entry } from '../../src/core/entry.ts'
import { PickerCloud } from '../support/picker/cloud.ts'
import { connectionTo, entryOf, folderOf, S3 } from '../support/picker/entries.ts'
import { buildPicker } from '../../scripts/build-picker.mjs'
import { openPage } from './browser-page.ts'

export { waitFor as eventually, axeViolations as violationsOf } from './browser-page.ts'

export interface PickerEventRecord {
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
    pickerEvents: PickerEventRecord[]
    violations: string[]
    preventsOpen?: boolean
  }
}

export interface PageOptions extends BrowserContextOptions {
  readonly attributes?: string
  readonly dir?: 'ltr' | 'rtl'
  readonly lang?: string
  /** Whether the host provides a bearer token. */
  readonly hasToken?: boolean
  /** Prepares the cloud before the page loads. */
  readonly setUp?: (cloud: PickerCloud) => void
}

export interface PickerPage {
  readonly cloud: PickerCloud
  readonly page: Page
  readonly events: () => Promise<PickerEventRecord[]>
  /** Returns a row by the name of its entry. */
  readonly row: (name: string) => Locator
  /** Returns the names of the rows in the document, in order. */
  readonly names: () => Promise<string[]>
}

const folder = mkdtempSync(join(tmpdir(), 'picker-'))
let buildResult: Promise<unknown> | null = null

t.teardown(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Opens a page with a picker under the strict policy. Fails the test for each violation and each error. */
export async function openPicker(t: Test, options: PageOptions = {}): Promise<PickerPage> {
  buildResult ??= buildPicker(folder)
  await buildResult
  const { attributes = '', dir = 'ltr', lang = 'en', hasToken = false, setUp = seedSample, ...rest } = options
  const cloud = await PickerCloud.start(t, folder)
  setUp(cloud)
  const page = await openPage(t, rest, () => cloud.violations)
  const query = new URLSearchParams({ attributes, dir, lang, ...(hasToken && { token: '' }) })
  await page.goto(`${cloud.origin}/?${query.toString()}`)
  return {
    cloud,
    page,
    events: async () => await page.evaluate(() => window.pickerEvents),
    row: (name) => page.locator('.body > .row').filter({ has: page.locator('bdi', { hasText: name }) }),
    names: async () => await page.locator('.body > .row bdi').allTextContents()
  }
}

/** Two folders and three files of one connection. */
export function seedSample(cloud: PickerCloud): void {
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
