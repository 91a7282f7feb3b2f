import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { Secret } from '../../src/core/secret.ts'
import { VERSION } from '../../src/net/http-client.ts'
import { createOAuthClient } from '../../src/oauth/client.ts'
import { provider as nextcloud } from '../../src/providers/nextcloud/index.ts'
import { openManaged } from '../../src/providers/s3/index.ts'
import { harness as box } from '../contract/harness/box.ts'
import { harness as dropbox } from '../contract/harness/dropbox.ts'
import { harness as googleDrive } from '../contract/harness/google-drive.ts'
import { harness as nextcloudFake } from '../contract/harness/nextcloud.ts'
import { harness as onedrive } from '../contract/harness/onedrive.ts'
import { harness as s3 } from '../contract/harness/s3-strict.ts'
import { harness as webdav } from '../contract/harness/webdav.ts'
import { callOptions } from '../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../contract/suite/uploads.ts'
import { FakeNextcloud } from '../fakes/nextcloud/fake-nextcloud.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../fakes/oauth/rules.ts'
import { FAKE_BUCKET, FAKE_CREDENTIALS, FakeS3 } from '../fakes/s3/fake-s3.ts'
import { openEgress } from '../support/backend/egress.ts'
import { oauthConnect } from '../support/app/oauth-cloud.ts'
import { readBody } from '../support/app/read-body.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

const MIB = 1024 * 1024

/** Runs `work` and checks the `User-Agent` of all requests that servers of this process received meanwhile. */
async function checkRequests(t: Test, work: () => Promise<unknown>, library = ''): Promise<void> {
  const requests: IncomingMessage[] = []
  const onRequest = (message: unknown) => {
    requests.push((message as { request: IncomingMessage }).request)
  }
  subscribe('http.server.request.start', onRequest)
  try {
    await work()
  } finally {
    unsubscribe('http.server.request.start', onRequest)
  }
  t.not(requests.length, 0)
  for (const { method, url, headers } of requests) {
    t.equal(headers['user-agent']?.split(' ')[0], `fastify-cloud-storage/${VERSION}`, `${method} ${url}`)
  }
  t.ok(
    requests.some(({ headers }) => headers['user-agent']?.includes(library)),
    'the client library is named too'
  )
}

t.test('the version is that of package.json', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  t.equal(VERSION, version)
})

// Google compresses responses only for a product with "gzip" in its name.
const libraries: Readonly<Record<string, string>> = { google_drive: '(gzip)', 's3-strict': 'aws-sdk-js/' }

for (const { name, open } of [box, dropbox, googleDrive, nextcloudFake, onedrive, s3, webdav]) {
  t.test(`every request to ${name} names this package and its version`, async (t) => {
    await checkRequests(
      t,
      async () => {
        const { backend } = await open(t)
        const { id } = await upload(backend, { parentId: null, name: 'a.txt' }, Readable.from(['some text']))
        await upload(backend, { parentId: null, name: 'large.bin' }, chunkedStream(Buffer.alloc(21 * MIB)))
        await backend.listFolder(null, { ...callOptions(), limit: 10 })
        await backend.stat(id, callOptions())
        await readBody((await backend.download(id, callOptions())).body)
        await backend.account(callOptions())
        await backend.createFolder?.(null, 'folder', callOptions())
        await backend.remove?.(id, callOptions())
      },
      libraries[name]
    )
  })
}

t.test('requests of OAuth, Login Flow v2 and the managed store name the package too', async (t) => {
  const { signal } = new AbortController()
  const egress = openEgress()
  t.teardown(() => egress.close())
  const oauth = await FakeOAuth.start(t, { redirectUris: ['https://app.example.org/callback'] })
  const settings = { clientId: FAKE_CLIENT_ID, clientSecret: new Secret(FAKE_CLIENT_SECRET) }
  const client = createOAuthClient(oauthConnect(oauth.url), settings, egress)
  const refreshed = async () => client.refresh(new Secret(oauth.issueGrant().refresh_token), signal)
  await checkRequests(t, refreshed)
  const { accessToken, refreshToken } = (await refreshed()) ?? { accessToken: new Secret(''), refreshToken: null }
  await checkRequests(t, () => client.revoke({ accessToken, refreshToken }, signal))

  const cloud = await FakeNextcloud.start(t)
  const { connect } = nextcloud
  const context = { egress, timeouts: TEST_TIMEOUTS, signal }
  await checkRequests(t, async () => connect.type === 'login-flow' && connect.begin(cloud.url, context))

  const fake = await FakeS3.start(t)
  const managed = { type: 's3', endpoint: fake.endpoint, bucket: FAKE_BUCKET, credentials: FAKE_CREDENTIALS } as const
  const store = await openManaged(managed, { timeouts: TEST_TIMEOUTS })
  await checkRequests(t, () => store.listFolder(null, { ...callOptions(), limit: 10 }), 'aws-sdk-js/')
})
