import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { DOWNLOADS } from '../../demo/content/samples.ts'
import { waitFor } from './browser-page.ts'
import { documentItem, openWorld, row, startWorld, breadcrumbs } from './world-page.ts'

const world = await startWorld(t)

/** Returns the focused element, in any shadow tree: its accessible name, or the row and the column. */
async function focusedLabel(page: Page): Promise<string> {
  return await page.evaluate(() => {
    let active = document.activeElement
    while (active?.shadowRoot?.activeElement != null) active = active.shadowRoot.activeElement
    if (active === null || active === document.body) return ''
    const cell = active.closest('[role=gridcell]')
    if (cell !== null) return `${active.closest('.row')?.querySelector('bdi')?.textContent ?? ''} | ${cell.className}`
    const label = active instanceof HTMLInputElement ? active.labels?.[0]?.textContent : active.textContent
    return (active.getAttribute('aria-label') ?? label ?? '').replace(/\s+/g, ' ').trim()
  })
}

async function pressKeys(page: Page, ...keys: readonly string[]): Promise<void> {
  for (const key of keys) await page.keyboard.press(key)
}

/** Presses Tab until the wanted element has the focus. An element that is never reached is not usable by keyboard. */
async function tabTo(page: Page, wanted: RegExp): Promise<void> {
  for (let presses = 0; presses < 60; presses++) {
    await pressKeys(page, 'Tab')
    if (wanted.test(await focusedLabel(page))) return
  }
  throw new Error(`Tab never comes to ${String(wanted)}`)
}

/** Presses the arrow key until a row has the focus. */
async function arrowTo(page: Page, name: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    if ((await focusedLabel(page)).startsWith(`${name} | `)) return
    await pressKeys(page, 'ArrowDown')
  }
  throw new Error(`no arrow comes to ${name}`)
}

async function openFolder(page: Page, name: string): Promise<void> {
  const before = await breadcrumbs(page)
  await arrowTo(page, name)
  await pressKeys(page, 'Enter')
  await waitFor(
    async () => (await breadcrumbs(page)).length > before.length && / \| name$/.test(await focusedLabel(page)),
    `the focus is in ${name}`
  )
}

t.test('a cloud is connected, browsed, selected from, read and written with the keyboard only', async (t) => {
  const page = await openWorld(t, world, {
    prepare: async (page) => {
      await page.addInitScript(() => {
        Object.assign(window, { pointers: 0 })
        document.addEventListener('pointerdown', () => {
          ;(window as unknown as { pointers: number }).pointers++
        })
      })
    }
  })
  await row(page, 'Handbook').waitFor()

  await tabTo(page, /^Connect WebDAV$/)
  await pressKeys(page, 'Enter')
  await page.getByRole('heading', { name: 'Connect WebDAV' }).waitFor()
  for (const [label, value] of [
    [/^Address/, world.webdav.baseUrl],
    [/^User name/, world.webdav.username],
    [/^Password/, world.webdav.password]
  ] as const) {
    await tabTo(page, label)
    await page.keyboard.type(value)
  }
  await pressKeys(page, 'Enter')
  await row(page, 'Downloads').waitFor()

  await tabTo(page, / \| name$/)
  await openFolder(page, 'Office')
  await openFolder(page, '2024')
  t.same((await breadcrumbs(page)).slice(1), ['Office', '2024'])
  await pressKeys(page, 'Backspace')
  await waitFor(async () => (await focusedLabel(page)) === '2024 | name', 'the focus on the folder 2024')
  await pressKeys(page, 'Backspace')
  await waitFor(async () => (await focusedLabel(page)) === 'Office | name', 'the focus on the folder Office')
  await pressKeys(page, 'Control+Home')
  await openFolder(page, 'Downloads')

  await arrowTo(page, 'Colours.png')
  await pressKeys(page, 'Space', 'Shift+ArrowDown')
  await page.getByText('2 selected').waitFor()
  await pressKeys(page, 'End')
  t.match(await focusedLabel(page), /\| actions$/)
  const [saved] = await Promise.all([page.waitForEvent('download'), pressKeys(page, 'Enter')])
  const name = saved.suggestedFilename()
  t.ok((await readFile(await saved.path())).equals(DOWNLOADS[name]!.content), name)

  await tabTo(page, /^Add to documents \(2\)$/)
  await pressKeys(page, 'Enter')
  await documentItem(page, 'Colours.png').waitFor()
  await documentItem(page, name).waitFor()
  await tabTo(page, /^Download Colours\.png$/)
  const [kept] = await Promise.all([page.waitForEvent('download'), pressKeys(page, 'Enter')])
  t.ok((await readFile(await kept.path())).equals(DOWNLOADS['Colours.png']!.content))

  await tabTo(page, /^Upload$/)
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), pressKeys(page, 'Enter')])
  await chooser.setFiles({ name: 'typed.txt', mimeType: 'text/plain', buffer: Buffer.from('typed') })
  await row(page, 'typed.txt').or(documentItem(page, 'typed.txt')).waitFor()
  t.equal(await page.evaluate(() => (window as unknown as { pointers: number }).pointers), 0, 'no pointer was used')
})
