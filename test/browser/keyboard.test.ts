import type { Page } from 'playwright-core'
import t from 'tap'
import { numberedFiles } from '../support/picker/entries.ts'
import { eventually, openPicker, seedSample } from './picker-page.ts'

/** Returns the focused element: a row by its name and column, or the element. */
async function focusedLabel(page: Page): Promise<string> {
  return await page.evaluate(() => {
    const active = document.querySelector('cloud-folder-picker')?.shadowRoot?.activeElement
    const cell = active?.closest('[role=gridcell]')
    const name = active?.closest('.row')?.querySelector('bdi')?.textContent
    return cell === null || cell === undefined ? (active?.className ?? '') : `${name ?? ''} ${cell.className}`
  })
}

async function pressKeys(page: Page, ...keys: string[]): Promise<string> {
  for (const key of keys) await page.keyboard.press(key)
  return await focusedLabel(page)
}

async function tabToGrid(page: Page): Promise<void> {
  for (let tabs = 0; tabs < 20 && (await page.evaluate(() => document.activeElement?.tagName)) !== undefined; tabs++) {
    if ((await pressKeys(page, 'Tab')).endsWith(' name')) return
  }
  throw new Error('Tab never reached the table')
}

t.test('the table is a single Tab stop, and the arrows move between its cells', async (t) => {
  const { page, row } = await openPicker(t)
  await row('a.pdf').waitFor()
  await tabToGrid(page)
  t.equal(await focusedLabel(page), 'Invoices name')
  t.equal(await page.locator('.body [tabindex="0"]').count(), 1)
  t.equal(await pressKeys(page, 'ArrowDown', 'ArrowDown'), 'a.pdf name')
  t.equal(await pressKeys(page, 'ArrowRight'), 'a.pdf size')
  t.equal(await pressKeys(page, 'End'), 'a.pdf actions')
  t.equal(
    await page.evaluate(() => document.querySelector('cloud-folder-picker')?.shadowRoot?.activeElement?.tagName),
    'BUTTON'
  )
  t.equal(await pressKeys(page, 'ArrowDown', 'ArrowDown', 'ArrowDown'), 'c.txt actions')
  t.equal(await pressKeys(page, 'Home'), 'c.txt name')
  t.equal(await pressKeys(page, 'Control+Home'), 'Invoices name')
  t.equal(await pressKeys(page, 'ArrowUp'), 'Invoices name')
  t.equal(await pressKeys(page, 'Control+End'), 'c.txt actions')
  t.equal(await pressKeys(page, 'Home'), 'c.txt name')
  t.equal(await page.locator('.body [tabindex="0"]').count(), 1)
  await pressKeys(page, 'Tab')
  t.not((await focusedLabel(page)).split(' ').at(-1), 'name', 'Tab leaves the table')
  t.equal(await pressKeys(page, 'Shift+Tab'), 'c.txt name', 'Shift+Tab returns to the same cell')
})

t.test('Enter opens a folder, Backspace leaves it, and the focus follows', async (t) => {
  const { page, row } = await openPicker(t)
  await row('a.pdf').waitFor()
  await tabToGrid(page)
  await pressKeys(page, 'ArrowDown', 'Enter')
  await eventually(async () => (await focusedLabel(page)) === 'x.jpg name', 'the focus in the folder')
  await pressKeys(page, 'Backspace')
  await eventually(async () => (await focusedLabel(page)) === 'Photos name', 'the focus on the folder')
  await pressKeys(page, 'ArrowUp', 'Enter')
  await eventually(async () => (await focusedLabel(page)) === '2025 name', 'the next folder')
  await pressKeys(page, 'Enter')
  await page.getByText('This folder is empty.').waitFor()
  t.equal(await focusedLabel(page), 'main ', 'there is no row to focus')
})

t.test('Space selects, with Shift a range, and Ctrl+A everything', async (t) => {
  const { page, row, events } = await openPicker(t, { attributes: 'multiple' })
  const selected = async (): Promise<(string | undefined)[]> =>
    ((await events()).filter(({ type }) => type === 'select').at(-1)?.detail.entries ?? []).map(({ id }) => id)
  await row('a.pdf').waitFor()
  t.equal(await page.getByRole('grid').getAttribute('aria-multiselectable'), 'true')
  await tabToGrid(page)
  await pressKeys(page, 'Space')
  t.same(await selected(), ['Invoices/'])
  await pressKeys(page, 'ArrowDown', 'ArrowDown', 'Shift+Space')
  t.same(await selected(), ['Invoices/', 'Photos/', 'a.pdf'])
  await pressKeys(page, 'Shift+ArrowDown')
  t.same(await selected(), ['Invoices/', 'Photos/', 'a.pdf', 'b.png'])
  await pressKeys(page, 'Control+a')
  t.equal((await selected()).length, 5)
  await pressKeys(page, 'Control+a')
  t.same(await selected(), [])
  t.equal(await row('b.png').getAttribute('aria-selected'), 'false')
})

t.test('Enter opens a file, and on its button downloads it', async (t) => {
  const { page, row, events } = await openPicker(t)
  await row('a.pdf').waitFor()
  await tabToGrid(page)
  await pressKeys(page, 'ArrowDown', 'ArrowDown', 'Enter')
  t.match(await events(), [{ type: 'open', detail: { entry: { id: 'a.pdf' } } }])
  const [download] = await Promise.all([page.waitForEvent('download'), pressKeys(page, 'End', 'Enter')])
  t.equal(download.suggestedFilename(), 'a.pdf')
})

t.test('Page Up and Page Down move by pages, and the focused row stays visible', async (t) => {
  const { page, row } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.folders.set('', numberedFiles(300))
    }
  })
  await row('file 000').waitFor()
  await tabToGrid(page)
  const after = await pressKeys(page, 'PageDown')
  t.match(after, /^file 0(?:0[5-9]|1\d) name$/)
  t.equal(await pressKeys(page, 'PageUp'), 'file 000 name')
  const isSeen = async (): Promise<boolean> =>
    await page.evaluate(() => {
      const root = document.querySelector('cloud-folder-picker')?.shadowRoot
      const cell = root?.activeElement?.getBoundingClientRect()
      const head = root?.querySelector('.head')?.getBoundingClientRect()
      const grid = root?.querySelector('.grid')?.getBoundingClientRect()
      if (cell === undefined || head === undefined || grid === undefined) return false
      return cell.top >= head.bottom - 1 && cell.bottom <= grid.bottom + 1
    })
  for (let pages = 0; pages < 8; pages++) {
    await pressKeys(page, 'PageDown')
    t.ok(await isSeen())
  }
  await pressKeys(page, 'Control+End')
  t.ok(await isSeen())
  await pressKeys(page, 'Control+Home')
  t.ok(await isSeen())
})

t.test('the focused row stays in the document when it is scrolled away', async (t) => {
  const { page, row } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.folders.set('', numberedFiles(150))
    }
  })
  await row('file 000').waitFor()
  await tabToGrid(page)
  await pressKeys(page, 'ArrowDown')
  await page.locator('.grid').evaluate((grid) => {
    grid.scrollTop = 4000
  })
  await row('file 100').waitFor()
  t.equal(await focusedLabel(page), 'file 001 name')
  t.equal(await pressKeys(page, 'ArrowDown'), 'file 002 name')
  t.ok(await row('file 002').isVisible())
})

t.test('in right-to-left pages the arrows are reversed', async (t) => {
  const { page, row } = await openPicker(t, { dir: 'rtl', lang: 'ar' })
  await row('a.pdf').waitFor()
  await tabToGrid(page)
  t.equal(await pressKeys(page, 'ArrowLeft'), 'Invoices size')
  t.equal(await pressKeys(page, 'ArrowRight'), 'Invoices name')
})

t.test('cells that a narrow picker hides are skipped', async (t) => {
  const { page, row } = await openPicker(t, { viewport: { width: 400, height: 800 } })
  await row('a.pdf').waitFor()
  await tabToGrid(page)
  await pressKeys(page, 'ArrowDown', 'ArrowDown')
  t.equal(await pressKeys(page, 'ArrowRight'), 'a.pdf actions')
  t.equal(await pressKeys(page, 'ArrowLeft'), 'a.pdf name')
})
