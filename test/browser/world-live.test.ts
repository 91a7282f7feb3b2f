import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { DemoWorld } from '../../demo/world.ts'
import { DemoUser } from '../support/app/demo-user.ts'
import { axeViolations } from './browser-page.ts'
import { openConnection, openFolders, openWorld, row, startWorld } from './world-page.ts'

const world = await startWorld(t)
const user = new DemoUser(world)
const { account, colleague, drive } = world.google
await user.connectGoogle(world)

/** Opens the page of the controls in a second tab. */
async function openControls(page: Page, { controlsUrl }: DemoWorld): Promise<Page> {
  const tab = await page.context().newPage()
  await tab.goto(controlsUrl)
  return tab
}

async function press(tab: Page, button: string): Promise<void> {
  await tab.getByRole('button', { name: button }).click()
  await tab.getByRole('status').waitFor()
}

/** Returns the name in the focused row. */
async function focusedRow(page: Page): Promise<string> {
  return await page.evaluate(() => {
    let active = document.activeElement
    while (active?.shadowRoot?.activeElement != null) active = active.shadowRoot.activeElement
    return active?.closest('.row')?.querySelector('bdi')?.textContent ?? ''
  })
}

/** Fails the test for each click, key and navigation in the page from now on. */
async function expectNoInput(t: Test, page: Page): Promise<void> {
  await page.exposeFunction('reportInput', (type: string) => t.fail(`an input: ${type}`))
  await page.evaluate(() => {
    const { reportInput } = window as unknown as { reportInput: (type: string) => void }
    for (const type of ['pointerdown', 'keydown', 'beforeunload']) {
      addEventListener(type, () => {
        reportInput(type)
      })
    }
  })
}

t.test('files that a colleague adds, renames and removes change in the open folder, without a click', async (t) => {
  const page = await openWorld(t, world)
  await openConnection(page, account.email)
  await row(page, 'Welcome.txt').waitFor()
  await row(page, 'Welcome.txt').click()
  t.equal(await focusedRow(page), 'Welcome.txt')
  await expectNoInput(t, page)
  const tab = await openControls(page, world)

  await press(tab, 'Add a file')
  await row(page, 'Agenda for Monday.txt').waitFor()
  t.equal(await focusedRow(page), 'Welcome.txt', 'the focus stays')
  t.equal(await row(page, 'Welcome.txt').getAttribute('aria-selected'), 'true', 'the selection stays')

  await press(tab, 'Rename the latest file')
  await row(page, 'Agenda for Monday v2.txt').waitFor()
  await row(page, 'Agenda for Monday.txt').waitFor({ state: 'detached' })

  await press(tab, 'Remove the latest file')
  await row(page, 'Agenda for Monday v2.txt').waitFor({ state: 'detached' })
  t.equal(await focusedRow(page), 'Welcome.txt')
  t.equal(await row(page, 'Welcome.txt').getAttribute('aria-selected'), 'true')
  await row(page, 'Five thousand').waitFor()
  t.equal(colleague.changeCount, 3)
})

t.test('a folder inside of the Drive changes too, and an empty one is no longer empty', async (t) => {
  const page = await openWorld(t, world)
  await openConnection(page, account.email)
  await openFolders(page, 'Empty')
  await page.getByText('This folder is empty.').waitFor()
  await expectNoInput(t, page)
  const { id: parent } = await user.find('google_drive', 'Empty')
  const file = drive.tree.addFile({ name: 'New.txt', parent })
  await row(page, 'New.txt').waitFor()
  drive.tree.remove(file)
  await page.getByText('This folder is empty.').waitFor()
})

t.test('the page of the controls is accessible, in light and dark mode', async (t) => {
  const page = await openWorld(t, world)
  const tab = await openControls(page, world)
  for (const colorScheme of ['dark', 'light'] as const) {
    await tab.emulateMedia({ colorScheme })
    t.same(await axeViolations(tab), [], colorScheme)
  }
})

t.test('a folder that was created in one tab appears in the other', async (t) => {
  const openWatched = async (): Promise<Page> => {
    let watching: Promise<unknown> | undefined
    const page = await openWorld(t, world, {
      prepare: async (page) => {
        watching = page.waitForResponse((response) => new URL(response.url()).pathname === '/cloud/events')
      }
    })
    await row(page, 'Handbook').waitFor()
    await watching
    return page
  }
  const first = await openWatched()
  const second = await openWatched()
  await first.getByRole('button', { name: 'New folder' }).click()
  await first.getByLabel('Folder name').fill('Shared by tabs')
  await first.getByRole('button', { name: 'Create', exact: true }).click()
  await row(second, 'Shared by tabs').waitFor()
})
