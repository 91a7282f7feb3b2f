import t from 'tap'
import { connectionTo, DRIVE, entryOf, folderOf, S3 } from '../support/picker/entries.ts'
import { eventually, openPicker, seedSample } from './picker-page.ts'

t.test('a folder is shown with folders first, sizes and dates', async (t) => {
  const { page, row, names } = await openPicker(t)
  await row('a.pdf').waitFor()
  t.same(await names(), ['Invoices', 'Photos', 'a.pdf', 'b.png', 'c.txt'])
  t.match(await row('a.pdf').innerText(), /48 kB/)
  t.match(await row('b.png').innerText(), /1\.5 MB/)
  t.match(await row('b.png').innerText(), /2026/)
  t.match(await page.locator('.status').innerText(), /5 items/)
  t.equal(await page.getByRole('grid').getAttribute('aria-rowcount'), '6')
})

t.test('a double click opens a folder, and the breadcrumbs lead back', async (t) => {
  const { page, row, names, events } = await openPicker(t)
  await row('Invoices').dblclick()
  await row('2026.pdf').waitFor()
  t.same(await names(), ['2025', '2026.pdf'])
  await row('2025').dblclick()
  await page.getByText('This folder is empty.').waitFor()
  t.same(await page.locator('.crumbs bdi').allTextContents(), ['My s3', 'Invoices', '2025'])
  await page.getByRole('button', { name: 'My s3' }).nth(1).click()
  await row('a.pdf').waitFor()
  t.same(
    (await events()).filter(({ type }) => type === 'open').map(({ detail }) => [detail.entry?.id, detail.connectionId]),
    [
      ['Invoices/', 's3-1'],
      ['Invoices/2025/', 's3-1']
    ]
  )
})

t.test('a host that prevents the open event keeps the folder closed, and receives it for files', async (t) => {
  const { page, row, events, cloud } = await openPicker(t)
  await row('a.pdf').waitFor()
  await page.evaluate(() => {
    window.preventsOpen = true
  })
  await row('Photos').dblclick()
  await row('a.pdf').dblclick()
  const opened = (await events()).filter(({ type }) => type === 'open').map(({ detail }) => detail.entry?.id)
  t.same(opened, ['Photos/', 'a.pdf'])
  t.notOk(cloud.requests.some((line) => line.includes('folder=')))
})

t.test('attributes set the start folder', async (t) => {
  const { page, row } = await openPicker(t, {
    attributes: 'provider="s3" connection="s3-2" folder="Invoices/" limit="7"',
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.connected = [connectionTo('s3'), connectionTo('s3', { id: 's3-2', label: 'Other', default: false })]
    }
  })
  await row('2026.pdf').waitFor()
  t.same(await page.locator('.crumbs bdi').allTextContents(), ['Other', 'Invoices'])
  t.equal(await page.locator('.side [aria-current=page]').innerText(), 'Other')
})

t.test('a click selects one entry and replaces the previous selection', async (t) => {
  const { row, events, page } = await openPicker(t)
  await row('a.pdf').click()
  await row('b.png').click()
  t.equal(await row('b.png').getAttribute('aria-selected'), 'true')
  t.equal(await row('a.pdf').getAttribute('aria-selected'), 'false')
  await page.getByText('1 selected').waitFor()
  t.match((await events()).at(-1), {
    type: 'select',
    detail: { entries: [{ id: 'b.png', name: 'b.png' }], provider: 's3', connectionId: 's3-1' }
  })
})

t.test('checkboxes, Ctrl and Shift select several entries, until the folder changes', async (t) => {
  const { page, row, events } = await openPicker(t, { attributes: 'multiple' })
  const selected = async (): Promise<(string | undefined)[]> =>
    ((await events()).filter(({ type }) => type === 'select').at(-1)?.detail.entries ?? []).map(({ id }) => id)
  await row('a.pdf').locator('.check').click()
  await row('Invoices').locator('.check').click()
  t.same(await selected(), ['a.pdf', 'Invoices/'])
  await row('Photos').click()
  await row('b.png').click({ modifiers: ['Shift'] })
  t.same(await selected(), ['Photos/', 'a.pdf', 'b.png'])
  await row('a.pdf').click({ modifiers: ['Control'] })
  t.same(await selected(), ['Photos/', 'b.png'])
  await page.getByText('2 selected').waitFor()
  await row('Photos').dblclick()
  await row('x.jpg').waitFor()
  t.same(await selected(), [])
})

t.test('kinds and types limit the selection, and folders can still be opened', async (t) => {
  const { row, events } = await openPicker(t, { attributes: 'kind="file" accept="image/*"' })
  await row('a.pdf').click()
  t.equal(await row('a.pdf').getAttribute('aria-selected'), null)
  await row('b.png').click()
  await row('Photos').click()
  await row('x.jpg').click()
  const selects = (await events()).filter(({ type }) => type === 'select')
  t.same(
    selects.map(({ detail }) => detail.entries?.map(({ id }) => id)),
    [['b.png'], [], ['Photos/x.jpg']]
  )
})

t.test('with kind="folder" files are shown and cannot be selected', async (t) => {
  const { row, events } = await openPicker(t, { attributes: 'kind="folder"' })
  await row('a.pdf').click()
  await row('Photos').click()
  t.same(
    (await events()).map(({ detail }) => detail.entries?.map(({ id }) => id)),
    [['Photos/']]
  )
})

t.test('a search filters the loaded entries, ignoring accents', async (t) => {
  const { page, row, names } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.folders.get('')?.push(entryOf('Résumé.pdf'))
    }
  })
  await row('a.pdf').waitFor()
  await page.getByRole('searchbox').fill('RESUME')
  await page.getByText('1 of 6 items').waitFor()
  t.same(await names(), ['Résumé.pdf'])
  await page.getByRole('searchbox').fill('nothing')
  await page.getByText('No matches in the loaded items.').waitFor()
  await page.getByRole('searchbox').fill('')
  await row('a.pdf').waitFor()
})

t.test('a refresh shows the current entries', async (t) => {
  const { page, row, cloud, names } = await openPicker(t)
  await row('a.pdf').waitFor()
  cloud.folders.set('', [entryOf('new.txt')])
  await page.getByRole('button', { name: 'Refresh' }).click()
  await row('new.txt').waitFor()
  t.same(await names(), ['new.txt'])
  t.match(cloud.requests.at(-1), /refresh=true/)
})

t.test('providers and connections are listed with their status, and can be switched', async (t) => {
  const { page, row } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.providers = [S3, DRIVE]
      cloud.connected = [
        connectionTo('s3'),
        connectionTo('google_drive', { default: false, label: 'Work' }),
        connectionTo('google_drive', { id: 'g2', label: 'Archive', status: 'DISABLED' })
      ]
    }
  })
  await row('a.pdf').waitFor()
  t.match(await page.getByRole('button', { name: 'Archive' }).innerText(), /Disabled/)
  await page.getByRole('button', { name: 'Work' }).click()
  await eventually(async () => (await page.locator('.crumbs').innerText()) === 'Work', 'the other connection')
  t.equal(await page.getByRole('button', { name: 'Upload' }).count(), 0, 'an unsupported action is not offered')
  await page.getByRole('button', { name: 'Archive' }).click()
  await page.getByText(/Archive\W+was disabled by your administrator\./).waitFor()
})

t.test('names are rendered as text', async (t) => {
  const hostile = [
    '<img src=x onerror=alert(1)>',
    '"><script>alert(1)</script>',
    'invoice\u202egpj.exe',
    '${alert(1)}',
    'x'.repeat(255),
    'two\nlines',
    ' '
  ]
  const { page, row, names, events } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.connected = [connectionTo('s3', { label: '<b>mine</b>', account: '"><i>' })]
      const folders = hostile.map((name, at) => folderOf(`${at}/`, { name }))
      cloud.folders.set('', folders)
      for (const { id } of folders) cloud.folders.set(id, [])
    }
  })
  await row('<img').waitFor()
  t.same(
    await names(),
    hostile.map((name) => name.replace('\u202e', '\ufffd').replace('\n', '\ufffd'))
  )
  t.equal(await page.locator('.body img, .body script, .side b').count(), 0)
  await row('<img').click()
  t.match((await events()).at(-1), { detail: { entries: [{ name: hostile[0] }] } })
  const width = await page.locator('.body').evaluate((body) => body.scrollWidth <= body.clientWidth)
  t.ok(width, 'a long name is truncated and does not widen the page')
  await row('<img').dblclick()
  await page.getByText('This folder is empty.').waitFor()
  t.match(await page.locator('.crumbs').innerText(), /<img src=x onerror=alert\(1\)>/)
})

t.test('an incomplete listing is reported with its reason', async (t) => {
  const reasons = {
    'provider-partial': /did not list them/,
    'page-cap': /too large/,
    'duplicate-cursor': /same page twice/
  }
  for (const [reason, words] of Object.entries(reasons)) {
    const { page, row } = await openPicker(t, {
      setUp: (cloud) => {
        seedSample(cloud)
        const page = { next: null, complete: false, reason, order: 'provider' }
        const folder = { id: null, name: null, parentId: null }
        const body = { provider: 's3', connectionId: 's3-1', folder, entries: [entryOf('a')], page }
        cloud.respondOnce('GET /cloud/s3/listing', { status: 200, body })
      }
    })
    await row('a').waitFor()
    t.match(await page.getByRole('note').innerText(), words)
    t.equal(await page.getByRole('grid').getAttribute('aria-rowcount'), '-1')
  }
})

t.test('a tap opens folders and selects files', async (t) => {
  const { row, events } = await openPicker(t, { hasTouch: true, attributes: 'multiple' })
  await row('Photos').locator('.check').tap()
  t.equal(await row('Photos').getAttribute('aria-selected'), 'true')
  await row('Photos').tap()
  await row('x.jpg').tap()
  t.match((await events()).at(-1), { type: 'select', detail: { entries: [{ id: 'Photos/x.jpg' }] } })
})

t.test('a removed attribute has the same effect as a missing one', async (t) => {
  const { page, row, cloud } = await openPicker(t, { attributes: 'base="/cloud" accept=".pdf" kind="file"' })
  await row('a.pdf').waitFor()
  t.same(await page.locator('.body > .row[aria-selected] bdi').allTextContents(), ['a.pdf'])
  const asked = cloud.requests.length
  await page.locator('cloud-folder-picker').evaluate((picker) => {
    for (const name of picker.getAttributeNames()) picker.removeAttribute(name)
  })
  await eventually(async () => (await page.locator('.body > .row[aria-selected]').count()) === 5, 'all are selectable')
  t.equal(cloud.requests.length, asked, 'the folder is not requested again')
})
