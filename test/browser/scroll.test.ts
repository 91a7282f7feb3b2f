import t, { type Test } from 'tap'
import { entryOf, folderOf, numberedFiles } from '../support/picker/entries.ts'
import { measureScripting } from './frames.ts'
import { countNodes } from './nodes.ts'
import { eventually, openPicker, seedSample } from './picker-page.ts'

const ENTRY_COUNT = 5000
const PAGE_SIZE = 200
/** Limits for the longest frame in a folder of one page. */
const MAX_SCRIPTING_RATIO = 5
const MAX_NODES = 1500

/** Scrolls through a folder of `total` entries, a tenth of them folders: to its end, and back and forth. */
async function scroll(t: Test, attributes: string, total: number) {
  const { page, row, cloud } = await openPicker(t, {
    attributes,
    viewport: { width: 1200, height: 900 },
    setUp: (cloud) => {
      seedSample(cloud)
      const names = Array.from({ length: total }, (_, index) => `${String(index).padStart(4, '0')} report`)
      cloud.folders.set(
        '',
        names.map((name, index) => (index % 10 === 9 ? folderOf(`${name}/`) : entryOf(`${name}.pdf`)))
      )
    }
  })
  await row('0009 report').waitFor()
  await page.locator('.grid').hover()
  const pages = (): number => cloud.requests.filter((line) => line.includes('/listing')).length
  // The test runs no code in the page meanwhile, because that would count as scripting.
  const scripting = await measureScripting(page, async () => {
    for (let turns = 0; turns < 4000 && pages() < total / PAGE_SIZE; turns++) await page.mouse.wheel(0, 1500)
    for (let turns = 0; turns < 150; turns++) await page.mouse.wheel(0, turns < 75 ? -3000 : 3000)
  })
  return { page, row, pages, scripting }
}

for (const attributes of ['', 'multiple']) {
  t.test(`5,000 entries scroll without a long frame (${attributes || 'one'})`, async (t) => {
    const { scripting: ofOnePage } = await scroll(t, attributes, PAGE_SIZE)
    const { page, row, pages, scripting } = await scroll(t, attributes, ENTRY_COUNT)
    await page.getByText('5,000 items').waitFor()
    let most = 0
    for (const top of [0, 1000, 77_777, 150_000, 1_000_000]) {
      await page.locator('.grid').evaluate((grid, to) => {
        grid.scrollTop = to
      }, top)
      await page.locator('.row bdi').last().waitFor()
      most = Math.max(most, await countNodes(page))
    }
    t.comment(
      `at most ${most} nodes; ${scripting.frames} frames, the longest script time ${scripting.longestMs.toFixed(1)} ms`
    )
    t.ok(scripting.frames > 20)
    t.ok(
      scripting.longestMs < MAX_SCRIPTING_RATIO * ofOnePage.longestMs,
      `${scripting.longestMs} ms, and ${ofOnePage.longestMs} ms in a folder of one page`
    )
    t.ok(most < MAX_NODES, `${most} nodes`)
    t.equal(await page.getByRole('grid').getAttribute('aria-rowcount'), String(ENTRY_COUNT + 1))
    t.equal(await row('4998').getAttribute('aria-rowindex'), String(ENTRY_COUNT + 1))
    t.equal(pages(), ENTRY_COUNT / PAGE_SIZE)
  })
}

t.test('folders of later pages are inserted first, without moving the visible rows', async (t) => {
  const { page, row, cloud } = await openPicker(t, {
    attributes: 'limit="100"',
    setUp: (cloud) => {
      seedSample(cloud)
      const files = Array.from({ length: 100 }, (_, index) => entryOf(`file ${index}`))
      const folders = Array.from({ length: 50 }, (_, index) => folderOf(`folder ${index}/`))
      cloud.folders.set('', [...files, ...folders])
    }
  })
  await row('file 0').first().waitFor()
  const top = async (): Promise<number> =>
    await row('file 95').evaluate((element) => Math.round(element.getBoundingClientRect().top))
  await page.locator('.grid').evaluate((grid) => {
    grid.scrollTop = grid.scrollHeight
  })
  await row('file 95').waitFor()
  const before = await top()
  await page.getByText('150 items').waitFor()
  t.equal(await top(), before)
  t.equal(cloud.requests.filter((line) => line.includes('cursor=')).length, 1)
  await page.locator('.grid').evaluate((grid) => {
    grid.scrollTop = 0
  })
  await row('folder 0').first().waitFor()
  t.equal(await row('folder 0').first().getAttribute('aria-rowindex'), '2')
})

t.test('a search does not load further pages but offers to', async (t) => {
  const { page, row, cloud } = await openPicker(t, {
    attributes: 'limit="60"',
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.folders.set('', numberedFiles(120))
    }
  })
  await row('file 000').waitFor()
  await page.getByRole('searchbox').fill('file 00')
  await page.getByText('10 of 60 items').waitFor()
  await page.getByText('Only loaded items are searched.').waitFor()
  const asked = cloud.requests.length
  await page.getByRole('button', { name: 'Load more' }).click()
  await page.getByText('10 of 120 items').waitFor()
  t.equal(cloud.requests.length, asked + 1)
})

t.test('a failed next page keeps the entries and counts down to a retry', async (t) => {
  const { page, row, cloud } = await openPicker(t, {
    attributes: 'limit="50"',
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.folders.set('', numberedFiles(100))
      cloud.failOnce('GET /cloud/s3/listing?connection=s3-1&limit=50&cursor', 429, 'TOO_MANY_REQUESTS', {
        'retry-after': '2'
      })
    }
  })
  await row('file 000').waitFor()
  await page.locator('.grid').evaluate((grid) => {
    grid.scrollTop = grid.scrollHeight
  })
  await page.getByText(/Retrying in [12] sec/).waitFor()
  t.ok(await row('file 049').isVisible())
  await page.getByText('100 items').waitFor()
  await eventually(async () => (await page.locator('.notice').count()) === 0, 'the notice is gone')
  t.equal(cloud.requests.filter((line) => line.includes('cursor=')).length, 2)
})

t.test('an expired cursor reloads the folder and shows a message', async (t) => {
  const { page, row } = await openPicker(t, {
    attributes: 'limit="50"',
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.folders.set('', numberedFiles(100))
      cloud.failOnce('GET /cloud/s3/listing?connection=s3-1&limit=50&cursor', 410, 'CURSOR_EXPIRED')
    }
  })
  await row('file 000').waitFor()
  await page.locator('.grid').evaluate((grid) => {
    grid.scrollTop = grid.scrollHeight
  })
  await page.getByText('This folder changed, so it was reloaded.').waitFor()
  await page.getByText('100 items').waitFor()
  t.pass('paging continues')
})
