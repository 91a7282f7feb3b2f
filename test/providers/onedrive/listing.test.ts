import t, { type Test } from 'tap'
import type { Entry, EntryPage } from '../../../src/core/entry.ts'
import type { ListCall, StorageBackend } from '../../../src/core/backend.ts'
import { interceptCalls, runCall } from '../../../src/layers/layer.ts'
import { withPageGuard } from '../../../src/layers/page-guard.ts'
import { idOf, openOneDrive } from '../../contract/harness/onedrive.ts'
import { callOptions, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { respondsWith, htmlPage } from '../../fakes/faults.ts'
import { FakeGraph, type FakeGraphOptions } from '../../fakes/graph/fake-graph.ts'
import type { PageFault } from '../../fakes/pages.ts'
import { readBody } from '../../support/app/read-body.ts'

async function start(t: Test, options?: FakeGraphOptions) {
  const fake = await FakeGraph.start(t, options)
  const { backend } = await openOneDrive(t, fake)
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
const json = (body: unknown) =>
  respondsWith(200, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

async function walk(backend: StorageBackend, id: string | null, limit: number): Promise<EntryPage[]> {
  const pages: EntryPage[] = []
  let cursor: string | undefined
  do {
    const page = await backend.listFolder(id, { ...callOptions(), limit, ...(cursor !== undefined && { cursor }) })
    pages.push(page)
    cursor = page.next ?? undefined
  } while (cursor !== undefined && pages.length < 100)
  return pages
}

t.test('a folder of 5,000 entries needs six calls, and one more for their number', async (t) => {
  const { tree, backend, asked } = await start(t)
  const parent = tree.addFolder({ name: 'large' })
  tree.addFiles(5000, (index) => ({ name: `file ${index}`, parent }))
  const entries = await listAll(backend, idOf(parent), { limit: 1000 })
  t.equal(new Set(entries.map(({ id }) => id)).size, 5000)
  const requests = asked().filter(({ path }) => path.endsWith('/children'))
  t.equal(requests.length, 6)
  const [first, ...others] = requests.map(({ path, query }) => {
    const { $skiptoken: _token, ...rest } = Object.fromEntries(query)
    return { path, ...rest }
  })
  t.match(first, { $top: '999' })
  for (const other of others) t.same(other, first, 'each page is requested like the first one')
})

t.test('a folder that fits one page needs one call', async (t) => {
  const { tree, list, asked } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  tree.addFiles(100, (index) => ({ name: `file ${index}`, parent }))
  t.match(await list(idOf(parent)), { complete: true, next: null, folder: { id: idOf(parent) } })
  t.equal(asked().length, 1)
})

t.test('invalid ids are refused without a call', async (t) => {
  const { fake, list, backend, asked } = await start(t)
  const long = 'x'.repeat(201)
  for (const id of [
    'root/x/y',
    'a/',
    '/a',
    'a b/c',
    "a'b/c",
    'é/x',
    'site:',
    'site:a',
    'site:../x,y,z',
    `${long}/x`,
    'a'
  ]) {
    await rejectsWith(t, list(id), 'FOLDER_NOT_FOUND', id)
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND', id)
  }
  await rejectsWith(t, backend.download('site:a.example,b,c', callOptions()), 'OBJECT_NOT_FOUND', 'a site')
  t.same(asked(), [])
  const { id } = fake.tree.addFile({ name: 'x' })
  await rejectsWith(t, list(`malformed/${id}`), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, backend.stat(`malformed/${id}`, callOptions()), 'OBJECT_NOT_FOUND')
})

t.test('the root lists the sites first, and pages of any size add up to the whole', async (t) => {
  const { tree, list, backend } = await start(t)
  const sites = Array.from({ length: 7 }, (_, index) => `site:${tree.addSite({ name: `site ${index}` }).id}`)
  const files = tree.addFiles(20, (index) => ({ name: `file ${index}` })).map(idOf)
  for (const limit of [1, 2, 3, 6, 7, 8, 13, 14, 15, 26, 27, 28, 1000]) {
    const pages = await walk(backend, null, limit)
    for (const { entries, complete, next, folder } of pages) {
      t.ok(entries.length <= limit, `${entries.length} of ${limit}`)
      t.equal(complete, next === null)
      t.equal(folder.id, 'root')
    }
    const ids = pages.flatMap(({ entries }) => entries.map(({ id }) => id))
    t.same(ids, [...sites, ...files], `${limit} at a time`)
  }
  for (const kind of ['file', 'folder'] as const) {
    t.notOk(
      (await list(null, { kind })).entries.some((entry) => entry.kind === 'drive'),
      `none for the kind ${kind}`
    )
  }
})

t.test('a site lists its libraries and subsites, and these list their content', async (t) => {
  const { tree, list, backend } = await start(t)
  const site = tree.addSite({ name: 'Team' })
  const below = tree.addSite({ name: 'Below', parent: site })
  const library = tree.addDrive({ name: 'Documents', site })
  const folder = tree.addFolder({ name: 'folder', parent: library })
  tree.addFile({ name: 'inside', parent: folder })
  const siteId = `site:${site.id}`
  const top = `${library.driveId}/root`
  const [entry] = (await list(null)).entries
  t.match(entry, { kind: 'drive', id: siteId, name: 'Team', parentId: 'root', driveId: null, can: { list: true } })
  t.match(await backend.stat(siteId, callOptions()), { id: siteId, name: 'Team', kind: 'drive', parentId: null })
  for (const limit of [1, 2, 100]) {
    const pages = await walk(backend, siteId, limit)
    const entries = pages.flatMap((page) => page.entries)
    t.match(entries, [
      { kind: 'drive', id: top, name: 'Documents', parentId: siteId, driveId: library.driveId, can: { list: true } },
      { kind: 'drive', id: `site:${below.id}`, name: 'Below', parentId: siteId }
    ])
    t.equal(entries.length, 2)
    t.match(pages.at(-1), { complete: true, folder: { id: siteId } })
  }
  t.match(await backend.stat(top, callOptions()), {
    kind: 'drive',
    id: top,
    name: 'Documents',
    driveId: library.driveId
  })
  const page = await list(top)
  t.match(page, { folder: { id: top }, entries: [{ name: 'folder', parentId: top, driveId: library.driveId }] })
  t.same(await list(`${library.driveId}/${library.id}`), page, 'under its other id')
  t.equal((await backend.stat(`${library.driveId}/${library.id}`, callOptions())).id, top)
  t.same(await backend.stat(idOf(folder), callOptions()), page.entries[0])
  t.match(await list(idOf(folder)), { entries: [{ name: 'inside', parentId: idOf(folder) }] })
  await rejectsWith(t, list(`site:${site.id.slice(0, -1)}x`), 'FOLDER_NOT_FOUND')
  t.same((await list(siteId, { kind: 'file' })).entries, [])
})

t.test('a user without sites, or without permission for sites, sees none', async (t) => {
  const personal = await start(t, { kind: 'personal' })
  personal.tree.addFile({ name: 'file' })
  t.same(namesOf((await personal.list(null)).entries), ['file'])
  const scopes = ['User.Read', 'Files.Read.All']
  const refused = await start(t, { authorize: () => ({ user: 'me', scopes }) })
  refused.tree.addSite({ name: 'Team' })
  refused.tree.addFile({ name: 'file' })
  const page = await refused.list(null)
  t.same(namesOf(page.entries), ['file'])
  t.equal(page.complete, true)
  refused.fake.failNext(1, respondsWith(500), { path: '/v1.0/sites' })
  await rejectsWith(t, refused.list(null), 'PROVIDER_UNAVAILABLE', 'any other failure is reported')
})

t.test('the root has one id', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { fake, tree, list, backend } = await start(t, { kind })
    const file = tree.addFile({ name: 'file' })
    const { driveId, id } = tree.root
    if (kind === 'business') tree.addSite({ name: 'Team' })
    const page = await list(null)
    t.match(page.folder, { id: 'root', name: null, parentId: null })
    for (const name of ['root', `${driveId}/root`, `${driveId}/${id}`]) {
      t.same(await list(name), page, name)
      const { backend: cold } = await openOneDrive(t, fake)
      t.same(await cold.listFolder(name, { ...callOptions(), limit: 100 }), page, `${name}, with nothing cached`)
      for (const each of [backend, (await openOneDrive(t, fake)).backend]) {
        t.match(await each.stat(name, callOptions()), { id: 'root', kind: 'folder', parentId: null, driveId })
      }
    }
    const { backend: cold } = await openOneDrive(t, fake)
    const entry = await cold.stat(idOf(file), callOptions())
    t.equal(entry.parentId, 'root')
    t.same(
      entry,
      page.entries.find(({ name }) => name === 'file')
    )
  }
})

t.test('one more call distinguishes an empty folder, a file and a missing folder', async (t) => {
  const { tree, list, asked } = await start(t)
  const empty = tree.addFolder({ name: 'empty' })
  const file = tree.addFile({ name: 'file' })
  t.match(await list(idOf(empty)), { entries: [], complete: true, next: null })
  t.equal(asked().length, 2)
  for (const kind of [undefined, 'folder', 'file'] as const) {
    await rejectsWith(t, list(idOf(file), kind === undefined ? {} : { kind }), 'FOLDER_NOT_FOUND', kind ?? 'a file')
  }
  const denied = tree.addFolder({ name: 'denied', denied: true })
  await rejectsWith(t, list(idOf(denied)), 'ACCESS_DENIED')
  const gone = tree.addFolder({ name: 'gone', deleted: true })
  await rejectsWith(t, list(idOf(gone)), 'FOLDER_NOT_FOUND')
  asked()
  await list(null, { kind: 'folder' })
  t.equal(asked().length, 1, 'the root always exists')
})

t.test('an entry has all metadata of Microsoft', async (t) => {
  const modified = new Date('2026-11-02T08:30:00Z')
  const created = new Date('2026-01-05T10:00:00Z')
  const { tree, list } = await start(t)
  const file = tree.addFile({ name: 'a.pdf', content: 'hello', created, modified })
  tree.addFolder({ name: 'folder', created, modified })
  tree.addFolder({ name: 'Notebook', package: { type: 'oneNote' } })
  tree.addFile({ name: 'bad.txt', content: 'x', malware: { description: 'EICAR' } })
  const { entries } = await list(null)
  t.match(entries[0], {
    id: idOf(file),
    parentId: 'root',
    driveId: file.driveId,
    kind: 'file',
    mimeType: 'application/pdf',
    size: 5,
    createdAt: created.toISOString(),
    modifiedAt: modified.toISOString(),
    hash: { algorithm: 'quickXor', value: /^[\w+/]{27}=$/ },
    webUrl: /^https:/,
    thumbnailUrl: null,
    target: null,
    can: { list: false, download: true, write: null }
  })
  t.match(entries[0]?.version, /^c:\{[\w-]+\},1$/, 'the cTag without quotes')
  t.match(entries[1], {
    kind: 'folder',
    size: null,
    mimeType: null,
    version: null,
    can: { list: true, download: false }
  })
  t.match(entries[2], { kind: 'package', size: null, webUrl: /^https:/, can: { list: false, download: false } })
  t.match(entries[3], { kind: 'file', can: { list: false, download: false } })
  const personal = await start(t, { kind: 'personal' })
  personal.tree.addFile({ name: 'a', content: 'hello' })
  const [own] = (await personal.list(null)).entries
  t.match(own?.hash, { algorithm: 'sha1', value: 'AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D' })
})

t.test('albums are not listed, and unknown items can only be viewed at Microsoft', async (t) => {
  const { fake, tree, list } = await start(t, { kind: 'personal' })
  tree.addFolder({ name: 'album', bundle: { childCount: 3 } })
  tree.addFile({ name: 'file' })
  t.match(await list(null), { entries: [{ name: 'file' }], complete: true })
  const parentReference = { driveId: tree.root.driveId }
  const value = [
    { id: 'A!1', name: 'vault', parentReference },
    { id: 'A!2', name: 'gone', parentReference, file: {}, deleted: {} }
  ]
  fake.failNext(1, json({ value }), { path: /children$/ })
  const { entries } = await list(null)
  t.match(entries, [{ name: 'vault', kind: 'package', can: { list: false, download: false } }])
  t.equal(entries.length, 1)
})

t.test('a shortcut leads to its target, by its own id and by the id of its target', async (t) => {
  const { tree, list, backend, asked } = await start(t)
  const elsewhere = tree.addDrive({ name: 'of somebody' })
  const folder = tree.addFolder({ name: 'shared folder', parent: elsewhere })
  const file = tree.addFile({ name: 'shared.txt', parent: folder, content: 'shared' })
  const empty = tree.addFolder({ name: 'empty', parent: elsewhere })
  const toFolder = tree.addRemote({ name: 'to folder', target: folder })
  const toFile = tree.addRemote({ name: 'to file', target: file })
  const toEmpty = tree.addRemote({ name: 'to empty', target: empty })
  const { entries } = await list(null)
  t.match(entries, [
    {
      kind: 'shortcut',
      id: idOf(toFolder),
      target: { id: idOf(folder), kind: 'folder', mimeType: null, state: 'ok' },
      can: { list: true, download: false }
    },
    {
      kind: 'shortcut',
      id: idOf(toFile),
      size: null,
      version: null,
      target: { id: idOf(file), kind: 'file', mimeType: 'text/plain', state: 'ok' },
      can: { list: false, download: true }
    },
    { kind: 'shortcut' }
  ])
  for (const entry of entries) t.same(await backend.stat(entry.id, callOptions()), entry)
  t.same(await list(idOf(toFolder)), await list(idOf(folder)))
  t.match(await list(idOf(toFolder)), { entries: [{ id: idOf(file), parentId: idOf(folder) }] })
  t.match(await list(idOf(toEmpty)), { entries: [], complete: true })
  await rejectsWith(t, list(idOf(toFile)), 'FOLDER_NOT_FOUND')
  const { body } = await backend.download(idOf(toFile), callOptions())
  t.equal((await readBody(body)).toString(), 'shared')
  await rejectsWith(t, backend.download(idOf(toFolder), callOptions()), 'OBJECT_NOT_FOUND')

  tree.addFiles(5, (index) => ({ name: `file ${index}`, parent: folder }))
  asked()
  const pages = await walk(backend, idOf(toFolder), 2)
  t.equal(new Set(pages.flatMap((page) => namesOf(page.entries))).size, 6)
  t.match(pages.at(-1), { complete: true })
  t.equal(asked().length, 3 + 2 + 1, 'the target is requested for the first page only')

  tree.remove(folder)
  await rejectsWith(t, list(idOf(toFolder)), 'FOLDER_NOT_FOUND', 'the target has been removed')
  await rejectsWith(
    t,
    backend.download(idOf(toFile), callOptions()),
    'OBJECT_NOT_FOUND',
    'the target file has been removed'
  )
  await backend.remove?.(idOf(toFile), callOptions())
  t.same(namesOf((await list(null)).entries), ['to folder', 'to empty'], 'a shortcut can be removed')
})

t.test('pages that skip or repeat entries do not make a complete listing', async (t) => {
  for (const sendsCount of [false, true]) {
    for (const pageFault of ['skips', 'doubles'] satisfies PageFault[]) {
      const { fake, tree, backend } = await start(t)
      const parent = tree.addFolder({ name: 'folder' })
      tree.addFiles(10, (index) => ({ name: `file ${index}`, parent }))
      Object.assign(fake.knobs, { pageFault, sendsCount })
      for (const id of [idOf(parent), null]) {
        if (id === null) tree.addFiles(10, (index) => ({ name: `file ${index}` }))
        const pages = await walk(interceptCalls(backend, withPageGuard(runCall)), id, 4)
        t.match(pages.at(-1), { complete: false, reason: 'provider-partial', next: null }, `${pageFault} ${id}`)
        for (const page of pages) t.equal(page.complete, false)
      }
    }
  }
  const { fake, tree, backend } = await start(t)
  tree.addFiles(10, (index) => ({ name: `file ${index}` }))
  fake.knobs.pageFault = 'loops'
  const pages = await walk(interceptCalls(backend, withPageGuard(runCall)), null, 4)
  t.match(pages.at(-1), { complete: false, reason: 'duplicate-cursor' })
  fake.knobs.pageFault = 'repeats'
  const repeated = await walk(interceptCalls(backend, withPageGuard(runCall, { maxPages: 20 })), null, 4)
  t.match(repeated.at(-1), { complete: false, next: null })
})

t.test('a single page with fewer entries than the count of Graph is not complete', async (t) => {
  const { fake, tree, list } = await start(t)
  const { driveId } = tree.addFile({ name: 'file' })
  const value = [{ id: 'A', name: 'a', parentReference: { driveId }, file: {} }]
  fake.failNext(1, json({ value, '@odata.count': 2 }), { path: /children$/ })
  t.match(await list(null), { complete: false, reason: 'provider-partial', next: null })
  const site = { id: 'a.example,b,c', name: 'site' }
  for (const limit of [1, 100]) {
    fake.failNext(1, json({ value: [site], '@odata.count': 2 }), { path: '/v1.0/sites' })
    const first = await list(null, { limit })
    const last = first.next === null ? first : await list(null, { limit, cursor: first.next })
    t.match(last, { complete: false, reason: 'provider-partial', next: null }, 'of sites, on the last page')
    t.equal(last.entries.at(-1)?.name, 'file')
  }
})

t.test('short and empty pages do not end the listing', async (t) => {
  const { fake, tree, list } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  tree.addFiles(5, (index) => ({ name: `file ${index}`, parent }))
  fake.knobs.shortPages.push(0, 2)
  const empty = await list(idOf(parent))
  t.match(empty, { entries: [], complete: false, reason: 'more' })
  const second = await list(idOf(parent), { cursor: empty.next ?? '' })
  t.equal(second.entries.length, 2)
  const third = await list(idOf(parent), { cursor: second.next ?? '' })
  t.equal(third.entries.length, 3)
  t.equal(third.complete, true)
})

t.test('a nextLink to another path is not followed', async (t) => {
  const { fake, tree, list } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  const { driveId, id } = tree.addFile({ name: 'file', parent })
  const path = `/v1.0/drives/${driveId}/items/${parent.id}/children`
  const value = [{ id, name: 'file', parentReference: { driveId, id: parent.id }, file: {} }]
  const other = await FakeGraph.start(t)
  const asked = `${fake.url}${path}?`
  for (const link of [
    `${other.url}${path}?$skiptoken=x`,
    `${fake.contentUrl}${path}?$skiptoken=x`,
    `${fake.url.replace('//', '//user:password@')}${path}?$skiptoken=x`,
    `${fake.url}/v1.0/me?$skiptoken=x`,
    `${asked}$top=100`,
    asked,
    path,
    'nowhere',
    7,
    ''
  ]) {
    fake.failNext(1, json({ value, '@odata.nextLink': link }), { path })
    await rejectsWith(t, list(idOf(parent)), 'PROVIDER_ERROR', String(link))
  }
  t.equal(other.requests.length, 0)
  const odd = `${fake.url}/v1.0/drives('x')/items('y')/children?%24top=100&%24skiptoken=a%2Bb`
  fake.failNext(1, json({ value, '@odata.nextLink': odd }), { path })
  const page = await list(idOf(parent))
  fake.failNext(1, json({ value: [] }), { matching: ({ query }) => query.get('$skiptoken') === 'a+b' })
  t.match(await list(idOf(parent), { cursor: page.next ?? '' }), { entries: [], reason: null })
  t.equal(fake.requests.at(-2)?.path, path, 'the listing continues at its own path')
})

t.test('a response that is not a listing is not an empty folder', async (t) => {
  const { fake, tree, list } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  const { driveId } = parent
  const parentReference = { driveId }
  const file = { id: 'A', name: 'a', parentReference, file: {} }
  for (const body of [
    null,
    'text',
    [],
    {},
    { value: null },
    { value: {} },
    { value: [null] },
    { value: [{ ...file, id: '' }] },
    { value: [{ ...file, id: 'a/b' }] },
    { value: [{ ...file, name: 7 }] },
    { value: [{ ...file, parentReference: {} }] },
    { value: Array.from({ length: 101 }, () => file) }
  ]) {
    fake.failNext(1, json(body), { path: /children$/ })
    await rejectsWith(t, list(idOf(parent)), 'PROVIDER_ERROR', JSON.stringify(body).slice(0, 60))
  }
  fake.failNext(1, htmlPage(), { path: /children$/ })
  await rejectsWith(t, list(idOf(parent)), 'PROVIDER_ERROR', 'an HTML page')
  fake.failNext(1, json({}), { path: '/v1.0/sites' })
  await rejectsWith(t, list(null), 'PROVIDER_ERROR', 'not a list of sites')
})

t.test('a site has its best available name, and one without a usable id is left out', async (t) => {
  const { fake, tree, list, backend } = await start(t)
  tree.addFile({ name: 'file' })
  const id = 'a.example,b,c'
  const webUrl = 'https://a.example/sites/x'
  for (const [site, name] of [
    [{ id, name: 'x', webUrl, displayName: 'X' }, 'X'],
    [{ id, name: 'x', webUrl }, 'x'],
    [{ id, name: '', webUrl }, webUrl],
    [{ id }, id]
  ] as const) {
    fake.failNext(1, json({ value: [site] }), { path: '/v1.0/sites' })
    t.same(namesOf((await list(null)).entries), [name, 'file'])
  }
  for (const bad of [null, {}, { id: '', name: 'x' }, { id: '../x', name: 'x' }]) {
    const value = [{ id, name: 'x' }, bad]
    fake.failNext(1, json({ value }), { path: '/v1.0/sites' })
    const page = await list(null)
    t.match(page, { complete: false, reason: 'provider-partial', next: null }, JSON.stringify(bad))
    t.same(namesOf(page.entries), ['x', 'file'])
  }
  const [first, second] = [tree.addSite({ name: 'first' }), tree.addSite({ name: 'second' })]
  fake.failNext(1, json({ value: [{}], '@odata.nextLink': `${fake.url}/v1.0/sites?search=*&$top=1&$skiptoken=x` }), {
    path: '/v1.0/sites'
  })
  const page = await list(null, { limit: 1 })
  t.match(page, { entries: [], complete: false, reason: 'more' })
  fake.failNext(1, json({ value: [{ id: first.id, displayName: 'first' }] }), { path: '/v1.0/sites' })
  const next = await list(null, { limit: 1, cursor: page.next ?? '' })
  const last = await list(null, { limit: 1, cursor: next.next ?? '' })
  t.match(last, { complete: false, reason: 'provider-partial', next: null }, 'on the last page')
  fake.failNext(1, json({ id: '../x', name: 'x' }), { path: /\/sites\/./ })
  await rejectsWith(t, backend.stat(`site:${second.id}`, callOptions()), 'PROVIDER_ERROR')
})

t.test('a user without a drive has a root with the sites only', async (t) => {
  for (const noDrive of [{ code: 'itemNotFound' }, { code: 'accessDenied' }, { code: 'BadRequest' }]) {
    const { fake, tree, list, backend, asked } = await start(t)
    fake.knobs.noDriveError = noDrive
    for (const kind of ['file', 'folder'] as const) {
      const { backend: cold } = await openOneDrive(t, fake)
      t.match(await cold.listFolder(null, { ...callOptions(), limit: 10, kind }), { entries: [], complete: true })
    }
    const site = tree.addSite({ name: 'Team' })
    tree.addSite({ name: 'Other' })
    const library = tree.addDrive({ name: 'Documents', site })
    asked()
    t.match(await list(null), { folder: { id: 'root' }, complete: true, next: null })
    t.same(namesOf((await list(null)).entries), ['Team', 'Other'])
    const drives = asked().filter(({ path }) => path.startsWith('/v1.0/me/drive'))
    t.equal(drives.length, 1, 'the drive is requested once')
    const pages = await walk(backend, null, 1)
    t.same(namesOf(pages.flatMap(({ entries }) => entries)), ['Team', 'Other'])
    t.match(await list(`${library.driveId}/root`), { entries: [], complete: true })
    t.match(await backend.account(callOptions()), { name: 'me', quota: null })
    fake.knobs.noDriveError = undefined
    t.match((await backend.account(callOptions())).quota, { used: 0 })
    tree.addFile({ name: 'file' })
    t.same(namesOf((await list(null)).entries), ['Team', 'Other', 'file'], 'the new drive is listed')
  }
  const { fake, list } = await start(t)
  fake.failNext(2, { code: 'InvalidAuthenticationToken' }, { path: '/v1.0/me/drive' })
  await rejectsWith(t, list(null), 'ACCESS_DENIED', 'a rejected token')
  t.match(await list(null), { complete: true })
  fake.failNext(1, respondsWith(404, { body: '<html>' }), { path: '/v1.0/me/drive' })
  const { backend: cold } = await openOneDrive(t, fake)
  await rejectsWith(t, cold.listFolder(null, { ...callOptions(), limit: 1 }), 'PROVIDER_ERROR', 'an HTML page')
})

t.test('a listing of the root continues under any of its ids, in another process too', async (t) => {
  const { fake, tree } = await start(t)
  tree.addSite({ name: 'Team' })
  tree.addSite({ name: 'Other' })
  tree.addFiles(3, (index) => ({ name: `file ${index}` }))
  const folder = tree.addFolder({ name: 'folder' })
  const { driveId, id } = tree.root
  const fresh = async () => (await openOneDrive(t, fake)).backend
  for (const name of ['root', `${driveId}/root`, `${driveId}/${id}`]) {
    for (const limit of [1, 2]) {
      const names: string[] = []
      let cursor: string | undefined
      do {
        const options = { ...callOptions(), limit, ...(cursor !== undefined && { cursor }) }
        const page = await (await fresh()).listFolder(name, options)
        t.equal(page.folder.id, 'root')
        names.push(...namesOf(page.entries))
        cursor = page.next ?? undefined
      } while (cursor !== undefined)
      t.same(names, ['Team', 'Other', 'file 0', 'file 1', 'file 2', 'folder'], `${name}, ${limit} at a time`)
    }
  }
  const { next } = await (await fresh()).listFolder(null, { ...callOptions(), limit: 1 })
  const other = (await fresh()).listFolder(idOf(folder), { ...callOptions(), limit: 1, cursor: next ?? '' })
  await rejectsWith(t, other, 'INVALID_CURSOR', 'a cursor of the root in a folder')
})

t.test('the root is recognised by its own id, not by the parent of the top of the drive', async (t) => {
  const { tree, list, backend, asked } = await start(t)
  const files = tree.addFiles(3, (index) => ({ name: `file ${index}` }))
  const { next } = await list(null, { limit: 2 })
  await list(null, { limit: 2, cursor: next ?? '' })
  const { driveId, id } = tree.root
  asked()
  t.match(await list(`${driveId}/${id}`, { limit: 2 }), { folder: { id: 'root' } })
  for (const { path } of asked()) t.match(path, /^\/v1\.0\/(?:sites|me\/drive\/root\/children)$/, 'no call for the id')
  t.equal((await backend.stat(idOf(files[0]!), callOptions())).parentId, 'root')
})

t.test('a cursor is bound to its listing, contains no secret and ends', async (t) => {
  const { fake, tree, list } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  tree.addFiles(5, (index) => ({ name: `file ${index}`, parent }))
  const { next } = await list(idOf(parent), { limit: 2 })
  t.ok((next ?? '').length < 300)
  t.notMatch(next, /http|EwB4/)
  const wrong = [
    '',
    'x',
    '{}',
    '[]',
    'null',
    JSON.stringify(['sites', null, 2, 0, null, false]),
    JSON.stringify(['drives', null, 2, 0, null, false]),
    JSON.stringify(['else', null, 2, 0, null, false]),
    JSON.stringify(['items', '', 2, 0, null, false]),
    JSON.stringify(['items', 7, 2, 0, null, false]),
    JSON.stringify(['items', 'x'.repeat(3001), 2, 0, null, false]),
    JSON.stringify(['items', null, 0, 0, null, false]),
    JSON.stringify(['items', null, 1.5, 0, null, false]),
    JSON.stringify(['items', null, 101, 0, null, false]),
    JSON.stringify(['items', null, 2, -1, null, false]),
    JSON.stringify(['items', null, 2, 0, '../x', false]),
    JSON.stringify(['items', null, 2, 0, 7, false]),
    JSON.stringify(['items', null, 2, 0, null]),
    JSON.stringify(['items', null, 2, 0, null, 0])
  ]
  for (const cursor of wrong)
    await rejectsWith(t, list(idOf(parent), { cursor }), 'INVALID_CURSOR', cursor.slice(0, 60))
  await rejectsWith(t, list(null, { kind: 'file', cursor: wrong[5] ?? '' }), 'INVALID_CURSOR', 'sites for files')
  fake.expirePageTokens()
  await rejectsWith(t, list(idOf(parent), { limit: 2, cursor: next ?? '' }), 'CURSOR_EXPIRED')
  fake.failNext(1, { code: 'invalidRequest' }, { path: /children$/ })
  await rejectsWith(t, list(idOf(parent), { limit: 2, cursor: next ?? '' }), 'CURSOR_EXPIRED', 'of other servers')
  const page = await list(idOf(parent), { limit: 2 })
  tree.remove(parent)
  await rejectsWith(t, list(idOf(parent), { limit: 2, cursor: page.next ?? '' }), 'FOLDER_NOT_FOUND')
})

t.test('drive ids are normalised in case and length', async (t) => {
  const { fake, tree, list } = await start(t, { kind: 'personal' })
  const { driveId } = tree.root
  const parentReference = { driveId: driveId.toUpperCase(), id: tree.root.id, path: '/drive/root:' }
  fake.failNext(1, json({ value: [{ id: 'A!1', name: 'a', parentReference, file: {} }] }), { path: /children$/ })
  t.match((await list(null)).entries, [{ id: `${driveId}/A!1`, driveId, parentId: 'root' }])
  t.match(await list(`${driveId.toUpperCase()}/root`), { folder: { id: 'root' } })
  const short = { driveId: 'ABCDEF0123456', id: 'X!1' }
  fake.failNext(1, json({ value: [{ id: 'A!1', name: 'a', parentReference: short, file: {} }] }), { path: /children$/ })
  t.match((await list(null)).entries, [{ driveId: '000abcdef0123456' }])
})
