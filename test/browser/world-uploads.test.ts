import { createCipheriv, createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import t from 'tap'
import { DemoUser } from '../support/app/demo-user.ts'
import { ManualClock } from '../support/time/clock.ts'
import { waitFor } from './browser-page.ts'
import { connectGoogle, openFolders, openWorld, row, startWorld, upload, openConnection } from './world-page.ts'

const SIZE = 50_000_000
const content = createCipheriv('aes-128-ctr', Buffer.alloc(16, 3), Buffer.alloc(16)).update(Buffer.alloc(SIZE))
const digest = sha256(content)
const folder = await mkdtemp(join(tmpdir(), 'uploads-'))
t.teardown(() => rm(folder, { recursive: true }))

/** Delays Google's responses: time stands still until a test advances it. */
const clock = new ManualClock()
const world = await startWorld(t, { clock })
const user = new DemoUser(world)
const driveLabel = world.google.account.email

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function writeTestFile(name: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

/** Records the values of a transfer's progress bar, frame by frame, without repetitions. */
async function recordProgress(page: Page): Promise<() => Promise<number[]>> {
  await page.evaluate(() => {
    const values: number[] = []
    Object.assign(window, { values })
    const look = (): void => {
      const root = document.querySelector('cloud-folder-picker')?.shadowRoot
      const value = root?.querySelector<HTMLProgressElement>('.transfers progress')?.value
      if (value !== undefined && value !== values.at(-1)) values.push(value)
      requestAnimationFrame(look)
    }
    look()
  })
  return async () => await page.evaluate(() => (window as unknown as { values: number[] }).values)
}

for (const [provider, connection, path] of [
  ['google_drive', driveLabel, ['Empty']],
  ['s3', 'Sample objects', ['Elsewhere']]
] as const) {
  t.test(`50 MB are uploaded to ${provider} with visible progress`, async (t) => {
    const page = await openWorld(t, world)
    if (provider === 'google_drive') await connectGoogle(page, world)
    else await openConnection(page, connection)
    await openFolders(page, ...path)
    const values = await recordProgress(page)
    const file = await writeTestFile('fifty.bin')
    await upload(page, file)
    const bar = page.getByRole('progressbar', { name: 'fifty.bin' })
    await bar.waitFor()
    t.equal(await bar.getAttribute('max'), String(SIZE))
    await page.locator('.transfers').getByText('Uploaded').waitFor()
    await row(page, 'fifty.bin').getByText('50 MB').waitFor()
    const shown = await values()
    t.comment(`${shown.length} steps: ${shown.map((value) => (value / 1e6).toFixed(1)).join(', ')} MB`)
    t.ok(
      shown.some((value) => value > 0 && value < SIZE),
      'progress is shown during the upload'
    )
    t.same(
      shown,
      [...shown].sort((a, b) => a - b),
      'progress only increases'
    )
    const { id } = await user.find(provider, ...path, 'fifty.bin')
    const stored =
      provider === 'google_drive'
        ? world.google.drive.tree.read(id)
        : Buffer.from(await (await user.content(provider, id)).arrayBuffer())
    t.equal(stored.length, SIZE)
    t.equal(sha256(stored), digest)
  })
}

t.test('an upload that is cancelled halfway leaves nothing behind', async (t) => {
  const { drive, faults } = world.google
  const page = await openWorld(t, world)
  await openConnection(page, driveLabel)
  await openFolders(page, 'Empty')
  const before = drive.tree.children((await user.find('google_drive', 'Empty')).id).length
  // From now on each chunk takes seconds.
  faults.slowDown()
  await upload(page, await writeTestFile('stopped.bin'))
  const bar = page.getByRole('progressbar', { name: 'stopped.bin' })
  await bar.waitFor()
  await waitFor(async () => Number(await bar.getAttribute('value')) > 0, 'a part is sent')
  await waitFor(() => drive.uploads.open === 1, 'the session at Drive is open')
  t.ok(Number(await bar.getAttribute('value')) < SIZE)
  await page.getByRole('button', { name: 'Cancel stopped.bin' }).click()
  t.equal(await page.locator('.transfers').count(), 0)
  faults.reset()
  await waitFor(() => drive.uploads.open === 0, 'the session at Drive is ended')
  await waitFor(() => drive.busy() === 0, 'no request is in flight')
  t.equal(drive.tree.children((await user.find('google_drive', 'Empty')).id).length, before)
  t.notOk([...drive.tree.nodes()].some(({ name }) => name === 'stopped.bin'))
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.locator('.grid[aria-busy=false]').waitFor()
  t.equal(await row(page, 'stopped.bin').count(), 0)
  await page.reload()
  await row(page, 'Handbook').waitFor()
  await upload(page, { name: 'after.txt', mimeType: 'text/plain', buffer: Buffer.from('still works') })
  await row(page, 'after.txt').waitFor()
})
