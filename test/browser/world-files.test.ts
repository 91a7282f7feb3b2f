import type { Page } from 'playwright-core'
import t from 'tap'
import { NATIVE_EXPORTS } from '../../demo/content/drive-documents.ts'
import { MARKUP_NAME } from '../../demo/content/names.ts'
import { DOWNLOADS } from '../../demo/content/samples.ts'
import { DRIVE_DOCUMENT, DRIVE_SPREADSHEET } from '../fakes/drive/node.ts'
import { DemoUser } from '../support/app/demo-user.ts'
import {
  documentItem,
  download,
  openFolders,
  openWorld,
  row,
  startWorld,
  upload,
  openConnection
} from './world-page.ts'

interface SelectionDetail {
  readonly entries: readonly { readonly name: string; readonly kind: string; readonly mimeType: string | null }[]
  readonly provider: string | null
  readonly connectionId: string | null
}

const world = await startWorld(t)
const user = new DemoUser(world)
await user.connectGoogle(world)
await user.connect('webdav', world.webdav)
const connections = await user.connections()
const connectionLabel = (provider: string): string =>
  connections.find((each) => each.provider === provider)?.label ?? ''
const driveLabel = connectionLabel('google_drive')

/** Records the selection events of the picker from now on. */
async function recordSelections(page: Page): Promise<() => Promise<readonly SelectionDetail[]>> {
  await page.evaluate(() => {
    const details: unknown[] = []
    Object.assign(window, { selections: details })
    document.addEventListener('select', (event) => {
      if (event instanceof CustomEvent) details.push(event.detail)
    })
  })
  return async () => await page.evaluate(() => (window as unknown as { selections: SelectionDetail[] }).selections)
}

/** Sets the picker's filter, as a host does. */
async function setFilter(page: Page, attributes: { readonly kind?: string; readonly accept?: string }): Promise<void> {
  await page.locator('cloud-folder-picker').evaluate((picker, filter) => {
    for (const name of ['kind', 'accept'] as const) {
      const value = filter[name]
      if (value === undefined) picker.removeAttribute(name)
      else picker.setAttribute(name, value)
    }
  }, attributes)
}

/** Replaces the system's dialog, which cannot be used in a test, by a file in the browser's own storage. */
async function recordSaveDialogs(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const suggested: string[] = []
    const showSaveFilePicker = async ({ suggestedName }: { suggestedName: string }) => {
      suggested.push(suggestedName)
      return await (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true })
    }
    Object.assign(window, { suggested, showSaveFilePicker })
  })
}

for (const provider of ['google_drive', 'webdav']) {
  t.test(`downloads of ${provider} have unchanged content`, async (t) => {
    const page = await openWorld(t, world)
    await openConnection(page, connectionLabel(provider))
    await openFolders(page, 'Downloads')
    for (const [name, { content }] of Object.entries(DOWNLOADS)) {
      const saved = await download(page, name)
      t.equal(saved.name, name)
      t.ok(saved.bytes.equals(content), name)
    }
  })
}

t.test('downloads of the S3-compatible store have unchanged content', async (t) => {
  const page = await openWorld(t, world)
  const { name, bytes } = await download(page, 'Welcome.txt')
  t.equal(name, 'Welcome.txt')
  const { id } = await user.find('s3', name)
  t.ok(bytes.equals(Buffer.from(await (await user.content('s3', id)).arrayBuffer())))
  t.match(bytes.toString(), /^This bucket is in the memory of the demo/)
})

t.test('a Google document is downloaded as its best export, and one without exports offers no download', async (t) => {
  const page = await openWorld(t, world)
  await openConnection(page, driveLabel)
  await openFolders(page, 'Documents')
  const saved = await download(page, 'Minutes of the meeting')
  const [best] = Object.values(NATIVE_EXPORTS[DRIVE_DOCUMENT] ?? {})
  t.ok(best !== undefined && saved.bytes.equals(best))
  t.equal(saved.name, 'Minutes of the meeting.docx')
  t.equal(await row(page, 'Survey').getByRole('button').count(), 0)
})

t.test('a shortcut to a native document is saved with the name and the type of its export', async (t) => {
  const page = await openWorld(t, world, { prepare: recordSaveDialogs })
  await openConnection(page, driveLabel)
  await openFolders(page, 'Shortcuts')
  const [xlsx] = Object.values(NATIVE_EXPORTS[DRIVE_SPREADSHEET] ?? {})
  const saved = await download(page, 'To Budget')
  t.equal(saved.name, 'Budget.xlsx')
  t.ok(xlsx !== undefined && saved.bytes.equals(xlsx))

  await row(page, 'To Budget').click()
  await page.getByRole('button', { name: 'Add to documents' }).click()
  await documentItem(page, 'Budget.xlsx').getByRole('button', { name: 'Download Budget.xlsx' }).click()
  await page.getByRole('status').filter({ hasText: 'Budget.xlsx was downloaded.' }).waitFor({ state: 'attached' })
  t.same(
    await page.evaluate(() => (window as unknown as { suggested: string[] }).suggested),
    ['Budget.xlsx'],
    'a document of the server too, in the save dialog'
  )
})

t.test('several files are selected, reported to the host, and added as documents', async (t) => {
  const page = await openWorld(t, world)
  await openConnection(page, driveLabel)
  await openFolders(page, 'Office', '2026', '03 March')
  const details = await recordSelections(page)
  await row(page, 'Invoice.txt').click()
  await row(page, 'Offer.txt').locator('.check').click()
  await row(page, 'Plan.txt').click({ modifiers: ['Shift'] })
  const reported = await details()
  t.same(
    reported.map(({ entries }) => entries.map(({ name }) => name)),
    [['Invoice.txt'], ['Invoice.txt', 'Offer.txt'], ['Offer.txt', 'Plan.txt']]
  )
  t.match(reported.at(-1), {
    provider: 'google_drive',
    connectionId: connections.find(({ provider }) => provider === 'google_drive')?.id,
    entries: [{ kind: 'file', mimeType: 'text/plain' }]
  })
  await page.getByRole('button', { name: 'Add to documents (2)' }).click()
  for (const name of ['Offer.txt', 'Plan.txt']) await documentItem(page, name).getByText('in google_drive').waitFor()
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    documentItem(page, 'Plan.txt').getByRole('button', { name: 'Download Plan.txt' }).click()
  ])
  const stream = await saved.createReadStream()
  t.equal(Buffer.concat(await stream.toArray()).toString(), 'Plan, March 2026.\n', 'through the route of the server')
})

t.test('the host limits the selection by kind and by type', async (t) => {
  const page = await openWorld(t, world)
  await openConnection(page, driveLabel)
  await openFolders(page, 'Downloads')
  await row(page, 'Letter.pdf').waitFor()
  const selectable = async () => await page.locator('.body > .row[aria-selected] bdi').allTextContents()
  t.same((await selectable()).sort(), Object.keys(DOWNLOADS).sort(), 'files, from the attribute of the page')
  for (const [accept, expected] of [
    ['application/pdf', ['Letter.pdf']],
    ['image/*, .txt', ['Colours.png', 'Readme.txt']]
  ] as const) {
    await setFilter(page, { kind: 'file', accept })
    t.same((await selectable()).sort(), expected, accept)
  }
  const details = await recordSelections(page)
  await row(page, 'Letter.pdf').click()
  await row(page, 'Colours.png').click()
  t.same(
    (await details()).map(({ entries }) => entries.map(({ name }) => name)),
    [['Colours.png']],
    'an excluded entry is not reported'
  )
  await setFilter(page, { kind: 'folder' })
  t.same(await selectable(), [])
  await page.locator('.crumbs button').first().click()
  await row(page, 'Welcome.txt').waitFor()
  t.notOk((await selectable()).includes('Welcome.txt'))
  t.ok((await selectable()).includes('Downloads'))
})

t.test(
  'a name with markup is rendered as text: in each cloud, in uploads, in downloads and in documents',
  async (t) => {
    const page = await openWorld(t, world)
    const assertNoMarkup = async (where: string) => {
      t.equal(await page.locator('img').count(), 0, where)
    }
    for (const connection of [driveLabel, connectionLabel('webdav')]) {
      await openConnection(page, connection)
      await openFolders(page, 'Names')
      await row(page, MARKUP_NAME).waitFor()
      await assertNoMarkup(connection)
      const saved = await download(page, MARKUP_NAME)
      t.equal(saved.bytes.toString(), `${MARKUP_NAME}\n`)
      t.notMatch(saved.name, /[<>]/, 'as the file systems of users allow it')
    }
    await openConnection(page, driveLabel)
    await openFolders(page, 'Empty')
    await page.getByText('This folder is empty.').waitFor()
    await upload(page, { name: MARKUP_NAME, mimeType: 'text/html', buffer: Buffer.from('<script>alert(3)</script>') })
    await page.locator('.transfers').getByText('Uploaded').waitFor()
    t.equal(await page.locator('.transfers li').last().locator('bdi').innerText(), MARKUP_NAME)
    await row(page, MARKUP_NAME).click()
    t.ok(
      world.google.drive.tree
        .children((await user.find('google_drive', 'Empty')).id)
        .some((node) => node.name === MARKUP_NAME)
    )
    await page.getByRole('button', { name: 'Add to documents' }).click()
    await documentItem(page, MARKUP_NAME).waitFor()
    await assertNoMarkup('the documents')
    await documentItem(page, MARKUP_NAME).getByRole('button', { name: 'Remove' }).click()
    await page.getByRole('dialog').getByText(MARKUP_NAME).waitFor()
    await assertNoMarkup('the question')
    await page.getByRole('button', { name: 'Remove', exact: true }).click()
    await documentItem(page, MARKUP_NAME).waitFor({ state: 'detached' })
    await assertNoMarkup('what is said of it')
  }
)
