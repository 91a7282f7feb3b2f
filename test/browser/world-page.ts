import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BrowserContextOptions, FileChooser, Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildPage } from '../../scripts/build-page.mjs'
import { buildPicker } from '../../scripts/build-picker.mjs'
import { type DemoWorld, type DemoWorldOptions, startDemoWorld } from '../../demo/world.ts'
import { openPage } from './browser-page.ts'

export interface WorldPageOptions extends BrowserContextOptions {
  /** Expected error responses, as `503 GET /cloud/…`. All others fail the test. */
  readonly expectedErrors?: RegExp
  /** Called before the page loads. */
  readonly prepare?: (page: Page) => Promise<void>
}

const LOOPBACK = /^(?:(?:https?|ws):\/\/127\.0\.0\.1[:/]|about:|blob:|data:)/

const folder = await mkdtemp(join(tmpdir(), 'world-page-'))
await buildPage(join(folder, 'page'))
await buildPicker(join(folder, 'picker'))
t.teardown(() => rm(folder, { recursive: true }))

/** Starts the world of `npm run demo`, with the page built from these sources. */
export async function startWorld(t: Test, options: DemoWorldOptions = {}): Promise<DemoWorld> {
  const world = await startDemoWorld({ webRoot: pathToFileURL(`${folder}/`), ...options })
  t.teardown(() => world.close())
  return world
}

/**
 * Opens the page by the printed link. Fails the test for problems in any window of the browser: console errors and
 * warnings, policy violations, dialogs, unexpected error responses, and requests to other machines.
 */
export async function openWorld(t: Test, world: DemoWorld, options: WorldPageOptions = {}): Promise<Page> {
  const { expectedErrors, prepare, ...rest } = options
  const problems: string[] = []
  const page = await openPage(t, { viewport: { width: 1280, height: 800 }, timezoneId: 'UTC', ...rest }, () => problems)
  const context = page.context()
  context.on('request', (request) => {
    if (!LOOPBACK.test(request.url())) problems.push(`another host was requested: ${request.url()}`)
  })
  context.on('response', (response) => {
    const { origin, pathname } = new URL(response.url())
    const responseLine = `${response.status()} ${response.request().method()} ${pathname}`
    if (origin === world.url && response.status() >= 400 && expectedErrors?.test(responseLine) !== true)
      problems.push(responseLine)
  })
  context.on('page', (other) => {
    other.on('pageerror', (error) => problems.push(`${other.url()}: ${error.message}`))
    other.on('dialog', (dialog) => {
      problems.push(`a dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
  })
  await context.exposeFunction('reportViolation', (violation: string) => problems.push(violation))
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, sourceFile, blockedURI }) => {
      const { reportViolation } = window as unknown as { reportViolation: (violation: string) => void }
      reportViolation(`${location.href}: ${violatedDirective} ${sourceFile} ${blockedURI}`)
    })
  })
  // Without a listener, the browser would open its own file dialog.
  page.on('filechooser', () => undefined)
  await prepare?.(page)
  await page.goto(world.pageUrl)
  return page
}

/** Returns a row of the picker, by the full name of its entry. */
export function row(page: Page, name: string): Locator {
  return page.locator('.body > .row').filter({ has: page.locator('bdi').getByText(name, { exact: true }) })
}

/** Returns a document in the page's list, by its name. */
export function documentItem(page: Page, name: string): Locator {
  return page
    .locator('.documents .list:not(.transfers) > li')
    .filter({ has: page.locator('bdi').getByText(name, { exact: true }) })
}

/** Returns the names in the breadcrumbs. */
export async function breadcrumbs(page: Page): Promise<string[]> {
  return await page.locator('.crumbs bdi').allTextContents()
}

/** Opens nested folders by double clicks. */
export async function openFolders(page: Page, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    await row(page, name).dblclick()
    await page.locator('.crumbs [aria-current=page]').getByText(name, { exact: true }).waitFor()
    await page.locator('.bones').waitFor({ state: 'detached' })
  }
}

/** Opens the root folder of a connection. */
export async function openConnection(page: Page, connection: string): Promise<void> {
  await page.locator('.side').getByRole('button', { name: connection }).click()
}

/** Connects with the picker's button, and with that of Google's page in the popup. */
export async function connectGoogle(page: Page, { google }: DemoWorld, button = 'Connect Google Drive'): Promise<void> {
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.getByRole('button', { name: button }).click()])
  const closed = popup.waitForEvent('close')
  await popup.getByRole('button', { name: google.account.name }).click()
  await closed
}

/** Connects with the picker's form. */
export async function connectWebdav(page: Page, { webdav }: DemoWorld): Promise<void> {
  await page.getByRole('button', { name: 'Connect WebDAV' }).click()
  await page.getByLabel('Address').fill(webdav.baseUrl)
  await page.getByLabel('User name').fill(webdav.username)
  await page.getByLabel('Password').fill(webdav.password)
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await page.locator('form.panel').waitFor({ state: 'detached' })
}

/** Downloads a file with the button of its row. */
export async function download(page: Page, name: string): Promise<{ readonly name: string; readonly bytes: Buffer }> {
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    row(page, name).getByRole('button', { name: 'Download' }).click()
  ])
  return { name: saved.suggestedFilename(), bytes: await readFile(await saved.path()) }
}

/** Selects files with the picker's upload button. @param files paths, or any other type that Playwright accepts */
export async function upload(page: Page, files: Parameters<FileChooser['setFiles']>[0]): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.locator('cloud-folder-picker').getByRole('button', { name: 'Upload' }).click()
  ])
  await chooser.setFiles(files)
}
