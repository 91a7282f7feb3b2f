import { readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import type { Page } from 'playwright-core'
import t from 'tap'
import { waitFor, axeViolations } from './browser-page.ts'
import { openDemoPage, startDemo } from './demo-page.ts'

const demo = await startDemo(t)

const pickerRow = (page: Page, name: string) =>
  page.locator('.body > .row').filter({ has: page.locator('bdi', { hasText: name }) })
const documentItem = (page: Page, name: string) =>
  page.locator('.documents .list:not(.transfers) > li').filter({ hasText: name })
const cacheFigure = (page: Page, name: string) => page.locator(`[data-figure=${name}]`)
const file = (name: string, content: string | Buffer) => ({
  name,
  mimeType: 'text/plain',
  buffer: Buffer.from(content)
})
const idOf = async (name: string): Promise<string> =>
  (await demo.documents()).find((document) => document.name === name)?.id ?? ''

async function chooseFiles(page: Page, ...files: ReturnType<typeof file>[]): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.locator('.documents').getByRole('button', { name: 'Upload' }).click()
  ])
  await chooser.setFiles(files)
}

async function download(page: Page, name: string): Promise<Buffer> {
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    page
      .locator('.documents')
      .getByRole('button', { name: `Download ${name}`, exact: true })
      .click()
  ])
  return await readFile(await saved.path())
}

t.test('the printed link shows the folders and documents of the demo’s user and stores no token', async (t) => {
  const page = await openDemoPage(t)
  const failed: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') failed.push(message.text())
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(demo.address)) failed.push(request.url())
  })
  await page.goto(demo.signInUrl)
  for (const name of ['Elsewhere', 'Handbook', 'Invoices', 'Receipts', 'Welcome.txt'])
    await pickerRow(page, name).waitFor()
  await documentItem(page, 'Welcome — read me first.txt').waitFor()
  await documentItem(page, 'Reading a folder page by page.txt').waitFor()
  t.equal(page.url(), demo.address)
  t.equal(await page.locator('.user').innerText(), 'demo')
  t.same(failed, [], 'no request failed, and no other host was contacted')
  await page.reload()
  await pickerRow(page, 'Handbook').waitFor()
  t.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0)
})

t.test('a user without a token is asked for one, and can sign out again', async (t) => {
  const page = await openDemoPage(t)
  await page.goto(demo.address)
  const input = page.getByLabel('Access token')
  await input.waitFor()
  t.equal(await page.getByRole('alert').count(), 0)
  await input.fill('nonsense')
  await input.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'invalid or has expired' }).waitFor()
  t.equal(await input.evaluate((element) => document.activeElement === element), true)
  t.equal(await input.inputValue(), '')
  await input.fill(` Bearer ${demo.token.slice(0, 40)}\n${demo.token.slice(40)} `)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await pickerRow(page, 'Handbook').waitFor()
  t.equal(await page.evaluate(() => document.activeElement?.id), 'clouds', 'the focus moves to the new content')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await input.waitFor()
  t.equal(await page.evaluate(() => sessionStorage.length), 0)
  await page.reload()
  await input.waitFor()
  // Simulates pasting the address into a tab that already shows the page.
  await page.goto(demo.signInUrl)
  await pickerRow(page, 'Handbook').waitFor()
  t.equal(page.url(), demo.address)
})

t.test('an expired token brings the form back, whichever request detects it', async (t) => {
  for (const route of ['**/documents*', '**/listing*']) {
    const page = await openDemoPage(t)
    await page.goto(demo.signInUrl)
    await pickerRow(page, 'Handbook').waitFor()
    await page.route(route, async (asked) => {
      await asked.continue({ headers: { ...asked.request().headers(), authorization: 'Bearer ended' } })
    })
    if (route.includes('documents')) await chooseFiles(page, file('never.txt', 'x'))
    else await pickerRow(page, 'Handbook').dblclick()
    await page.getByRole('alert').filter({ hasText: 'invalid or has expired' }).waitFor()
    t.equal(await page.evaluate(() => sessionStorage.length), 0, route)
    t.equal(await page.locator('cloud-folder-picker').count(), 0)
  }
})

t.test('an uploaded document can be downloaded unchanged and removed', async (t) => {
  const page = await openDemoPage(t)
  await page.goto(demo.signInUrl)
  await pickerRow(page, 'Handbook').waitFor()
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7) % 256))
  await chooseFiles(page, file('bytes.bin', bytes), file('empty.txt', ''))
  await documentItem(page, 'bytes.bin').getByText('100 kB').waitFor()
  await documentItem(page, 'empty.txt').getByText('0 bytes').waitFor()
  t.ok(bytes.equals(await demo.content(await idOf('bytes.bin'))))
  t.ok(bytes.equals(await download(page, 'bytes.bin')))
  t.equal(await page.locator('.transfers').count(), 0, 'a finished upload is not listed as a transfer')
  t.same(await axeViolations(page), [])

  await page.getByRole('button', { name: 'Remove bytes.bin' }).click()
  await page.getByRole('dialog').getByText('Remove bytes.bin?').waitFor()
  t.same(await axeViolations(page), [], 'the dialog')
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  t.equal(await documentItem(page, 'bytes.bin').count(), 1)
  for (const name of ['bytes.bin', 'empty.txt']) {
    await page.getByRole('button', { name: `Remove ${name}` }).click()
    await page.getByRole('button', { name: 'Remove', exact: true }).click()
    await documentItem(page, name).waitFor({ state: 'detached' })
  }
  await page.getByRole('status').filter({ hasText: 'empty.txt was removed.' }).waitFor({ state: 'attached' })
  t.equal(await idOf('bytes.bin'), '')
  t.equal(await page.evaluate(() => document.activeElement?.id), 'documents', 'the focus is not lost')
})

t.test('files can be dropped, and an upload shows its progress and can be cancelled', async (t) => {
  const page = await openDemoPage(t)
  await page.goto(demo.signInUrl)
  await documentItem(page, 'Welcome').waitFor()
  const drop = (name: string, bytes: number) =>
    page.locator('.documents').evaluate(
      (target, [name, bytes]) => {
        const dataTransfer = new DataTransfer()
        dataTransfer.items.add(new File([new Uint8Array(bytes)], name))
        target.dispatchEvent(new DragEvent('dragover', { dataTransfer, bubbles: true, cancelable: true }))
        target.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
      },
      [name, bytes] as const
    )
  await drop('dropped.bin', 10)
  await documentItem(page, 'dropped.bin').getByText('10 bytes').waitFor()

  let isHeld = false
  await page.route('**/content', (asked) => {
    isHeld = asked.request().method() === 'PUT'
  })
  await drop('held.bin', 3_000_000)
  await waitFor(() => isHeld, 'the upload is held')
  await page.getByRole('progressbar', { name: 'held.bin' }).waitFor()
  t.ok(await idOf('held.bin'), 'its document exists')
  await page.getByRole('button', { name: 'Cancel held.bin' }).click()
  await page.locator('.transfers').waitFor({ state: 'detached' })
  await waitFor(async () => (await idOf('held.bin')) === '', 'the document is removed')
  t.equal(await documentItem(page, 'held.bin').count(), 0)
})

t.test('a name that looks like markup is rendered as text', async (t) => {
  const page = await openDemoPage(t)
  const name = '<img src=x onerror=alert(1)>'
  await page.goto(demo.signInUrl)
  await documentItem(page, 'Welcome').waitFor()
  await chooseFiles(page, file(name, 'hello'))
  await documentItem(page, name).waitFor()
  t.equal(await page.locator('img').count(), 0)
  t.equal((await download(page, name)).toString(), 'hello')
  await page.getByRole('button', { name: `Remove ${name}` }).click()
  await page.getByRole('dialog').getByText(name).waitFor()
  await page.getByRole('button', { name: 'Remove', exact: true }).click()
  await documentItem(page, name).waitFor({ state: 'detached' })
  t.equal(await page.locator('img').count(), 0)
})

t.test('entries that are selected in a cloud are added as documents', async (t) => {
  const page = await openDemoPage(t)
  await page.goto(demo.signInUrl)
  const keep = page.getByRole('button', { name: 'Add to documents' })
  t.equal(await keep.isDisabled(), true)
  await pickerRow(page, 'Handbook').dblclick()
  await pickerRow(page, '1 Arriving.txt').getByRole('checkbox').or(pickerRow(page, '1 Arriving.txt')).first().click()
  await page.keyboard.press('Shift+ArrowDown')
  await page.getByRole('button', { name: 'Add to documents (2)' }).click()
  for (const name of ['1 Arriving.txt', '2 Reading a folder page by page.txt']) {
    await documentItem(page, name).getByText('in s3').waitFor()
    t.match((await download(page, name)).toString(), /line 80 of 80/)
  }
  await page.getByRole('button', { name: 'Remove 1 Arriving.txt' }).click()
  await page.getByRole('dialog').getByText('stays in your cloud').waitFor()
  await page.getByRole('button', { name: 'Remove', exact: true }).click()
  await documentItem(page, '1 Arriving.txt').waitFor({ state: 'detached' })
  t.equal(await pickerRow(page, '1 Arriving.txt').count(), 1)
})

t.test('the state of the cache follows the headers: a miss, a hit, and an increasing age', async (t) => {
  const fresh = await startDemo(t)
  const page = await openDemoPage(t)
  await page.clock.install()
  // A watched folder is read once more when its stream begins.
  await page.route('**/cloud/events?*', (route) => route.fulfill({ status: 404 }))
  await page.goto(fresh.signInUrl)
  await pickerRow(page, 'Handbook').waitFor()
  const figures = async () =>
    Promise.all(['hits', 'misses', 'entries'].map(async (name) => Number(await cacheFigure(page, name).innerText())))
  t.same(await figures(), [0, 1, 1])
  await page.getByText('fastify-cloud-storage; fwd=miss; stored').waitFor()
  await pickerRow(page, 'Handbook').dblclick()
  await pickerRow(page, '1 Arriving.txt').waitFor()
  t.same(await figures(), [0, 2, 2])
  await page.getByRole('button', { name: 'Sample objects' }).last().click()
  await pickerRow(page, 'Welcome.txt').waitFor()
  await waitFor(async () => (await cacheFigure(page, 'hits').innerText()) === '1', 'a hit')
  t.same(await figures(), [1, 2, 2])
  await page.getByText(/fastify-cloud-storage; hit; ttl=\d+/).waitFor()

  const seconds = async () => Number.parseInt(await cacheFigure(page, 'age').innerText(), 10)
  const before = await seconds()
  await page.clock.fastForward(5000)
  await waitFor(async () => (await seconds()) >= before + 5, 'the age increases')
  await page.clock.fastForward(70_000)
  await waitFor(async () => (await cacheFigure(page, 'entries').innerText()) === '0', 'the entries expire')
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText('fwd=request; stored').waitFor()
  t.same(await figures(), [1, 3, 1])
  await waitFor(async () => (await seconds()) <= 1, 'the age is reset')
})

t.test('the page can be used with the keyboard only', async (t) => {
  const page = await openDemoPage(t)
  await page.goto(demo.signInUrl)
  await pickerRow(page, 'Handbook').waitFor()
  const tabTo = async (name: string | RegExp, role: 'button' | 'gridcell' = 'button') => {
    const wanted = page.getByRole(role, { name })
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press('Tab')
      for (const each of await wanted.all()) {
        const hasFocus = await each.evaluate(
          (element) => (element.getRootNode() as Document | ShadowRoot).activeElement === element
        )
        if (hasFocus) return
      }
    }
    throw new Error(`Tab never comes to ${String(name)}`)
  }
  /** Returns the text of the focused row of the grid. */
  const focused = async () =>
    await page.evaluate(
      () => document.querySelector('cloud-folder-picker')?.shadowRoot?.activeElement?.closest('.row')?.textContent ?? ''
    )
  const goTo = async (name: string) => {
    for (let presses = 0; presses < 10 && !(await focused()).includes(name); presses++) {
      await page.keyboard.press('ArrowDown')
    }
  }
  await tabTo(/.*/, 'gridcell')
  await goTo('Handbook')
  await page.keyboard.press('Enter')
  await waitFor(
    async () => (await focused()) !== '' && (await pickerRow(page, '5 Leaving.txt').count()) === 1,
    'the folder'
  )
  await goTo('5 Leaving.txt')
  await page.keyboard.press('Space')
  await tabTo('Add to documents')
  await page.keyboard.press('Enter')
  await documentItem(page, '5 Leaving.txt').waitFor()
  await tabTo(/^Download 5 Leaving.txt$/)
  const [saved] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
  t.equal(saved.suggestedFilename(), '5 Leaving.txt')
  await tabTo('Remove 5 Leaving.txt')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  t.equal(
    await page.evaluate(() => document.activeElement?.getAttribute('aria-label')),
    'Remove 5 Leaving.txt',
    'the focus returns to the button'
  )
  await page.keyboard.press('Enter')
  await tabTo('Remove')
  await page.keyboard.press('Enter')
  await documentItem(page, '5 Leaving.txt').waitFor({ state: 'detached' })
  await tabTo('Sign out')
})

for (const colorScheme of ['light', 'dark'] as const) {
  t.test(`${colorScheme} mode passes the accessibility checks, on narrow screens too`, async (t) => {
    const page = await openDemoPage(t, { colorScheme })
    await page.goto(demo.address)
    await page.getByLabel('Access token').fill('nonsense')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    t.same(await axeViolations(page), [], 'the form')
    await page.goto(demo.signInUrl)
    await pickerRow(page, 'Handbook').waitFor()
    await documentItem(page, 'Welcome').waitFor()
    const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    t.equal(ground, colorScheme === 'light' ? 'rgb(243, 245, 249)' : 'rgb(19, 20, 24)')
    await pickerRow(page, 'Welcome.txt').click()
    t.equal(await page.getByRole('button', { name: 'Add to documents' }).isEnabled(), true)
    t.same(await axeViolations(page), [], 'the page')
    await page.setViewportSize({ width: 340, height: 700 })
    t.same(await axeViolations(page), [], 'narrow')
    t.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing overflows')
  })
}

t.test('in a right-to-left page everything is mirrored', async (t) => {
  const page = await openDemoPage(t)
  await page.goto(demo.signInUrl)
  await documentItem(page, 'Welcome').waitFor()
  await page.evaluate(() => {
    document.documentElement.dir = 'rtl'
  })
  const [clouds, documents] = await Promise.all(
    ['.clouds', '.documents'].map(async (selector) => (await page.locator(selector).boundingBox())?.x ?? 0)
  )
  t.ok(clouds! > documents!)
})

t.test('a large document is written to disk while it arrives', async (t) => {
  const page = await openDemoPage(t)
  const bytes = Buffer.alloc(65 * 1024 * 1024, 'a piece of content, ')
  const authorization = `Bearer ${demo.token}`
  const made = await demo.app.inject({
    method: 'POST',
    url: '/documents',
    headers: { authorization },
    payload: { name: 'large.bin' }
  })
  const { id } = made.json<{ id: string }>()
  await fetch(`${demo.address}documents/${id}/content`, { method: 'PUT', headers: { authorization }, body: bytes })
  // The system's dialog cannot be used in a test, but the file handle that replaces it is real.
  await page.addInitScript(() => {
    Object.assign(window, {
      showSaveFilePicker: async ({ suggestedName }: { suggestedName: string }) =>
        await (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true })
    })
  })
  await page.goto(demo.signInUrl)
  await page.getByRole('button', { name: 'Download large.bin' }).click()
  await page.getByRole('status').filter({ hasText: 'large.bin was downloaded.' }).waitFor({ state: 'attached' })
  const digest = await page.evaluate(async () => {
    const handle = await (await navigator.storage.getDirectory()).getFileHandle('large.bin')
    const hash = await crypto.subtle.digest('SHA-256', await (await handle.getFile()).arrayBuffer())
    return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  })
  t.equal(digest, createHash('sha256').update(bytes).digest('hex'))
})

t.test('a server without uploads offers none', async (t) => {
  const quiet = await startDemo(t, { TRANSFERS: 'false' })
  const page = await openDemoPage(t)
  await page.goto(quiet.signInUrl)
  await page.getByText('Uploads are not available on this server.').waitFor()
  await pickerRow(page, 'Handbook').waitFor()
  t.equal(await page.getByRole('button', { name: 'Upload' }).count(), 0)
  t.match((await download(page, 'Reading a folder page by page.txt')).toString(), /line 80 of 80/)
})

t.test('an upload that is too large is refused before it is sent', async (t) => {
  const small = await startDemo(t, { TRANSFER_MAX_BYTES: '1000' })
  const page = await openDemoPage(t)
  await page.goto(small.signInUrl)
  await documentItem(page, 'Welcome').waitFor()
  await chooseFiles(page, file('large.txt', 'x'.repeat(1001)), file('fits.txt', 'x'.repeat(1000)))
  await documentItem(page, 'fits.txt').getByText('1 kB').waitFor()
  await page.getByRole('alert').waitFor()
  t.equal((await small.documents()).filter(({ name }) => name === 'large.txt').length, 0)
  await page.getByRole('button', { name: 'Remove large.txt from the list' }).click()
  t.equal(await page.getByRole('alert').count(), 0)
})
