import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import type { AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Longer than anything takes, even on a busy machine. */
const WAIT_MS = 300_000
const LOOK_MS = 25
let launched: Promise<Browser> | null = null

t.teardown(async () => {
  await (await launched)?.close()
})

/**
 * A page of the one browser that all tests of a file share. It fails its test for whatever it complains of.
 *
 * @param alsoWrong what else must be nothing at the end
 */
export async function openPage(
  t: Test,
  options: BrowserContextOptions = {},
  alsoWrong: () => readonly string[] = () => []
): Promise<Page> {
  launched ??= chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage']
  })
  const browser = await launched
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, locale: 'en-GB', ...options })
  context.setDefaultTimeout(WAIT_MS)
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
    const wrong = [...complaints, ...alsoWrong()]
    if (wrong.length === 0) return
    // Nobody comes to close it after a teardown that throws.
    await browser.close()
    launched = null
    throw new Error(`the page complained: ${wrong.join('; ')}`)
  })
  return page
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
