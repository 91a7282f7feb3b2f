import t from 'tap'
import { connectionTo, DRIVE, NEXTCLOUD, S3 } from '../support/picker/entries.ts'
import { openPicker, seedSample, violationsOf } from './picker-page.ts'

for (const colorScheme of ['light', 'dark'] as const) {
  t.test(`${colorScheme} mode passes the accessibility checks`, async (t) => {
    const { page, row, cloud } = await openPicker(t, {
      attributes: 'multiple kind="file" accept=".pdf"',
      colorScheme,
      setUp: (cloud) => {
        seedSample(cloud)
        cloud.providers = [S3, DRIVE, NEXTCLOUD]
        cloud.connected = [
          connectionTo('s3'),
          connectionTo('google_drive', { status: 'REQUIRES_REAUTH' }),
          connectionTo('nextcloud', { status: 'ERROR' })
        ]
      }
    })
    await row('a.pdf').click()
    const background = await page
      .locator('cloud-folder-picker')
      .evaluate((picker) => getComputedStyle(picker).backgroundColor)
    t.equal(background, colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(27, 28, 32)')
    t.same(await violationsOf(page), [], 'a folder')

    cloud.failOnce('GET /cloud/s3/listing', 502, 'PROVIDER_ERROR')
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByRole('alert').waitFor()
    t.same(await violationsOf(page), [], 'a notice')

    await page.getByRole('button', { name: 'My nextcloud' }).click()
    await page.getByRole('button', { name: 'Check again' }).waitFor()
    t.same(await violationsOf(page), [], 'a broken connection')

    await page.getByRole('button', { name: 'Connect S3-compatible storage' }).click()
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByText('is required.').first().waitFor()
    t.same(await violationsOf(page), [], 'a form')
  })
}

t.test('the attribute overrides the system setting', async (t) => {
  const { page, row } = await openPicker(t, { attributes: 'color-scheme="dark"', colorScheme: 'light' })
  await row('a.pdf').waitFor()
  const style = await page.locator('cloud-folder-picker').evaluate((picker) => getComputedStyle(picker).backgroundColor)
  t.equal(style, 'rgb(27, 28, 32)')
  t.same(await violationsOf(page), [])
})

t.test('in a right-to-left page everything is mirrored', async (t) => {
  const { page, row } = await openPicker(t, { dir: 'rtl', lang: 'ar', attributes: 'multiple' })
  await row('a.pdf').waitFor()
  const [side, pane, name, size] = await Promise.all(
    ['.side', '.pane', '.body .name', '.body .size'].map(
      async (selector) => (await page.locator(selector).first().boundingBox()) ?? { x: 0 }
    )
  )
  t.ok(side!.x > pane!.x)
  t.ok(name!.x > size!.x)
  t.same(await violationsOf(page), [])
})

t.test('numbers and dates follow the language of the page', async (t) => {
  const { row } = await openPicker(t, { lang: 'de' })
  t.match(await row('b.png').innerText(), /1,5 MB/)
  t.match(await row('b.png').innerText(), /02\.11\.2026/)
})

t.test('a host can replace all texts', async (t) => {
  const { page, row } = await openPicker(t)
  await row('a.pdf').waitFor()
  await page.locator('cloud-folder-picker').evaluate((picker) => {
    Object.assign(picker, { strings: { entries: '{n} Einträge', upload: '<b>Hochladen</b>' } })
  })
  await page.getByText('5 Einträge').waitFor()
  t.ok(await page.getByRole('button', { name: '<b>Hochladen</b>' }).isVisible(), 'text, never markup')
})

t.test('a narrow picker hides less important columns', async (t) => {
  const { page, row } = await openPicker(t, { viewport: { width: 360, height: 740 } })
  await row('a.pdf').waitFor()
  t.notOk(await page.locator('.body .modified').first().isVisible())
  t.ok(await page.locator('.body .name').first().isVisible())
  const fits = await page.locator('cloud-folder-picker').evaluate((picker) => picker.scrollWidth <= picker.clientWidth)
  t.ok(fits)
  t.same(await violationsOf(page), [])
})

t.test('a removed picker sends no requests, and restarts when it is inserted again', async (t) => {
  const { page, row, cloud } = await openPicker(t)
  await row('a.pdf').waitFor()
  const before = cloud.requests.length
  await page.evaluate(() => {
    const picker = document.querySelector('cloud-folder-picker')
    const place = picker?.parentElement
    picker?.remove()
    if (picker !== null) place?.append(picker)
  })
  await row('a.pdf').waitFor()
  t.ok(cloud.requests.length > before)
})
