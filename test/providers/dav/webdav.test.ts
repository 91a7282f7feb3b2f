import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { Timeouts } from '../../../src/core/stores.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { UploadCall } from '../../../src/core/backend.ts'
import { isTemporaryName } from '../../../src/providers/dav/upload.ts'
import { listingPager } from '../../../src/providers/shared/paging.ts'
import { provider } from '../../../src/providers/webdav/index.ts'
import { openSession } from '../../../src/providers/webdav/session.ts'
import { readSettings } from '../../../src/providers/webdav/settings.ts'
import { StaleUploads } from '../../../src/providers/webdav/stale-uploads.ts'
import { backendContract } from '../../contract/backend.ts'
import type { Harness } from '../../contract/harness.ts'
import { harness, openWebdav, seedTree } from '../../contract/harness/webdav.ts'
import { callOptions, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { lists } from '../../contract/suite/lists.ts'
import { upload } from '../../contract/suite/uploads.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_TOKEN, FAKE_DAV_USER } from '../../fakes/dav/auth.ts'
import { FakeDav, type FakeDavOptions } from '../../fakes/dav/fake-dav.ts'
import { respondsWith, faultScript, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { useManualTimers } from '../../support/time/manual-timers.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { until } from '../../support/time/until.ts'

const LOGIN = { username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }

function kind(options: FakeDavOptions): Harness {
  return {
    name: 'webdav',
    async open(t) {
      const fake = await FakeDav.start(t, options)
      const proof = options.auth?.type === 'bearer' ? { token: FAKE_DAV_TOKEN } : LOGIN
      // The server's kind of ETags is detected from a file, and the backend's folder is empty.
      fake.tree.put('first', 'x')
      const backend = await openWebdav(t, { baseUrl: fake.url, ...proof })
      fake.tree.delete('first')
      return {
        backend,
        seed: async (files) => {
          seedTree(fake.tree, files)
        },
        busy: () => fake.busy(),
        missing: { folder: 'no such folder/', file: 'no such file' }
      }
    }
  }
}

t.test('the contract', async (t) => {
  backendContract(t, harness)
})

t.test('the contract with digest authentication, nonces for two requests, and weak ETags', async (t) => {
  const auth = { type: 'digest', algorithms: ['SHA-256', 'MD5'], nonceUses: 2 } as const
  backendContract(t, kind({ auth, etags: 'weak', collectionSlash: 'serve', rejectsEarly: true }))
})

t.test('the contract with a token, no ETags, no preconditions, and hrefs that are URLs', async (t) => {
  const odd = { etags: 'none', preconditions: false, hrefs: 'absolute', missingParent: 404, prefix: '' } as const
  backendContract(t, kind({ auth: { type: 'bearer' }, collectionSlash: 'serve', ...odd }))
})

t.test('listings with all kinds of prefixes and the propstat 404 first', async (t) => {
  const { open } = kind({ prefix: 'mixed', notFoundFirst: true, basePath: '/' })
  lists(t, open)
})

async function connected(
  t: Test,
  fake: FakeDav,
  fields: Record<string, unknown> = LOGIN,
  timeouts?: Partial<Timeouts>,
  signal = new AbortController().signal
) {
  const egress = openEgress({ ...(timeouts && { timeouts }) })
  t.teardown(() => egress.close())
  const context = { egress, timeouts: { ...TEST_TIMEOUTS, ...timeouts }, signal }
  const parsed = await provider.connect.complete?.(provider.connect.parse({ baseUrl: fake.url, ...fields }), context)
  if (parsed === undefined) throw new Error('nothing was completed')
  fake.requests.length = 0
  return { backend: await provider.open({ ...context, credentials: parsed.credentials }), parsed, egress }
}

t.test('the probe of a server leaves nothing behind', async (t) => {
  const nginx = { etagProperties: false, preconditions: false, ifHeader: 'ignored', missingParent: 500 } as const
  for (const [options, files, capabilities] of [
    [{}, ['a'], ['native', 'native', 'emulated']],
    [{}, [], ['native', 'native', 'emulated']],
    [{ etags: 'weak' }, ['a'], ['native', 'emulated', 'emulated']],
    [{ etags: 'none' }, ['a'], ['native', 'unsupported', 'emulated']],
    [{ etags: 'none' }, [], ['native', 'unsupported', 'emulated']],
    [{ preconditions: false }, ['b/c', 'd'], ['native', 'native', 'emulated']],
    [{ ifHeader: 'ignored' }, ['a'], ['native', 'emulated', 'emulated']],
    [{ ifHeader: 'refused' }, ['a'], ['native', 'emulated', 'emulated']],
    [{ moves: 'ignores-overwrite' }, ['a'], ['emulated', 'emulated', 'emulated']],
    [{ moves: 'refused' }, ['a'], ['native', 'native', 'unsupported']],
    [{ moves: 'refused', preconditions: false }, ['a'], ['emulated', 'emulated', 'unsupported']],
    [nginx, ['a'], ['native', 'emulated', 'emulated']],
    [nginx, [], ['native', 'emulated', 'emulated']],
    [{ ...nginx, missingParent: 'made' }, ['b/c', 'd'], ['native', 'emulated', 'emulated']]
  ] as const) {
    const fake = await FakeDav.start(t, options)
    for (const path of files) fake.tree.put(path, 'x')
    const before = fake.tree.list()
    const { backend } = await connected(t, fake)
    const { createOnly, updateIfMatch, atomicReplace } = backend.capabilities
    t.same([createOnly, updateIfMatch, atomicReplace], capabilities, JSON.stringify(options))
    t.same(fake.tree.list(), before)
  }
})

t.test('a server that answers a MOVE without moving is not used with MOVE', async (t) => {
  const fake = await FakeDav.start(t)
  fake.script = ({ method }, response) => {
    if (method === 'MOVE') response.writeHead(204).end()
    return method === 'MOVE'
  }
  const { backend } = await connected(t, fake)
  t.equal(backend.capabilities.atomicReplace, 'unsupported')
  t.same(fake.tree.list(), [])
})

t.test('the probe writes nothing to a server that would not delete it', async (t) => {
  for (const status of [400, 403, 405, 409, 423, 500, 501]) {
    const fake = await FakeDav.start(t, { missingParent: 'made' })
    fake.script = faultScript(respondsWith(status), { matching: ({ method }) => method === 'DELETE' })
    const { backend } = await connected(t, fake)
    t.match(backend.capabilities, { createOnly: 'emulated', updateIfMatch: 'emulated', atomicReplace: 'unsupported' })
    t.same(fake.tree.list(), [], String(status))
  }
})

t.test('a probe that is interrupted at any request leaves nothing behind', async (t) => {
  const left = new Error('the user has left')
  for (const fault of ['abort', resets(), respondsWith(507)] as const) {
    let struck = 0
    for (let strike = 1; struck === strike - 1; strike++) {
      const fake = await FakeDav.start(t)
      const controller = new AbortController()
      let writes = 0
      fake.script = (request, response) => {
        if (request.method === 'PROPFIND' || ++writes !== strike) return false
        struck++
        if (fault === 'abort') controller.abort(left)
        else fault(request, response)
        return fault !== 'abort'
      }
      await connected(t, fake, LOGIN, {}, controller.signal).catch(() => undefined)
      t.same(fake.tree.list(), [], `request ${strike}`)
    }
    t.ok(struck >= 9, 'each request was interrupted')
  }
})

t.test('a server that rejects the password is not connected', async (t) => {
  for (const auth of [{ type: 'basic' }, { type: 'digest' }] as const) {
    const fake = await FakeDav.start(t, { auth })
    const wrong = connected(t, fake, { ...LOGIN, password: 'wrong' })
    t.match(await wrong.catch((error: unknown) => error), { code: 'ACCESS_DENIED', credentialsRefused: true })
    t.ok(fake.requests.length <= 3, 'the server is not contacted repeatedly')
  }
  const bearer = await FakeDav.start(t, { auth: { type: 'bearer' } })
  await rejectsWith(t, connected(t, bearer), 'INVALID_CREDENTIALS', 'a password that was not requested is not sent')
  t.ok(bearer.requests.every(({ headers }) => headers['authorization'] === undefined))
})

t.test('concurrent first calls with digest succeed, although their nonce counts arrive out of order', async (t) => {
  const auth = { type: 'digest', algorithms: ['MD5-sess'], ncOrder: 'rising', nonceUses: 3 } as const
  const fake = await FakeDav.start(t, { auth })
  fake.tree.put('a.txt', 'a')
  const { backend } = await connected(t, fake)
  for (let round = 0; round < 3; round++) {
    const stats = await Promise.all(Array.from({ length: 30 }, () => backend.stat('a.txt', callOptions())))
    t.ok(stats.every(({ size }) => size === 1))
  }
})

t.test('after a change of a digest password one more request is sent', async (t) => {
  const fake = await FakeDav.start(t, { auth: { type: 'digest' } })
  const { backend } = await connected(t, fake)
  await backend.account(callOptions())
  fake.requests.length = 0
  fake.script = (_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Digest realm="r", nonce="n", qop="auth"' }).end()
    return true
  }
  const error = await backend.account(callOptions()).catch((error: unknown) => error)
  t.match(error, { code: 'ACCESS_DENIED', credentialsRefused: true })
  t.equal(fake.requests.length, 2)
  fake.mistakes.length = 0
})

t.test('a folder is not removed under the name of a file', async (t) => {
  for (const collectionSlash of ['serve', 'redirect'] as const) {
    const fake = await FakeDav.start(t, { collectionSlash })
    fake.tree.put('folder/a.txt', 'a')
    const { backend } = await connected(t, fake)
    await rejectsWith(t, backend.remove!('folder', callOptions()), 'INVALID_REQUEST')
    await rejectsWith(t, backend.stat('folder', callOptions()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.download('folder', callOptions()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.createFolder!(null, 'folder', callOptions()), 'ALREADY_EXISTS')
    t.same(fake.tree.list(), ['folder/', 'folder/a.txt'])
    t.notOk(fake.operations().some((operation) => operation.startsWith('DELETE')))
  }
})

t.test('a large folder is requested once, and its pages are cut from the response', async (t) => {
  const fake = await FakeDav.start(t)
  for (let index = 0; index < 2000; index++) fake.tree.put(`file ${String(index).padStart(4, '0')}`, 'x')
  const { backend } = await connected(t, fake)
  const entries = await listAll(backend, null, { limit: 200 })
  t.same(
    entries.map(({ name }) => name),
    [...fake.tree.children('')].sort()
  )
  t.same(fake.operations(), ['PROPFIND /dav/'])
})

t.test('a server that loses a part of an upload and reports success is detected', async (t) => {
  const fake = await FakeDav.start(t)
  fake.tree.put('lost.txt', 'the old content')
  const { backend } = await connected(t, fake)
  fake.script = ({ method, path }, response) => {
    if (method !== 'PUT') return false
    fake.tree.put(decodeURIComponent(path.slice('/dav/'.length)), 'half of')
    response.writeHead(201).end()
    return true
  }
  const target = { parentId: null, name: 'lost.txt' }
  await rejectsWith(t, upload(backend, target, Readable.from(['half of the text'])), 'PROVIDER_ERROR')
  t.equal(fake.tree.read('lost.txt').toString(), 'the old content', 'the old content is not replaced')
  t.same(fake.tree.list(), ['lost.txt'])
})

const OLD = 'the content that was there'

/** An upload that is interrupted after its first bytes: by an error, or by an abort of the call. */
function broken(fake: FakeDav, content: string, way: 'error' | 'abort') {
  const controller = new AbortController()
  const body = Readable.from(
    (async function* () {
      yield Buffer.from(content)
      await until(() => fake.busy() > 0 && fake.requests.at(-1)?.method === 'PUT')
      if (way === 'error') throw new Error('the client has left')
      controller.abort(new Error('the caller has left'))
      await new Promise(() => {})
    })(),
    { objectMode: false }
  )
  return { body, signal: controller.signal }
}

t.test('an interrupted upload leaves the old content where MOVE is available, and no temporary file', async (t) => {
  for (const options of [{}, { moves: 'ignores-overwrite' }, { preconditions: false, ifHeader: 'refused' }] as const) {
    const fake = await FakeDav.start(t, options)
    fake.tree.put('old.txt', OLD)
    const { backend } = await connected(t, fake)
    for (const way of ['error', 'abort'] as const) {
      for (const size of [undefined, 100]) {
        for (const name of ['old.txt', 'new.txt']) {
          const { body, signal } = broken(fake, 'new content', way)
          const work = upload(backend, { parentId: null, name }, body, { signal, ...(size !== undefined && { size }) })
          await t.rejects(work)
          await until(() => fake.busy() === 0)
          t.same(fake.tree.list(), ['old.txt'], `${name}, ${way}, ${size}`)
          t.equal(fake.tree.read('old.txt').toString(), OLD)
        }
      }
    }
  }
})

t.test(
  'without MOVE an interrupted upload of a new file is removed, and an existing file may be damaged',
  async (t) => {
    const fake = await FakeDav.start(t, { moves: 'refused' })
    fake.tree.put('old.txt', OLD)
    const { backend } = await connected(t, fake)
    t.equal(backend.capabilities.atomicReplace, 'unsupported')
    for (const way of ['error', 'abort'] as const) {
      const created = broken(fake, 'new', way)
      await t.rejects(upload(backend, { parentId: null, name: 'new.txt' }, created.body, created))
      await until(() => fake.busy() === 0)
      t.same(fake.tree.list(), ['old.txt'], way)
    }
    const replaced = broken(fake, 'new', 'error')
    await t.rejects(upload(backend, { id: 'old.txt' }, replaced.body))
    await until(() => fake.busy() === 0)
    t.not(fake.tree.read('old.txt').toString(), OLD, 'the capability says so')
  }
)

t.test('an interrupted new file that another client has replaced meanwhile is left alone', async (t) => {
  const fake = await FakeDav.start(t, { moves: 'refused' })
  const { backend } = await connected(t, fake)
  fake.earlyScript = ({ method }) => {
    if (method === 'PUT') setImmediate(() => fake.tree.put('new.txt', OLD))
    return false
  }
  const { body } = broken(fake, 'new', 'error')
  await t.rejects(upload(backend, { parentId: null, name: 'new.txt' }, body))
  await until(() => fake.busy() === 0)
  t.equal(fake.tree.read('new.txt').toString(), OLD)
})

t.test('a file that another client creates right before a PUT is left alone', async (t) => {
  const fake = await FakeDav.start(t, { moves: 'refused' })
  const { backend } = await connected(t, fake)
  fake.earlyScript = ({ method }) => {
    if (method === 'PUT') fake.tree.put('new.txt', 'x')
    return false
  }
  const creating = upload(backend, { parentId: null, name: 'new.txt' }, Readable.from(['ours']), { ifNoneMatch: '*' })
  await rejectsWith(t, creating, 'ALREADY_EXISTS')
  t.equal(fake.tree.read('new.txt').toString(), 'x')
})

t.test('a file that is being uploaded is not listed, and its temporary name is reserved', async (t) => {
  const fake = await FakeDav.start(t)
  const { backend } = await connected(t, fake)
  const body = new Readable({ read() {} })
  body.push('half')
  const work = upload(backend, { parentId: null, name: 'new.txt' }, body)
  await until(() => fake.tree.list().length === 1)
  const [temporary = ''] = fake.tree.list()
  t.match(temporary, /^fastify-cloud-storage-upload-[0-9a-f-]{36}\.tmp$/)
  t.same(await listAll(backend, null), [])
  await rejectsWith(t, upload(backend, { parentId: null, name: temporary }, Readable.from(['x'])), 'INVALID_REQUEST')
  body.push(null)
  await work
  t.same(fake.tree.list(), ['new.txt'])
  for (const name of ['upload.tmp', 'upload-1.tmp', `${temporary}x`]) fake.tree.put(name, 'x')
  t.equal((await listAll(backend, null)).length, 4, 'similar names are available to users')
})

const HOUR_MS = 3_600_000
const temporaryFile = (index: number) =>
  `fastify-cloud-storage-upload-00000000-0000-4000-8000-${String(index).padStart(12, '0')}.tmp`

t.test('an upload removes temporary files of killed processes from its folder after a day', async (t) => {
  const fake = await FakeDav.start(t)
  const { backend } = await connected(t, fake)
  const writtenAgo = (path: string, hours: number) => {
    fake.tree.put(path, 'part', { modified: new Date(Date.now() - hours * HOUR_MS) })
  }
  const kept = [
    'folder/upload-00000000-0000-4000-8000-000000000000.tmp',
    `folder/${temporaryFile(1)}x`,
    `folder/below/${temporaryFile(2)}`,
    temporaryFile(3),
    `folder/${temporaryFile(4)}/file`
  ]
  for (const path of kept) writtenAgo(path, 1000)
  const folder = `folder/${temporaryFile(4)}`
  fake.tree.restore(folder, { kind: 'collection', id: 0, version: 0, modified: new Date(Date.now() - 1000 * HOUR_MS) })
  // Another process may still be writing this one.
  writtenAgo(`folder/${temporaryFile(5)}`, 23)
  for (let index = 10; index < 13; index++) writtenAgo(`folder/${temporaryFile(index)}`, 25)
  const all = fake.tree.list().length
  await upload(backend, { parentId: 'folder/', name: 'new.txt' }, Readable.from(['x']))
  await until(() => fake.tree.list().length === all + 1 - 3)
  for (const path of [...kept, 'folder/new.txt', `folder/${temporaryFile(5)}`]) t.ok(fake.tree.has(path), path)

  const searches = () =>
    fake.requests.filter(({ method, headers }) => method === 'PROPFIND' && headers['depth'] === '1').length
  const before = searches()
  for (let index = 0; index < 3; index++) {
    await upload(backend, { parentId: 'folder/', name: `${index}.txt` }, Readable.from(['x']))
  }
  t.equal(searches(), before, 'a folder is searched once an hour')
  await upload(backend, { parentId: null, name: 'new.txt' }, Readable.from(['x']))
  await until(() => !fake.tree.has(temporaryFile(3)))
})

/** The server of an opened connection, with a search that a test can wait for. */
function searching(fake: FakeDav) {
  const egress = openEgress()
  const server = openSession(readSettings({ baseUrl: fake.url, ...LOGIN }), { egress, timeouts: TEST_TIMEOUTS })
  return { egress, sweep: () => new StaleUploads().sweep(server, null) }
}

t.test('the server’s clock decides the age of a temporary file, and a search removes a few files', async (t) => {
  const cases: [name: string, date: string | undefined, removed: number][] = [
    ['no date', undefined, 0],
    ['an invalid date', 'soon', 0],
    ['a server whose clock is behind', new Date(Date.now() - 48 * HOUR_MS).toUTCString(), 0],
    ['the correct date', new Date().toUTCString(), 20]
  ]
  for (const [name, date, removed] of cases) {
    const fake = await FakeDav.start(t)
    const { egress, sweep } = searching(fake)
    t.teardown(() => egress.close())
    for (let index = 0; index < 30; index++) {
      fake.tree.put(temporaryFile(index), 'part', { modified: new Date(Date.now() - 25 * HOUR_MS) })
    }
    fake.tree.put(temporaryFile(30), 'part', { modified: new Date(0) })
    fake.earlyScript = (_request, response) => {
      if (date === undefined) response.sendDate = false
      else response.setHeader('date', date)
      return false
    }
    await sweep()
    t.equal(fake.tree.list().length, 31 - removed, name)
    t.ok(fake.tree.has(temporaryFile(30)), 'without a modification time')
  }
})

t.test('a failed search for old temporary files is ignored', async (t) => {
  for (const fault of [respondsWith(403), respondsWith(423), respondsWith(500), resets()]) {
    for (const method of ['PROPFIND', 'DELETE']) {
      const fake = await FakeDav.start(t)
      const { egress, sweep } = searching(fake)
      t.teardown(() => egress.close())
      fake.tree.put(temporaryFile(1), 'part', { modified: new Date(Date.now() - 25 * HOUR_MS) })
      fake.script = faultScript(fault, { matching: (request) => request.method === method })
      await sweep()
      t.equal(fake.operations().at(-1)?.split(' ')[0], method)
      t.ok(fake.tree.has(temporaryFile(1)))
    }
  }
})

t.test('a search for old temporary files ends after ten seconds', async (t) => {
  const fake = await FakeDav.start(t)
  const { egress, sweep } = searching(fake)
  t.teardown(() => egress.close())
  fake.script = () => true
  const tick = useManualTimers(t)
  const searched = sweep()
  await until(() => fake.requests.length === 1)
  tick(10_000)
  await searched
})

t.test('an id is the one that the server lists, in whatever Unicode form it is requested', async (t) => {
  const [nfc, nfd] = ['Ä\u00e9 \uac00'.normalize('NFC'), 'Ä\u00e9 \uac00'.normalize('NFD')]
  for (const normalizes of [true, false]) {
    for (const form of [nfc, nfd]) {
      const fake = await FakeDav.start(t, { normalizes })
      const { backend } = await connected(t, fake)
      const listed = normalizes ? nfc : form
      t.equal((await backend.createFolder?.(null, form, callOptions()))?.id, `${listed}/`)
      const stored = await upload(backend, { parentId: `${form}/`, name: `${form}.txt` }, Readable.from(['x']))
      t.match(stored, { id: `${listed}/${listed}.txt`, name: `${listed}.txt`, parentId: `${listed}/` })
      t.equal((await backend.stat(`${form}/${form}.txt`, callOptions())).id, stored.id)
      const [folder] = await listAll(backend, null)
      t.same([folder?.id, (await listAll(backend, `${listed}/`))[0]?.id], [`${listed}/`, stored.id])
      fake.requests.length = 0
      t.equal((await backend.stat(`${form}/${form}.txt`, callOptions())).id, stored.id)
      t.equal(fake.requests.length, 1, 'the Unicode form of the server is known')
    }
  }

  const fake = await FakeDav.start(t)
  for (const form of [nfc, nfd]) fake.tree.put(form, form)
  const { backend } = await connected(t, fake)
  for (const form of [nfc, nfd]) t.equal((await backend.stat(form, callOptions())).id, form, 'two files of one name')
  t.equal((await listAll(backend, null)).length, 2)
})

t.test('an upload succeeds even if the listing of its name fails', async (t) => {
  const fake = await FakeDav.start(t, { normalizes: true })
  const { backend } = await connected(t, fake)
  const form = 'e\u0301'
  fake.script = faultScript(respondsWith(500), {
    matching: ({ method, headers }) => method === 'PROPFIND' && headers['depth'] === '1'
  })
  t.equal((await upload(backend, { parentId: null, name: form }, Readable.from(['x']))).id, form)
  t.same(fake.tree.list(), [form.normalize('NFC')])

  fake.script = () => false
  const deep = `folder ${`${form}/`.repeat(21)}`
  fake.tree.mkdir(deep.normalize('NFC').slice(0, -1))
  t.equal((await backend.stat(deep, callOptions())).id, deep, 'at most twenty folders are listed for one id')
  t.equal((await backend.stat(form, callOptions())).id, form.normalize('NFC'), 'neither attempt found the Unicode form')
})

t.test('a change of the target during an upload is detected before it is replaced', async (t) => {
  const during = async (change: (fake: FakeDav) => void, options: Partial<UploadCall>, files: string[] = []) => {
    const fake = await FakeDav.start(t, { ifHeader: 'refused' })
    for (const path of files) fake.tree.put(path, OLD)
    const { backend } = await connected(t, fake)
    const ifMatch =
      options.ifMatch === undefined ? {} : { ifMatch: (await backend.stat('a', callOptions())).version ?? '' }
    const body = Readable.from(
      (async function* () {
        yield 'new'
        change(fake)
      })(),
      { objectMode: false }
    )
    const outcome = upload(backend, { parentId: null, name: 'a' }, body, { ...options, ...ifMatch })
    const result = await outcome.catch((error: unknown) => error)
    t.notOk(fake.tree.list().some(isTemporaryName))
    return { result, fake }
  }
  const store = (fake: FakeDav): void => void fake.tree.put('a', 'theirs')
  const created = await during(store, { ifNoneMatch: '*' })
  t.match(created.result, { code: 'ALREADY_EXISTS' })
  t.equal(created.fake.tree.read('a').toString(), 'theirs')
  const changed = await during(store, { ifMatch: 'seen' }, ['a'])
  t.match(changed.result, { code: 'PRECONDITION_FAILED' })
  t.equal(changed.fake.tree.read('a').toString(), 'theirs')
  const removed = await during((fake) => fake.tree.delete('a'), { ifMatch: 'seen' }, ['a'])
  t.match(removed.result, { code: 'PRECONDITION_FAILED' })
  const folder = await during((fake) => void fake.tree.put('a/kept', 'kept'), {})
  t.match(folder.result, { code: 'ALREADY_EXISTS' })
  t.equal(folder.fake.tree.read('a/kept').toString(), 'kept', 'a MOVE would remove the folder')
  const plain = await during(store, {})
  t.match(plain.result, { size: 3 })
  t.equal(plain.fake.tree.read('a').toString(), 'new')
})

t.test('a MOVE that conflicts with another client is retried a limited number of times', async (t) => {
  const fake = await FakeDav.start(t)
  const { backend } = await connected(t, fake)
  let moves = 0
  fake.script = ({ method, headers }, response) => {
    if (method !== 'MOVE') return false
    if (++moves === 1) fake.tree.put('a', 'theirs')
    if (moves > 10) return false
    if (headers['overwrite'] !== 'F') return false
    response.writeHead(412).end()
    return true
  }
  const stored: boolean[] = []
  await upload(backend, { parentId: null, name: 'a' }, Readable.from(['ours']), {
    onStored: (isNew) => stored.push(isNew)
  })
  t.equal(fake.tree.read('a').toString(), 'ours')
  t.same(stored, [false])
  moves = 1
  const work = upload(backend, { parentId: null, name: 'b' }, Readable.from(['ours']))
  await rejectsWith(t, work, 'PROVIDER_UNAVAILABLE')
  t.equal(moves, 4)
  t.same(fake.tree.list(), ['a'])
})

t.test('a version that changes after the last check is not replaced, where the server checks If', async (t) => {
  const fake = await FakeDav.start(t)
  fake.tree.put('a', OLD)
  const { backend } = await connected(t, fake)
  const ifMatch = (await backend.stat('a', callOptions())).version ?? ''
  fake.script = ({ method }) => {
    if (method === 'MOVE') fake.tree.put('a', 'theirs')
    return false
  }
  const target = { parentId: null, name: 'a' }
  await rejectsWith(t, upload(backend, target, Readable.from(['new']), { ifMatch }), 'PRECONDITION_FAILED')
  t.equal(fake.tree.read('a').toString(), 'theirs')
})

t.test('a MOVE has a longer timeout than other requests', async (t) => {
  const fake = await FakeDav.start(t)
  const { parsed } = await connected(t, fake)
  const egress = openEgress()
  t.teardown(() => egress.close())
  const asked: (number | undefined)[] = []
  const request: typeof egress.request = (sent) => {
    if (sent.method === 'MOVE') asked.push(sent.workMs)
    return egress.request(sent)
  }
  const context = { egress: { ...egress, request }, timeouts: TEST_TIMEOUTS, credentials: parsed.credentials }
  const backend = await provider.open({ ...context, signal: new AbortController().signal } as typeof context)
  await upload(backend, { parentId: null, name: 'a' }, Readable.from(['x']))
  t.same(asked, [300_000])
})

t.test('a failed upload waits at most ten seconds for the removal of its temporary file', async (t) => {
  const fake = await FakeDav.start(t)
  const { backend } = await connected(t, fake)
  fake.script = ({ method }, response) => {
    if (method === 'MOVE') response.writeHead(507).end()
    return method === 'MOVE' || method === 'DELETE'
  }
  const tick = useManualTimers(t)
  let hasFailed = false
  void rejectsWith(t, upload(backend, { parentId: null, name: 'a' }, Readable.from(['x'])), 'QUOTA_EXCEEDED').then(
    () => (hasFailed = true)
  )
  await until(() => fake.requests.some(({ method }) => method === 'DELETE'))
  tick(10_000)
  await until(() => hasFailed)
})

t.test('a temporary file that the server has locked is removed after the lock ends', async (t) => {
  const fake = await FakeDav.start(t)
  const { backend } = await connected(t, fake)
  let refused = 0
  fake.script = ({ method }, response) => {
    if (method === 'MOVE') response.writeHead(507).end()
    else if (method === 'DELETE' && ++refused <= 2) response.writeHead(423).end()
    else return false
    return true
  }
  await rejectsWith(t, upload(backend, { parentId: null, name: 'a' }, Readable.from(['x'])), 'QUOTA_EXCEEDED')
  t.same(fake.tree.list(), [])
})

t.test('the ETag of a download is accepted where listings have no ETags, as with nginx', async (t) => {
  for (const moves of ['native', 'refused'] as const) {
    const fake = await FakeDav.start(t, { etagProperties: false, preconditions: false, ifHeader: 'ignored', moves })
    fake.tree.put('a', 'first')
    const { backend } = await connected(t, fake)
    t.equal((await backend.stat('a', callOptions())).version, null)
    const download = await backend.download('a', callOptions())
    download.body.destroy()
    const replace = (content: string) =>
      upload(backend, { id: 'a' }, Readable.from([content]), { ifMatch: download.etag ?? '' })
    await replace('second')
    t.equal(fake.tree.read('a').toString(), 'second')
    await rejectsWith(t, replace('third'), 'PRECONDITION_FAILED')
    t.equal(fake.tree.read('a').toString(), 'second')
  }
})

t.test('an upload never creates a missing folder', async (t) => {
  for (const moves of ['native', 'refused'] as const) {
    for (const missingParent of [404, 409, 500, 'made'] as const) {
      const fake = await FakeDav.start(t, { missingParent, moves })
      fake.tree.put('file', 'x')
      const { backend } = await connected(t, fake)
      for (const parentId of ['no/', 'no/such/', 'file/']) {
        const work = upload(backend, { parentId, name: 'a' }, Readable.from(['x']))
        await rejectsWith(t, work, 'FOLDER_NOT_FOUND', `${missingParent} ${parentId}`)
      }
      t.same(fake.tree.list(), ['file'])
    }
  }
})

t.test('a folder that is removed during an upload is FOLDER_NOT_FOUND', async (t) => {
  for (const status of [403, 404, 409, 500]) {
    const fake = await FakeDav.start(t)
    fake.tree.mkdir('folder')
    const { backend } = await connected(t, fake)
    fake.script = ({ method }, response) => {
      if (method !== 'MOVE') return false
      fake.tree.delete('folder')
      response.writeHead(status).end()
      return true
    }
    const work = upload(backend, { parentId: 'folder/', name: 'a' }, Readable.from(['x']))
    await rejectsWith(t, work, 'FOLDER_NOT_FOUND', String(status))
  }
})

t.test('a connection from before the MOVE probe stores by PUT', async (t) => {
  const fake = await FakeDav.start(t)
  const { parsed, egress } = await connected(t, fake)
  const { moves, ...before } = parsed.credentials.reveal() as Record<string, unknown>
  t.same(moves, { checksOverwrite: true, checksIf: true })
  const backend = await provider.open({ credentials: new Secret(before), egress, timeouts: TEST_TIMEOUTS })
  t.equal(backend.capabilities.atomicReplace, 'unsupported')
  await upload(backend, { parentId: null, name: 'a' }, Readable.from(['x']))
  t.notOk(fake.operations().some((operation) => operation.startsWith('MOVE')))
})

t.test('connections of one user share the user’s memory for pages, but not their folders', async (t) => {
  const [fake, other] = [await FakeDav.start(t), await FakeDav.start(t)]
  for (const name of ['a', 'b', 'c']) fake.tree.put(name, name)
  for (const name of ['d', 'e', 'f']) other.tree.put(name, name)
  const userId = randomUUID()
  const firstPageOf = async (of: FakeDav) => {
    const { egress, parsed } = await connected(t, of)
    const context = { egress, timeouts: TEST_TIMEOUTS, userId, credentials: parsed.credentials }
    const backend = await provider.open(context)
    return { backend, page: await backend.listFolder(null, { ...callOptions(), limit: 1 }) }
  }
  const first = await firstPageOf(fake)
  const weight = listingPager.weightOf(userId)
  t.ok(weight > 0)
  const { page } = await firstPageOf(other)
  t.match(page.entries, [{ id: 'd' }])
  t.equal(listingPager.weightOf(userId), 2 * weight)
  const next = await first.backend.listFolder(null, { ...callOptions(), limit: 1, cursor: first.page.next ?? '' })
  t.match(next.entries, [{ id: 'b' }])
})
