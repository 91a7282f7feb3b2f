import t from 'tap'
import { connectionTo, entryOf } from '../support/picker/entries.ts'
import { Deferred } from '../support/time/deferred.ts'
import { eventually, openPicker, seedSample, violationsOf } from './picker-page.ts'

const LISTING = 'GET /cloud/s3/listing'

t.test('an expired session is shown, reported to the host, and ends when the user is back', async (t) => {
  const { page, row, events } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      // The response of a host's own authentication hook.
      cloud.respondOnce(LISTING, { status: 401, body: { code: 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED' } })
    }
  })
  await page.getByRole('alert').getByText('Your session has expired').waitFor()
  t.match(await events(), [{ type: 'error', detail: { status: 401 } }])
  t.same(await violationsOf(page), [])
  await page.getByRole('button', { name: 'Try again' }).click()
  await row('a.pdf').waitFor()
})

t.test('a session that expires before the first listing is shown', async (t) => {
  const { page } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.respondOnce('GET /cloud/providers', { status: 401, body: '<html>Log in</html>' })
    }
  })
  await page.getByRole('alert').getByText('Your session has expired').waitFor()
})

t.test('a network failure is shown, and the folder is retried when the network is back', async (t) => {
  const { page, row, events } = await openPicker(t)
  await row('Invoices').waitFor()
  await page.context().setOffline(true)
  await row('Invoices').dblclick()
  await page.getByRole('alert').getByText('The server cannot be reached.').waitFor()
  t.match((await events()).at(-1), { type: 'error', detail: { code: 'NETWORK' } })
  t.same(await violationsOf(page), [])
  await page.context().setOffline(false)
  await row('2026.pdf').waitFor()
})

t.test('a slow provider shows skeletons and a message, and can be cancelled', async (t) => {
  const late = new Deferred<undefined>()
  const { page, row } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.respondOnce(LISTING, { until: late.promise })
    }
  })
  await page.locator('.bones').waitFor()
  t.same(await violationsOf(page), [])
  await page.getByText('This is taking longer than usual.').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Loading cancelled.').waitFor()
  t.equal(await page.locator('.bones').count(), 0)
  late.resolve(undefined)
  await page.getByRole('button', { name: 'Try again' }).click()
  await row('a.pdf').waitFor()
})

for (const [status, code] of [
  [429, 'TOO_MANY_REQUESTS'],
  [503, 'PROVIDER_THROTTLED']
] as const) {
  t.test(`a ${status} counts down and then retries`, async (t) => {
    const { page, row, cloud } = await openPicker(t, {
      setUp: (cloud) => {
        seedSample(cloud)
        cloud.failOnce(LISTING, status, code, { 'retry-after': '4' })
      }
    })
    await page.getByText('Retrying in 4 sec.').waitFor()
    t.same(await violationsOf(page), [])
    await page.getByText(/Retrying in [12] sec\./).waitFor()
    t.equal(cloud.requests.filter((line) => line.startsWith(LISTING)).length, 1)
    await row('a.pdf').waitFor()
    t.equal(cloud.requests.filter((line) => line.startsWith(LISTING)).length, 2)
  })
}

t.test('a countdown can be cancelled', async (t) => {
  const { page } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.failOnce(LISTING, 503, 'PROVIDER_UNAVAILABLE', { 'retry-after': '1000' })
    }
  })
  await page.getByText('Retrying in 17 min.').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Loading cancelled.').waitFor()
})

t.test('a missing folder offers the way to the root', async (t) => {
  const { page, row } = await openPicker(t, { attributes: 'folder="gone/"' })
  await page.getByText('This folder no longer exists.').waitFor()
  await page.getByRole('button', { name: 'Go to top folder' }).click()
  await row('a.pdf').waitFor()
})

t.test('a failed refresh keeps the entries', async (t) => {
  const { page, row, cloud } = await openPicker(t)
  await row('a.pdf').waitFor()
  cloud.failOnce(LISTING, 502, 'PROVIDER_ERROR')
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText('Unexpected response from the provider.').waitFor()
  t.ok(await row('a.pdf').isVisible())
  t.same(await violationsOf(page), [])
  await page.getByRole('button', { name: 'Try again' }).click()
  await eventually(async () => (await page.locator('.notice').count()) === 0, 'the notice is gone')
})

t.test('a connection that requires reauthentication is reconnected in place, with the same folder', async (t) => {
  const { page, row, cloud } = await openPicker(t)
  await row('Invoices').dblclick()
  await row('2026.pdf').waitFor()
  cloud.connected = [connectionTo('s3', { status: 'REQUIRES_REAUTH', lastError: 'ACCESS_DENIED' })]
  cloud.failOnce(LISTING, 503, 'CONNECTION_INACTIVE')
  await page.getByRole('button', { name: 'Refresh' }).click()
  await page.getByText(/Sign in again to keep using\W+My s3\W/).waitFor()
  await page.getByRole('navigation', { name: 'Clouds' }).getByText('Sign-in needed').waitFor()
  t.same(await violationsOf(page), [])
  await page.getByRole('button', { name: 'Sign in again' }).click()
  await page.getByLabel('Endpoint').fill('https://s3.example')
  await page.getByLabel('Bucket').fill('bucket')
  await page.getByLabel('Secret key').fill('secret')
  cloud.respondOnce('POST /cloud/connections/s3', { status: 201, body: connectionTo('s3') })
  cloud.folders.set('Invoices/', [entryOf('Invoices/new.pdf')])
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await row('new.pdf').waitFor()
  t.same(await page.locator('.crumbs bdi').allTextContents(), ['My s3', 'Invoices'])
})

t.test('a connection in ERROR can be verified again', async (t) => {
  const { page, row } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.connected = [connectionTo('s3', { status: 'ERROR' })]
      cloud.failOnce('POST /cloud/connections/s3-1/verify', 403, 'ACCESS_DENIED')
    }
  })
  await page.getByText(/My s3\W+has stopped working\./).waitFor()
  await page.getByRole('button', { name: 'Check again' }).click()
  await page.getByText('Access was denied.').waitFor()
  await page.getByRole('button', { name: 'Check again' }).click()
  await row('a.pdf').waitFor()
})

t.test('a response that is not JSON is not shown as an empty folder', async (t) => {
  const { page } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.respondOnce(LISTING, { status: 200, body: '<html>' })
    }
  })
  await page.getByText('Unexpected response from the server.').waitFor()
})

t.test('without connections the user is asked to add one', async (t) => {
  const { page } = await openPicker(t, {
    setUp: (cloud) => {
      seedSample(cloud)
      cloud.connected = []
    }
  })
  await page.getByText('No clouds connected yet.').waitFor()
  t.same(await violationsOf(page), [])
})
