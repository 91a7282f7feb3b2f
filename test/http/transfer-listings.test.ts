import t, { type Test } from 'tap'
import type { Entry, Listing } from '../../src/core/entry.ts'
import { StorageError } from '../../src/errors.ts'
import { scriptedProvider, testApp } from '../support/app/app.ts'
import { FAKE_APP_PASSWORD, FAKE_NEXTCLOUD_LOGIN, FakeNextcloud } from '../fakes/nextcloud/fake-nextcloud.ts'
import { Deferred } from '../support/time/deferred.ts'
import { Client, contentPath, davTransfers } from '../support/app/transfer-app.ts'
import { until } from '../support/time/until.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'

/** An app with transfers on an in-memory cloud. */
async function start(t: Test) {
  const backend = new WritableBackend()
  const { provider } = scriptedProvider(backend)
  const testing = await testApp(t, { transfers: true, providers: { scripted: provider } })
  const { app, connect } = testing
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  const list = async (folder?: string, user = 'ann') => {
    const query = folder === undefined ? '' : `?folder=${folder}`
    const answer = await client.send('GET', `/cloud/scripted/listing${query}`, { user })
    return {
      names: (answer.json() as Listing).entries.map(({ name }) => name),
      hit: /; hit/.test(String(answer.headers['cache-status']))
    }
  }
  const put = (query: Record<string, string>) => client.send('PUT', contentPath('scripted', query), { body: 'text' })
  const remove = (id: string) => client.send('DELETE', contentPath('scripted', { id }))
  return { ...testing, backend, client, list, put, remove }
}

t.test('each change appears in the next listing of its folder, and listings of other folders stay', async (t) => {
  const { fake, list, put, remove, makeFolder } = await davTransfers(t)
  fake.tree.put('docs/a.txt', 'a')
  fake.tree.mkdir('docs/deep')
  fake.tree.mkdir('other')
  for (const folder of [undefined, 'docs/', 'docs/deep/', 'other/']) await list(folder)
  const expectMiss = async (folder: string | undefined, ids: string[]) => {
    t.same(await list(folder), { status: 200, ids, hit: false })
    t.match(await list(folder), { hit: true })
    t.match(await list('other/'), { hit: true }, 'another folder')
  }

  t.equal((await put({ parent: 'docs/', name: 'b.txt' }, { body: 'b' })).status, 201)
  await expectMiss('docs/', ['docs/deep/', 'docs/a.txt', 'docs/b.txt'])
  t.equal((await put({ id: 'docs/a.txt' }, { body: 'longer' })).status, 200)
  await expectMiss('docs/', ['docs/deep/', 'docs/a.txt', 'docs/b.txt'])
  t.equal((await makeFolder({ parentId: 'docs/', name: 'new' })).status, 201)
  await expectMiss('docs/', ['docs/deep/', 'docs/new/', 'docs/a.txt', 'docs/b.txt'])
  t.equal((await remove({ id: 'docs/a.txt' })).status, 204)
  await expectMiss('docs/', ['docs/deep/', 'docs/new/', 'docs/b.txt'])
  t.equal((await put({ parent: 'docs/deep/', name: 'c.txt' }, { body: 'c' })).status, 201)
  await expectMiss('docs/deep/', ['docs/deep/c.txt'])
  t.equal((await put({ name: 'top.txt' }, { body: 'c' })).status, 201)
  await expectMiss(undefined, ['docs/', 'other/', 'top.txt'])
  t.equal((await put({ id: 'top.txt' }, { body: 'longer' })).status, 200)
  await expectMiss(undefined, ['docs/', 'other/', 'top.txt'])
  t.equal((await makeFolder({ name: 'new' })).status, 201)
  await expectMiss(undefined, ['docs/', 'new/', 'other/', 'top.txt'])
  t.equal((await remove({ id: 'top.txt' })).status, 204)
  await expectMiss(undefined, ['docs/', 'new/', 'other/'])
})

t.test('where ids are paths, the listings of parent folders are reloaded as well', async (t) => {
  const { fake, list, put } = await davTransfers(t)
  fake.tree.mkdir('a/b/c')
  for (const folder of [undefined, 'a/', 'a/b/', 'a/b/c/']) await list(folder)
  await put({ parent: 'a/b/c/', name: 'x' }, { body: 'x' })
  for (const folder of [undefined, 'a/', 'a/b/', 'a/b/c/']) t.match(await list(folder), { hit: false }, folder ?? '/')
})

t.test('a load that began before a change is not served to later requests', async (t) => {
  const { app, backend, list, put } = await start(t)
  backend.add('old.txt')
  const held = new Deferred<undefined>()
  backend.hold = () => held.promise
  const early = list()
  await until(() => backend.folders.length === 1)
  backend.hold = async () => {}
  t.equal((await put({ name: 'new.txt' })).status, 201)
  t.same(await list(), { names: ['new.txt', 'old.txt'], hit: false })
  held.resolve(undefined)
  t.same((await early).names, ['old.txt'], 'an earlier request is answered')
  t.same(await list(), { names: ['new.txt', 'old.txt'], hit: true }, 'the result is not cached')
  t.ok(app.folderCache.stats().invalidations > 0)
})

t.test('a failed change that may have been applied drops the same listings as a successful one', async (t) => {
  for (const code of ['PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT', 'ALREADY_EXISTS'] as const) {
    const { backend, client, list, put, remove } = await start(t)
    const { id } = backend.add('old.txt')
    await list()
    backend.changeError = new StorageError(code, 'The answer was lost.')
    t.match((await put({ name: 'new.txt' })).json(), { code })
    t.match(await list(), { names: ['new.txt', 'old.txt'], hit: false })
    const headers = { 'content-type': 'application/json' }
    await client.send('POST', '/cloud/scripted/folders', { headers, body: '{"name":"folder"}' })
    t.match(await list(), { names: ['folder', 'new.txt', 'old.txt'], hit: false })
    await put({ id })
    t.match(await list(), { hit: false })
    await remove(id)
    t.match(await list(), { names: ['folder', 'new.txt'], hit: false })
    const [folder] = [...backend.entries.values()].filter(({ kind }) => kind === 'folder')
    await list(folder?.id)
    await put({ parent: folder?.id ?? '', name: 'inner.txt' })
    t.match(await list(folder?.id), { names: ['inner.txt'], hit: false })
  }
})

t.test('a request that is refused before a call upstream drops no listings', async (t) => {
  const { list, put, client } = await start(t)
  await list()
  t.equal((await put({ id: 'none' })).status, 404)
  const path = contentPath('scripted', { name: 'a' })
  t.equal((await client.send('PUT', path, { headers: { 'if-match': 'x' }, body: 'x' })).status, 400)
  t.match(await list(), { hit: true })
})

t.test('the root is the same folder under its own id and without an id', async (t) => {
  const { backend, list, put, remove } = await start(t)
  backend.aliases.set('another-name', 'top')
  const names = [undefined, 'top', 'another-name']
  const expectMisses = async (why: string) => {
    for (const name of names) t.match(await list(name), { hit: false }, `${why}: ${name}`)
    for (const name of names) t.match(await list(name), { hit: true })
  }
  await expectMisses('at first')
  await put({ name: 'a' })
  await expectMisses('without a name')
  await put({ parent: 'top', name: 'b' })
  await expectMisses('by its own name')
  await put({ parent: 'another-name', name: 'c' })
  await expectMisses('by another name')
  const { id } = backend.add('d')
  await put({ id })
  await expectMisses('by what it tells')
  await remove(id)
  await expectMisses('by what it told')
})

t.test('a folder that was listed through a shortcut is dropped under both ids', async (t) => {
  const { backend, list, put } = await start(t)
  const folder = backend.add('folder', { kind: 'folder' })
  backend.aliases.set('shortcut', folder.id)
  await list('shortcut')
  t.equal((await put({ parent: folder.id, name: 'a' })).status, 201)
  t.same(await list('shortcut'), { names: ['a'], hit: false })
})

t.test('if the folder is unknown, all listings of the connection and of no other are dropped', async (t) => {
  const { backend, connect, list, put, remove } = await start(t)
  await connect('bob')
  const folder = backend.add('folder', { kind: 'folder' })
  const { id } = backend.add('a', { parentId: folder.id })
  backend.hasParentIds = false
  const expectMisses = async (): Promise<void> => {
    t.match(await list(folder.id), { hit: false })
    t.match(await list(folder.id), { hit: true })
    t.match(await list(undefined, 'bob'), { hit: true })
  }
  await list(undefined, 'bob')
  await list(folder.id)
  await put({ id })
  await expectMisses()
  await remove(id)
  await expectMisses()
  await remove(id)
  await expectMisses()
})

t.test('a file that was moved meanwhile drops the listings of its old and its new folder', async (t) => {
  const { backend, list, put } = await start(t)
  const [from, to] = [backend.add('from', { kind: 'folder' }), backend.add('to', { kind: 'folder' })]
  const file = backend.add('a', { parentId: from.id })
  const before = backend.stat.bind(backend)
  backend.stat = async (id: string): Promise<Entry> => {
    const told = await before(id)
    backend.entries.set(id, { ...told, parentId: to.id })
    return told
  }
  await list(from.id)
  await list(to.id)
  await put({ id: file.id })
  t.same(await list(from.id), { names: [], hit: false })
  t.same(await list(to.id), { names: ['a'], hit: false })
})

t.test('a change drops the listings of its folder under every Unicode form of its id', async (t) => {
  const fake = await FakeNextcloud.start(t)
  const { app, as } = await testApp(t, {
    transfers: true,
    providers: { nextcloud: { allowHosts: [new URL(fake.url).host] } }
  })
  const fields = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
  t.equal((await as('ann').send('POST', '/cloud/connections/nextcloud', fields)).statusCode, 201)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  const [nfc, nfd] = ['\u00e9\u00fc', 'e\u0301u\u0308']
  // Each of the two letters in a different form.
  const forms = [nfc, nfd, '\u00e9u\u0308'].map((name) => `${name}/`)
  fake.tree.mkdir(nfc)
  const list = async (folder: string) => {
    const answer = await client.send('GET', `/cloud/nextcloud/listing?folder=${encodeURIComponent(folder)}`)
    t.equal(answer.status, 200)
    const { folder: listed, entries } = answer.json() as Listing
    t.equal(listed.id, `${nfc}/`)
    return { ids: entries.map(({ id }) => id), hit: /; hit/.test(String(answer.headers['cache-status'])) }
  }
  const expectMiss = async (ids: string[]) => {
    for (const form of forms) {
      t.same(await list(form), { ids, hit: false }, encodeURIComponent(form))
      t.match(await list(form), { hit: true })
    }
  }
  await expectMiss([])
  const put = (query: Record<string, string>) => client.send('PUT', contentPath('nextcloud', query), { body: 'text' })
  const stored = await put({ parent: forms[1] ?? '', name: nfd })
  t.equal(stored.status, 201)
  const { id } = stored.json() as Entry
  t.equal(id, `${nfc}/${nfc}`)
  await expectMiss([id])
  t.equal((await put({ id: `${nfd}/${nfd}` })).status, 200)
  await expectMiss([id])
  t.equal((await client.send('DELETE', contentPath('nextcloud', { id: `${nfd}/${nfd}` }))).status, 204)
  await expectMiss([])
  // Invalidates by hand, without the aliases that this process has recorded for the folder.
  for (const folderId of forms.slice(0, 2)) {
    app.folderCache.invalidateFolder({ userId: 'ann', provider: 'nextcloud', folderId })
    await expectMiss([])
  }
})
