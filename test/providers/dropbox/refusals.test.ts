import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { HttpRequest } from '../../../src/core/egress.ts'
import { Diagnosis, StorageError, type StorageErrorCode } from '../../../src/errors.ts'
import type { AccessTokens } from '../../../src/core/oauth.ts'
import { isProviderDefinition } from '../../../src/core/provider.ts'
import { Secret } from '../../../src/core/secret.ts'
import { provider, dropbox } from '../../../src/providers/dropbox/index.ts'
import { endpointsOf, VALID_TOKENS, openDropbox } from '../../contract/harness/dropbox.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { failureOf } from '../../support/rejection.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, truncates, hangs, htmlPage, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_DROPBOX_TOKEN, FakeDropbox, type FakeDropboxOptions } from '../../fakes/dropbox/fake-dropbox.ts'
import { readBody } from '../../support/app/read-body.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

/** The statuses of an unavailable service. */
const OUTAGE = /answered 50[234]\b/

async function start(t: Test, tokens: AccessTokens = VALID_TOKENS, options?: FakeDropboxOptions) {
  const fake = await FakeDropbox.start(t, options)
  const { backend } = await openDropbox(t, fake, tokens, openEgress({ timeouts: { headersMs: 500 } }))
  return { fake, tree: fake.tree, backend }
}

const LOOK = { path: '/2/files/get_metadata' }
const path = (tag: string, more: object = {}) => ({ '.tag': 'path', path: { '.tag': tag, ...more } })

t.test('the provider names its authorization endpoint and requests minimal scopes', async (t) => {
  t.ok(isProviderDefinition(provider))
  t.match(provider, {
    id: 'dropbox',
    label: 'Dropbox',
    connect: {
      type: 'oauth2',
      server: {
        issuer: 'https://www.dropbox.com',
        authorizationEndpoint: 'https://www.dropbox.com/oauth2/authorize',
        tokenEndpoint: 'https://api.dropboxapi.com/oauth2/token'
      },
      clientAuthentication: 'client_secret_post',
      scopes: ['account_info.read', 'files.metadata.read', 'files.content.read'],
      authorizationParameters: { token_access_type: 'offline' }
    }
  })
  const urls: string[] = []
  const egress = {
    ...openEgress(),
    request: (request: HttpRequest) => {
      urls.push(request.url.href)
      return Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', 'no network'))
    }
  }
  const backend = await provider.open({
    accessTokens: VALID_TOKENS,
    egress,
    timeouts: TEST_TIMEOUTS,
    spool: TEST_SPOOL
  })
  await rejectsWith(t, backend.account(callOptions()), 'PROVIDER_UNAVAILABLE')
  t.same(urls, ['https://api.dropboxapi.com/2/users/get_current_account'])
})

t.test('the account is the Dropbox user, with the quota of the user or the team', async (t) => {
  const { fake, tree, backend } = await start(t)
  tree.addFile({ name: 'a', content: 'hello' })
  fake.knobs.quotaBytes = 100
  const account = await backend.account(callOptions())
  t.match(account, { name: 'me', email: 'me@example.com', quota: { used: 5, total: 100 } })
  t.match(account.id, /^dbid:/)
  const says = (body: unknown, path: RegExp) => {
    fake.failNext(1, respondsWith(200, { body: JSON.stringify(body) }), { path })
  }
  const team = (more: object) => ({ used: 3, allocation: { '.tag': 'team', used: 40, allocated: 90, ...more } })
  const own = (tag: string, bytes = 7) => ({
    user_within_team_space_allocated: bytes,
    user_within_team_space_limit_type: { '.tag': tag }
  })
  for (const [space, quota] of [
    [team(own('off', 0)), { used: 40, total: 90 }],
    [team(own('alert_only')), { used: 40, total: 90 }],
    [team(own('stop_sync')), { used: 3, total: 7 }],
    [team({ used: 'x' }), null],
    [
      { used: 3, allocation: { '.tag': 'other' } },
      { used: 3, total: null }
    ],
    [{ used: '3' }, null],
    [{}, null]
  ]) {
    says(space, /get_space_usage/)
    t.same((await backend.account(callOptions())).quota, quota, JSON.stringify(space))
  }
  says({ account_id: 'dbid:1', email: 'x@example.com' }, /get_current_account/)
  t.match(await backend.account(callOptions()), { id: 'dbid:1', name: 'x@example.com' })
  says({ account_id: 'dbid:1' }, /get_current_account/)
  t.match(await backend.account(callOptions()), { id: 'dbid:1', name: 'dbid:1', email: null })
  for (const body of [null, 'text', {}, [], { account_id: '' }, { account_id: 5 }]) {
    says(body, /get_current_account/)
    await rejectsWith(t, backend.account(callOptions()), 'PROVIDER_ERROR', JSON.stringify(body))
  }
})

t.test('each error is mapped by its tags', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'a' })
  const list = () => backend.listFolder(null, { ...callOptions(), limit: 10 })
  await list()
  const limit = (tag: string, retry_after?: number) => ({ reason: { '.tag': tag }, retry_after })
  const cases: [
    error: object | string,
    code: StorageErrorCode,
    status?: number,
    retryAfter?: number | undefined,
    waitMs?: number
  ][] = [
    [path('not_found'), 'OBJECT_NOT_FOUND'],
    [path('not_file'), 'OBJECT_NOT_FOUND'],
    [path('malformed_path'), 'OBJECT_NOT_FOUND'],
    [path('restricted_content'), 'ACCESS_DENIED'],
    [path('no_write_permission'), 'ACCESS_DENIED'],
    [path('access_restricted'), 'ACCESS_DENIED'],
    [path('operation_suppressed'), 'ACCESS_DENIED'],
    [path('team_folder'), 'ACCESS_DENIED'],
    [path('insufficient_space'), 'QUOTA_EXCEEDED'],
    [path('team_folder_insufficient_space'), 'QUOTA_EXCEEDED'],
    [path('member_folder_insufficient_space'), 'QUOTA_EXCEEDED'],
    [path('upload_traffic_limit_reached'), 'QUOTA_EXCEEDED'],
    [path('disallowed_name'), 'INVALID_REQUEST'],
    [path('locked'), 'LOCKED'],
    [path('unsupported_content_type'), 'UNSUPPORTED'],
    [path('conflict', { conflict: { '.tag': 'file' } }), 'ALREADY_EXISTS'],
    [path('too_many_write_operations'), 'PROVIDER_THROTTLED', 409, undefined, 0],
    [path('other'), 'PROVIDER_ERROR'],
    [path('constructor'), 'PROVIDER_ERROR'],
    [{ '.tag': 'path_lookup', path_lookup: { '.tag': 'not_found' } }, 'OBJECT_NOT_FOUND'],
    [{ '.tag': 'path_write', path_write: { '.tag': 'no_write_permission' } }, 'ACCESS_DENIED'],
    [{ '.tag': 'path', reason: { '.tag': 'insufficient_space' } }, 'QUOTA_EXCEEDED'],
    [{ '.tag': 'too_many_write_operations' }, 'PROVIDER_THROTTLED', 409, undefined, 0],
    [{ '.tag': 'payload_too_large' }, 'PAYLOAD_TOO_LARGE'],
    [{ '.tag': 'too_large' }, 'PAYLOAD_TOO_LARGE'],
    [{ '.tag': 'invalid_export_format' }, 'INVALID_REQUEST'],
    [{ '.tag': 'email_not_verified' }, 'ACCESS_DENIED'],
    [{ '.tag': 'not_allowed' }, 'ACCESS_DENIED'],
    [{ '.tag': 'reset' }, 'CURSOR_EXPIRED'],
    [{ '.tag': 'other' }, 'PROVIDER_ERROR'],
    [{ '.tag': 'invalid_account_type' }, 'ACCESS_DENIED', 403],
    [limit('too_many_requests'), 'PROVIDER_THROTTLED', 429],
    [limit('too_many_requests', 7), 'PROVIDER_THROTTLED', 429, undefined, 7000],
    [limit('too_many_write_operations', 300), 'PROVIDER_THROTTLED', 429, 8, 8000],
    [limit('too_many_requests', -1), 'PROVIDER_THROTTLED', 429],
    ['no JSON', 'PROVIDER_THROTTLED', 429, 3, 3000],
    ['Error in call to API function', 'PROVIDER_ERROR', 400],
    ['unknown', 'PROVIDER_ERROR', 404],
    [path('not_found'), 'PROVIDER_ERROR', 404],
    [{ '.tag': 'retry_error' }, 'PROVIDER_UNAVAILABLE'],
    [path('not_found'), 'PROVIDER_UNAVAILABLE', 500],
    ['', 'PROVIDER_UNAVAILABLE', 503],
    ['', 'PROVIDER_THROTTLED', 503, 2, 2000]
  ]
  for (const [error, code, status = 409, retryAfter, waitMs] of cases) {
    const told = typeof error === 'string' ? error : { ...error, user_message: { text: 'Bearer SECRET' } }
    const name = `${status} ${JSON.stringify(error)}`
    for (const [at, ask] of [
      ['/2/files/get_metadata', () => backend.stat(id, callOptions())],
      [
        '/2/files/get_temporary_link',
        () => backend.downloadUrl!(id, { ...callOptions(), expiresInMs: 1, acceptLonger: true })
      ]
    ] as const) {
      fake.failNext(1, { status, error: told, ...(retryAfter !== undefined && { retryAfter }) }, { path: at })
      const before = fake.requests.length
      const failure = await failureOf(ask())
      t.equal(failure.code, code, name)
      t.equal(failure.retryAfterMs, waitMs, name)
      t.equal(failure.credentialsRefused, false, name)
      t.ok(failure.cause instanceof Diagnosis, name)
      t.equal(failure.responded, !OUTAGE.test(String(failure.cause)), name)
      t.notMatch(inspect(failure, { depth: 10 }), /SECRET|sl\.fake/, name)
      t.equal(fake.requests.length - before, 1, `${name}: one request`)
    }
  }
  for (const [error, code] of [
    [path('not_found'), 'FOLDER_NOT_FOUND'],
    [path('not_folder'), 'FOLDER_NOT_FOUND'],
    [path('malformed_path'), 'INVALID_REQUEST']
  ] as const) {
    fake.failNext(1, { status: 409, error })
    await rejectsWith(t, list(), code)
  }
})

t.test('an error response that is not from Dropbox says nothing about an object', async (t) => {
  const { fake, tree, backend } = await start(t)
  await backend.listFolder(null, { ...callOptions(), limit: 1 })
  const { id } = tree.addFile({ name: 'a' })
  for (const [fault, code] of [
    [respondsWith(404), 'PROVIDER_ERROR'],
    [respondsWith(410), 'PROVIDER_ERROR'],
    [respondsWith(409), 'PROVIDER_ERROR'],
    [respondsWith(409, { body: '<html>path/not_found' }), 'PROVIDER_ERROR'],
    [respondsWith(409, { body: '{"error_summary": 5}' }), 'PROVIDER_ERROR'],
    [respondsWith(412), 'PROVIDER_ERROR'],
    [respondsWith(403), 'ACCESS_DENIED'],
    [respondsWith(500, { body: '<html>' }), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(302, { headers: { location: '/elsewhere' } }), 'PROVIDER_ERROR'],
    [htmlPage(), 'PROVIDER_ERROR'],
    [respondsWith(200, { body: '{".tag": "deleted", "name": "a"}' }), 'OBJECT_NOT_FOUND'],
    [respondsWith(200, { body: '{"id": "id:x", "name": "a"}' }), 'PROVIDER_ERROR'],
    [resets(), 'PROVIDER_UNAVAILABLE'],
    [hangs(), 'PROVIDER_TIMEOUT'],
    [truncates({ content: '{".tag": "file"}', afterBytes: 5 }), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.failNext(1, fault, LOOK)
    await rejectsWith(t, backend.stat(id, callOptions()), code)
  }
})

t.test('a refused download has the reason', async (t) => {
  const { tree, backend } = await start(t)
  for (const [refused, code] of [
    ['restricted_content', 'ACCESS_DENIED'],
    ['locked', 'LOCKED'],
    ['unsupported_content_type', 'UNSUPPORTED'],
    ['other', 'PROVIDER_ERROR']
  ] as const) {
    const { id } = tree.addFile({ name: refused, lookupError: refused })
    await rejectsWith(t, backend.download(id, callOptions()), code, refused)
  }
})

t.test('after any rejected token the token endpoint decides whether the grant has ended', async (t) => {
  const { fake, backend } = await start(t)
  fake.tokens.clear()
  for (const tag of ['expired_access_token', 'invalid_access_token', 'user_suspended'] as const) {
    fake.knobs.invalidTokenError = tag
    const error = await failureOf(backend.account(callOptions()))
    t.match(error, { code: 'ACCESS_DENIED', credentialsRefused: false }, tag)
  }
})

t.test('a missing scope is named, and no token is refreshed for it', async (t) => {
  const renewed = () => Promise.reject(new Error('nobody should ask'))
  const scopes = ['account_info.read', 'files.metadata.read', 'files.content.read']
  const { fake, tree, backend } = await start(
    t,
    { ...VALID_TOKENS, renewed },
    {
      authorize: (bearer) => (bearer === FAKE_DROPBOX_TOKEN ? { user: 'me', scopes } : null)
    }
  )
  const { id } = tree.addFile({ name: 'a', content: 'x' })
  t.equal(
    (await readBody((await backend.download(id, callOptions())).body)).toString(),
    'x',
    'reading needs no further scope'
  )
  for (const ask of [
    () => upload(backend, { parentId: null, name: 'x' }, chunkedStream(Buffer.from('x'))),
    () => upload(backend, { id }, chunkedStream(Buffer.alloc(9 * 1024 * 1024))),
    () => backend.createFolder!(null, 'x', callOptions()),
    () => backend.remove!(id, callOptions())
  ]) {
    const error = await failureOf(ask())
    t.equal(error.code, 'INSUFFICIENT_SCOPE')
    t.match(error.cause, { message: /missing_scope: files\.content\.write$/ })
  }
  const odd = { status: 401, error: { '.tag': 'missing_scope', required_scope: 'Bearer SECRET' } }
  fake.failNext(1, odd, LOOK)
  t.notMatch(inspect(await failureOf(backend.stat(id, callOptions())), { depth: 5 }), /SECRET/)
})

t.test('revoking a grant sends its token, and an ended grant is not an error', async (t) => {
  const revoked: string[] = []
  const fake = await FakeDropbox.start(t, { onRevoke: (bearer) => revoked.push(bearer) })
  const egress = openEgress()
  t.teardown(() => egress.close())
  const { connect } = dropbox(endpointsOf(fake))
  const revoke = () => connect.revoke!(new Secret(FAKE_DROPBOX_TOKEN), { egress, ...callOptions() })
  fake.failNext(1, { status: 429, error: { reason: { '.tag': 'too_many_requests' } }, retryAfter: 2 })
  t.match(await failureOf(revoke()), { code: 'PROVIDER_THROTTLED', retryAfterMs: 2000 })
  fake.failNext(1, respondsWith(500))
  await rejectsWith(t, revoke(), 'PROVIDER_UNAVAILABLE')
  t.same(revoked, [])
  await revoke()
  t.same(revoked, [FAKE_DROPBOX_TOKEN])
  await revoke()
  t.same(revoked, [FAKE_DROPBOX_TOKEN])
  const [request] = fake.requests
  t.match(request, { method: 'POST', path: '/2/auth/token/revoke', headers: { 'content-type': 'application/json' } })
  t.equal(request?.body?.toString(), 'null')
})
