import type { Page } from 'playwright-core'
import t from 'tap'
import { readFile } from 'node:fs/promises'
import { Deferred } from '../support/time/deferred.ts'
import { DRIVE, connectionTo, entryOf } from '../support/picker/entries.ts'
import { eventually, openPicker, seedSample, violationsOf } from './picker-page.ts'

const textFile = (name: string, content = 'hello', mimeType = 'text/plain') => ({
  name,
  mimeType,
  buffer: Buffer.from(content)
})

async function chooseFiles(page: Page, ...files: ReturnType<typeof textFile>[]): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'Upload' }).click()
  ])
  await chooser.setFiles(files)
}

/** Drops files on the picker, as the system's file manager does. */
async function dropFiles(page: Page, names: readonly string[]): Promise<void> {
  await page.locator('.main').evaluate((main, given) => {
    const dataTransfer = new DataTransfer()
    for (const name of given) dataTransfer.items.add(new File(['dropped'], name, { type: 'text/plain' }))
    main.dispatchEvent(new DragEvent('dragover', { dataTransfer, bubbles: true, cancelable: true, composed: true }))
    main.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true, composed: true }))
  }, names)
}

t.test('files are uploaded with a button, and appear in the list at once', async (t) => {
  const { page, row, cloud } = await openPicker(t)
  await row('a.pdf').waitFor()
  const listings = cloud.requests.filter((line) => line.includes('/listing')).length
  await chooseFiles(page, textFile('new.txt'), textFile('other.bin', 'x', ''))
  await row('new.txt').waitFor()
  await row('other.bin').waitFor()
  await eventually(async () => (await page.getByText('Uploaded').count()) === 2, 'both are uploaded')
  t.same(cloud.uploads.map(({ name, type, body }) => [name, type, body.toString()]).sort(), [
    ['new.txt', 'text/plain', 'hello'],
    ['other.bin', 'application/octet-stream', 'x']
  ])
  t.equal(cloud.requests.filter((line) => line.includes('/listing')).length, listings)
  t.same(await violationsOf(page), [])
  await page.getByRole('button', { name: 'Clear finished' }).click()
  t.equal(await page.locator('.transfers').count(), 0)
})

t.test('files that are dropped onto a folder are uploaded into it', async (t) => {
  const { page, row, cloud } = await openPicker(t)
  await row('Invoices').dblclick()
  await row('2026.pdf').waitFor()
  await page.locator('.main').evaluate((main) => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File([''], 'x'))
    main.dispatchEvent(new DragEvent('dragover', { dataTransfer, bubbles: true, cancelable: true }))
  })
  await page.locator('.over').waitFor()
  await dropFiles(page, ['d.txt'])
  await row('d.txt').waitFor()
  t.equal(await page.locator('.over').count(), 0)
  t.match(
    cloud.requests.find((line) => line.startsWith('PUT')),
    /parent=Invoices%2F&name=d.txt&connection=s3-1/
  )
})

t.test('an upload shows its progress and can be cancelled', async (t) => {
  const late = new Deferred<undefined>()
  const { page, row, cloud } = await openPicker(t)
  await row('a.pdf').waitFor()
  cloud.respondOnce('PUT', { until: late.promise })
  await chooseFiles(page, textFile('big.bin', 'x'.repeat(3_000_000)))
  const bar = page.getByRole('progressbar', { name: 'big.bin' })
  await bar.waitFor()
  await eventually(async () => Number(await bar.getAttribute('value')) > 0, 'a part is sent')
  t.equal(await bar.getAttribute('max'), '3000000')
  t.match(await page.locator('.transfers').innerText(), /MB \/ 3 MB/)
  t.same(await violationsOf(page), [])
  await page.getByRole('button', { name: 'Cancel big.bin' }).click()
  t.equal(await page.locator('.transfers').count(), 0)
  late.resolve(undefined)
})

t.test('an existing name is never overwritten: both files can be kept', async (t) => {
  const { page, row, cloud, events } = await openPicker(t)
  await row('a.pdf').waitFor()
  await chooseFiles(page, textFile('a.pdf', 'mine'))
  await page.getByText('A file or folder with this name already exists.').waitFor()
  t.match((await events()).at(-1), { type: 'error', detail: { code: 'PRECONDITION_FAILED' } })
  await page.getByRole('button', { name: 'Keep both' }).click()
  await row('a (2).pdf').waitFor()
  t.equal(cloud.uploads[0]?.body.toString(), 'mine')
})

t.test('a failed upload shows the reason and can be retried', async (t) => {
  const { page, row, cloud } = await openPicker(t)
  await row('a.pdf').waitFor()
  cloud.failOnce('PUT', 507, 'QUOTA_EXCEEDED')
  await chooseFiles(page, textFile('new.txt'))
  await page.getByText('The storage is full.').waitFor()
  await page.getByRole('button', { name: 'Try again' }).click()
  await row('new.txt').waitFor()
})

t.test('a folder is created in place', async (t) => {
  const { page, row, names } = await openPicker(t)
  await row('a.pdf').waitFor()
  await page.getByRole('button', { name: 'New folder' }).click()
  const input = page.getByLabel('Folder name')
  t.ok(await input.evaluate((element) => element.matches(':focus')))
  t.same(await violationsOf(page), [])
  await input.fill('Photos')
  await input.press('Enter')
  await page.getByText('A file or folder with this name already exists.').waitFor()
  await input.fill('New <b>')
  await page.getByRole('button', { name: 'Create' }).click()
  await row('New <b>').waitFor()
  t.equal((await names()).indexOf('New <b>'), 1, 'it is sorted among the folders')
  t.equal(await input.count(), 0)
  await page.getByRole('button', { name: 'New folder' }).click()
  await page.getByLabel('Folder name').press('Escape')
  t.equal(await page.getByLabel('Folder name').count(), 0)
})

t.test('with cookies a file is downloaded by a link', async (t) => {
  const { page, row } = await openPicker(t)
  await row('a.pdf').waitFor()
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download a.pdf' }).click()
  ])
  t.match(download.url(), /\/cloud\/s3\/content\?id=a\.pdf&connection=s3-1$/)
  t.equal(await readFile(await download.path(), 'utf8'), 'content of a.pdf')
})

t.test('with a token a file is fetched, and every request has the token', async (t) => {
  const { page, row, cloud } = await openPicker(t, {
    hasToken: true,
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.token = 'Bearer abc'
    }
  })
  await row('a.pdf').waitFor()
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download a.pdf' }).click()
  ])
  t.match(download.url(), /^blob:/)
  t.equal(download.suggestedFilename(), 'a.pdf')
  t.equal(await readFile(await download.path(), 'utf8'), 'content of a.pdf')
  await page.getByText('Downloaded').waitFor()
  await chooseFiles(page, textFile('new.txt'))
  await row('new.txt').waitFor()
  t.equal(cloud.uploads.length, 1)
})

t.test('a native document is saved with the name and the type of its export, by a link and with a token', async (t) => {
  const exportFormats = [{ mimeType: 'application/vnd.ms-excel', extension: 'xlsx' }]
  for (const hasToken of [false, true]) {
    const { page, row } = await openPicker(t, {
      hasToken,
      setUp: (cloud) => {
        seedSample(cloud)
        const names = ['Budget', 'notes.v2', 'Plan.xlsx']
        cloud.folders.set('', [
          ...names.map((name) => entryOf(name, { size: null, exportFormats })),
          entryOf('photo\u202egpj.exe')
        ])
      }
    })
    for (const [name, saved] of [
      ['Budget', 'Budget.xlsx'],
      ['notes.v2', 'notes.v2.xlsx'],
      ['Plan.xlsx', 'Plan.xlsx'],
      ['photo', 'photogpj.exe']
    ] as const) {
      await row(name).waitFor()
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        row(name).getByRole('button', { name: 'Download' }).click()
      ])
      t.equal(download.suggestedFilename(), saved, hasToken ? 'with a token' : 'by a link')
    }
  }
})

t.test('actions that the provider or the host excludes are not offered', async (t) => {
  for (const [attributes, provider] of [
    ['readonly', 's3'],
    ['', 'google_drive']
  ] as const) {
    const { page, row, cloud } = await openPicker(t, {
      attributes,
      setUp: (cloud) => {
        seedSample(cloud)
        cloud.providers = [...cloud.providers, DRIVE]
        cloud.connected = [connectionTo(provider)]
      }
    })
    await row('a.pdf').waitFor()
    t.equal(await page.getByRole('button', { name: 'Upload' }).count(), 0)
    t.equal(await page.getByRole('button', { name: 'New folder' }).count(), 0)
    await dropFiles(page, ['d.txt'])
    t.equal(await page.locator('.transfers').count(), 0)
    t.notOk(cloud.requests.some((line) => line.startsWith('PUT')))
  }
})
