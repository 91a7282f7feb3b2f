import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { HttpRequest } from '../../../src/core/egress.ts'
import { Diagnosis, StorageError, type StorageErrorCode } from '../../../src/errors.ts'
import type { AccessTokens } from '../../../src/core/oauth.ts'
import { provider } from '../../../src/providers/onedrive/index.ts'
import { VALID_TOKENS, idOf, openOneDrive } from '../../contract/harness/onedrive.ts'
import { callOptions, rejectsWith, requireMethod } from '../../contract/suite/arrange.ts'
import { failureOf } from '../../support/rejection.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, truncates, hangs, htmlPage, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FakeGraph, type FakeGraphOptions } from '../../fakes/graph/fake-graph.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { isProviderDefinition } from '../../../src/core/provider.ts'
import { endsGrant, scopeName } from '../../../src/providers/onedrive/oauth.ts'

/** The statuses of an unavailable service. */
const OUTAGE = /answered 50[234]\b/

async function start(t: Test, tokens: AccessTokens = VALID_TOKENS, options: FakeGraphOptions = {}) {
  const fake = await FakeGraph.start(t, options)
  const egress = openEgress({ timeouts: { headersMs: 500 } })
  const { backend } = await openOneDrive(t, fake, tokens, egress)
  return { fake, tree: fake.tree, backend }
}

const json = (body: unknown, status = 200) => respondsWith(status, { body: JSON.stringify(body) })

t.test('the account is the Graph user, with or without a quota and a drive', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { fake, tree, backend } = await start(t, VALID_TOKENS, { kind })
    tree.addFile({ name: 'a', content: 'hello' })
    fake.knobs.quotaBytes = 100
    const account = await backend.account(callOptions())
    t.match(account, { name: 'me', email: 'me@example.com', quota: { used: 5, total: 100 } })
    t.match(account.id, /^[\da-f-]{16,36}$/)
  }
  const { fake, backend } = await start(t)
  const ME = { path: '/v1.0/me' }
  const DRIVE = { path: '/v1.0/me/drive' }
  fake.failNext(1, json({ id: 'x', quota: { used: 7, total: 0 } }), DRIVE)
  t.match(await backend.account(callOptions()), { quota: { used: 7, total: null } })
  fake.failNext(1, json({ id: 'x' }), DRIVE)
  t.match(await backend.account(callOptions()), { quota: null })
  for (const code of ['itemNotFound', 'accessDenied']) {
    fake.failNext(1, { code }, DRIVE)
    t.match(await backend.account(callOptions()), { name: 'me', quota: null }, code)
  }
  fake.failNext(1, { code: 'serviceNotAvailable' }, DRIVE)
  await rejectsWith(t, backend.account(callOptions()), 'PROVIDER_THROTTLED')
  fake.failNext(1, json({ id: '1', displayName: '', mail: null }), ME)
  t.match(await backend.account(callOptions()), { id: '1', name: '1', email: null })
  for (const body of [null, 'text', {}, { id: 7 }, { id: '' }]) {
    fake.failNext(1, json(body), ME)
    await rejectsWith(t, backend.account(callOptions()), 'PROVIDER_ERROR', JSON.stringify(body))
  }
})

t.test('each error is mapped by its code', async (t) => {
  const { fake, tree, backend } = await start(t)
  const id = idOf(tree.addFile({ name: 'a', content: 'a' }))
  const cases: [code: string, expected: StorageErrorCode, status?: number, headers?: object, waitMs?: number][] = [
    ['accessDenied', 'ACCESS_DENIED'],
    ['accessRestricted', 'ACCESS_DENIED', 403],
    ['notAllowed', 'ACCESS_DENIED', 403],
    ['malwareDetected', 'ACCESS_DENIED'],
    ['virusSuspicious', 'ACCESS_DENIED', 400],
    ['Authorization_RequestDenied', 'INSUFFICIENT_SCOPE', 403],
    ['constructor', 'ACCESS_DENIED', 403],
    ['itemNotFound', 'OBJECT_NOT_FOUND'],
    ['ResourceNotFound', 'OBJECT_NOT_FOUND', 404],
    ['nameAlreadyExists', 'ALREADY_EXISTS'],
    ['conflict', 'ALREADY_EXISTS', 409],
    ['resourceModified', 'PRECONDITION_FAILED'],
    ['entityTagDoesNotMatch', 'PRECONDITION_FAILED', 400],
    ['malformedEntityTag', 'PRECONDITION_FAILED', 400],
    ['requestEntityTooLarge', 'PAYLOAD_TOO_LARGE'],
    ['maxFileSizeExceeded', 'PAYLOAD_TOO_LARGE', 400],
    ['maxStreamSizeExceeded', 'PAYLOAD_TOO_LARGE', 400],
    ['resourceLocked', 'LOCKED'],
    ['lockMismatch', 'LOCKED', 409],
    ['quotaLimitReached', 'QUOTA_EXCEEDED'],
    ['childItemCountExceeded', 'QUOTA_EXCEEDED', 403],
    ['maxDocumentCountExceeded', 'QUOTA_EXCEEDED', 403],
    ['maxFolderCountExceeded', 'QUOTA_EXCEEDED', 403],
    ['maxItemCountExceeded', 'QUOTA_EXCEEDED', 403],
    ['resyncRequired', 'CURSOR_EXPIRED'],
    ['resyncApplyDifferences', 'CURSOR_EXPIRED', 410],
    ['resyncUploadDifferences', 'CURSOR_EXPIRED', 410],
    ['syncStateNotFound', 'CURSOR_EXPIRED', 410],
    ['invalidRange', 'RANGE_NOT_SATISFIABLE'],
    ['notSupported', 'UNSUPPORTED', 400],
    ['activityLimitReached', 'PROVIDER_THROTTLED', 429, {}, 1000],
    ['activityLimitReached', 'PROVIDER_THROTTLED', 429, { 'retry-after': '7' }, 7000],
    ['tooManyRequests', 'PROVIDER_THROTTLED', 429, { 'retry-after': '120' }, 120_000],
    ['throttledRequest', 'PROVIDER_THROTTLED', 400],
    ['anything', 'PROVIDER_THROTTLED', 429],
    ['anything', 'PROVIDER_THROTTLED', 509, { 'retry-after': '3' }, 3000],
    ['serviceNotAvailable', 'PROVIDER_THROTTLED', 503, { 'retry-after': '2' }, 2000],
    ['anything', 'PROVIDER_UNAVAILABLE', 503],
    ['accessDenied', 'PROVIDER_UNAVAILABLE', 500],
    ['generalException', 'PROVIDER_UNAVAILABLE'],
    ['generalException', 'PROVIDER_UNAVAILABLE', 502],
    ['anything', 'PROVIDER_TIMEOUT', 504],
    ['anything', 'QUOTA_EXCEEDED', 507],
    ['anything', 'LOCKED', 423],
    ['notAllowed', 'LOCKED', 423],
    ['notAllowed', 'PRECONDITION_FAILED', 412],
    ['accessDenied', 'PRECONDITION_FAILED', 412],
    ['preconditionFailed', 'PRECONDITION_FAILED', 400],
    ['accessDenied', 'PROVIDER_THROTTLED', 429, { 'retry-after': '4' }, 4000],
    ['BadRequest', 'PROVIDER_ERROR'],
    ['invalidQueryOption', 'PROVIDER_ERROR', 400],
    ['invalidParameterFormat', 'PROVIDER_ERROR', 400],
    ['invalidRequest', 'OBJECT_NOT_FOUND']
  ]
  for (const [code, expected, status, headers = {}, waitMs] of cases) {
    const refusal = { code, message: 'Bearer SECRET', ...(status !== undefined && { status }), headers: { ...headers } }
    const name = `${code} ${status ?? ''}`
    fake.failNext(1, refusal, { method: 'GET' })
    const before = fake.requests.length
    const error = await failureOf(backend.stat(id, callOptions()))
    t.equal(error.code, expected, name)
    t.equal(error.retryAfterMs, waitMs, name)
    t.equal(error.credentialsRefused, false, name)
    const { cause } = error
    t.ok(cause instanceof Diagnosis, name)
    t.equal(error.responded, !OUTAGE.test(String(cause)), name)
    t.notMatch(inspect(error, { depth: 10 }), /SECRET|EwB4/, name)
    t.equal(fake.requests.length - before, 1, `${name}: one request`)
  }
  fake.failNext(1, { code: 'notAllowed', status: 403 })
  const { cause } = await failureOf(backend.stat(id, callOptions()))
  t.match(cause, { message: /answered 403 .*, notAllowed$/ })
})

t.test('of several codes the most specific one is used', async (t) => {
  const { fake, tree, backend } = await start(t)
  const id = idOf(tree.addFile({ name: 'a', content: 'a' }))
  const inner = { code: 'maxFileSizeExceeded', innererror: { code: 'nobody knows this one' } }
  for (const name of ['innererror', 'innerError']) {
    fake.failNext(1, json({ error: { code: 'accessDenied', [name]: inner } }, 403))
    await rejectsWith(t, backend.stat(id, callOptions()), 'PAYLOAD_TOO_LARGE', name)
  }
  fake.failNext(1, json({ error: { code: 'invalidRequest', innererror: { code: 'invalidQueryOption' } } }, 400))
  await rejectsWith(t, backend.stat(id, callOptions()), 'PROVIDER_ERROR', 'an invalid query')
})

t.test('an error response that is not from Graph says nothing about an object', async (t) => {
  const { fake, tree, backend } = await start(t)
  const id = idOf(tree.addFile({ name: 'a', content: 'a' }))
  for (const [fault, code] of [
    [respondsWith(404), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '<html>' }), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '{"error": "x"}' }), 'PROVIDER_ERROR'],
    [respondsWith(404, { body: '{"error": {"code": ""}}' }), 'PROVIDER_ERROR'],
    [respondsWith(400), 'PROVIDER_ERROR'],
    [respondsWith(403), 'ACCESS_DENIED'],
    [respondsWith(409), 'PROVIDER_ERROR'],
    [respondsWith(429), 'PROVIDER_THROTTLED'],
    [respondsWith(500, { body: '<html>' }), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(302), 'PROVIDER_ERROR'],
    [respondsWith(304), 'PROVIDER_ERROR'],
    [htmlPage(), 'PROVIDER_ERROR'],
    [json(null), 'PROVIDER_ERROR'],
    [json({ id: 'x' }), 'PROVIDER_ERROR'],
    [json({ id: '', parentReference: { driveId: 'x' } }), 'PROVIDER_ERROR'],
    [resets(), 'PROVIDER_UNAVAILABLE'],
    [hangs(), 'PROVIDER_TIMEOUT'],
    [truncates({ content: '{"id": "x"}', afterBytes: 5 }), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.failNext(1, fault)
    await rejectsWith(t, backend.stat(id, callOptions()), code)
  }
})

t.test('an item that cannot be written is refused with an error for its kind', async (t) => {
  const { fake, tree, backend } = await start(t)
  const create = requireMethod(backend.createFolder?.bind(backend))
  const names = ['a:b', 'what?', 'a*', '<a>', '"a"', 'a|b', 'a\\b', ' a', 'a ', 'a.', 'CON', '~$a', 'x_vti_y', '\t']
  for (const name of names) {
    await rejectsWith(t, create(null, name, callOptions()), 'INVALID_REQUEST', `a folder ${name}`)
    const small = upload(backend, { parentId: null, name }, chunkedStream(Buffer.from('x')))
    await rejectsWith(t, small, 'INVALID_REQUEST', `a file ${name}`)
  }
  t.same(tree.children(), [])
  for (const name of ["it's #1 & 100%", 'a+b;c=d', '~tilde', '\u{1f4be} café', '%2e%2e', 'a@b,(c)!$']) {
    t.equal((await create(null, name, callOptions())).name, name)
    t.equal((await upload(backend, { parentId: null, name: `${name}.txt` }, chunkedStream(Buffer.from('x')))).size, 1)
  }
  const folder = tree.addFolder({ name: 'folder' })
  await rejectsWith(t, create(`${folder.driveId}/${tree.newId()}`, 'x', callOptions()), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, create('site:a.example,b,c', 'x', callOptions()), 'FOLDER_NOT_FOUND', 'in a site')
  const reading = { user: 'me', scopes: ['User.Read', 'Files.Read.All'] }
  const reader = await start(t, VALID_TOKENS, { authorize: () => reading })
  await rejectsWith(
    t,
    requireMethod(reader.backend.createFolder?.bind(reader.backend))(null, 'x', callOptions()),
    'ACCESS_DENIED'
  )
  fake.failNext(1, json({ id: 'x' }), { method: 'POST' })
  await rejectsWith(t, create(null, 'y', callOptions()), 'PROVIDER_ERROR')
  await rejectsWith(t, requireMethod(backend.remove?.bind(backend))('root', callOptions()), 'INVALID_REQUEST')
  const notebook = tree.addFolder({ name: 'notebook', package: { type: 'oneNote' } })
  await rejectsWith(
    t,
    requireMethod(backend.remove?.bind(backend))(idOf(notebook), callOptions()),
    'INVALID_REQUEST',
    'a notebook'
  )
  const locked = tree.addFile({ name: 'locked', locked: true })
  await rejectsWith(t, requireMethod(backend.remove?.bind(backend))(idOf(locked), callOptions()), 'LOCKED')
})

t.test('a folder is created in its parent folder', async (t) => {
  const { fake, tree, backend } = await start(t)
  const create = requireMethod(backend.createFolder?.bind(backend))
  const library = tree.addDrive({ name: 'Documents', site: tree.addSite({ name: 'Team' }) })
  const top = `${library.driveId}/root`
  t.match(await create(top, 'in a library', callOptions()), { parentId: top, driveId: library.driveId })
  t.match(await create(`${tree.root.driveId}/root`, 'in my own', callOptions()), { parentId: 'root' })
  const { backend: cold } = await openOneDrive(t, fake)
  const made = await requireMethod(cold.createFolder?.bind(cold))(null, 'new', callOptions())
  t.equal(made.parentId, 'root')
  t.same(await cold.stat(made.id, callOptions()), made)
})

t.test('a caller that aborts during the request for the content receives its reason', async (t) => {
  const { fake, tree, backend } = await start(t)
  const file = idOf(tree.addFile({ name: 'a' }))
  for (const reason of [new Error('enough'), new StorageError('PROVIDER_TIMEOUT', 'too late')]) {
    const controller = new AbortController()
    fake.failNext(
      1,
      () => {
        controller.abort(reason)
      },
      { host: 'content' }
    )
    const work = backend.download(file, { signal: controller.signal })
    t.equal(await work.catch((error: unknown) => error), reason)
  }
})

t.test('requests go to Microsoft only', async (t) => {
  const asked: HttpRequest[] = []
  const egress = {
    ...openEgress(),
    request: (request: HttpRequest) => {
      asked.push(request)
      return Promise.reject(new StorageError('PROVIDER_UNAVAILABLE', 'no network'))
    }
  }
  const backend = await provider.open({
    accessTokens: VALID_TOKENS,
    egress,
    timeouts: TEST_TIMEOUTS,
    spool: TEST_SPOOL
  })
  await rejectsWith(t, backend.stat('root', callOptions()), 'PROVIDER_UNAVAILABLE')
  t.equal(asked.length, 1)
  t.equal(asked[0]?.url.origin, 'https://graph.microsoft.com')
})

const refusal = (error: string, ...codes: unknown[]) => ({ error, body: { error, error_codes: codes } })

t.test('the provider names its authorization endpoint and requests minimal scopes', async (t) => {
  t.ok(isProviderDefinition(provider))
  t.match(provider, {
    id: 'onedrive',
    label: 'OneDrive and SharePoint',
    connect: {
      type: 'oauth2',
      server: {
        issuer: 'https://login.microsoftonline.com/{tenant}/v2.0',
        authorizationEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize',
        tokenEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token',
        revocationEndpoint: undefined
      },
      tenant: 'common',
      clientAuthentication: 'client_secret_post',
      scopes: ['offline_access', 'User.Read', 'Files.Read.All', 'Sites.Read.All'],
      authorizationParameters: { response_mode: 'query' }
    }
  })
})

t.test('a scope has one name, with and without the resource, in any case', async (t) => {
  for (const name of ['Files.Read.All', 'files.read.all', 'https://graph.microsoft.com/Files.Read.All']) {
    t.equal(scopeName(name), scopeName('Files.Read.All'), name)
  }
  t.equal(scopeName('HTTPS://graph.microsoft.com/user.read'), scopeName('User.Read'))
  t.equal(scopeName('Sites.Read.All'), scopeName('Files.Read.All'), 'an account without sites is granted no site scope')
  t.equal(scopeName('Sites.ReadWrite.All'), scopeName('Files.ReadWrite.All'))
  const different = ['Files.Read', 'Files.Read.All', 'Files.ReadWrite', 'Files.ReadWrite.All', 'Sites.Selected']
  t.equal(new Set(different.map(scopeName)).size, different.length)
  t.not(scopeName('https://example.com/Files.Read.All'), scopeName('Files.Read.All'))
})

t.test('an error that requires a login ends the grant', async (t) => {
  for (const error of ['invalid_grant', 'interaction_required', 'consent_required', 'login_required']) {
    t.equal(endsGrant({ error, body: { error } }), true, error)
    t.equal(endsGrant(refusal(error, 12345)), true, `${error}, with an unknown code`)
    t.equal(endsGrant({ error, body: { error_codes: 'no list' } }), true, `${error}, with invalid codes`)
  }
  for (const error of ['invalid_client', 'temporarily_unavailable', 'invalid_request', 'server_error', 'constructor']) {
    t.equal(endsGrant({ error, body: { error } }), false, error)
  }
})

t.test('the error codes of Microsoft take precedence over the OAuth error', async (t) => {
  const renewed = [50057, 50076, 50078, 50079, 50132, 50133, 50158, 50173, 53000, 53001, 53002, 53003, 53004, 65001]
  for (const code of [...renewed, 65004, 70000, 70008, 70043, 700020, 700082, 700084]) {
    t.equal(endsGrant(refusal('invalid_request', code)), true, `${code} requires a login`)
  }
  const passing = [40010, 50033, 50087, 50088, 50166, 50196, 70012, 80002, 80014, 90006, 90012, 90024, 90033]
  for (const code of [...passing, 90055, 90090, 90091]) {
    t.equal(endsGrant(refusal('invalid_grant', code)), false, `${code} is transient`)
    t.equal(endsGrant(refusal('interaction_required', 70008, code)), false, `${code} is transient, despite others`)
  }
  const registered = [50011, 50194, 70001, 70002, 700011, 700016, 700025, 7000112, 7000215, 7000218, 7000222]
  for (const code of registered) {
    t.equal(endsGrant(refusal('invalid_grant', code)), false, `${code} is a matter for the operator`)
    t.equal(
      endsGrant(refusal('invalid_client', code, 70008)),
      false,
      `${code} is a matter for the operator, whatever other codes there are`
    )
  }
})
