import t from 'tap'
import { DemoUser } from '../support/app/demo-user.ts'
import { waitFor } from './browser-page.ts'
import { connectGoogle, openFolders, openWorld, row, startWorld, breadcrumbs, openConnection } from './world-page.ts'

const EXPECTED_ERRORS = /^503 GET \/cloud\/google_drive\/listing$/

const world = await startWorld(t)
const user = new DemoUser(world)
const driveLabel = world.google.account.email
const { faults, drive } = world.google
await user.connectGoogle(world)

t.test('revoked access is granted again in place, and the same folder is shown', async (t) => {
  const page = await openWorld(t, world, { expectedErrors: EXPECTED_ERRORS })
  await openConnection(page, driveLabel)
  await openFolders(page, 'Office', '2025')
  await row(page, '12 December').waitFor()
  const breadcrumbsBefore = await breadcrumbs(page)
  await faults.revokeAccess()
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText(`Sign in again to keep using \u2068${driveLabel}\u2069.`).waitFor()
  t.equal(await page.locator('.side').getByText('Sign-in needed').count(), 1)
  t.equal(await page.locator('.body > .row').count(), 0)
  t.equal(await page.getByRole('alert').count(), 0, 'there is one action and no other message')
  t.equal(await page.locator('.status [role=status]').innerText(), '')
  for (const name of ['Upload', 'New folder', 'Try again']) {
    t.equal(await page.locator('cloud-folder-picker').getByRole('button', { name }).count(), 0, name)
  }
  t.equal(await page.getByRole('button', { name: 'Refresh' }).isDisabled(), true)
  t.equal(await faults.grants(), 0)

  await connectGoogle(page, world, 'Sign in again')
  await row(page, '12 December').waitFor()
  t.same(await breadcrumbs(page), breadcrumbsBefore)
  t.equal(await page.locator('.side').getByText('Sign-in needed').count(), 0)
  t.equal(await faults.grants(), 1)
  t.same(
    (await user.connections()).map(({ provider, status }) => `${provider} ${status}`).sort(),
    ['google_drive ACTIVE', 's3 ACTIVE'],
    'the connection is the same'
  )
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.locator('.grid[aria-busy=false]').waitFor()
  t.equal(await page.getByRole('alert').count(), 0)
})

t.test('a slow cloud shows skeletons and a message, and loading can continue or be cancelled', async (t) => {
  const page = await openWorld(t, world)
  await openConnection(page, driveLabel)
  await row(page, 'Shortcuts').waitFor()
  faults.slowDown()
  await row(page, 'Shortcuts').dblclick()
  await page.locator('.bones').waitFor()
  await page.getByText('This is taking longer than usual.').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Loading cancelled.').waitFor()
  t.equal(await page.locator('.bones').count(), 0)
  t.equal(await page.locator('.body > .row').count(), 0)
  faults.reset()
  await page.getByRole('button', { name: 'Try again' }).click()
  await row(page, 'To Budget').waitFor()
  t.same(await breadcrumbs(page), [driveLabel, 'Shortcuts'])
})

// Must be last: the server does not call Google for the duration of the Retry-After.
t.test('a throttling cloud shows a countdown, and the folder appears by itself', async (t) => {
  const page = await openWorld(t, world, { expectedErrors: EXPECTED_ERRORS })
  await openConnection(page, driveLabel)
  await row(page, 'Office').waitFor()
  faults.throttle()
  const before = drive.requests.length
  await row(page, 'Office').dblclick()
  await page.getByRole('alert').getByText('The provider is limiting requests.').waitFor()
  const timer = page.getByRole('timer')
  t.match(await timer.innerText(), /^Retrying in (?:1[5-9]|20) sec\.$/)
  const asked = drive.requests.length
  t.ok(asked > before)
  const seen = new Set<number>()
  await waitFor(async () => {
    seen.add(Number(/\d+/.exec(await timer.innerText())?.[0]))
    return seen.size >= 4
  }, 'the countdown')
  const counted = [...seen]
  t.same(
    counted,
    counted.map((_, at) => (counted[0] ?? 0) - at),
    'once per second'
  )
  t.equal(drive.requests.length, asked, 'no request is sent meanwhile')
  await row(page, '2026').waitFor()
  t.equal(await page.getByRole('alert').count(), 0)
  t.equal(await timer.count(), 0)
  t.equal(faults.throttledForMs, 0)
})
