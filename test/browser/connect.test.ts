import t from 'tap'
import { connectionTo, DRIVE, NEXTCLOUD, S3 } from '../support/picker/entries.ts'
import { connect } from '../support/picker/routes.ts'
import type { PickerCloud } from '../support/picker/cloud.ts'
import { openPicker, seedSample, violationsOf } from './picker-page.ts'

function useAllProviders(cloud: PickerCloud): void {
  seedSample(cloud)
  cloud.providers = [S3, DRIVE, NEXTCLOUD]
  cloud.connected = []
}

t.test('a form is created from the schema, and shows errors at their fields', async (t) => {
  const { page, row, cloud, events } = await openPicker(t, { setUp: useAllProviders })
  await page.getByRole('button', { name: 'Connect S3-compatible storage' }).click()
  await page.getByRole('heading', { name: 'Connect S3-compatible storage' }).waitFor()
  t.equal(await page.getByLabel('Secret key').getAttribute('type'), 'password')
  t.equal(await page.getByLabel('Region').inputValue(), 'us-east-1')
  t.ok(await page.getByLabel('Path style').isChecked())
  t.same(await violationsOf(page), [])

  await page.getByLabel('Bucket').fill('X')
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await page.getByText('Check the format.').waitFor()
  t.equal(await page.getByText('is required.').count(), 2)
  t.equal(await page.getByLabel('Bucket').getAttribute('aria-invalid'), 'true')
  t.ok(await page.getByLabel('Endpoint').evaluate((input) => input.matches(':focus')), 'the first invalid one')
  t.notOk(cloud.requests.some((line) => line.startsWith('POST')))
  t.same(await violationsOf(page), [])

  await page.getByLabel('Endpoint').fill('https://s3.example')
  await page.getByLabel('Bucket').fill('bucket')
  await page.getByLabel('Secret key').fill('secret')
  const words = 'The field "bucket" names a bucket of an unsupported type.'
  cloud.failOnce('POST /cloud/connections/s3', 400, 'INVALID_CREDENTIALS', {}, words)
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await page.getByText(words).waitFor()
  t.equal(await page.getByLabel('Secret key').inputValue(), 'secret', 'the values are kept')
  t.match((await events()).at(-1), { type: 'error', detail: { code: 'INVALID_CREDENTIALS' } })

  await page.getByLabel('Bucket').fill('other')
  cloud.failOnce('POST /cloud/connections/s3', 503, 'PROVIDER_UNAVAILABLE', { 'retry-after': '2' })
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await page.getByRole('timer').waitFor()
  t.ok(await page.getByRole('button', { name: 'Connect', exact: true }).isDisabled())
  await page.getByRole('timer').waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await row('a.pdf').waitFor()
  t.equal(await page.locator('.side [aria-current=page]').innerText(), 's3 account')
})

t.test('a window opens for OAuth, and its landing page ends the login', async (t) => {
  const { page, cloud, row } = await openPicker(t, {
    attributes: 'return-to="/picker/landing.html"',
    setUp: useAllProviders
  })
  const [popup] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('button', { name: 'Connect Google Drive' }).click()
  ])
  await page.getByText('Continue in the sign-in window.').waitFor()
  t.same(await violationsOf(page), [])
  await popup.getByRole('link', { name: 'Agree' }).waitFor()
  t.equal(await popup.evaluate(() => window.opener === null), true, 'the provider has no access to the page')
  connect(cloud, 'google_drive', 'g1')
  await Promise.all([popup.waitForEvent('close'), popup.getByRole('link', { name: 'Agree' }).click()])
  await row('a.pdf').waitFor()
  t.equal(await page.locator('.side [aria-current=page]').innerText(), 'google_drive account')
})

t.test('an error on the landing page is shown, and the login can be restarted', async (t) => {
  const { page, cloud, row, events } = await openPicker(t, {
    attributes: 'return-to="/picker/landing.html?error=ACCESS_DENIED"',
    setUp: useAllProviders
  })
  const button = page.getByRole('button', { name: 'Connect Google Drive' })
  const [popup] = await Promise.all([page.waitForEvent('popup'), button.click()])
  await popup.getByRole('link', { name: 'Agree' }).click()
  await page.getByText('Access was denied.').waitFor()
  t.match((await events()).at(-1), { type: 'error', detail: { code: 'ACCESS_DENIED' } })
  const [second] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('button', { name: 'Start over' }).click()
  ])
  await second.getByRole('link', { name: 'Agree' }).waitFor()
  connect(cloud, 'google_drive', 'g1')
  await row('a.pdf').waitFor()
  t.pass('found by polling, without a landing page')
})

t.test('a window that the user closes is detected, and the login can be cancelled', async (t) => {
  const { page } = await openPicker(t, { setUp: useAllProviders })
  const [popup] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('button', { name: 'Connect Google Drive' }).click()
  ])
  await popup.getByRole('link', { name: 'Agree' }).waitFor()
  await popup.close()
  await page.getByText('The sign-in window was closed.').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('No clouds connected yet.').waitFor()
})

t.test('reauthentication continues in the same folder', async (t) => {
  const { page, cloud, row } = await openPicker(t, {
    attributes: 'return-to="/picker/landing.html" folder="Invoices/"',
    setUp: (cloud) => {
      useAllProviders(cloud)
      cloud.connected = [connectionTo('google_drive', { status: 'REQUIRES_REAUTH' })]
    }
  })
  await page.getByText(/Sign in again to keep using\W+My google_drive\W/).waitFor()
  const [popup] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('button', { name: 'Sign in again' }).click()
  ])
  connect(cloud, 'google_drive', 'google_drive-1')
  await popup.getByRole('link', { name: 'Agree' }).click()
  await row('2026.pdf').waitFor()
})

t.test('a browser that opens no window shows a link', async (t) => {
  const { page } = await openPicker(t, { setUp: useAllProviders })
  await page.evaluate(() => {
    window.open = () => null
  })
  await page.getByRole('button', { name: 'Connect Google Drive' }).click()
  const link = page.getByRole('link', { name: 'Open the sign-in page' })
  await link.waitFor()
  t.match(await link.getAttribute('href'), /^http:\/\/127\.0\.0\.1/)
  t.equal(await link.getAttribute('rel'), 'noopener noreferrer')
})

t.test('a login at the user’s own server is polled until it is completed', async (t) => {
  const { page, cloud, row } = await openPicker(t, { setUp: useAllProviders })
  await page.getByRole('button', { name: 'Connect Nextcloud' }).click()
  t.equal(await page.locator('form input').count(), 1)
  t.same(await violationsOf(page), [])
  await page.getByLabel('Address').fill('https://cloud.example')
  const [popup] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('button', { name: 'Sign in with Nextcloud' }).click()
  ])
  await popup.getByRole('heading', { name: 'Log in' }).waitFor()
  cloud.logins.set('flow1', () => connect(cloud, 'nextcloud', 'n1'))
  await row('a.pdf').waitFor()
  t.equal(popup.isClosed(), false, 'the window has another origin and reports the end itself')
})

t.test('an app password can be entered', async (t) => {
  const { page, row } = await openPicker(t, { setUp: useAllProviders })
  await page.getByRole('button', { name: 'Connect Nextcloud' }).click()
  await page.getByLabel('Address').fill('https://cloud.example')
  await page.getByRole('button', { name: 'Use an app password instead' }).click()
  await page.getByLabel('User name').fill('me')
  await page.getByLabel('App password').fill('secret')
  await page.getByLabel('Address').fill('https://cloud.example')
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await row('a.pdf').waitFor()
})
