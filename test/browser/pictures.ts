import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Locator, Page } from 'playwright-core'
import type { Test } from 'tap'

/** The maximum size of a picture in the README. */
const MAX_BYTES = 150_000

/** Saves a picture in the folder `SCREENSHOTS`, if that variable is set. */
export async function saveScreenshot(t: Test, target: Page | Locator, name: string): Promise<void> {
  const folder = process.env['SCREENSHOTS'] ?? ''
  if (folder === '') return
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${name}.png`)
  await target.screenshot({ path, animations: 'disabled', caret: 'hide', scale: 'css' })
  const { size } = await stat(path)
  t.comment(`${path}: ${size} bytes`)
  t.ok(size < MAX_BYTES, `${name} has ${size} bytes`)
}
