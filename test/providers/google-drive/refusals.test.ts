import { once } from 'node:events'
import { createServer } from 'node:net'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { HttpRequest } from '../../../src/core/egress.ts'
import { Diagnosis, StorageError, type StorageErrorCode } from '../../../src/errors.ts'
import type { AccessTokens } from '../../../src/core/oauth.ts'
import { isProviderDefinition } from '../../../src/core/provider.ts'
import { provider } from '../../../src/providers/google-drive/index.ts'
import { VALID_TOKENS, openGoogleDrive } from '../../contract/harness/google-drive.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { failureOf } from '../../support/rejection.ts'
import { respondsWith, truncates, hangs, htmlPage, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_DRIVE_TOKEN, FakeDrive } from '../../fakes/drive/fake-drive.ts'
import { setEnvironment } from '../../support/process/environment.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

/** The statuses of an unavailable service. */
const OUTAGE = /answered 50[234]\b/

async function start(t: Test, tokens: AccessTokens = VALID_TOKENS) {
  const fake = await FakeDrive.start(t)
  const egress = openEgress({ timeouts: { headersMs: 500 } })
  const { backend } = await openGoogleDrive(t, fake, tokens, egress)
  return { fake, tree: fake.tree, backend }
}

t.test('the provider names its authorization endpoint and requests minimal scopes', async (t) => {
  t.ok(isProviderDefinition(provider))
  t.match(provider, {
    id: 'google_drive',
    label: 'Google Drive',
    connect: {
      type: 'oauth2',
      server: { issuer: 'https://accounts.google.com', tokenEndpoint: 'https://oauth2.googleapis.com/token' },
      clientAuthentication: 'client_secret_post',
      scopes: ['https://www.googleapis.com/auth/drive.readonly'],
      authorizationParameters: { access_type: 'offline', prompt: 'consent' }
    }
  })
})

t.test('the account is the Google user, with or without a quota', async (t) => {
  const { fake, tree, backend } = await start(t)
  tree.addFile({ name: 'a', content: 'hello' })
  const account = await backend.account(callOptions())
  t.match(account, { name: 'me', email: 'me@example.com', quota: { used: 5, total: null } })
  t.match(account.id, /^\d+$/)
  fake.knobs.quotaBytes = 100
  t.match((await backend.account(callOptions())).quota, { used: 5, total: 100 })
  const says = (body: unknown) => {
    fake.failNext(1, respondsWith(200, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }))
  }
  says({ user: { permissionId: '1' } })
  t.same(await backend.account(callOptions()), { id: '1', name: '1', email: null, quota: null })
  for (const body of [null, 'text', {}, { user: {} }, { user: { permissionId: '' } }, { user: null }]) {
    says(body)
    await rejectsWith(t, backend.account(callOptions()), 'PROVIDER_ERROR', JSON.stringify(body))
  }
})

t.test('each error is mapped by its reason', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'a' })
  const MINUTES_15 = 900_000
  const cases: [reason: string, code: StorageErrorCode, status?: number, headers?: object, waitMs?: number][] = [
    ['rateLimitExceeded', 'PROVIDER_THROTTLED', 403, {}, 0],
    ['rateLimitExceeded', 'PROVIDER_THROTTLED', 429],
    ['rateLimitExceeded', 'PROVIDER_THROTTLED', 429, { 'retry-after': '7' }, 7000],
    ['userRateLimitExceeded', 'PROVIDER_THROTTLED', 403, { 'retry-after': '3' }, 3000],
    ['sharingRateLimitExceeded', 'PROVIDER_THROTTLED', 403, {}, 0],
    ['dailyLimitExceeded', 'PROVIDER_THROTTLED', 403, {}, MINUTES_15],
    ['dailyLimitExceeded', 'PROVIDER_THROTTLED', 403, { 'retry-after': '3600' }, 3_600_000],
    ['dailyLimitExceeded', 'PROVIDER_THROTTLED', 403, { 'retry-after': '1' }, MINUTES_15],
    ['insufficientPermissions', 'INSUFFICIENT_SCOPE'],
    ['appNotAuthorizedToFile', 'INSUFFICIENT_SCOPE'],
    ['insufficientFilePermissions', 'ACCESS_DENIED'],
    ['cannotDownloadAbusiveFile', 'ACCESS_DENIED'],
    ['domainPolicy', 'ACCESS_DENIED'],
    ['constructor', 'ACCESS_DENIED', 403],
    ['storageQuotaExceeded', 'QUOTA_EXCEEDED'],
    ['teamDriveFileLimitExceeded', 'QUOTA_EXCEEDED', 403],
    ['activeItemCreationLimitExceeded', 'QUOTA_EXCEEDED', 403],
    ['exportSizeLimitExceeded', 'PAYLOAD_TOO_LARGE'],
    ['fileNotDownloadable', 'UNSUPPORTED'],
    ['fileNotExportable', 'UNSUPPORTED'],
    ['accessNotConfigured', 'PROVIDER_ERROR'],
    ['notFound', 'OBJECT_NOT_FOUND'],
    ['badRequest', 'PROVIDER_ERROR'],
    ['backendError', 'PROVIDER_UNAVAILABLE'],
    ['backendError', 'PROVIDER_UNAVAILABLE', 502],
    ['backendError', 'PROVIDER_UNAVAILABLE', 503],
    ['backendError', 'PROVIDER_THROTTLED', 503, { 'retry-after': '2' }, 2000]
  ]
  for (const [reason, code, status, headers = {}, waitMs] of cases) {
    const refusal = { reason, ...(status !== undefined && { status }), headers: { ...headers } }
    const isMedia = ({ query }: { query: URLSearchParams }) => query.get('alt') === 'media'
    const name = `${reason} ${status ?? ''}`
    for (const [limits, ask] of [
      [{}, () => backend.stat(id, callOptions())],
      [{ matching: isMedia }, () => backend.download(id, callOptions())]
    ] as const) {
      const message = 'Bearer SECRET'
      fake.failNext(1, { ...refusal, message }, limits)
      const before = fake.requests.length
      const error = await failureOf(ask())
      t.equal(error.code, code, name)
      t.equal(error.retryAfterMs, waitMs, name)
      t.equal(error.credentialsRefused, false, name)
      const { cause } = error
      t.ok(cause instanceof Diagnosis, name)
      t.equal(error.responded, !OUTAGE.test(String(cause)), name)
      t.notMatch(inspect(error, { depth: 10 }), /SECRET|ya29/, name)
      t.equal(fake.requests.length - before, 'matching' in limits ? 2 : 1, `${name}: one request`)
    }
  }
  fake.failNext(1, { reason: 'accessNotConfigured' })
  const { cause } = await failureOf(backend.account(callOptions()))
  t.match(cause, { message: /accessNotConfigured: enable the Drive API/ })
})

t.test('an error response that is not from Google says nothing about an object', async (t) => {
  const { fake, backend } = await start(t)
  for (const [fault, code] of [
    [respondsWith(404), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '<html>' }), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '{"error": "x"}' }), 'PROVIDER_ERROR'],
    [respondsWith(403), 'ACCESS_DENIED'],
    [respondsWith(429), 'PROVIDER_THROTTLED'],
    [respondsWith(500, { body: '<html>' }), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(302), 'PROVIDER_ERROR'],
    [respondsWith(304), 'PROVIDER_ERROR'],
    [htmlPage(), 'PROVIDER_ERROR'],
    [resets(), 'PROVIDER_UNAVAILABLE'],
    [hangs(), 'PROVIDER_TIMEOUT'],
    [truncates({ content: '{"id": "x"}', afterBytes: 5 }), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.failNext(1, fault)
    await rejectsWith(t, backend.stat('x', callOptions()), code)
  }
})

t.test('the SDK uses the egress of the plugin only, whatever the environment contains', async (t) => {
  let reached = 0
  const proxy = createServer((socket) => {
    reached++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => proxy.close())
  const { port } = proxy.address() as { port: number }
  for (const address of [`http://127.0.0.1:${port}`, 'no address']) {
    setEnvironment(t, {
      HTTPS_PROXY: address,
      HTTP_PROXY: address,
      https_proxy: address,
      http_proxy: address,
      GOOGLE_CLOUD_UNIVERSE_DOMAIN: address
    })
    const { tree, fake, backend } = await start(t)
    tree.addFile({ name: 'a' })
    t.equal((await backend.listFolder(null, { ...callOptions(), limit: 10 })).entries.length, 1)
    t.equal(fake.requests.length, 2)
    for (const { headers } of fake.requests) t.equal(headers['authorization'], `Bearer ${FAKE_DRIVE_TOKEN}`)
  }
  t.equal(reached, 0)
})

t.test('requests go to Google, whatever universe the environment names', async (t) => {
  const urls: string[] = []
  const egress = {
    ...openEgress(),
    request: (request: HttpRequest) => {
      urls.push(request.url.origin + request.url.pathname)
      return Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', 'no network'))
    }
  }
  setEnvironment(t, { GOOGLE_CLOUD_UNIVERSE_DOMAIN: 'example.com' })
  const backend = await provider.open({
    accessTokens: VALID_TOKENS,
    egress,
    timeouts: TEST_TIMEOUTS,
    spool: TEST_SPOOL
  })
  await rejectsWith(t, backend.account(callOptions()), 'PROVIDER_UNAVAILABLE')
  t.same(urls, ['https://www.googleapis.com/drive/v3/about'])
})
