import t from 'tap'
import { LONG_FOLDER } from '../../demo/content/drive.ts'
import { DEEP_LEVELS } from '../../demo/content/samples.ts'
import { DemoUser } from '../support/app/demo-user.ts'
import { measureScripting } from './frames.ts'
import { countNodes } from './nodes.ts'
import { openFolders, openWorld, row, startWorld, breadcrumbs, openConnection } from './world-page.ts'

const MAX_SCRIPTING_MS = 50
const MAX_NODES = 1500
const PAGE = 200

const world = await startWorld(t)
const user = new DemoUser(world)
const driveLabel = world.google.account.email

t.test('Google Drive is connected on its own page, in a window that closes itself', async (t) => {
  const page = await openWorld(t, world)
  await row(page, 'Handbook').waitFor()
  const listed = page.waitForResponse((response) => response.url().includes('/cloud/google_drive/listing'))
  const [popup] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('button', { name: 'Connect Google Drive' }).click()
  ])
  await popup.getByText('Sign in to Google').waitFor()
  t.equal(new URL(popup.url()).origin, world.google.emulated.url)
  t.equal(await popup.evaluate(() => window.opener === null), true, 'it has no access to the page')
  await page.getByText('Continue in the sign-in window.').waitFor()
  const visited: string[] = []
  popup.on('framenavigated', (frame) => visited.push(frame.url()))
  const gone = popup.waitForEvent('close')
  await popup.getByRole('button', { name: world.google.account.name }).click()
  await gone
  t.match(visited.at(-1), /^http:\/\/127\.0\.0\.1:\d+\/picker\/landing\.html\?flow=\w+$/)
  await row(page, 'Five thousand').waitFor()
  t.equal((await listed).status(), 200)
  t.same(await breadcrumbs(page), [driveLabel])
  t.equal(await page.locator('.side [aria-current=page]').innerText(), driveLabel)
  const names = await page.locator('.body > .row bdi').allTextContents()
  t.same(names.slice(0, 3), ['Archive', 'Deep', 'Documents'])
  t.equal(names.length, 11)
  t.match(await user.connections(), [{ provider: 's3' }, { provider: 'google_drive', status: 'ACTIVE' }])
})

t.test('deep folders, shared drives and shortcuts can be opened, and the breadcrumbs lead back', async (t) => {
  const page = await openWorld(t, world)
  await openConnection(page, driveLabel)
  const levels = Array.from({ length: DEEP_LEVELS }, (_, at) => `Level ${at + 1}`)
  await openFolders(page, 'Deep', ...levels)
  await row(page, 'Treasure.txt').waitFor()
  t.same(await breadcrumbs(page), [driveLabel, 'Deep', ...levels])
  await page.locator('.crumbs button', { hasText: 'Level 3' }).click()
  await row(page, 'Level 4').waitFor()
  t.same(await breadcrumbs(page), [driveLabel, 'Deep', 'Level 1', 'Level 2', 'Level 3'])
  await page.locator('.crumbs button').first().click()

  await openFolders(page, 'Team', 'Plans')
  await row(page, 'Plan 1.txt').waitFor()
  await page.locator('.crumbs button').first().click()

  await openFolders(page, 'Shortcuts')
  t.equal(await row(page, 'To something that is gone').getByRole('button').count(), 0, 'it has no target')
  await row(page, 'To the folder Deep').dblclick()
  await row(page, 'Level 1').waitFor()
  t.same(await breadcrumbs(page), [driveLabel, 'Shortcuts', 'To the folder Deep'])
})

t.test('a folder of 5,000 entries is scrolled to its end with few nodes and no long frame', async (t) => {
  const page = await openWorld(t, world, {
    // Without a stream, which would let the picker read the pages of the folder again.
    prepare: async (page) => {
      await page.route('**/cloud/events?*', () => undefined)
    }
  })
  await openConnection(page, driveLabel)
  let listings = 0
  page.on('request', (request) => {
    if (request.url().includes('/listing')) listings++
  })
  await openFolders(page, LONG_FOLDER.name)
  await row(page, 'Scan 0001.txt').waitFor()
  await page.locator('.grid').hover()
  const pages = LONG_FOLDER.entries / PAGE
  // The test runs no code in the page meanwhile, because that would count as scripting.
  const scripting = await measureScripting(page, async () => {
    for (let turns = 0; turns < 10_000 && listings < pages; turns++) await page.mouse.wheel(0, 1500)
    for (let turns = 0; turns < 150; turns++) await page.mouse.wheel(0, turns < 75 ? -3000 : 3000)
  })
  await page.getByText('5,000 items', { exact: true }).waitFor()
  t.equal(listings, pages)
  t.equal(await page.getByRole('grid').getAttribute('aria-rowcount'), String(LONG_FOLDER.entries + 1))

  let most = 0
  const seen = new Set<string>()
  const grid = page.locator('.grid')
  const bottom = await grid.evaluate((element) => element.scrollHeight - element.clientHeight)
  for (let top = 0, step = 0; top < bottom + step; top += step) {
    const shown = await grid.evaluate(async (element, to) => {
      element.scrollTop = to
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
      const { top, bottom } = element.getBoundingClientRect()
      // Only the visible rows, not those rendered around them.
      const rows = [...element.querySelectorAll('.body > .row')].filter((row) => {
        const box = row.getBoundingClientRect()
        return box.bottom > top && box.top < bottom
      })
      return {
        names: rows.map((row) => row.querySelector('bdi')?.textContent ?? ''),
        step: element.clientHeight - 2 * (rows[0]?.getBoundingClientRect().height ?? 0)
      }
    }, top)
    for (const name of shown.names) seen.add(name)
    step = shown.step
    most = Math.max(most, await countNodes(page))
  }
  t.comment(
    `${seen.size} names; at most ${most} nodes; ${scripting.frames} frames, ` +
      `the longest scripting ${scripting.longestMs.toFixed(1)} ms`
  )
  const expected = Array.from({ length: 5000 }, (_, at) => `Scan ${String(at + 1).padStart(4, '0')}.txt`)
  t.equal([...seen].sort().join(), expected.join(), 'each name is shown')
  t.ok(most < MAX_NODES, `${most} nodes`)
  t.ok(scripting.frames > 20)
  t.ok(scripting.longestMs < MAX_SCRIPTING_MS, `${scripting.longestMs} ms`)
})
