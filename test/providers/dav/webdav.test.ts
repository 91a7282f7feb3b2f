import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { Timeouts } from '../../../src/domain/ports.ts'
import { provider } from '../../../src/providers/webdav.ts'
import { backendContract } from '../../contract/backend.ts'
import type { Harness } from '../../contract/harness.ts'
import { harness, openWebdav, seedTree } from '../../contract/harness/webdav.ts'
import { call, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { lists } from '../../contract/suite/lists.ts'
import { upload } from '../../contract/suite/uploads.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_TOKEN, FAKE_DAV_USER } from '../../fakes/dav/auth.ts'
import { FakeDav, type FakeDavOptions } from '../../fakes/dav/fake-dav.ts'
import { answers, faulty } from '../../fakes/faults.ts'
import { openEgress } from '../../support/egress.ts'
import { TEST_TIMEOUTS } from '../../support/timeouts.ts'

const LOGIN = { username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }

function kind(options: FakeDavOptions): Harness {
  return {
    name: 'webdav',
    async open(t) {
      const fake = await FakeDav.start(t, options)
      const proof = options.auth?.type === 'bearer' ? { token: FAKE_DAV_TOKEN } : LOGIN
      // A file tells what the server's ETags are like; the backend's place is empty.
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

t.test('the contract, with digests, nonces for two requests, and weak ETags', async (t) => {
  const auth = { type: 'digest', algorithms: ['SHA-256', 'MD5'], nonceUses: 2 } as const
  backendContract(t, kind({ auth, etags: 'weak', collectionSlash: 'serve', refusesEarly: true }))
})

t.test('the contract, with a token, no ETags, no preconditions, and hrefs that are URLs', async (t) => {
  const odd = { etags: 'none', preconditions: false, hrefs: 'absolute', missingParent: 404, prefix: '' } as const
  backendContract(t, kind({ auth: { type: 'bearer' }, collectionSlash: 'serve', ...odd }))
})

t.test('listings, with prefixes of all kinds and what is not found first', async (t) => {
  const { open } = kind({ prefix: 'mixed', notFoundFirst: true, basePath: '/' })
  lists(t, open)
})

async function connected(
  t: Test,
  fake: FakeDav,
  fields: Record<string, unknown> = LOGIN,
  timeouts?: Partial<Timeouts>
) {
  const egress = openEgress({ ...(timeouts && { timeouts }) })
  t.teardown(() => egress.close())
  const context = { egress, timeouts: { ...TEST_TIMEOUTS, ...timeouts }, ...call() }
  const parsed = await provider.connect.complete?.(provider.connect.parse({ baseUrl: fake.url, ...fields }), context)
  if (parsed === undefined) throw new Error('nothing was completed')
  fake.requests.length = 0
  return { backend: await provider.open({ ...context, credentials: parsed.credentials }), parsed }
}

t.test('what a server can do is found out without leaving anything there', async (t) => {
  for (const [options, files, createOnly, updateIfMatch] of [
    [{}, ['a'], 'native', 'native'],
    [{}, [], 'native', 'native'],
    [{ etags: 'weak' }, ['a'], 'native', 'emulated'],
    [{ etags: 'none' }, ['a'], 'native', 'unsupported'],
    [{ etags: 'none' }, [], 'native', 'native'],
    [{ preconditions: false }, ['b/c', 'd'], 'emulated', 'emulated']
  ] as const) {
    const fake = await FakeDav.start(t, options)
    for (const path of files) fake.tree.put(path, 'x')
    const before = fake.tree.list()
    // As sabre, which looks at the condition before it misses the folder.
    if (createOnly === 'native') {
      fake.script = faulty(answers(412), { matching: ({ method }) => method === 'PUT' })
    }
    const { backend } = await connected(t, fake)
    t.match(backend.capabilities, { createOnly, updateIfMatch }, JSON.stringify(options))
    t.same(fake.tree.list(), before)
  }
})

t.test('a server that makes folders for the probe is cleaned up', async (t) => {
  const fake = await FakeDav.start(t, { preconditions: false })
  fake.script = ({ method, path }, response) => {
    if (method !== 'PUT') return false
    fake.tree.put(path.slice('/dav/'.length), '')
    response.writeHead(201).end()
    return true
  }
  const { backend } = await connected(t, fake)
  t.equal(backend.capabilities.createOnly, 'emulated')
  t.same(fake.tree.list(), [])
})

t.test('a server that refuses the password is not connected', async (t) => {
  for (const auth of [{ type: 'basic' }, { type: 'digest' }] as const) {
    const fake = await FakeDav.start(t, { auth })
    const wrong = connected(t, fake, { ...LOGIN, password: 'wrong' })
    t.match(await wrong.catch((error: unknown) => error), { code: 'ACCESS_DENIED', credentialsRefused: true })
    t.ok(fake.requests.length <= 3, 'and is not asked again and again')
  }
  const bearer = await FakeDav.start(t, { auth: { type: 'bearer' } })
  await rejectsWith(t, connected(t, bearer), 'INVALID_CREDENTIALS', 'and gets no password that it does not ask for')
  t.ok(bearer.requests.every(({ headers }) => headers['authorization'] === undefined))
})

t.test('many first calls at once with a digest, whose numbers overtake each other', async (t) => {
  const auth = { type: 'digest', algorithms: ['MD5-sess'], ncOrder: 'rising', nonceUses: 3 } as const
  const fake = await FakeDav.start(t, { auth })
  fake.tree.put('a.txt', 'a')
  const { backend } = await connected(t, fake)
  for (let round = 0; round < 3; round++) {
    const stats = await Promise.all(Array.from({ length: 30 }, () => backend.stat('a.txt', call())))
    t.ok(stats.every(({ size }) => size === 1))
  }
})

t.test('a digest password that was changed ends after one more request', async (t) => {
  const fake = await FakeDav.start(t, { auth: { type: 'digest' } })
  const { backend } = await connected(t, fake)
  await backend.account(call())
  fake.requests.length = 0
  fake.script = (_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Digest realm="r", nonce="n", qop="auth"' }).end()
    return true
  }
  const error = await backend.account(call()).catch((error: unknown) => error)
  t.match(error, { code: 'ACCESS_DENIED', credentialsRefused: true })
  t.equal(fake.requests.length, 2)
  fake.mistakes.length = 0
})

t.test('a folder is not removed by the name of a file', async (t) => {
  for (const collectionSlash of ['serve', 'redirect'] as const) {
    const fake = await FakeDav.start(t, { collectionSlash })
    fake.tree.put('folder/a.txt', 'a')
    const { backend } = await connected(t, fake)
    await rejectsWith(t, backend.remove!('folder', call()), 'INVALID_REQUEST')
    await rejectsWith(t, backend.stat('folder', call()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.download('folder', call()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.createFolder!(null, 'folder', call()), 'ALREADY_EXISTS')
    t.same(fake.tree.list(), ['folder/', 'folder/a.txt'])
    t.notOk(fake.operations().some((operation) => operation.startsWith('DELETE')))
  }
})

t.test('a big folder is asked for once, and its pages are cut from that', async (t) => {
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

t.test('a server that loses a part of an upload, and says that it was stored, is found out', async (t) => {
  const fake = await FakeDav.start(t)
  const { backend } = await connected(t, fake)
  fake.script = ({ method }, response) => {
    if (method !== 'PUT') return false
    fake.tree.put('lost.txt', 'half of')
    response.writeHead(201).end()
    return true
  }
  const target = { parentId: null, name: 'lost.txt' }
  await rejectsWith(t, upload(backend, target, Readable.from(['half of the text'])), 'PROVIDER_ERROR')
})
