import t, { type Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import type { ListCall } from '../../../src/core/backend.ts'
import { openBox } from '../../contract/harness/box.ts'
import { callOptions, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { withAllLayers } from '../../contract/layers.ts'
import { respondsWith, htmlPage } from '../../fakes/faults.ts'
import { FakeBox } from '../../fakes/box/fake-box.ts'

async function start(t: Test) {
  const fake = await FakeBox.start(t)
  const { backend } = await openBox(t, fake)
  const list = (id: string | null, options: Partial<ListCall> = {}) =>
    backend.listFolder(id, { ...callOptions(), limit: 100, ...options })
  /** The requests since the last call. */
  let seen = 0
  const asked = () => {
    const requests = fake.requests.slice(seen)
    seen = fake.requests.length
    return requests
  }
  return { fake, tree: fake.tree, backend, list, asked }
}

const namesOf = (entries: readonly Entry[]) => entries.map(({ name }) => name)
const json = (value: unknown) =>
  respondsWith(200, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) })

t.test('each kind of item has an id with its type, and all metadata of Box', async (t) => {
  const { tree, list, backend, asked } = await start(t)
  const [created, modified] = [new Date('2026-01-02T03:04:05Z'), new Date('2026-02-03T04:05:06Z')]
  const [contentCreated, contentModified] = [new Date('2025-01-02T03:04:05Z'), new Date('2025-02-03T04:05:06Z')]
  const times = { created, modified, contentCreated, contentModified }
  const parent = tree.addFolder({ name: 'parent' })
  const file = tree.addFile({ name: 'file', parent, content: 'hello', ...times })
  const kept = tree.addFile({ name: 'kept', parent, permissions: { can_download: false, can_upload: false } })
  const folder = tree.addFolder({ name: 'folder', parent, ...times })
  const bundle = tree.addPackage({ name: 'bundle.pages', parent, content: 'zip' })
  const url = 'https://example.org/a?b#c'
  const link = tree.addWebLink({ name: 'link', parent, url })
  const script = tree.addWebLink({ name: 'script', parent, url: 'javascript:alert(1)' })
  t.equal(file.id, tree.find(link.id, 'web_link')?.id, 'a link and a file may have the same number')
  const { entries } = await list(`folder:${parent.id}`)
  const [request, ...others] = asked()
  t.equal(others.length, 0)
  t.match(Object.fromEntries(request?.query ?? []), { usemarker: 'true', limit: '100' })
  const byName = new Map(entries.map((entry) => [entry.name, entry]))
  const common = { parentId: `folder:${parent.id}`, driveId: null, mimeType: null, target: null, path: null }
  t.match(byName.get('file'), {
    ...common,
    id: `file:${file.id}`,
    kind: 'file',
    size: 5,
    version: '0',
    createdAt: contentCreated.toISOString(),
    modifiedAt: contentModified.toISOString(),
    hash: { algorithm: 'sha1', value: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d' },
    webUrl: `https://app.box.com/file/${file.id}`,
    can: { list: false, download: true, write: true }
  })
  t.same(byName.get('kept')?.can, { list: false, download: false, write: false })
  t.equal(byName.get('kept')?.id, `file:${kept.id}`)
  t.match(byName.get('folder'), {
    ...common,
    id: `folder:${folder.id}`,
    kind: 'folder',
    size: null,
    version: null,
    hash: null,
    createdAt: created.toISOString(),
    modifiedAt: modified.toISOString(),
    webUrl: `https://app.box.com/folder/${folder.id}`,
    can: { list: null, download: false, write: true }
  })
  t.match(byName.get('bundle.pages'), { ...common, id: `file:${bundle.id}`, kind: 'package', size: 3 })
  t.match(byName.get('link'), {
    ...common,
    id: `link:${link.id}`,
    kind: 'link',
    webUrl: url,
    can: { list: false, download: false, write: null }
  })
  t.equal(byName.get('script')?.webUrl, null, `${script.name} has no webUrl`)
  for (const entry of entries) {
    t.same(await backend.stat(entry.id, callOptions()), entry, entry.name)
  }
})

t.test('renaming changes the version, which If-Match compares', async (t) => {
  const { tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'file' })
  const { version } = await backend.stat(`file:${id}`, callOptions())
  tree.rename(tree.get(id, 'file'), 'other')
  t.not((await backend.stat(`file:${id}`, callOptions())).version, version)
})

t.test('the root has one id', async (t) => {
  const { tree, list, backend, asked } = await start(t)
  tree.addFile({ name: 'file' })
  const page = await list(null)
  t.match(page.folder, { id: 'folder:0', name: null, parentId: null })
  t.match(page.entries, [{ parentId: 'folder:0' }])
  t.same(await list('folder:0'), page)
  const root = await backend.stat('folder:0', callOptions())
  t.match(root, { id: 'folder:0', parentId: null, kind: 'folder', name: 'All Files', createdAt: null, version: null })
  asked()
  for (const id of ['0', 'folder:00', 'folder:', 'file:0', 'link:0', 'folder:0/', 'folder:-1', ' folder:0', 'root']) {
    await rejectsWith(t, list(id), 'FOLDER_NOT_FOUND', id)
  }
  for (const id of ['1', 'folder:01', 'web_link:1', 'file:1\n', 'file:x', 'File:1', `file:${'1'.repeat(21)}`]) {
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND', id)
  }
  t.same(asked(), [], 'no request is sent')
})

t.test('a shared item whose parent folder is not visible has parentId null', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'file' })
  fake.failNext(1, json({ type: 'file', id, name: 'file', parent: null }))
  t.equal((await backend.stat(`file:${id}`, callOptions())).parentId, null)
})

t.test('a folder of 3,000 items needs three calls, and one for the number of items', async (t) => {
  const { tree, backend, asked } = await start(t)
  const parent = tree.addFolder({ name: 'large' })
  tree.addFiles(3_000, (index) => ({ name: `file ${index}`, parent }))
  const entries = await listAll(backend, `folder:${parent.id}`, { limit: 1000 })
  t.equal(new Set(entries.map(({ id }) => id)).size, 3_000)
  const requests = asked()
  t.equal(requests.length, 4)
  const { query } = requests.at(-1) ?? {}
  t.same(Object.fromEntries(query ?? []), { limit: '1', offset: '0', fields: 'id' })
})

t.test('items that Box omits between two pages make the last page incomplete', async (t) => {
  const { fake, tree, list } = await start(t)
  const parent = tree.addFolder({ name: 'parent' })
  tree.addFiles(7, (index) => ({ name: `file ${index}`, parent }))
  const id = `folder:${parent.id}`
  const walk = async () => {
    let page = await list(id, { limit: 3 })
    while (page.next !== null) {
      t.match(page, { complete: false, reason: 'more' })
      page = await list(id, { limit: 3, cursor: page.next })
    }
    return page
  }
  t.match(await walk(), { complete: true, reason: null })
  fake.knobs.pageFault = 'skips'
  t.match(await walk(), { complete: false, reason: 'provider-partial' })
  fake.knobs.pageFault = 'doubles'
  t.match(await walk(), { complete: true, reason: null })
  fake.knobs.pageFault = undefined
  tree.addFile({ name: 'hidden', parent, hidden: true })
  t.match(await walk(), { complete: false, reason: 'provider-partial' }, 'invisible items count as missing')
})

t.test('a cycle of pages ends', async (t) => {
  const { fake, tree, backend } = await start(t)
  tree.addFiles(7, (index) => ({ name: `file ${index}` }))
  fake.knobs.pageFault = 'loops'
  const guarded = withAllLayers()(backend)
  t.ok((await listAll(guarded, null, { limit: 3 })).length < 20)
})

t.test('the three forms of the last marker end the listing after one call', async (t) => {
  const { fake, tree, list, asked } = await start(t)
  tree.addFile({ name: 'file' })
  for (const lastMarker of ['', null, undefined] as const) {
    fake.knobs.lastMarker = lastMarker
    t.match(await list(null), { next: null, complete: true, reason: null })
    t.equal(asked().length, 1)
  }
})

t.test('short pages, and pages without items of the kind, do not end the listing', async (t) => {
  const { fake, tree, list, backend } = await start(t)
  const parent = tree.addFolder({ name: 'parent' })
  const id = `folder:${parent.id}`
  for (let index = 0; index < 5; index++) tree.addFolder({ name: `folder ${index}`, parent })
  tree.addFile({ name: 'file', parent })
  tree.addPackage({ name: 'package', parent })
  tree.addWebLink({ name: 'link', parent, url: 'https://example.org/' })
  t.same(namesOf(await listAll(backend, id, { limit: 2, kind: 'file' })), ['file'])
  const first = await list(id, { limit: 2, kind: 'file' })
  t.match(first, { complete: false, reason: 'more' })
  t.equal(first.entries.length, 0)
  fake.knobs.pageLimit = 1
  t.equal((await listAll(backend, id, { limit: 5 })).length, 8)
})

t.test('items in the trash are not listed, although Box counts them', async (t) => {
  const { fake, tree, list, backend } = await start(t)
  const { id } = tree.addFile({ name: 'file' })
  const item = { type: 'file', id, name: 'file' }
  fake.failNext(
    1,
    json({
      entries: [
        { ...item, item_status: 'trashed' },
        { ...item, item_status: 'deleted' }
      ]
    })
  )
  const page = await list(null)
  t.match(page, { complete: true })
  t.same(page.entries, [])
  fake.failNext(1, json({ entries: [{ ...item, item_status: 'active' }, item] }))
  t.equal((await list(null)).entries.length, 2)
  fake.failNext(1, json({ ...item, item_status: 'trashed' }))
  await rejectsWith(t, backend.stat(`file:${id}`, callOptions()), 'OBJECT_NOT_FOUND')
  fake.failNext(1, json({ entries: [{ ...item, item_status: 'trashed' }], next_marker: 'x' }))
  const { next } = await list(null, { limit: 1 })
  t.equal(next, '["x",1]')
})

t.test('a missing folder, a folder in the trash and an item that is not a folder are errors', async (t) => {
  const { tree, list } = await start(t)
  const empty = tree.addFolder({ name: 'empty' })
  t.match(await list(`folder:${empty.id}`), { complete: true, next: null })
  const below = tree.addFolder({ name: 'below', parent: empty })
  tree.trash(empty)
  for (const { id } of [empty, below]) await rejectsWith(t, list(`folder:${id}`), 'FOLDER_NOT_FOUND')
  const file = tree.addFile({ name: 'file' })
  await rejectsWith(t, list(`file:${file.id}`), 'FOLDER_NOT_FOUND')
  const denied = tree.addFolder({ name: 'denied', denied: true })
  await rejectsWith(t, list(`folder:${denied.id}`), 'ACCESS_DENIED')
})

t.test('an expired marker is CURSOR_EXPIRED, and an invalid one is INVALID_CURSOR', async (t) => {
  const { fake, tree, list, asked } = await start(t)
  tree.addFiles(5, (index) => ({ name: `file ${index}` }))
  const { next } = await list(null, { limit: 2 })
  fake.expireMarkers()
  await rejectsWith(t, list(null, { limit: 2, cursor: next ?? '' }), 'CURSOR_EXPIRED')
  asked()
  for (const cursor of [
    '',
    'x',
    'null',
    '{}',
    '[]',
    '["m"]',
    '["",0]',
    '[5,0]',
    '["m",-1]',
    '["m",0.5]',
    '["m","0"]'
  ]) {
    await rejectsWith(t, list(null, { cursor }), 'INVALID_CURSOR', cursor)
  }
  t.same(asked(), [])
})

t.test('a response that is not a listing is an error and never an empty page', async (t) => {
  const { fake, list, backend } = await start(t)
  const file = { type: 'file', id: '1', name: 'a' }
  for (const [name, fault] of Object.entries({
    page: htmlPage(),
    text: respondsWith(200, { body: 'ok' }),
    nothing: respondsWith(200),
    'no content': respondsWith(204),
    cut: respondsWith(200, { body: '{"entries": [{"type": "file"' }),
    'no object': json([]),
    'no list': json({}),
    'another list': json({ entries: {} }),
    'no item': json({ entries: [null] }),
    'no id': json({ entries: [{ type: 'file', name: 'a' }] }),
    'an invalid id': json({ entries: [{ ...file, id: '../1' }] }),
    'a number': json({ entries: [{ ...file, id: 1 }] }),
    'no name': json({ entries: [{ type: 'file', id: '1' }] }),
    'no known type': json({ entries: [{ ...file, type: 'hub' }] }),
    'a list that is too long': json({ entries: [file, file, file] }),
    'no marker': json({ entries: [file], next_marker: 5 })
  })) {
    fake.failNext(1, fault)
    await rejectsWith(t, list(null, { limit: 2 }), 'PROVIDER_ERROR', name)
  }
  for (const total of [{}, { total_count: '3' }, { total_count: -1 }, []]) {
    fake.failNext(1, json(total), { matching: ({ query }) => query.has('offset') })
    await rejectsWith(t, list(null, { cursor: '["0",1]' }), 'PROVIDER_ERROR', JSON.stringify(total))
  }
  for (const other of [
    { ...file, id: '2' },
    { ...file, type: 'folder' }
  ]) {
    fake.failNext(1, json(other))
    await rejectsWith(t, backend.stat('file:1', callOptions()), 'PROVIDER_ERROR', 'another item')
  }
})

t.test('invalid metadata is null', async (t) => {
  const { fake, list } = await start(t)
  const odd = { type: 'file', id: '1', name: 'a', size: -1, sha1: 5, etag: 'a b', permissions: { can_download: 'yes' } }
  fake.failNext(1, json({ entries: [odd] }))
  const [entry] = (await list(null)).entries
  t.match(entry, { size: null, hash: null, version: null, createdAt: null, modifiedAt: null })
  t.same(entry?.can, { list: false, download: null, write: null })
})
