import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { AxeResults } from 'axe-core'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Longer than anything takes, even on a busy machine. */
const WAIT_MS = 300_000
const LOOK_MS = 25
const LAUNCH = {
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage']
}
let launched: Promise<Browser> | null = null

export interface OpenPageOptions extends BrowserContextOptions {
  /** Stores and sends cookies of other sites, in a browser of its own. Left out: they are blocked, as by default. */
  readonly allowsThirdPartyCookies?: boolean
}

t.teardown(async () => {
  await (await launched)?.close()
})

/**
 * A page of the one browser that all tests of a file share. It fails its test for whatever it complains of.
 *
 * @param alsoWrong what else must be nothing at the end
 * @param isExpected complaints that the test provokes
 */
export async function openPage(
  t: Test,
  { allowsThirdPartyCookies = false, ...given }: OpenPageOptions = {},
  alsoWrong: () => readonly string[] = () => [],
  isExpected: (complaint: string) => boolean = () => false
): Promise<Page> {
  const options = { viewport: { width: 1000, height: 700 }, locale: 'en-GB', ...given }
  launched ??= chromium.launch(LAUNCH)
  const browser = await launched
  const context = allowsThirdPartyCookies
    ? await openProfile(t, { profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }, options)
    : await browser.newContext(options)
  context.setDefaultTimeout(WAIT_MS)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // What a server refuses, a browser reports by itself.
    const isOurs = !message.text().startsWith('Failed to load resource')
    if (['error', 'warning'].includes(message.type()) && isOurs && !isExpected(message.text()))
      complaints.push(message.text())
  })
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  t.teardown(async () => {
    await context.close()
    const wrong = [...complaints, ...alsoWrong()]
    if (wrong.length === 0) return
    // Nobody comes to close it after a teardown that throws.
    await browser.close()
    launched = null
    throw new Error(`the page complained: ${wrong.join('; ')}`)
  })
  return page
}

/** The context of a profile with these preferences, which contexts of the shared browser cannot have. */
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

/** Resolves once `holds` does; a browser needs a moment. */
export async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += LOOK_MS) {
    if (await holds()) return
    await setTimeout(LOOK_MS)
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
