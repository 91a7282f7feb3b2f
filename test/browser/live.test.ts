import type { Page } from 'playwright-core'
import t from 'tap'
import { entryOf, folderOf, numberedFiles } from '../support/picker/entries.ts'
import { eventually, openPicker, seedSample } from './picker-page.ts'
import type { PickerCloud } from '../support/picker/cloud.ts'

const live = (cloud: PickerCloud): void => {
  seedSample(cloud)
  cloud.hasEvents = true
}
const watching = async (cloud: PickerCloud, folder = 'root'): Promise<void> => {
  await eventually(() => [...cloud.streams.values()].join() === folder, `a stream of ${folder}`)
}
/** Scrolls, and waits until the rows there are drawn. */
async function scrollTo(page: Page, top: number): Promise<void> {
  await page.locator('.grid').evaluate(async (grid, top) => {
    grid.scrollTop = top
    for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame)
  }, top)
}

t.test('entries appear and disappear, and selection and focus stay', async (t) => {
  const { cloud, page, row, names } = await openPicker(t, { attributes: 'multiple', setUp: live })
  await row('a.pdf').locator('.name').click()
  await watching(cloud)
  const files = cloud.folders.get('') ?? []
  files.splice(2, 0, entryOf('0.pdf'))
  cloud.reportChange()
  await row('0.pdf').waitFor()
  t.same(await names(), ['Invoices', 'Photos', '0.pdf', 'a.pdf', 'b.png', 'c.txt'])
  await page.locator('[aria-live=polite]').getByText('1 item added').waitFor()
  const status = page.locator('.status [role=status]')
  t.equal(await status.getAttribute('aria-live'), 'off', 'the number of entries is not read too')
  const focused = async (): Promise<string | null> =>
    await page.evaluate(() => {
      const { activeElement } = document.querySelector('cloud-folder-picker')?.shadowRoot ?? {}
      return activeElement?.closest('.row')?.querySelector('bdi')?.textContent ?? null
    })
  t.equal(await focused(), 'a.pdf')
  t.equal(await row('a.pdf').getAttribute('aria-selected'), 'true')
  files.splice(3, 1)
  cloud.reportChange()
  await row('a.pdf').waitFor({ state: 'detached' })
  t.equal(await focused(), 'b.png', 'the focus moves to the next row')
  await page.getByText('1 selected').waitFor({ state: 'detached' })
  files.splice(0, files.length)
  cloud.reportChange()
  await page.getByText('No files or folders.').waitFor()
  const main = await page.evaluate(
    () => document.querySelector('cloud-folder-picker')?.shadowRoot?.activeElement?.className
  )
  t.match(main, /main/)
})

t.test('1,000 entries keep their scroll position when rows are inserted above', async (t) => {
  const { cloud, page, row } = await openPicker(t, {
    attributes: 'limit="200"',
    setUp: (cloud) => {
      live(cloud)
      cloud.folders.set('', numberedFiles(1000))
    }
  })
  await page.locator('.body > .row').first().waitFor()
  await eventually(async () => {
    await page.locator('.grid').evaluate((grid) => {
      grid.scrollTop = grid.scrollHeight
    })
    return await page.getByText('1,000 items').isVisible()
  }, 'all pages are loaded')
  await scrollTo(page, 20_000)
  await watching(cloud)
  const name = (await page.locator('.body > .row bdi').nth(8).textContent()) ?? ''
  const top = async (): Promise<number> =>
    await row(name)
      .first()
      .evaluate((element) => Math.round(element.getBoundingClientRect().top))
  const before = await top()
  cloud.folders.get('')?.unshift(entryOf('new 1'), entryOf('new 2'))
  cloud.reportChange()
  await page.getByText('1,002 items').waitFor()
  t.equal(await top(), before)
})

t.test('a stream follows the folder, ends in hidden pages, and is opened again after a restart', async (t) => {
  const { cloud, page, row } = await openPicker(t, { setUp: live })
  await row('a.pdf').waitFor()
  await watching(cloud)
  await row('Invoices').dblclick()
  await watching(cloud, 'Invoices/')
  cloud.folders.get('Invoices/')?.push(entryOf('Invoices/missed.pdf'))
  for (const response of cloud.streams.keys()) response.destroy()
  await row('missed.pdf').waitFor()
  await watching(cloud, 'Invoices/')
  await page.locator('cloud-folder-picker').evaluate((element: HTMLElement) => {
    element.hidden = true
  })
  await watching(cloud, '')
  await page.locator('cloud-folder-picker').evaluate((element: HTMLElement) => {
    element.hidden = false
  })
  await watching(cloud, 'Invoices/')
  cloud.folders.delete('Invoices/')
  cloud.reportChange('Invoices/')
  await page.getByText('This folder no longer exists.').waitFor()
  await page.getByRole('button', { name: 'Go to top folder' }).click()
  await row('a.pdf').waitFor()
  cloud.folders.get('')?.push(folderOf('Later/'))
  await watching(cloud)
  cloud.reportChange()
  await row('Later').waitFor()
})

t.test('rows stay in place when the user scrolls during an update', async (t) => {
  const { cloud, page } = await openPicker(t, {
    attributes: 'limit="1000"',
    setUp: (cloud) => {
      live(cloud)
      cloud.folders.set('', numberedFiles(1000))
    }
  })
  await page.getByText('1,000 items').waitFor()
  await watching(cloud)
  await scrollTo(page, 20_000)
  let release = (): void => undefined
  const until = new Promise<void>((resolve) => {
    release = resolve
  })
  cloud.respondOnce('GET /cloud/s3/listing', { until })
  const before = cloud.requests.length
  cloud.folders.get('')?.unshift(entryOf('new 1'), entryOf('new 2'))
  cloud.reportChange()
  await eventually(() => cloud.requests.length > before, 'the folder is read')
  await scrollTo(page, 12_000)
  const topRow = async (): Promise<{ name: string; top: number }> =>
    await page.locator('.grid').evaluate((grid) => {
      const { top } = grid.getBoundingClientRect()
      const rows = [...grid.querySelectorAll('.body > .row')]
      const row = rows.find((each) => each.getBoundingClientRect().top > top + 100)
      return {
        name: row?.querySelector('bdi')?.textContent ?? '',
        top: Math.round(row?.getBoundingClientRect().top ?? 0)
      }
    })
  const shown = await topRow()
  release()
  await page.getByText('1,002 items').waitFor()
  t.strictSame(await topRow(), shown)
})

t.test('a hidden tab has no stream, and reads the folder when the user returns to it', async (t) => {
  const { cloud, page, row } = await openPicker(t, { setUp: live })
  await row('a.pdf').waitFor()
  await watching(cloud)
  const setVisibility = async (state: DocumentVisibilityState): Promise<void> => {
    await page.evaluate((state) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state })
      document.dispatchEvent(new Event('visibilitychange'))
    }, state)
  }
  await setVisibility('hidden')
  await watching(cloud, '')
  cloud.folders.get('')?.push(entryOf('z.pdf'))
  t.equal(await row('z.pdf').count(), 0)
  await setVisibility('visible')
  await row('z.pdf').waitFor()
  await watching(cloud)
})

t.test('the folder is followed again after the server was restarted', async (t) => {
  const { cloud, page, row } = await openPicker(t, { setUp: live })
  await row('a.pdf').waitFor()
  await watching(cloud)
  const start = await cloud.stop()
  await page.waitForEvent('requestfailed', (request) => request.url().includes('/cloud/events?'))
  cloud.folders.get('')?.push(entryOf('y.pdf'))
  await start()
  await row('y.pdf').waitFor()
  await watching(cloud)
  cloud.folders.get('')?.push(entryOf('z.pdf'))
  cloud.reportChange()
  await row('z.pdf').waitFor()
  t.equal(await page.getByRole('alert').count(), 0, 'the interruption is not displayed')
})
