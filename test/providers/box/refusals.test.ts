import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { HttpRequest } from '../../../src/core/egress.ts'
import { Diagnosis, StorageError, type StorageErrorCode } from '../../../src/errors.ts'
import type { AccessTokens } from '../../../src/core/oauth.ts'
import { isProviderDefinition } from '../../../src/core/provider.ts'
import { provider } from '../../../src/providers/box/index.ts'
import { VALID_TOKENS, openBox } from '../../contract/harness/box.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { failureOf } from '../../support/rejection.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, truncates, hangs, htmlPage, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { BOX_READ_SCOPE, FakeBox, type FakeBoxOptions } from '../../fakes/box/fake-box.ts'
import { readBody } from '../../support/app/read-body.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

/** The statuses of an unavailable service. */
const OUTAGE = /answered 50[234]\b/

async function start(t: Test, tokens: AccessTokens = VALID_TOKENS, options: FakeBoxOptions = {}) {
  const fake = await FakeBox.start(t, options)
  const egress = openEgress({ timeouts: { headersMs: 500 } })
  const { backend } = await openBox(t, fake, tokens, egress)
  return { fake, tree: fake.tree, backend }
}

t.test('the provider names its authorization endpoint and requests the scopes of its registration', async (t) => {
  t.ok(isProviderDefinition(provider))
  t.match(provider, {
    id: 'box',
    label: 'Box',
    connect: {
      type: 'oauth2',
      server: {
        issuer: 'https://account.box.com',
        authorizationEndpoint: 'https://account.box.com/api/oauth2/authorize',
        tokenEndpoint: 'https://api.box.com/oauth2/token',
        revocationEndpoint: 'https://api.box.com/oauth2/revoke'
      },
      clientAuthentication: 'client_secret_post'
    }
  })
  t.same(provider.connect.scopes, [])
})

/** An egress that allows only Box's own API, and redirects a download to `location`. */
function openReal(location: () => string) {
  const asked: string[] = []
  const request = async ({ method, url }: HttpRequest) => {
    asked.push(url.origin)
    if (url.hostname !== 'api.box.com') throw new StorageError('PROVIDER_UNAVAILABLE', 'no network')
    const isContent = method === 'GET' && url.pathname.endsWith('/content')
    const body = Readable.from([Buffer.from('{"type": "file", "id": "1", "name": "a", "size": 1}')])
    const headers: Record<string, string> = isContent ? { location: location() } : {}
    return { status: isContent ? 302 : 200, headers, url, body, discard: async () => {} }
  }
  const context = {
    accessTokens: VALID_TOKENS,
    egress: { ...openEgress(), request },
    timeouts: TEST_TIMEOUTS,
    spool: TEST_SPOOL
  }
  return { asked, opening: provider.open(context) }
}

t.test('Box is reached at its own hosts, and content at documented hosts only', async (t) => {
  let location = ''
  const { asked, opening } = openReal(() => location)
  const backend = await opening
  for (location of ['https://dl.boxcloud.com/d/1/x/download', 'https://a.b.boxcloud.com/x', 'https://dl.box.com/x']) {
    await rejectsWith(t, backend.download('file:1', callOptions()), 'PROVIDER_UNAVAILABLE', location)
    t.equal(asked.at(-1), new URL(location).origin)
  }
  for (location of ['https://notbox.com/x', 'http://dl.boxcloud.com/x', 'https://dl.boxcloud.com:444/x']) {
    await rejectsWith(t, backend.download('file:1', callOptions()), 'PROVIDER_ERROR', location)
    t.equal(asked.at(-1), 'https://api.box.com')
  }
  await rejectsWith(
    t,
    upload(backend, { parentId: null, name: 'x' }, chunkedStream(Buffer.from('x'))),
    'PROVIDER_UNAVAILABLE'
  )
  t.equal(asked.at(-1), 'https://upload.box.com')
})

t.test('the account is the Box user, with or without a quota', async (t) => {
  const { fake, tree, backend } = await start(t)
  tree.addFile({ name: 'a', content: 'hello' })
  fake.knobs.quotaBytes = 100
  const account = await backend.account(callOptions())
  t.match(account, { name: 'me', email: 'me@example.com', quota: { used: 5, total: 100 } })
  t.match(account.id, /^\d+$/)
  const says = (body: unknown) => {
    fake.failNext(1, respondsWith(200, { body: JSON.stringify(body) }))
  }
  for (const [space_amount, total] of [
    [-1, null],
    [999_999_999_999_999, null],
    [1e18, null],
    [999_999_999_999_998, 999_999_999_999_998],
    [0, 0],
    ['5', null],
    [null, null]
  ] as const) {
    says({ id: '1', space_amount, space_used: 7 })
    t.same((await backend.account(callOptions())).quota, { used: 7, total }, String(space_amount))
  }
  for (const space_used of [-1, '7', null, undefined]) {
    says({ id: '1', name: '', login: 'x@example.com', space_amount: 5, space_used })
    t.same(await backend.account(callOptions()), {
      id: '1',
      name: 'x@example.com',
      email: 'x@example.com',
      quota: null
    })
  }
  says({ id: '1' })
  t.same(await backend.account(callOptions()), { id: '1', name: '1', email: null, quota: null })
  for (const body of [null, 'text', {}, [], { id: '' }, { id: 1 }]) {
    says(body)
    await rejectsWith(t, backend.account(callOptions()), 'PROVIDER_ERROR', JSON.stringify(body))
  }
})

t.test('each Box error is mapped by its code', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'a' })
  const ABOUT_MARKER = { errors: [{ reason: 'invalid_parameter', name: 'marker', message: 'x' }] }
  const cases: [name: string, code: StorageErrorCode, more?: object, waitMs?: number][] = [
    ['insufficient_scope', 'INSUFFICIENT_SCOPE'],
    ['access_denied_insufficient_permissions', 'ACCESS_DENIED'],
    ['forbidden_by_policy', 'ACCESS_DENIED'],
    ['forbidden', 'ACCESS_DENIED'],
    ['access_denied_item_locked', 'LOCKED', { status: 403 }],
    ['storage_limit_exceeded', 'QUOTA_EXCEEDED'],
    ['file_size_limit_exceeded', 'PAYLOAD_TOO_LARGE'],
    ['item_name_invalid', 'INVALID_REQUEST'],
    ['item_name_too_long', 'INVALID_REQUEST'],
    ['not_found', 'OBJECT_NOT_FOUND'],
    ['trashed', 'OBJECT_NOT_FOUND'],
    ['item_name_in_use', 'ALREADY_EXISTS'],
    ['conflict', 'ALREADY_EXISTS', { status: 409 }],
    ['name_temporarily_reserved', 'LOCKED'],
    ['operation_blocked_temporary', 'LOCKED'],
    ['precondition_failed', 'PRECONDITION_FAILED'],
    ['rate_limit_exceeded', 'PROVIDER_THROTTLED'],
    ['rate_limit_exceeded', 'PROVIDER_THROTTLED', { headers: { 'retry-after': '7' } }, 7000],
    ['bad_digest', 'PROVIDER_UNAVAILABLE'],
    ['bad_request', 'PROVIDER_ERROR'],
    ['bad_request', 'CURSOR_EXPIRED', { contextInfo: ABOUT_MARKER }],
    ['metadata_after_file_contents', 'PROVIDER_ERROR'],
    ['method_not_allowed', 'UNSUPPORTED'],
    ['payload_too_large', 'PAYLOAD_TOO_LARGE', { status: 413 }],
    ['trashed', 'PROVIDER_UNAVAILABLE', { status: 500 }],
    ['internal_server_error', 'PROVIDER_UNAVAILABLE'],
    ['bad_gateway', 'PROVIDER_UNAVAILABLE'],
    ['unavailable', 'PROVIDER_UNAVAILABLE'],
    ['unavailable', 'PROVIDER_THROTTLED', { headers: { 'retry-after': '2' } }, 2000]
  ]
  for (const [refusal, code, more = {}, waitMs] of cases) {
    for (const [limits, ask] of [
      [{}, () => backend.stat(`file:${id}`, callOptions())],
      [{ path: /content$/ }, () => backend.download(`file:${id}`, callOptions())]
    ] as const) {
      fake.failNext(1, { code: refusal, message: 'Bearer SECRET', ...more }, limits)
      const before = fake.requests.length
      const error = await failureOf(ask())
      t.equal(error.code, code, refusal)
      t.equal(error.retryAfterMs, waitMs, refusal)
      t.equal(error.credentialsRefused, false, refusal)
      const { cause } = error
      t.ok(cause instanceof Diagnosis, refusal)
      t.equal(error.responded, !OUTAGE.test(String(cause)), refusal)
      t.notMatch(inspect(error, { depth: 10 }), /SECRET|fake-box-token/, refusal)
      t.equal(fake.requests.length - before, 'path' in limits ? 2 : 1, `${refusal}: one request`)
    }
  }
  fake.failNext(1, { code: 'not_found' })
  await rejectsWith(t, backend.listFolder('folder:5', { ...callOptions(), limit: 1 }), 'FOLDER_NOT_FOUND')
})

t.test('an error response that is not from Box says nothing about an item', async (t) => {
  const { fake, backend } = await start(t)
  const scope = { 'www-authenticate': 'Bearer realm="Service", error="insufficient_scope"' }
  for (const [fault, code] of [
    [respondsWith(404), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '<html>' }), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '{"code": "not_found"}' }), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '{"type": "error"}' }), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '{"type": "error", "code": "invalid_parameter"}' }), 'OBJECT_NOT_FOUND'],
    [respondsWith(409), 'PROVIDER_ERROR'],
    [respondsWith(403), 'ACCESS_DENIED'],
    [respondsWith(403, { body: '{"type": "error", "code": "constructor"}' }), 'ACCESS_DENIED'],
    [respondsWith(403, { headers: scope }), 'INSUFFICIENT_SCOPE'],
    [respondsWith(400), 'PROVIDER_ERROR'],
    [respondsWith(429), 'PROVIDER_THROTTLED'],
    [respondsWith(500, { body: '<html>' }), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(302), 'PROVIDER_ERROR'],
    [respondsWith(304), 'PROVIDER_ERROR'],
    [htmlPage(), 'PROVIDER_ERROR'],
    [resets(), 'PROVIDER_UNAVAILABLE'],
    [hangs(), 'PROVIDER_TIMEOUT'],
    [truncates({ content: '{"id": "1"}', afterBytes: 5 }), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.failNext(1, fault)
    await rejectsWith(t, backend.stat('file:1', callOptions()), code)
  }
})

t.test('with a read-only scope nothing is written', async (t) => {
  const options = { authorize: () => ({ user: 'me', scopes: [BOX_READ_SCOPE] }) }
  const { tree, backend } = await start(t, VALID_TOKENS, options)
  const { id } = tree.addFile({ name: 'a', content: 'content' })
  t.equal((await readBody((await backend.download(`file:${id}`, callOptions())).body)).toString(), 'content')
  const work = upload(backend, { parentId: null, name: 'x' }, chunkedStream(Buffer.from('x')))
  await rejectsWith(t, work, 'INSUFFICIENT_SCOPE')
  for (const writing of [
    backend.remove?.(`file:${id}`, callOptions()),
    backend.createFolder?.(null, 'x', callOptions())
  ]) {
    await rejectsWith(t, writing ?? Promise.resolve(), 'INSUFFICIENT_SCOPE')
  }
})

t.test('removing deletes a file or a link, never a folder', async (t) => {
  const { fake, tree, backend } = await start(t)
  const remove = async (id: string) => backend.remove?.(id, callOptions())
  const file = tree.addFile({ name: 'file' })
  const link = tree.addWebLink({ name: 'link', url: 'https://example.org/' })
  const folder = tree.addFolder({ name: 'folder' })
  const kept = tree.addFile({ name: 'kept', permissions: { can_delete: false } })
  t.equal(file.id, folder.id, 'both have the same number')
  await remove(`file:${file.id}`)
  await remove(`file:${file.id}`)
  await remove(`link:${link.id}`)
  await rejectsWith(t, remove(`folder:${folder.id}`), 'INVALID_REQUEST')
  await rejectsWith(t, remove(`file:${kept.id}`), 'ACCESS_DENIED')
  fake.failNext(1, respondsWith(404))
  await rejectsWith(t, remove(`file:${kept.id}`), 'PROVIDER_ERROR', 'a 404 that is not from Box')
  t.same(
    tree.children().map(({ name }) => name),
    ['folder', 'kept']
  )
})

t.test('a folder is created once, in an existing folder', async (t) => {
  const { tree, backend } = await start(t)
  const create = async (parentId: string | null, name: string) => backend.createFolder?.(parentId, name, callOptions())
  const made = await create('folder:0', 'made')
  t.same(made, await backend.stat(made?.id ?? '', callOptions()))
  await rejectsWith(t, create(null, 'MADE'), 'ALREADY_EXISTS')
  const file = tree.addFile({ name: 'file' })
  await rejectsWith(t, create(null, 'file'), 'ALREADY_EXISTS')
  await rejectsWith(t, create(`file:${file.id}`, 'x'), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, create(`folder:${tree.newId()}`, 'x'), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, create(null, 'a\\b'), 'INVALID_REQUEST')
})
