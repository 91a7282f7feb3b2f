import t from 'tap'
import { openDropbox, startDropbox } from '../../contract/harness/dropbox.ts'
import { callOptions, find, rejectsWith } from '../../contract/suite/arrange.ts'
import { respondsWith, resets } from '../../fakes/faults.ts'
import { FakeDropbox } from '../../fakes/dropbox/fake-dropbox.ts'
import { readBody } from '../../support/app/read-body.ts'
import { until } from '../../support/time/until.ts'

const ROOT = 'dropbox-api-path-root'
const ACCOUNT = '/2/users/get_current_account'
const askedOfAccount = (fake: FakeDropbox) => fake.requests.filter(({ path }) => path === ACCOUNT).length

t.test('a user without a team uses the own root, and the account is requested once', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  tree.addFile({ name: 'x' })
  t.equal(askedOfAccount(fake), 0, 'opening makes no call')
  await Promise.all(Array.from({ length: 10 }, () => backend.listFolder(null, { ...callOptions(), limit: 1 })))
  t.equal(askedOfAccount(fake), 1)
  t.ok(fake.requests.every(({ headers }) => headers[ROOT] === undefined))
})

t.test('a team member sees the team folders beside the own one, whatever the tag of the root', async (t) => {
  for (const tag of ['team', 'user'] as const) {
    const { fake, tree, backend, uploadAndVerify, newRequests } = await startDropbox(t, { team: true })
    fake.knobs.rootTag = tag
    const folder = tree.addTeamFolder({ name: 'Team' })
    const file = tree.addFile({ name: 'x', parent: folder, content: 'content' })
    tree.addFile({ name: 'own' })
    t.same((await backend.listFolder(null, { ...callOptions(), limit: 10 })).entries.map(({ name }) => name).sort(), [
      'Me',
      'Team'
    ])
    t.match(await backend.stat(file.id, callOptions()), { parentId: folder.id, path: '/Team/x' })
    t.match(await find(backend, 'Me/own'), { parentId: tree.root.id })
    t.equal((await readBody((await backend.download(file.id, callOptions())).body)).toString(), 'content')
    await backend.downloadUrl?.(file.id, { ...callOptions(), expiresInMs: 1000, acceptLonger: true })
    await uploadAndVerify(Buffer.from('new'), {}, { parentId: folder.id, name: 'new' })
    await uploadAndVerify(Buffer.alloc(9 * 1024 * 1024), {}, { id: file.id })
    t.match(await backend.createFolder?.(folder.id, 'inner', callOptions()), { path: '/Team/inner' })
    await backend.remove?.(file.id, callOptions())
    const header = JSON.stringify({ '.tag': 'root', root: tree.teamRoot?.namespaceId })
    const requests = newRequests()
    t.ok(requests.length > 10)
    for (const { headers, path } of requests) t.equal(headers[ROOT], header, path)
    t.equal(askedOfAccount(fake), 1)
    await backend.account(callOptions())
    const users = fake.requests.filter(({ path }) => path.startsWith('/2/users/'))
    t.ok(users.every(({ headers }) => headers[ROOT] === undefined))
  }
})

t.test('a changed root is requested again, for calls and uploads alike', async (t) => {
  const { fake, tree, backend, uploadAndVerify } = await startDropbox(t, { team: true })
  tree.addTeamFolder({ name: 'Team' })
  const list = () => backend.listFolder(null, { ...callOptions(), limit: 10 })
  t.equal((await list()).entries.length, 2)
  fake.moveRoot()
  t.equal((await list()).entries.length, 2)
  t.equal(askedOfAccount(fake), 2)
  fake.moveRoot()
  await Promise.all([list(), list(), list()])
  t.equal(askedOfAccount(fake), 3, 'once for all refused calls')
  fake.moveRoot()
  await uploadAndVerify(Buffer.from('x'), {}, { parentId: tree.root.id, name: 'x' })
  fake.moveRoot()
  await backend.account(callOptions())
  const before = askedOfAccount(fake)
  await list()
  t.equal(askedOfAccount(fake), before, 'the account response contains the root')
  const gone = { status: 422, error: { '.tag': 'invalid_root', invalid_root: {} } }
  fake.failNext(2, gone, { path: /list_folder/ })
  await rejectsWith(t, list(), 'PROVIDER_ERROR', 'only once per call')
  fake.failNext(2, { status: 422, error: { '.tag': 'no_permission' } }, { path: /list_folder/ })
  await rejectsWith(t, list(), 'ACCESS_DENIED')
})

t.test('a root that could not be read is requested again', async (t) => {
  const { fake, backend } = await startDropbox(t)
  const list = () => backend.listFolder(null, { ...callOptions(), limit: 10 })
  const account = (root_info: unknown) =>
    respondsWith(200, { body: JSON.stringify({ account_id: 'dbid:x', root_info }) })
  for (const [fault, code] of [
    [resets(), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(429, { retryAfter: 3 }), 'PROVIDER_THROTTLED'],
    [account(undefined), 'PROVIDER_ERROR'],
    [account({ root_namespace_id: 5 }), 'PROVIDER_ERROR'],
    [account({ root_namespace_id: 'a"}\r\n' }), 'PROVIDER_ERROR']
  ] as const) {
    fake.failNext(1, fault, { path: ACCOUNT })
    await rejectsWith(t, list(), code)
  }
  t.same((await list()).entries, [])
  t.same(await backend.account(callOptions()).then(({ name }) => name), 'me')
})

t.test('aborting one caller does not end the request for the root for others', async (t) => {
  const fake = await FakeDropbox.start(t)
  const { backend } = await openDropbox(t, fake)
  let answer = () => {}
  fake.failNext(
    1,
    (_request, response) => {
      answer = () => {
        const root_info = { root_namespace_id: '1', home_namespace_id: '1' }
        response.writeHead(200).end(JSON.stringify({ account_id: 'dbid:x', root_info }))
      }
    },
    { path: ACCOUNT }
  )
  const controller = new AbortController()
  const reason = new Error('enough')
  const leaving = backend.listFolder(null, { signal: controller.signal, limit: 1 })
  const staying = backend.listFolder(null, { ...callOptions(), limit: 1 })
  await until(() => askedOfAccount(fake) === 1)
  controller.abort(reason)
  t.equal(await leaving.catch((error: unknown) => error), reason)
  answer()
  t.same((await staying).entries, [])
  t.equal(askedOfAccount(fake), 1)
})

t.test('when all callers have aborted, the next call requests the root again', async (t) => {
  const fake = await FakeDropbox.start(t)
  const { backend } = await openDropbox(t, fake)
  let closed = false
  fake.failNext(
    1,
    (_request, response) => {
      response.once('close', () => (closed = true))
    },
    { path: ACCOUNT }
  )
  const controller = new AbortController()
  const leaving = backend.listFolder(null, { signal: controller.signal, limit: 1 })
  await until(() => askedOfAccount(fake) === 1)
  controller.abort(new Error('enough'))
  await t.rejects(leaving, { message: 'enough' })
  t.same((await backend.listFolder(null, { ...callOptions(), limit: 1 })).entries, [])
  t.equal(askedOfAccount(fake), 2)
  await until(() => closed)
})
