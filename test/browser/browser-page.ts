import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { AxeResults } from 'axe-core'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Longer than any operation takes, even on a busy machine. */
const WAIT_MS = 300_000
const POLL_MS = 25
const LAUNCH = {
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage']
}
let sharedBrowser: Promise<Browser> | null = null

export interface OpenPageOptions extends BrowserContextOptions {
  /** Accepts cookies of other sites, in a separate browser. By default they are blocked. */
  readonly allowsThirdPartyCookies?: boolean
}

t.teardown(async () => {
  await (await sharedBrowser)?.close()
})

/**
 * Opens a page of the browser that all tests of a file share. It fails the test for all errors and warnings of the
 * page.
 * @param furtherProblems further problems to report at the end
 * @param isExpected whether the test provokes the message
 */
export async function openPage(
  t: Test,
  { allowsThirdPartyCookies = false, ...contextOptions }: OpenPageOptions = {},
  furtherProblems: () => readonly string[] = () => [],
  isExpected: (message: string) => boolean = () => false
): Promise<Page> {
  const options = { viewport: { width: 1000, height: 700 }, locale: 'en-GB', ...contextOptions }
  sharedBrowser ??= chromium.launch(LAUNCH)
  const browser = await sharedBrowser
  const context = allowsThirdPartyCookies
    ? await openProfile(t, { profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }, options)
    : await browser.newContext(options)
  context.setDefaultTimeout(WAIT_MS)
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('console', (message) => {
    // The browser itself reports error responses.
    const isPageMessage = !message.text().startsWith('Failed to load resource')
    if (['error', 'warning'].includes(message.type()) && isPageMessage && !isExpected(message.text()))
      problems.push(message.text())
  })
  page.on('dialog', (dialog) => {
    problems.push(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  t.teardown(async () => {
    await context.close()
    const allProblems = [...problems, ...furtherProblems()]
    if (allProblems.length === 0) return
    // Close the browser here: a teardown that throws prevents later ones.
    await browser.close()
    sharedBrowser = null
    throw new Error(`the page complained: ${allProblems.join('; ')}`)
  })
  return page
}

/** Opens a browser with its own profile, for preferences that contexts of the shared browser cannot have. */
async function openProfile(t: Test, preferences: object, options: BrowserContextOptions): Promise<BrowserContext> {
  const folder = mkdtempSync(join(tmpdir(), 'profile-'))
  mkdirSync(join(folder, 'Default'))
  writeFileSync(join(folder, 'Default/Preferences'), JSON.stringify(preferences))
  const context = await chromium.launchPersistentContext(folder, { ...LAUNCH, ...options })
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return context
}

/** Resolves once `holds` returns true. Browsers act asynchronously. */
export async function waitFor(condition: () => boolean | Promise<boolean>, description: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += POLL_MS) {
    if (await condition()) return
    await setTimeout(POLL_MS)
  }
  throw new Error(`never: ${description}`)
}

/** Returns the violations that axe-core finds. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource)
  const { violations } = await page.evaluate(
    async () => await (window as unknown as { axe: { run: (context: string) => Promise<AxeResults> } }).axe.run('body')
  )
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}
