import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import type { ListCall } from '../../../src/core/backend.ts'
import { openGoogleDrive } from '../../contract/harness/google-drive.ts'
import { callOptions, find, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { respondsWith, htmlPage, redirects } from '../../fakes/faults.ts'
import { FAKE_DRIVE_TOKEN, FakeDrive, type FakeDriveOptions } from '../../fakes/drive/fake-drive.ts'
import { DRIVE_FILE_SCOPE } from '../../fakes/drive/view.ts'
import { readBody } from '../../support/app/read-body.ts'
import { until } from '../../support/time/until.ts'

async function start(t: Test, options?: FakeDriveOptions) {
  const fake = await FakeDrive.start(t, options)
  const { backend } = await openGoogleDrive(t, fake)
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

t.test('a folder of 10,000 entries needs ten calls', async (t) => {
  const { tree, backend, asked } = await start(t)
  const parent = tree.addFolder({ name: 'large' })
  tree.addFiles(10_000, (index) => ({ name: `file ${index}`, parent }))
  const entries = await listAll(backend, parent.id, { limit: 1000 })
  t.equal(new Set(entries.map(({ id }) => id)).size, 10_000)
  const requests = asked()
  t.equal(requests.length, 10)
  const [first, ...others] = requests.map(({ query }) => {
    const { pageToken: _token, ...rest } = Object.fromEntries(query)
    return rest
  })
  t.match(first, { pageSize: '1000', orderBy: 'folder,name_natural', spaces: 'drive', supportsAllDrives: 'true' })
  for (const other of others) t.same(other, first, 'each page is requested like the first one')
})

t.test('invalid ids are refused without a call, and an id is escaped in a query', async (t) => {
  const { tree, list, backend, asked } = await start(t)
  for (const id of [`' or name != '`, `x' in parents or 'root`, '\\', 'a b', 'é', 'a/b/c', '/a', 'a/', 'root/..']) {
    await rejectsWith(t, list(id), 'FOLDER_NOT_FOUND', id)
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND', id)
  }
  t.same(asked(), [])
  const parent = tree.addFolder({ name: 'parent', id: '--_' })
  tree.addFile({ name: 'x', parent })
  t.same(namesOf((await list('--_')).entries), ['x'])
})

t.test('the root lists the shared drives first, and pages of any size add up to the whole', async (t) => {
  const { tree, list, backend } = await start(t)
  const drives = Array.from({ length: 7 }, (_, index) => tree.addDrive(`drive ${index}`).id)
  const files = tree.addFiles(20, (index) => ({ name: `file ${index}` })).map(({ id }) => id)
  for (const limit of [1, 2, 3, 6, 7, 8, 10, 13, 14, 15, 26, 27, 28, 100, 1000]) {
    const ids: string[] = []
    let cursor: string | undefined
    do {
      const page = await list(null, { limit, ...(cursor !== undefined && { cursor }) })
      t.ok(page.entries.length <= limit, `${page.entries.length} of ${limit}`)
      t.equal(page.complete, page.next === null)
      ids.push(...page.entries.map(({ id }) => id))
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    t.same(ids.slice(0, 7), drives, `the drives, ${limit} at a time`)
    t.same(ids.slice(7), files, `the files, ${limit} at a time`)
  }
  for (const kind of ['file', 'folder'] as const) {
    t.notOk(
      (await listAll(backend, null, { kind })).some((entry) => entry.kind === 'drive'),
      `none for the kind ${kind}`
    )
  }
})

t.test('more shared drives than one page of Google are listed', async (t) => {
  const { tree, list, asked } = await start(t)
  for (let index = 0; index < 230; index++) tree.addDrive(`drive ${index}`)
  tree.addFile({ name: 'file' })
  const first = await list(null, { limit: 1000 })
  const second = await list(null, { limit: 1000, cursor: first.next ?? '' })
  const third = await list(null, { limit: 1000, cursor: second.next ?? '' })
  t.same(
    [first, second, third].map(({ entries }) => entries.length),
    [100, 100, 31]
  )
  t.match(third, { complete: true, next: null })
  t.same(
    asked().map(({ query }) => query.get('pageSize')),
    ['100', '100', '100', '970']
  )
})

t.test('a shared drive is listed by its id, in its own corpus once that is known', async (t) => {
  const { fake, tree, list, backend, asked } = await start(t)
  const drive = tree.addDrive('Team')
  const folder = tree.addFolder({ name: 'folder', parent: drive })
  tree.addFile({ name: 'inside', parent: folder })
  const [entry] = (await list(null)).entries
  t.match(entry, { kind: 'drive', id: drive.id, name: 'Team', parentId: 'root', driveId: drive.id })
  t.same(await backend.stat(drive.id, callOptions()), entry)
  asked()
  const top = await list(drive.id)
  t.match(top.entries, [{ name: 'folder', parentId: drive.id, driveId: drive.id }])
  t.same(await backend.stat(folder.id, callOptions()), top.entries[0])
  t.match(await list(folder.id), { entries: [{ name: 'inside', parentId: folder.id, driveId: drive.id }] })
  const known = asked().filter(({ path }) => path === '/drive/v3/files')
  for (const { query } of known) t.match(Object.fromEntries(query), { corpora: 'drive', driveId: drive.id })

  const { backend: cold } = await openGoogleDrive(t, fake)
  t.same(namesOf((await cold.listFolder(folder.id, { ...callOptions(), limit: 10 })).entries), ['inside'])
  const [request, ...others] = asked()
  t.equal(others.length, 0)
  t.equal(request?.query.get('corpora'), null, 'Google chooses the corpus')
  t.equal(request?.query.get('includeItemsFromAllDrives'), 'true')
})

t.test('a folder that was moved into or out of a shared drive is found', async (t) => {
  const { tree, list } = await start(t)
  const [one, two] = [tree.addDrive('one'), tree.addDrive('two')]
  const folder = tree.addFolder({ name: 'folder', parent: one })
  const file = tree.addFile({ name: 'file', parent: folder })
  await list(one.id)
  await list(folder.id)
  for (const drive of [two, undefined]) {
    // The fake cannot move items between drives, so their drive is changed instead.
    for (const node of [folder, file]) Object.assign(node, { driveId: drive?.id })
    tree.move(folder, drive ?? tree.root)
    t.same(namesOf((await list(folder.id)).entries), ['file'])
  }
  await list(two.id)
  const moved = tree.addFolder({ name: 'moved', parent: two })
  await list(two.id)
  Object.assign(moved, { driveId: undefined })
  tree.move(moved, tree.root)
  tree.addFile({ name: 'kept', parent: moved })
  tree.remove(two)
  t.same(namesOf((await list(moved.id)).entries), ['kept'], 'even if the shared drive is gone')
})

t.test('one more call distinguishes an empty folder, a file, the trash and a missing folder', async (t) => {
  const { tree, list, asked } = await start(t)
  const empty = tree.addFolder({ name: 'empty' })
  const trashed = tree.addFolder({ name: 'trashed', trashed: true })
  const below = tree.addFolder({ name: 'below', parent: trashed })
  tree.addFile({ name: 'was inside', parent: trashed })
  t.match(await list(empty.id), { entries: [], complete: true, next: null })
  t.equal(asked().length, 2)
  const shortcut = tree.addShortcut({ name: 'to empty', target: empty })
  for (const { id, name } of [
    trashed,
    below,
    shortcut,
    tree.addFile({ name: 'file' }),
    tree.addDocument({ name: 'd' })
  ])
    await rejectsWith(t, list(id), 'FOLDER_NOT_FOUND', name)
  await rejectsWith(t, list(tree.newId()), 'FOLDER_NOT_FOUND')
  const denied = tree.addFolder({ name: 'denied', denied: true })
  await rejectsWith(t, list(denied.id), 'ACCESS_DENIED')
  await rejectsWith(t, list(tree.addFile({ name: 'f' }).id, { kind: 'folder' }), 'FOLDER_NOT_FOUND', 'with a kind')
  asked()
  await list(null, { kind: 'folder' })
  t.equal(asked().length, 1, 'the root always exists')
})

t.test('the root has one id', async (t) => {
  const { fake, tree, list, backend, asked } = await start(t)
  const file = tree.addFile({ name: 'file' })
  const entry = await backend.stat(file.id, callOptions())
  t.equal(entry.parentId, 'root')
  t.equal(asked().length, 2, 'the root is requested')
  await backend.stat(file.id, callOptions())
  t.equal(asked().length, 1, 'once')
  const page = await list(null)
  t.match(page.folder, { id: 'root', name: null, parentId: null })
  for (const name of ['root', tree.root.id]) t.same(await list(name), page, name)
  for (const name of ['root', tree.root.id]) {
    t.match(await backend.stat(name, callOptions()), { id: 'root', name: 'My Drive', kind: 'folder', parentId: null })
  }
  for (const id of [tree.root.id, 'root']) {
    const { backend: cold } = await openGoogleDrive(t, fake)
    t.same(await cold.listFolder(id, { ...callOptions(), limit: 100 }), page)
    asked()
    t.equal((await cold.stat(file.id, callOptions())).parentId, 'root')
    t.equal(asked().length, 1, 'known from the listing')
  }
})

t.test('duplicate names and names with slashes are kept', async (t) => {
  const { tree, list } = await start(t)
  const names = ['same', 'same', 'a/b', '../c']
  const parent = tree.addFolder({ name: 'parent' })
  for (const name of names) tree.addFile({ name, parent })
  tree.addFolder({ name: 'same', parent })
  const { entries } = await list(parent.id)
  t.same(namesOf(entries).sort(), [...names, 'same'].sort())
  t.equal(new Set(entries.map(({ id }) => id)).size, 5)
})

t.test('an incomplete search makes its page and the following pages incomplete', async (t) => {
  const { fake, tree, list } = await start(t)
  tree.addFiles(3, (index) => ({ name: `file ${index}` }))
  fake.knobs.incompleteSearch = true
  t.match(await list(null), { complete: false, next: null, reason: 'provider-partial' })
  const first = await list(null, { limit: 2 })
  t.match(first, { complete: false, reason: 'more' })
  fake.knobs.incompleteSearch = false
  const last = await list(null, { limit: 2, cursor: first.next ?? '' })
  t.match(last, { complete: false, next: null, reason: 'provider-partial' })
})

t.test('short pages, and empty pages with a token, do not end the listing', async (t) => {
  const { fake, tree, list, backend } = await start(t)
  const parent = tree.addFolder({ name: 'parent' })
  tree.addFiles(10, (index) => ({ name: `file ${index}`, parent }))
  fake.knobs.shortPages.push(3, 0, 0, 2)
  t.equal((await listAll(backend, parent.id, { limit: 5 })).length, 10)
  fake.knobs.shortPages.push(0)
  const page = await list(parent.id, { limit: 5 })
  t.match(page, { complete: false, reason: 'more' })
  t.equal(page.entries.length, 0)
})

t.test('an expired page token is CURSOR_EXPIRED, and an invalid one is INVALID_CURSOR', async (t) => {
  const { fake, tree, list, asked } = await start(t)
  for (let index = 0; index < 5; index++) tree.addDrive(`drive ${index}`)
  tree.addFiles(5, (index) => ({ name: `file ${index}` }))
  const drives = await list(null, { limit: 2 })
  const files = await list(null, { limit: 2, kind: 'file' })
  fake.expirePageTokens()
  await rejectsWith(t, list(null, { limit: 2, cursor: drives.next ?? '' }), 'CURSOR_EXPIRED', 'a cursor of drives')
  await rejectsWith(t, list(null, { limit: 2, kind: 'file', cursor: files.next ?? '' }), 'CURSOR_EXPIRED')
  asked()
  for (const cursor of [
    '',
    'x',
    'null',
    '{}',
    '[]',
    '["files"]',
    '["other","t",2,null,false]',
    '["files","",2,null,false]',
    '["files",5,2,null,false]',
    '["files","t",3,null,false]',
    '["files","t",0,null,false]',
    '["files","t",2,"x y",false]',
    '["files","t",2,null,0]',
    '["drives",null,2,null,false]',
    '["drives","t",2,"d",false]'
  ]) {
    await rejectsWith(t, list(null, { limit: 2, cursor }), 'INVALID_CURSOR', cursor)
  }
  const ofDrives = '["drives","t",2,null,false]'
  await rejectsWith(t, list(null, { limit: 2, cursor: ofDrives, kind: 'file' }), 'INVALID_CURSOR')
  await rejectsWith(t, list('x', { limit: 2, cursor: ofDrives }), 'INVALID_CURSOR', 'other folders have no drives')
  t.same(asked(), [])
})

t.test('a response that is not a listing is an error and never an empty page', async (t) => {
  const { fake, tree, list } = await start(t)
  const { id: folder } = tree.addFolder({ name: 'folder' })
  const json = (body: string) => respondsWith(200, { headers: { 'content-type': 'application/json' }, body })
  const file = '{"id": "a", "name": "a", "mimeType": "text/plain"}'
  for (const [name, fault] of Object.entries({
    page: htmlPage(),
    text: respondsWith(200, { body: 'ok' }),
    nothing: respondsWith(200),
    'no content': respondsWith(204),
    cut: json('{"files": [{"id": "a"'),
    'no object': json('[]'),
    'no list': json('{}'),
    'another list': json('{"files": {}}'),
    'no file': json('{"files": [null]}'),
    'no name': json('{"files": [{"id": "a", "mimeType": "text/plain"}]}'),
    'a list that is too long': json(`{"files": [${file}, ${file}, ${file}], "drives": [${file}, ${file}, ${file}]}`)
  })) {
    fake.failNext(1, fault)
    await rejectsWith(t, list(folder, { limit: 2 }), 'PROVIDER_ERROR', name)
    if (name.startsWith('no ')) continue
    fake.failNext(1, fault, { path: '/drive/v3/drives' })
    await rejectsWith(t, list(null, { limit: 2 }), 'PROVIDER_ERROR', `${name} of shared drives`)
  }
  fake.failNext(1, json('{"drives": [null]}'))
  await rejectsWith(t, list(null), 'PROVIDER_ERROR', 'not a shared drive')
})

t.test('with the scope drive.file a connection sees only its own files and no shared drives', async (t) => {
  const scopes = [DRIVE_FILE_SCOPE]
  const options = { authorize: (bearer: string) => (bearer === FAKE_DRIVE_TOKEN ? { user: 'me', scopes } : null) }
  const { fake, tree, list, backend } = await start(t, options)
  tree.addDrive('Team')
  tree.addFile({ name: 'other' })
  const own = tree.addFile({ name: 'own', openedWithApp: true })
  const page = await list(null)
  t.same(namesOf(page.entries), ['own'])
  t.match(page, { complete: true })
  t.same(await backend.stat(own.id, callOptions()), page.entries[0])
  const { backend: cold } = await openGoogleDrive(t, fake)
  t.match(await cold.stat(own.id, callOptions()), { name: 'own' }, 'the root itself is not visible')
  const made = await backend.createFolder?.(null, 'made', callOptions())
  t.match(made, { kind: 'folder', parentId: 'root' })
  t.equal((await find(backend, 'made')).id, made?.id)
})

t.test('a truncated download fails', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: randomBytes(100_000) })
  fake.resetDownloads(1, 50_000)
  const { body } = await backend.download(id, callOptions())
  await rejectsWith(t, readBody(body), 'PROVIDER_UNAVAILABLE')
})

t.test('a version that changes during a download is requested once more', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'first' })
  const isMedia = { matching: ({ query }: { query: URLSearchParams }) => query.get('alt') === 'media' }
  /** Writes a new version right before the content is sent. */
  const overtake = (content: string, times = 1) => {
    let left = times
    fake.failNext(0, () => {}, {
      matching: (request) => {
        if (isMedia.matching(request) && left-- > 0) tree.write(id, content.repeat(left + 1))
        return false
      }
    })
  }
  overtake('second, and longer')
  const download = await backend.download(id, callOptions())
  t.equal((await readBody(download.body)).toString(), 'second, and longer')
  t.match(download, { size: 18, etag: `${id.slice(0, 12)}-r2` })

  overtake('other')
  const part = await backend.download(id, { ...callOptions(), range: { start: 10 } }).catch((error: unknown) => error)
  t.match(part, { code: 'RANGE_NOT_SATISFIABLE' }, 'the range is beyond the end of the shortened file')
  overtake('always another ', 2)
  await rejectsWith(t, backend.download(id, callOptions()), 'PROVIDER_ERROR')
})

t.test('a response with other bytes than requested fails', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'content' })
  const matching = ({ query }: { query: URLSearchParams }) => query.get('alt') === 'media'
  const range = { start: 2, end: 4 }
  const coded = respondsWith(200, { headers: { 'content-encoding': 'gzip' }, body: 'content' })
  fake.failNext(2, coded, { matching })
  await rejectsWith(t, backend.download(id, callOptions()), 'PROVIDER_ERROR', 'compressed, with the length of the file')
  for (const [name, fault] of Object.entries({
    page: htmlPage(),
    other: respondsWith(206, { headers: { 'content-range': 'bytes 1-3/7' }, body: 'ont' }),
    'no range': respondsWith(206, { body: 'nte' }),
    compressed: respondsWith(200, { headers: { 'content-encoding': 'gzip' }, body: 'content' }),
    gone: respondsWith(416),
    elsewhere: redirects('https://example.com/')
  })) {
    fake.failNext(2, fault, { matching })
    await rejectsWith(t, backend.download(id, { ...callOptions(), range }), 'PROVIDER_ERROR', name)
    fake.failNext(0, fault)
  }
  await until(() => fake.busy() === 0)
})

t.test('a file with malware or without download permission is not downloaded', async (t) => {
  const { tree, backend } = await start(t)
  const abusive = tree.addFile({ name: 'abusive', content: 'x', abusive: true })
  await rejectsWith(t, backend.download(abusive.id, callOptions()), 'ACCESS_DENIED')
  const kept = tree.addFile({ name: 'kept', content: 'x', capabilities: { canDownload: false } })
  await rejectsWith(t, backend.download(kept.id, callOptions()), 'ACCESS_DENIED')
})
