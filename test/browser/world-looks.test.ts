import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { LONG_FOLDER } from '../../demo/content/drive.ts'
import { ManualClock } from '../support/time/clock.ts'
import { DemoUser } from '../support/app/demo-user.ts'
import { waitFor, axeViolations } from './browser-page.ts'
import { saveScreenshot } from './pictures.ts'
import {
  connectGoogle,
  documentItem,
  openFolders,
  openWorld,
  row,
  startWorld,
  upload,
  openConnection
} from './world-page.ts'

const EXPECTED_ERRORS = /^503 GET \/cloud\/google_drive\/listing$/
/** Makes screenshots reproducible. */
const SCREENSHOT_OPTIONS = { deviceScaleFactor: 1, reducedMotion: 'reduce' } as const
const NOW = new Date('2026-03-02T10:00:00Z')

const folder = await mkdtemp(join(tmpdir(), 'looks-'))
t.teardown(() => rm(folder, { recursive: true }))

/** Delays Google's responses: time stands still until a test advances it. */
const world = await startWorld(t, { clock: new ManualClock() })
const user = new DemoUser(world)
const { faults } = world.google
await user.connectGoogle(world)
const driveLabel = world.google.account.email

/** Checks the page for accessibility violations, in light and dark mode. */
async function checkAccessibility(t: Test, page: Page, description: string): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    t.same(await axeViolations(page), [], `${description}, ${colorScheme}`)
  }
}

/** Opens a page with a stopped clock and with documents of a fixed date. */
async function stopTime(page: Page): Promise<void> {
  await page.clock.install({ time: NOW })
  await page.clock.pauseAt(NOW)
  await page.route('**/documents', async (route) => {
    const response = await route.fetch()
    const body = (await response.json()) as { documents?: object[] }
    const dated = (document: object) => ({ ...document, createdAt: NOW.toISOString() })
    const { documents } = body
    const json = documents === undefined ? dated(body) : { ...body, documents: documents.map(dated) }
    await route.fulfill({ response, json })
  })
}

t.test('a folder with a selection', async (t) => {
  const page = await openWorld(t, world, { ...SCREENSHOT_OPTIONS, prepare: stopTime })
  await openConnection(page, driveLabel)
  await openFolders(page, 'Office', '2026', '03 March')
  await row(page, 'Invoice.txt').click()
  await page.getByRole('button', { name: 'Add to documents' }).click()
  await documentItem(page, 'Invoice.txt').waitFor()
  await documentItem(page, 'Welcome — read me first.txt').waitFor()
  await row(page, 'Offer.txt').click()
  await row(page, 'Report.txt').locator('.check').click()
  await page.mouse.move(0, 0)
  await saveScreenshot(t, page, 'page-light')
  await page.emulateMedia({ colorScheme: 'dark' })
  const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  t.equal(ground, 'rgb(19, 20, 24)')
  await saveScreenshot(t, page, 'page-dark')
  await page.clock.resume()
  await checkAccessibility(t, page, 'a folder')
})

t.test('a folder of 5,000 entries, an empty one, and a search without results', async (t) => {
  const page = await openWorld(t, world, SCREENSHOT_OPTIONS)
  await openConnection(page, driveLabel)
  await openFolders(page, LONG_FOLDER.name)
  await row(page, 'Scan 0001.txt').waitFor()
  const grid = page.locator('.grid')
  await waitFor(async () => {
    await grid.evaluate((element) => {
      element.scrollTop = element.scrollHeight
    })
    return await row(page, 'Scan 5000.txt').isVisible()
  }, 'the end')
  await page.getByText('5,000 items', { exact: true }).waitFor()
  await checkAccessibility(t, page, 'its end')
  await page.mouse.move(0, 0)
  await saveScreenshot(t, page.locator('.clouds'), 'five-thousand')
  await page.getByRole('searchbox').fill('nothing like this')
  await page.getByText('No matches in the loaded items.').waitFor()
  await checkAccessibility(t, page, 'no results')
  await page.locator('.crumbs button').first().click()
  await openFolders(page, 'Empty')
  await page.getByText('This folder is empty.').waitFor()
  await checkAccessibility(t, page, 'an empty folder')
})

t.test('the form of a connection with its errors', async (t) => {
  const page = await openWorld(t, world, SCREENSHOT_OPTIONS)
  await page.getByRole('button', { name: 'Connect WebDAV' }).click()
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await page.getByText('is required.').first().waitFor()
  await checkAccessibility(t, page, 'a form')
  await page.getByLabel('Address').fill('https://cloud.example/remote.php/dav')
  await page.getByLabel('User name').fill('demo')
  await page.getByLabel('Password').fill('open sesame')
  await saveScreenshot(t, page.locator('.clouds'), 'connect-form')
})

t.test('uploads in progress and finished uploads', async (t) => {
  const page = await openWorld(t, world, SCREENSHOT_OPTIONS)
  await openConnection(page, driveLabel)
  await openFolders(page, 'Empty')
  const file = async (name: string, bytes: number) => {
    const path = join(folder, name)
    await writeFile(path, Buffer.alloc(bytes))
    return path
  }
  await upload(page, await file('Notes.txt', 5000))
  await page.locator('.transfers').getByText('Uploaded').waitFor()
  // From now on each chunk takes seconds.
  faults.slowDown()
  await upload(page, [
    await file('Film.mp4', 40_000_000),
    await file('Backup.tar', 30_000_000),
    await file('Slides.pdf', 2_000_000)
  ])
  await page.getByRole('progressbar', { name: 'Backup.tar' }).waitFor()
  const bar = page.getByRole('progressbar', { name: 'Film.mp4' })
  await waitFor(async () => Number(await bar.getAttribute('value')) > 0, 'a part is sent')
  await saveScreenshot(t, page.locator('.clouds'), 'uploads')
  await checkAccessibility(t, page, 'uploads')
  for (const name of ['Slides.pdf', 'Backup.tar', 'Film.mp4']) {
    await page.getByRole('button', { name: `Cancel ${name}` }).click()
  }
  faults.reset()
  await checkAccessibility(t, page, 'a finished upload')
})

t.test('a login: its window, and a connection that requires reauthentication', async (t) => {
  const page = await openWorld(t, world, { ...SCREENSHOT_OPTIONS, expectedErrors: EXPECTED_ERRORS })
  await openConnection(page, driveLabel)
  await openFolders(page, 'Documents')
  await row(page, 'Budget').waitFor()
  await faults.revokeAccess()
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText(`Sign in again to keep using \u2068${driveLabel}\u2069.`).waitFor()
  await checkAccessibility(t, page, 'a required login')
  await page.mouse.move(0, 0)
  await saveScreenshot(t, page.locator('.clouds'), 'sign-in-again')
  const [popup] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('button', { name: 'Sign in again' }).click()
  ])
  await popup.getByRole('button', { name: world.google.account.name }).waitFor()
  await checkAccessibility(t, page, 'an open window')
  await popup.evaluate(() => document.fonts.ready)
  await saveScreenshot(t, popup, 'consent')
  await popup.close()
  await page.getByText('The sign-in window was closed.').waitFor()
  await checkAccessibility(t, page, 'a closed window')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await connectGoogle(page, world, 'Sign in again')
  await row(page, 'Budget').waitFor()
})

// Must be last: the server does not call Google for the duration of the Retry-After.
t.test('a slow cloud and a throttling cloud', async (t) => {
  const page = await openWorld(t, world, { ...SCREENSHOT_OPTIONS, expectedErrors: EXPECTED_ERRORS })
  await openConnection(page, driveLabel)
  await row(page, 'Office').waitFor()
  faults.slowDown()
  await row(page, 'Office').dblclick()
  await page.locator('.bones').waitFor()
  await checkAccessibility(t, page, 'skeletons')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Loading cancelled.').waitFor()
  await checkAccessibility(t, page, 'a cancelled folder')
  faults.reset()
  faults.throttle()
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.getByText('The provider is limiting requests.').waitFor()
  t.equal(await page.evaluate(() => getSelection()?.toString()), '', 'a double click selects no text')
  await page.mouse.move(0, 0)
  await page.getByText('Retrying in 12 sec.').waitFor()
  await saveScreenshot(t, page.locator('.clouds'), 'throttled')
  await checkAccessibility(t, page, 'a countdown')
})
