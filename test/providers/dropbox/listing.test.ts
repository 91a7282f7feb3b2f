import t, { type Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import { isStorageError } from '../../../src/errors.ts'
import type { ListCall, StorageBackend } from '../../../src/core/backend.ts'
import { interceptCalls, runCall } from '../../../src/layers/layer.ts'
import { withPageGuard } from '../../../src/layers/page-guard.ts'
import { startDropbox } from '../../contract/harness/dropbox.ts'
import { callOptions, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { respondsWith } from '../../fakes/faults.ts'
import type { FakeDropbox } from '../../fakes/dropbox/fake-dropbox.ts'

const namesOf = (entries: readonly Entry[]) => entries.map(({ name }) => name)
const argsOf = (requests: FakeDropbox['requests']) =>
  requests.map(({ body }): unknown => JSON.parse(body?.toString() ?? ''))
const list = (backend: StorageBackend, id: string | null, options: Partial<ListCall> = {}) =>
  backend.listFolder(id, { ...callOptions(), limit: 100, ...options })

/** Returns all pages, after checking each. */
async function pagesOf(t: Test, backend: StorageBackend, id: string | null, options: Partial<ListCall> = {}) {
  const pages: string[][] = []
  let cursor: string | undefined
  do {
    const page = await list(backend, id, { ...options, ...(cursor !== undefined && { cursor }) })
    t.ok(page.entries.length <= (options.limit ?? 100), `${page.entries.length} entries`)
    t.match(page, { complete: page.next === null, reason: page.next === null ? null : 'more' })
    pages.push(namesOf(page.entries))
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return pages
}

t.test('a folder of 5,000 entries needs five calls, and two for its mark', async (t) => {
  const { tree, backend, newRequests } = await startDropbox(t)
  const parent = tree.addFolder({ name: 'large' })
  tree.addFiles(5000, (index) => ({ name: `file ${index}`, parent }))
  const entries = await listAll(backend, parent.id, { limit: 1000 })
  t.equal(new Set(entries.map(({ id }) => id)).size, 5000)
  const requests = newRequests()
  t.same(
    requests.map(({ path }) => path),
    [
      ...['/2/files/list_folder', '/2/files/list_folder/get_latest_cursor', '/2/files/list_folder'],
      ...Array.from({ length: 4 }, () => '/2/files/list_folder/continue')
    ]
  )
  t.same(argsOf(requests)[0], {
    path: parent.id,
    recursive: false,
    include_deleted: false,
    include_mounted_folders: true,
    include_non_downloadable_files: true,
    limit: 1000
  })
})

t.test('an id that Dropbox would read as a path is refused without a call', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  tree.addFile({ name: 'x' })
  const ids = [
    '',
    '/',
    '/x',
    'rev:0123456789abc',
    'ns:1',
    `ns:${tree.root.namespaceId}/x`,
    'x',
    'id:',
    'id:a b',
    'id:é'
  ]
  for (const id of [...ids, `${tree.newId()}/x`, `id:${'x'.repeat(201)}`, ' id:x', 'id:x\n']) {
    await rejectsWith(t, list(backend, id), 'FOLDER_NOT_FOUND', id)
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND', id)
    await rejectsWith(t, backend.download(id, callOptions()), 'OBJECT_NOT_FOUND', id)
    await rejectsWith(t, backend.remove!(id, callOptions()), 'OBJECT_NOT_FOUND', id)
    await rejectsWith(t, backend.createFolder!(id, 'x', callOptions()), 'FOLDER_NOT_FOUND', id)
  }
  t.equal(fake.requests.length, 0)
})

t.test('pages longer than requested are cut, and each entry is listed once', async (t) => {
  const { fake, tree, backend, operations } = await startDropbox(t)
  const names = tree.addFiles(23, (index) => ({ name: `file ${index}` })).map(({ name }) => name)
  const sorted = [...names].sort()
  for (const extra of [0, 1, 3, 100]) {
    fake.knobs.extraPerPage = extra
    for (const limit of [1, 2, 5, 22, 23, 100]) {
      const pages = await pagesOf(t, backend, null, { limit })
      t.same(pages.flat().sort(), sorted, `${limit}, and ${extra} more`)
    }
  }
  fake.knobs.extraPerPage = 1
  operations()
  await list(backend, null, { limit: 12, cursor: (await list(backend, null, { limit: 12 })).next ?? '' })
  const firstPart = ['list_folder', 'list_folder/get_latest_cursor', 'list_folder']
  t.same(operations(), [...firstPart, 'list_folder'], 'the same page is requested again')
  tree.addFolder({ name: 'folder' })
  t.same(namesOf(await listAll(backend, null, { kind: 'folder', limit: 1 })), ['folder'])
  t.same(namesOf(await listAll(backend, null, { kind: 'file', limit: 3 })).sort(), sorted)
})

t.test('a page that has changed at its cut ends with CURSOR_EXPIRED', async (t) => {
  for (const isFirst of [true, false]) {
    const { fake, tree, backend } = await startDropbox(t)
    tree.addFiles(10, (index) => ({ name: `file ${index}` }))
    let before = isFirst ? undefined : ((await list(backend, null, { limit: 3 })).next ?? undefined)
    fake.knobs.extraPerPage = 2
    const options = () => ({ limit: 3, ...(before !== undefined && { cursor: before }) })
    const part = await list(backend, null, options())
    t.equal(part.entries.length, 3)
    if (!isFirst) {
      // Deleting an entry that has not been listed yet does not matter.
      const rest = await list(backend, null, { limit: 3, cursor: part.next ?? '' })
      tree.remove(rest.entries[0]?.id ?? '')
      const others = await list(backend, null, { limit: 3, cursor: part.next ?? '' })
      t.same(namesOf(others.entries), namesOf(rest.entries.slice(1)))
    }
    tree.remove(part.entries[1]?.id ?? '')
    before = part.next ?? ''
    await rejectsWith(t, list(backend, null, options()), 'CURSOR_EXPIRED')
  }
})

t.test('pages whose length varies between requests list each entry once, or end with CURSOR_EXPIRED', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  const names = tree.addFiles(17, (index) => ({ name: `file ${index}` })).map(({ name }) => name)
  const extras = [0, 1, 4, 20]
  const ends = { all: 0, expired: 0 }
  const walk = async (limit: number) => {
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await list(backend, null, { limit, ...(cursor !== undefined && { cursor }) }).catch(
        (error: unknown) => {
          if (isStorageError(error, 'CURSOR_EXPIRED')) return null
          throw error
        }
      )
      t.equal(new Set(seen).size, seen.length, 'no entry twice')
      if (page === null) return null
      seen.push(...namesOf(page.entries))
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    return seen
  }
  for (const first of extras) {
    for (const second of extras) {
      for (const third of extras) {
        for (const limit of [2, 5, 16]) {
          fake.knobs.extraOnNextPages = Array.from({ length: 20 }, () => [first, second, third]).flat()
          const seen = await walk(limit)
          ends[seen === null ? 'expired' : 'all']++
          if (seen !== null) t.same(seen.sort(), [...names].sort(), `${first}, ${second}, ${third} more than ${limit}`)
        }
      }
    }
  }
  t.ok(ends.all > 12 && ends.expired > 12, JSON.stringify(ends))
})

t.test('the last metadata of an entry that a page contains twice is used', async (t) => {
  const { fake, backend } = await startDropbox(t)
  const file = (id: string, path: string) => ({ '.tag': 'file', id: `id:${id}`, name: path, path_lower: `/${path}` })
  const deleted = (path: string) => ({ '.tag': 'deleted', name: path, path_lower: `/${path}` })
  const unmounted = { '.tag': 'file', id: 'id:u', name: 'unmounted' }
  const says = (...entries: object[]) => {
    fake.failNext(1, respondsWith(200, { body: JSON.stringify({ entries, cursor: 'c', has_more: false }) }))
  }
  await list(backend, null)
  says(file('a', 'x'), file('b', 'y'), unmounted, { ...unmounted, id: 'id:v' }, deleted('x'))
  t.match(await list(backend, null), {
    entries: [{ id: 'id:b' }, { id: 'id:u' }, { id: 'id:v' }],
    complete: false,
    reason: 'provider-partial'
  })
  says(deleted('x'), file('a', 'x'), file('b', 'y'), file('c', 'y'))
  const ids = (await list(backend, null)).entries.map(({ id }) => id)
  t.same(ids, ['id:a', 'id:c'])
})

t.test('a cut page may be ordered differently when it is requested again', async (t) => {
  const { fake, backend } = await startDropbox(t)
  const says = (names: readonly string[]) => {
    const entries = names.map((name) => ({ '.tag': 'file', id: `id:${name}`, name }))
    const body = JSON.stringify({ entries, cursor: 'c', has_more: false })
    fake.failNext(1, respondsWith(200, { body }), { path: /list_folder/ })
  }
  says(['c', 'a', 'd', 'b'])
  const first = await list(backend, null, { limit: 2 })
  says(['b', 'd', 'c', 'a'])
  const second = await list(backend, null, { limit: 2, cursor: first.next ?? '' })
  t.same(namesOf([...first.entries, ...second.entries]), ['a', 'b', 'c', 'd'])
  t.match(second, { next: null, complete: true })
})

t.test('an empty page with has_more does not end the listing', async (t) => {
  const { fake, tree, backend, operations } = await startDropbox(t)
  tree.addFiles(5, (index) => ({ name: `file ${index}` }))
  fake.knobs.emptyPages = [1, 2, 4]
  const pages = await pagesOf(t, backend, null, { limit: 4 })
  t.same(
    pages.map(({ length }) => length),
    [0, 0, 4, 0, 1]
  )
  t.equal(operations().length, 5 + 2, 'one call per page, and two for the mark')
  t.same(
    (await pagesOf(t, backend, null, { limit: 4, kind: 'folder' })).map(({ length }) => length),
    [0, 0, 0, 0, 0]
  )
})

t.test('a listing during which an entry was removed is not complete', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  tree.addFiles(8, (index) => ({ name: `file ${index}` }))
  const first = await list(backend, null, { limit: 4 })
  tree.addFile({ name: 'late' })
  tree.remove(first.entries[0]?.id ?? '')
  fake.knobs.extraPerPage = 0
  const seen: string[] = []
  let page = first
  while (page.next !== null) {
    page = await list(backend, null, { limit: 4, cursor: page.next })
    t.equal(page.complete, false)
    seen.push(...namesOf(page.entries))
  }
  t.match(page, { next: null, complete: false, reason: 'provider-partial' })
  t.equal(seen.length, 5)
  t.ok(seen.includes('late'))
  t.match(await list(backend, null), { complete: true })
})

t.test('a removed entry makes the following pages incomplete', async (t) => {
  const { fake, backend } = await startDropbox(t)
  const says = (entries: readonly object[], has_more: boolean, times = 1) => {
    const body = JSON.stringify({ entries, cursor: `c${String(has_more)}`, has_more })
    fake.failNext(times, respondsWith(200, { body }), { path: /list_folder/ })
  }
  // The response is also that of the request for the mark.
  says([{ '.tag': 'deleted', name: 'gone', path_lower: '/gone' }], true, 3)
  const first = await list(backend, null)
  t.match(first, { entries: [], reason: 'more' })
  says([{ '.tag': 'file', id: 'id:x', name: 'x' }], false)
  t.match(await list(backend, null, { cursor: first.next ?? '' }), {
    entries: [{ id: 'id:x', size: null }],
    complete: false,
    reason: 'provider-partial'
  })
})

t.test('a foreign cursor is refused, and an expired one is CURSOR_EXPIRED', async (t) => {
  const { fake, tree, backend, newRequests } = await startDropbox(t)
  const parent = tree.addFolder({ name: 'folder' })
  tree.addFiles(5, (index) => ({ name: `file ${index}`, parent }))
  const { next } = await list(backend, parent.id, { limit: 2 })
  t.ok((next ?? '').length < 300)
  newRequests()
  const hash = 'A'.repeat(16)
  for (const place of [
    ['c', 0, 0, '', false],
    ['c', 1001, 0, '', false],
    ['c', 2, 1, '', false],
    ['c', 2, 0, hash, false],
    ['c', 2, -1, hash, false],
    ['', 2, 0, '', false],
    [null, 2, 0, '', false],
    [5, 2, 0, '', false],
    ['c', 2, 0, '', 0],
    []
  ]) {
    const cursor = JSON.stringify(place)
    await rejectsWith(t, list(backend, parent.id, { cursor }), 'INVALID_CURSOR', cursor)
  }
  for (const cursor of ['', 'x', '{}', 'null']) {
    await rejectsWith(t, list(backend, parent.id, { cursor }), 'INVALID_CURSOR', cursor)
  }
  t.same(newRequests(), [])
  fake.resetCursors()
  await rejectsWith(t, list(backend, parent.id, { cursor: next ?? '' }), 'CURSOR_EXPIRED')
  const again = await list(backend, parent.id, { limit: 2 })
  tree.remove(parent)
  await rejectsWith(t, list(backend, parent.id, { cursor: again.next ?? '' }), 'FOLDER_NOT_FOUND')
})

t.test('the page guard ends a cycle of pages', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  tree.addFiles(9, (index) => ({ name: `file ${index}` }))
  fake.knobs.pageFault = 'loops'
  const guarded = interceptCalls(backend, withPageGuard(runCall))
  let page = await list(guarded, null, { limit: 3 })
  while (page.next !== null) page = await list(guarded, null, { limit: 3, cursor: page.next })
  t.match(page, { complete: false, reason: 'duplicate-cursor' })
})

t.test('a response that is not a listing is not an empty folder', async (t) => {
  const { fake, backend } = await startDropbox(t)
  await list(backend, null)
  const page = { entries: [], cursor: 'c', has_more: false }
  const entry = { '.tag': 'file', id: 'id:x', name: 'x' }
  for (const body of [
    null,
    [],
    {},
    'text',
    { ...page, entries: {} },
    { ...page, entries: null },
    { ...page, cursor: '' },
    { ...page, cursor: 5 },
    { ...page, has_more: 'false' },
    { ...page, has_more: undefined },
    ...[
      null,
      'x',
      { ...entry, id: undefined },
      { ...entry, id: '/x' },
      { ...entry, name: '' },
      { ...entry, name: 5 }
    ].map((each) => ({ ...page, entries: [each] })),
    { ...page, entries: [{ ...entry, '.tag': 'other' }] },
    { ...page, entries: [{ ...entry, '.tag': 'folder', id: 5 }] }
  ]) {
    fake.failNext(1, respondsWith(200, { body: JSON.stringify(body) }))
    await rejectsWith(t, list(backend, null), 'PROVIDER_ERROR', JSON.stringify(body))
  }
})

t.test('an entry has all metadata of Dropbox, and stat returns the same', async (t) => {
  const { tree, backend, operations } = await startDropbox(t)
  const serverModified = new Date('2026-11-02T08:30:00.000Z')
  const folder = tree.addFolder({ name: 'Folder' })
  const file = tree.addFile({ name: 'A.txt', parent: folder, content: 'hello', serverModified })
  const shared = tree.addFolder({ name: 'shared', namespaceId: '77', readOnly: true })
  tree.addFile({ name: 'read', parent: shared })
  tree.addFile({ name: 'write', parent: tree.addFolder({ name: 'ours', namespaceId: '78' }) })
  const link = tree.addFile({ name: 'link', symlinkTarget: '/etc/passwd', content: 'x' })
  operations()
  const [entry] = (await list(backend, folder.id)).entries
  t.same(entry, {
    id: file.id,
    parentId: folder.id,
    driveId: null,
    name: 'A.txt',
    kind: 'file',
    mimeType: null,
    size: 5,
    createdAt: null,
    modifiedAt: '2026-11-02T08:30:00.000Z',
    version: file.rev,
    hash: {
      algorithm: 'dropbox-content-hash',
      value: '9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50'
    },
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: '/Folder/A.txt',
    can: { list: false, download: true, write: null }
  })
  t.same(operations(), ['list_folder'])
  t.same(await backend.stat(file.id, callOptions()), entry)
  t.same(operations(), ['get_metadata', 'get_metadata'])
  const entries = (await list(backend, null)).entries
  const byName = (name: string) => entries.find((each) => each.name === name)
  t.match(byName('Folder'), {
    kind: 'folder',
    size: null,
    version: null,
    can: { list: true, download: false, write: null }
  })
  t.match(byName('shared'), { can: { write: false } })
  t.match(byName('ours'), { can: { write: true } })
  t.match(byName('link'), { kind: 'link', size: null, target: null, can: { download: false } })
  operations()
  for (const each of entries) t.same(await backend.stat(each.id, callOptions()), each, each.name)
  t.equal(operations().length, entries.length, 'no call for the root')
  t.match((await list(backend, shared.id)).entries, [{ name: 'read', can: { write: false } }])
  await rejectsWith(t, backend.download(link.id, callOptions()), 'UNSUPPORTED')
  t.notOk(namesOf((await list(backend, null, { kind: 'file' })).entries).includes('link'))
})

t.test('a shared item that is not mounted has neither parent nor path', async (t) => {
  const { tree, backend } = await startDropbox(t)
  const parent = tree.addFolder({ name: 'folder' })
  const { id } = tree.addFile({ name: 'x', parent, unmounted: true })
  t.match(await backend.stat(id, callOptions()), { parentId: null, path: null })
  const folder = tree.addFolder({ name: 'f', unmounted: true })
  await rejectsWith(t, backend.createFolder!(folder.id, 'x', callOptions()), 'UNSUPPORTED')
})
