import t, { type Test } from 'tap'
import { type Change, ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { openGoogleDrive } from '../../contract/harness/google-drive.ts'
import { callOptions, rejectsWith, requireMethod } from '../../contract/suite/arrange.ts'
import { FAKE_DRIVE_TOKEN, FakeDrive, type FakeDriveOptions } from '../../fakes/drive/fake-drive.ts'
import type { FakeDriveNode } from '../../fakes/drive/node.ts'
import { DRIVE_FILE_SCOPE } from '../../fakes/drive/view.ts'
import { htmlPage, respondsWith } from '../../fakes/faults.ts'

const LIST = '/drive/v3/changes'
const START = '/drive/v3/changes/startPageToken'
const UNKNOWN: Change = { id: null, path: null, parentId: null, isFolder: null, isGone: false, concerns: 'item' }

async function start(t: Test, options?: FakeDriveOptions) {
  const fake = await FakeDrive.start(t, options)
  const connect = async () => {
    const { backend } = await openGoogleDrive(t, fake)
    const freshness = async (id: string | null) =>
      (await backend.listFolder(id, { ...callOptions(), limit: 100 })).freshness ?? null
    const position = (scope = ROOT_SCOPE) => requireMethod(backend.position?.bind(backend))(scope, callOptions())
    const changes = (since: string, scope = ROOT_SCOPE) =>
      requireMethod(backend.changes?.bind(backend))(scope, since, callOptions())
    /** The changes of one page, which must be the last. */
    const changesSince = async (since: string, scope = ROOT_SCOPE): Promise<readonly Change[]> => {
      const page = await changes(since, scope)
      if (page === 'lost' || page.hasMore) throw new Error('lost, or more than one page')
      return page.changes
    }
    return { backend, freshness, position, changes, changesSince }
  }
  /** The requests since the last call. */
  let seen = 0
  const asked = () => {
    const requests = fake.requests.slice(seen)
    seen = fake.requests.length
    return requests
  }
  return { fake, tree: fake.tree, connect, asked, ...(await connect()) }
}

const item = ({ id }: FakeDriveNode, change: Partial<Change>): Change => ({
  ...UNKNOWN,
  id,
  isFolder: false,
  ...change
})

t.test('a check is one request for the fields that it needs', async (t) => {
  const { tree, position, changes, asked, freshness } = await start(t)
  t.same(await freshness(null), { scope: ROOT_SCOPE, isTop: true })
  asked()
  const since = await position()
  t.same(
    asked().map(({ path, query }) => [path, Object.fromEntries(query)]),
    [[START, { supportsAllDrives: 'true', fields: 'startPageToken' }]]
  )
  t.same(await changes(since), { position: since, changes: [], hasMore: false })
  const [request, ...others] = asked()
  t.same(others, [])
  t.same(Object.fromEntries(request?.query ?? []), {
    pageToken: since,
    pageSize: '1000',
    spaces: 'drive',
    includeRemoved: 'true',
    supportsAllDrives: 'true',
    includeItemsFromAllDrives: 'true',
    fields:
      'nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,' +
      'file(parents,mimeType,trashed,driveId,resourceKey))'
  })
  const drive = tree.addDrive('Team')
  asked()
  const inDrive = await position(drive.id)
  await changes(inDrive, drive.id)
  t.same(
    asked().map(({ path, query }) => [path, query.get('driveId')]),
    [
      [START, drive.id],
      [LIST, drive.id]
    ]
  )
})

t.test('a change has the id of its entry, and the root has one id', async (t) => {
  const { tree, position, changesSince, asked } = await start(t)
  const since = await position()
  const file = tree.addFile({ name: 'file' })
  const folder = tree.addFolder({ name: 'folder' })
  const inside = tree.addDocument({ name: 'inside', parent: folder })
  const shortcut = tree.addShortcut({ name: 'shortcut', target: inside })
  asked()
  t.same(await changesSince(since), [
    item(file, { parentId: 'root' }),
    item(folder, { parentId: 'root', isFolder: true }),
    item(inside, { parentId: folder.id }),
    item(shortcut, { parentId: 'root' })
  ])
  t.equal(asked().length, 2, 'the id of the root is requested')
  tree.touch(tree.root)
  const [, , , , root] = await changesSince(since)
  t.match(root, { id: 'root', parentId: null, isFolder: true, isGone: false })
  t.equal(asked().length, 1, 'once')
})

t.test('an entry is the present state, and does not contain the old parent', async (t) => {
  const { tree, position, changesSince } = await start(t)
  const [from, to] = [tree.addFolder({ name: 'from' }), tree.addFolder({ name: 'to' })]
  const file = tree.addFile({ name: 'file', parent: from })
  const since = await position()
  tree.rename(file, 'renamed')
  tree.move(file, to)
  t.same(await changesSince(since), [item(file, { parentId: to.id })], 'both changes are one entry')
  tree.trash(file)
  t.same(await changesSince(since), [item(file, { parentId: to.id, isGone: true })])
})

t.test('a folder in the trash is one change, and a deletion has only the id', async (t) => {
  const { tree, position, changesSince, freshness } = await start(t)
  const folder = tree.addFolder({ name: 'folder' })
  const unseen = tree.addFolder({ name: 'unseen', parent: folder })
  tree.addFiles(5, (index) => ({ name: `${index}`, parent: folder }))
  const file = tree.addFile({ name: 'file' })
  const since = await position()
  tree.trash(folder)
  t.same(await changesSince(since), [item(folder, { parentId: 'root', isFolder: true, isGone: true })])
  tree.trash(folder, false)
  await freshness(null)
  const later = await position()
  tree.remove(unseen)
  tree.remove(folder)
  tree.remove(file)
  t.same(await changesSince(later), [
    item(unseen, { isFolder: null, isGone: true }),
    item(folder, { isFolder: true, isGone: true }),
    item(file, { isFolder: null, isGone: true })
  ])
})

t.test('a shared drive has its own log, which the log of the user does not contain', async (t) => {
  const { tree, position, changesSince, freshness, connect } = await start(t)
  const drive = tree.addDrive('Team')
  const folder = tree.addFolder({ name: 'folder', parent: drive })
  const empty = tree.addFolder({ name: 'empty', parent: folder })
  for (const { id } of [folder, empty]) t.same(await freshness(id), { scope: drive.id })
  t.same(await freshness(drive.id), { scope: drive.id, isTop: true })
  const cold = await connect()
  t.same(await cold.freshness(folder.id), { scope: drive.id }, 'known from its entries')
  t.same(await cold.freshness(empty.id), { scope: drive.id }, 'known from the folder')
  t.same(await cold.freshness(drive.id), { scope: drive.id, isTop: true })
  for (const id of ['root', tree.root.id]) t.same(await freshness(id), { scope: ROOT_SCOPE, isTop: true }, id)
  const [since, inDrive] = [await position(), await position(drive.id)]
  const file = tree.addFile({ name: 'file', parent: folder })
  t.same(await changesSince(since), [])
  t.same(await changesSince(inDrive, drive.id), [item(file, { parentId: folder.id })])
  t.equal(await cold.changes(since, drive.id), 'lost', 'a position of the other log')
})

t.test('an item that is moved to a shared drive is gone in the log of the user', async (t) => {
  const { tree, position, changesSince, freshness } = await start(t)
  const drive = tree.addDrive('Team')
  const folder = tree.addFolder({ name: 'folder' })
  await freshness(null)
  const [since, inDrive] = [await position(), await position(drive.id)]
  // The fake cannot move items between drives, so its drive is changed instead.
  Object.assign(folder, { driveId: drive.id })
  tree.move(folder, drive)
  t.same(await changesSince(since), [item(folder, { isFolder: true, isGone: true })])
  t.same(await changesSince(inDrive, drive.id), [item(folder, { parentId: drive.id, isFolder: true })])
  t.same(await freshness(folder.id), { scope: drive.id })
})

t.test('a shared drive that appears, is renamed or disappears concerns the roots', async (t) => {
  const { tree, position, changesSince, changes } = await start(t)
  const since = await position()
  const drive = tree.addDrive('Team')
  const change: Change = { ...UNKNOWN, id: drive.id, parentId: 'root', isFolder: true, concerns: 'roots' }
  t.same(await changesSince(since), [change])
  const [renaming, inDrive] = [await position(), await position(drive.id)]
  tree.rename(drive, 'renamed')
  t.same(await changesSince(renaming), [change])
  t.same(await changesSince(inDrive, drive.id), [UNKNOWN], 'in its own log it may be the role of the user')
  const removal = await position()
  tree.remove(drive)
  t.same(await changesSince(removal), [{ ...change, isGone: true }])
  t.equal(await changes(inDrive, drive.id), 'lost')
  await rejectsWith(t, position(drive.id), 'FOLDER_NOT_FOUND')
})

t.test('pages inside a shared drive of which the user is no member are not covered', async (t) => {
  const { fake, tree, position, changesSince, freshness } = await start(t)
  const drive = tree.addDrive('Theirs')
  const folder = tree.addFolder({ name: 'folder', parent: drive })
  const since = await position()
  fake.failNext(1, { reason: 'notFound', location: 'driveId', locationType: 'parameter' }, { path: START })
  await rejectsWith(t, position(drive.id), 'FOLDER_NOT_FOUND')
  t.equal(await freshness(folder.id), null)
  tree.touch(drive)
  await changesSince(since)
  t.same(await freshness(folder.id), { scope: drive.id }, 'until the log of the user has the drive')
})

t.test('folders of others are not covered, and have no entries in the log of the user', async (t) => {
  const { tree, position, changesSince, freshness } = await start(t)
  const since = await position()
  const theirs = tree.addFolder({ name: 'theirs', sharedWithMe: true })
  const below = tree.addFolder({ name: 'below', parent: theirs })
  const shortcut = tree.addShortcut({ name: 'shortcut', target: theirs })
  t.same(await freshness(null), { scope: ROOT_SCOPE, isTop: true }, 'the page with the shortcut is')
  for (const { id } of [theirs, below]) t.equal(await freshness(id), null)
  tree.addFile({ name: 'file', parent: below })
  t.equal(await freshness(below.id), null)
  t.same(await changesSince(since), [item(theirs, { isFolder: true }), item(shortcut, { parentId: 'root' })])
})

t.test('pages with ids that contain a key are not covered', async (t) => {
  const { tree, position, changesSince, freshness } = await start(t)
  const since = await position()
  const parent = tree.addFolder({ name: 'parent' })
  const linked = tree.addFolder({ name: 'linked', parent, resourceKey: '0-key' })
  t.equal(await freshness(parent.id), null)
  t.equal(await freshness(`${linked.id}/0-key`), null)
  t.same(await freshness(null), { scope: ROOT_SCOPE, isTop: true })
  t.same((await changesSince(since)).slice(1), [
    item(linked, { parentId: parent.id, isFolder: true }),
    { ...item(linked, { parentId: parent.id, isFolder: true }), id: `${linked.id}/0-key` }
  ])
})

t.test('the location of a folder is requested only if the feed is read, and once', async (t) => {
  const { tree, freshness, position, connect, asked, changesSince } = await start(t)
  let parent = tree.root
  const folders = Array.from({ length: 8 }, (_, index) => {
    parent = tree.addFolder({ name: `${index}`, parent })
    tree.addFile({ name: 'file', parent })
    return parent.id
  })
  const [, second = '', third = ''] = folders
  t.equal(await freshness(third), null)
  t.equal(asked().length, 1)
  const since = await position()
  asked()
  t.same(await freshness(third), { scope: ROOT_SCOPE })
  t.same(
    asked().map(({ path }) => path),
    ['', '/root', `/${third}`, `/${second}`, `/${folders[0] ?? ''}`].map((path) => `/drive/v3/files${path}`)
  )
  t.same(await freshness(third), { scope: ROOT_SCOPE })
  t.equal(asked().length, 1)
  const cold = await connect()
  await cold.changesSince(since)
  const deepest = folders.at(-1) ?? ''
  t.equal(await cold.freshness(deepest), null, 'too many at once')
  t.same(await cold.freshness(deepest), { scope: ROOT_SCOPE }, 'the next page continues')

  const theirs = tree.addFolder({ name: 'theirs', sharedWithMe: true })
  tree.move(second, theirs)
  await changesSince(since)
  asked()
  t.equal(await freshness(third), null, 'moved to a folder of others')
  t.equal(asked().filter(({ path }) => path.startsWith('/drive/v3/files/')).length, 1)
})

t.test('a folder whose location cannot be requested is listed, and not covered', async (t) => {
  const { fake, tree, freshness, position } = await start(t)
  const folder = tree.addFolder({ name: 'folder' })
  tree.addFile({ name: 'file', parent: folder })
  await position()
  const path = `/drive/v3/files/${folder.id}`
  fake.failNext(1, { reason: 'backendError' }, { path })
  t.equal(await freshness(folder.id), null)
  fake.failNext(1, respondsWith(200, { headers: { 'content-type': 'application/json' }, body: '{"id":"x"}' }), { path })
  t.equal(await freshness(folder.id), null)
  t.same(await freshness(folder.id), { scope: ROOT_SCOPE })
})

t.test('without access to the root, a change with a parent concerns the roots', async (t) => {
  const scopes = [DRIVE_FILE_SCOPE]
  const { tree, position, changesSince, freshness } = await start(t, {
    authorize: (bearer) => (bearer === FAKE_DRIVE_TOKEN ? { user: 'me', scopes } : null)
  })
  t.same(await freshness(null), { scope: ROOT_SCOPE, isTop: true })
  const since = await position()
  tree.addFile({ name: 'not visible' })
  const own = tree.addFile({ name: 'own', openedWithApp: true })
  t.same(await changesSince(since), [item(own, { parentId: tree.root.id }), { ...UNKNOWN, concerns: 'roots' }])
  await freshness(null)
  t.same(await changesSince(since), [item(own, { parentId: 'root' })], 'known from the listing')
})

t.test('changes that appear late are reported from a position that was taken before they appeared', async (t) => {
  let now = 0
  const { fake, tree, position, changesSince } = await start(t, { now: () => new Date(now) })
  fake.knobs.changeLagMs = 60_000
  const before = await position()
  const file = tree.addFile({ name: 'file' })
  now += 30_000
  t.same(await changesSince(before), [])
  const between = await position()
  now += 30_000
  for (const since of [before, between]) t.same(await changesSince(since), [item(file, { parentId: 'root' })])
  t.same(await changesSince(await position()), [])
})

t.test('more changes than one page, and empty pages', async (t) => {
  const { fake, tree, position, changes } = await start(t)
  const since = await position()
  tree.addFiles(1001, (index) => ({ name: `${index}` }))
  const first = await changes(since)
  if (first === 'lost') return t.fail('the position is lost')
  t.equal(first.changes.length, 1000)
  t.ok(first.hasMore)
  const last = await changes(first.position)
  t.match(last, { changes: { length: 1 }, hasMore: false })
  fake.knobs.shortPages.push(0)
  t.match(await changes(since), { changes: { length: 0 }, hasMore: true, position: since })
  if (last !== 'lost') t.match(await changes(last.position), { changes: { length: 0 }, hasMore: false })
})

t.test('a position that Google does not know is lost', async (t) => {
  const { fake, tree, position, changes, asked } = await start(t)
  const since = await position()
  for (const unknown of ['999999', 'x', '-1', ' ', '9'.repeat(4096)]) t.equal(await changes(unknown), 'lost', unknown)
  asked()
  for (const invalid of ['', '1'.repeat(4097)]) t.equal(await changes(invalid), 'lost')
  t.same(asked(), [], 'without a request')
  fake.failNext(1, { reason: 'gone', status: 410 })
  t.equal(await changes(since), 'lost')
  fake.failNext(1, { reason: 'failedPrecondition', status: 400 })
  t.equal(await changes(since), 'lost')
  tree.addFile({ name: 'file' })
  t.match(await changes(since), { changes: { length: 1 } }, 'the position itself does not expire')
})

t.test('a failure is an error, and loses no position', async (t) => {
  const { fake, tree, position, changes } = await start(t)
  const drive = tree.addDrive('Team')
  for (const [code, error] of [
    ['PROVIDER_THROTTLED', { reason: 'userRateLimitExceeded' }],
    ['PROVIDER_THROTTLED', { reason: 'rateLimitExceeded', status: 429 }],
    ['PROVIDER_UNAVAILABLE', { reason: 'backendError', status: 503 }],
    ['INSUFFICIENT_SCOPE', { reason: 'insufficientPermissions' }],
    ['ACCESS_DENIED', { reason: 'domainPolicy' }]
  ] as const) {
    fake.failNext(2, error)
    await rejectsWith(t, changes('1', drive.id), code, error.reason)
    await rejectsWith(t, position(drive.id), code, error.reason)
  }
  fake.failNext(1, htmlPage(404))
  await rejectsWith(t, changes('1', drive.id), 'PROVIDER_ERROR', 'a page of another server')
  for (const scope of ['a b', '../x', 'a/b/c', 'x'.repeat(300)]) {
    await rejectsWith(t, position(scope), 'FOLDER_NOT_FOUND', scope)
    await rejectsWith(t, changes('1', scope), 'FOLDER_NOT_FOUND', scope)
  }
})

t.test('a response that is not a page of changes is an error', async (t) => {
  const { fake, position, changes } = await start(t)
  const json = (body: unknown) =>
    respondsWith(200, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const entry = { changeType: 'file', fileId: 'a', file: { mimeType: 'text/plain' } }
  for (const [name, body] of Object.entries({
    nothing: {},
    list: [],
    text: 'ok',
    'no list': { newStartPageToken: '2' },
    'another list': { newStartPageToken: '2', changes: {} },
    'no position': { changes: [] },
    'an empty position': { changes: [], newStartPageToken: '' },
    'a number as the position': { changes: [], newStartPageToken: 2 },
    'a position that is too long': { changes: [], nextPageToken: '1'.repeat(4097) },
    'more changes than requested': { changes: Array(1001).fill(entry), newStartPageToken: '2' }
  })) {
    fake.failNext(1, json(body), { path: LIST })
    await rejectsWith(t, changes('1'), 'PROVIDER_ERROR', name)
  }
  for (const body of [{}, { startPageToken: 5 }, { startPageToken: '' }, { startPageToken: '1'.repeat(4097) }]) {
    fake.failNext(1, json(body), { path: START })
    await rejectsWith(t, position(), 'PROVIDER_ERROR')
  }
})

t.test('an entry that is not understood is an unknown change', async (t) => {
  const { fake, changesSince } = await start(t)
  const file = { mimeType: 'text/plain', parents: ['p'] }
  const entries = [
    null,
    5,
    {},
    { changeType: 'comment', fileId: 'a', file },
    { changeType: 'file', file },
    { changeType: 'file', fileId: 5, file },
    { changeType: 'file', fileId: 'a b', file },
    { changeType: 'file', fileId: 'a'.repeat(201), file },
    { changeType: 'file', fileId: 'a' },
    { changeType: 'file', fileId: 'a', file: null },
    { changeType: 'file', fileId: 'a', file: { parents: ['p'] } },
    { changeType: 'file', fileId: 'a', file: { ...file, parents: 'p' } },
    { changeType: 'file', fileId: 'a', file: { ...file, parents: [5] } },
    { changeType: 'file', fileId: 'a', file: { ...file, parents: ['../p'] } },
    { changeType: 'file', fileId: 'a', file: { ...file, parents: Array(21).fill('p') } }
  ]
  const body = JSON.stringify({ changes: entries, newStartPageToken: '12345678901234567890' })
  fake.failNext(1, respondsWith(200, { headers: { 'content-type': 'application/json' }, body }), { path: LIST })
  const changes = await changesSince('1')
  t.equal(changes.length, entries.length)
  for (const change of changes) t.same(change, UNKNOWN)
  const several = JSON.stringify({
    changes: [
      { changeType: 'drive' },
      { changeType: 'file', fileId: 'a', removed: false, file: { ...file, parents: ['p', 'q'] } },
      { changeType: 'file', fileId: 'b', file: { mimeType: 'text/plain' } }
    ],
    newStartPageToken: '12345678901234567890'
  })
  fake.failNext(1, respondsWith(200, { headers: { 'content-type': 'application/json' }, body: several }), {
    path: LIST
  })
  t.same(await changesSince('1'), [
    { ...UNKNOWN, concerns: 'roots' },
    { ...UNKNOWN, id: 'a', parentId: 'p', isFolder: false },
    { ...UNKNOWN, id: 'a', parentId: 'q', isFolder: false },
    { ...UNKNOWN, id: 'b', isFolder: false }
  ])
})
