import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { harness as webdavHarness } from '../../contract/harness/webdav.ts'
import { openNextcloud } from '../../contract/harness/nextcloud.ts'
import { callOptions, rejectsWith, requireMethod } from '../../contract/suite/arrange.ts'
import { upload } from '../../contract/suite/uploads.ts'
import type { FakeTree } from '../../fakes/dav/tree.ts'
import { escapeXml } from '../../fakes/dav/xml.ts'
import { type DavFault, faultScript, htmlPage, resets, respondsWith } from '../../fakes/faults.ts'
import { FAKE_NEXTCLOUD_UID, FakeNextcloud } from '../../fakes/nextcloud/fake-nextcloud.ts'

const ROOT = `/remote.php/dav/files/${FAKE_NEXTCLOUD_UID}/`
const UNKNOWN_CHANGE = { id: null, path: null, parentId: null, isFolder: null, isGone: false, concerns: 'item' }
/** `null` is the root. */
const FOLDERS = [null, 'a/', 'a/b/', 'a/b/c/', 'd/', 'd/e/', 'f/'] as const

type FolderId = string | null

async function open(t: Test) {
  const fake = await FakeNextcloud.start(t)
  const { backend, seed } = await openNextcloud(t, fake)
  await seed({ 'a/b/c/1': '1', 'a/b/2': '2', 'a/3': '3', 'd/e/4': '4', 'd/5': '5', 'f/': '' })
  return { fake, backend, feed: feedOf(backend) }
}

function feedOf(backend: StorageBackend) {
  const position = requireMethod(backend.position?.bind(backend))
  const changes = requireMethod(backend.changes?.bind(backend))
  const isCurrent = requireMethod(backend.isCurrent?.bind(backend))
  return {
    position: (scope = ROOT_SCOPE) => position(scope, callOptions()),
    isCurrent: (folderId: FolderId, mark: string) => isCurrent(folderId, mark, callOptions()),
    async changes(since: string, scope = ROOT_SCOPE) {
      const page = await changes(scope, since, callOptions())
      if (page === 'lost') throw new Error('no position is ever lost')
      return page
    }
  }
}

async function freshnessOf(backend: StorageBackend, folderId: FolderId) {
  return (await backend.listFolder(folderId, { ...callOptions(), limit: 1000 })).freshness
}

async function marksOf(backend: StorageBackend, folders: readonly FolderId[] = FOLDERS) {
  const marks = new Map<FolderId, string>()
  for (const folderId of folders) {
    const freshness = await freshnessOf(backend, folderId)
    if (freshness?.mark === undefined) throw new Error(`${folderId} has no mark`)
    marks.set(folderId, freshness.mark)
  }
  return marks
}

/** Returns the folders that are not current any more. */
async function outdated(backend: StorageBackend, marks: ReadonlyMap<FolderId, string>): Promise<FolderId[]> {
  const { isCurrent } = feedOf(backend)
  const found: FolderId[] = []
  for (const [folderId, mark] of marks) if (!(await isCurrent(folderId, mark))) found.push(folderId)
  return found
}

t.test('one small request confirms every folder', async (t) => {
  const { fake, backend, feed } = await open(t)
  const position = await feed.position()
  const marks = await marksOf(backend)
  fake.dav.requests.length = 0
  t.same(await feed.changes(position), { position, changes: [], hasMore: false })
  t.same(fake.dav.operations(), [`PROPFIND ${ROOT}`])
  const [check] = fake.dav.requests
  t.equal(check?.headers['depth'], '0')
  t.match(check?.body?.toString(), /<d:prop><d:getetag\/><o:fileid\/><\/d:prop>/, 'no other property')
  t.same(await outdated(backend, marks), [])
  t.same(
    fake.dav.operations().slice(1),
    [...marks.keys()].map((id) => `PROPFIND ${ROOT}${id ?? ''}`)
  )
})

t.test('the mark comes with the listing, in the same request', async (t) => {
  const { fake, backend, feed } = await open(t)
  const position = await feed.position()
  fake.dav.requests.length = 0
  const { id } = fake.tree.get('')!
  t.same(await freshnessOf(backend, null), { scope: ROOT_SCOPE, mark: `${id}:${position}` })
  t.match(await freshnessOf(backend, 'a/b/'), { scope: ROOT_SCOPE, mark: /^[\x21-\x7e]{1,100}$/ })
  t.equal(fake.dav.requests.length, 2)
})

t.test('a change is reported without its place, and outdates the folders above it only', async (t) => {
  const cases: Record<string, [(tree: FakeTree) => void, FolderId[]]> = {
    'a new file': [(tree) => tree.put('a/b/new', 'x'), [null, 'a/', 'a/b/']],
    'a move between folders': [
      (tree) => {
        tree.move('a/b/2', 'd/e/2')
      },
      [null, 'a/', 'a/b/', 'd/', 'd/e/']
    ],
    'a moved folder': [
      (tree) => {
        tree.move('a/b', 'f/b')
      },
      [null, 'a/', 'a/b/', 'a/b/c/', 'f/']
    ]
  }
  for (const [title, [change, expected]] of Object.entries(cases)) {
    const { fake, backend, feed } = await open(t)
    const since = await feed.position()
    const marks = await marksOf(backend)
    change(fake.tree)
    const { changes, hasMore } = await feed.changes(since)
    t.same({ changes, hasMore }, { changes: [UNKNOWN_CHANGE], hasMore: false }, title)
    t.same(await outdated(backend, marks), expected, title)
  }
})

t.test('writes of the backend are reported too', async (t) => {
  const { backend, feed } = await open(t)
  for (const write of [
    () => upload(backend, { parentId: 'a/', name: 'new' }, Readable.from(['x'])),
    () => upload(backend, { id: 'a/new' }, Readable.from(['y'])),
    () => backend.createFolder?.('a/', 'folder', callOptions()),
    () => backend.remove?.('a/new', callOptions())
  ]) {
    const since = await feed.position()
    const marks = await marksOf(backend)
    await write()
    t.equal((await feed.changes(since)).changes.length, 1)
    t.same(await outdated(backend, marks), [null, 'a/'])
  }
})

t.test('a folder that is gone, or has become a file, is not current', async (t) => {
  const { fake, backend, feed } = await open(t)
  const mark = (await freshnessOf(backend, 'f/'))?.mark ?? ''
  fake.tree.delete('f')
  t.equal(await feed.isCurrent('f/', mark), false)
  fake.tree.put('f', 'a file')
  t.equal(await feed.isCurrent('f/', mark), false)
  fake.tree.delete('f')
  fake.tree.mkdir('f')
  t.equal(await feed.isCurrent('f/', mark), false, 'another folder of that name')
  await rejectsWith(t, feed.isCurrent('f', mark), 'FOLDER_NOT_FOUND', 'a file')
  await rejectsWith(t, feed.isCurrent('../f/', mark), 'INVALID_REQUEST')
})

t.test('a folder in the place of another one is not current, even with the same ETag', async (t) => {
  const { fake, backend, feed } = await open(t)
  fake.tree.put('x/y/file', 'x')
  const mark = (await freshnessOf(backend, 'x/y/'))?.mark ?? ''
  const other = (await freshnessOf(backend, 'x/'))?.mark ?? ''
  t.equal(other.split(':')[1], mark.split(':')[1], 'one change has given both the same ETag')
  fake.tree.move('x', 'moving')
  fake.tree.mkdir('x')
  fake.tree.move('moving', 'x/y')
  t.equal((await freshnessOf(backend, 'x/y/'))?.mark, other, 'it was moved with its ETag')
  t.equal(await feed.isCurrent('x/y/', mark), false)
})

t.test('mounts are covered if Nextcloud alone changes their content', async (t) => {
  const { fake, backend, feed } = await open(t)
  const types = {
    group: 'group',
    share: 'shared',
    remote: 'shared',
    external: 'external',
    session: 'external-session',
    app: 'collective',
    untyped: ''
  }
  for (const [path, type] of Object.entries(types)) {
    fake.tree.mkdir(`${path}/below/deep`)
    fake.mounts.set(path, type)
  }
  fake.federated.add('remote')
  fake.tree.mkdir('external/group/below')
  fake.mounts.set('external/group', 'group')
  fake.tree.mkdir('group/external/below')
  fake.mounts.set('group/external', 'external')
  const covered = [null, 'a/', 'group/', 'group/below/', 'group/below/deep/', 'share/', 'share/below/deep/']
  covered.push('external/group/', 'external/group/below/')
  const uncovered = ['remote/', 'external/', 'session/', 'app/', 'untyped/', 'group/external/']
  for (const id of covered) t.match(await freshnessOf(backend, id), { scope: ROOT_SCOPE, mark: String }, `${id}`)
  for (const id of uncovered) {
    t.equal(await freshnessOf(backend, id), null, id)
    t.equal(await freshnessOf(backend, `${id}below/`), null, `below ${id}`)
  }
  t.same(await outdated(backend, await marksOf(backend, covered)), [], 'not the ETags of the parents listings')
  for (const id of covered.slice(1)) {
    const since = await feed.position()
    fake.tree.put(`${id}file`, 'x')
    t.equal((await feed.changes(since)).changes.length, 1, `${id} is part of the root`)
  }
  fake.hasMountProperties = false
  for (const id of [...covered, ...uncovered]) t.equal(await freshnessOf(backend, id), null, `${id} at an old server`)
})

t.test('a change outside of Nextcloud is unknown until the folder is opened', async (t) => {
  const { fake, backend, feed } = await open(t)
  fake.tree.put('a/external/sub/file', 'x')
  fake.mounts.set('a/external', 'external')
  const since = await feed.position()
  const marks = await marksOf(backend)
  fake.changeOutside('a/external/sub', (tree) => tree.put('a/external/sub/new', 'x'))
  t.same((await feed.changes(since)).changes, [])
  t.same(await outdated(backend, marks), [])
  const { entries, freshness } = await backend.listFolder('a/external/sub/', { ...callOptions(), limit: 10 })
  t.same(
    entries.map(({ name }) => name),
    ['file', 'new']
  )
  t.equal(freshness, null, 'not covered')
  t.same((await feed.changes(since)).changes, [UNKNOWN_CHANGE])
  t.same(await outdated(backend, marks), [null, 'a/'])
})

t.test('favourites, permissions and attributes of shares leave no trace', async (t) => {
  const { fake, backend, feed } = await open(t)
  const since = await feed.position()
  const marks = await marksOf(backend)
  fake.favorites.add('a/3')
  fake.permissions.set('a/3', 'G')
  fake.shareAttributes.set('a/3', '[{"scope":"permissions","key":"download","value":false}]')
  t.same((await feed.changes(since)).changes, [])
  t.same(await outdated(backend, marks), [])
})

t.test('only the first page is covered, since later ones may come from an older listing', async (t) => {
  const { fake, backend } = await open(t)
  for (const name of ['a', 'b', 'c']) fake.tree.put(`f/${name}`, name)
  const first = await backend.listFolder('f/', { ...callOptions(), limit: 2 })
  t.match(first.freshness, { scope: ROOT_SCOPE, mark: String })
  fake.tree.put('f/d', 'd')
  const second = await backend.listFolder('f/', { ...callOptions(), limit: 2, cursor: first.next ?? '' })
  t.same(
    second.entries.map(({ name }) => name),
    ['c'],
    'from the cached listing'
  )
  t.equal(second.freshness ?? null, null)
  const folders = await backend.listFolder(null, { ...callOptions(), limit: 2, kind: 'folder' })
  t.match(folders.freshness, { scope: ROOT_SCOPE, mark: String }, 'with a filter')
})

t.test('any text is a position: an unknown one is a change', async (t) => {
  const { feed } = await open(t)
  const current = await feed.position()
  for (const since of ['', '"', `"${current}"`, `${current} `, '\0', '\ud800', 'x'.repeat(4096), '<!DOCTYPE x>']) {
    const { position, changes } = await feed.changes(since)
    t.equal(position, current)
    t.same(changes, [UNKNOWN_CHANGE], JSON.stringify(since.slice(0, 20)))
  }
  await rejectsWith(t, feed.position('d/'), 'INVALID_REQUEST', 'there is one scope')
  await rejectsWith(t, feed.changes(current, 'd/'), 'INVALID_REQUEST')
})

const withProperties = (xml: string): DavFault =>
  respondsWith(207, {
    headers: { 'content-type': 'application/xml; charset=utf-8' },
    body:
      `<d:multistatus xmlns:d="DAV:" xmlns:n="http://nextcloud.org/ns"><d:response><d:href>${ROOT}</d:href>` +
      `<d:propstat><d:prop>${xml}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>`
  })

t.test('without a valid ETag there is no position, and nothing is confirmed or covered', async (t) => {
  const { fake, backend, feed } = await open(t)
  const since = await feed.position()
  const etags = ['', '""', 'x y', `"${'x'.repeat(1025)}"`, '"\u00e9"', '<d:x>1</d:x>']
  for (const etag of etags) {
    const xml = etag.startsWith('<') ? etag : escapeXml(etag)
    fake.dav.script = faultScript(withProperties(`<d:getetag>${xml}</d:getetag>`))
    await rejectsWith(t, feed.position(), 'PROVIDER_ERROR', etag.slice(0, 20))
    await rejectsWith(t, feed.changes(since), 'PROVIDER_ERROR')
    t.equal(await feed.isCurrent(null, since), false)
    const folder = '<d:resourcetype><d:collection/></d:resourcetype><n:mount-type/>'
    fake.dav.script = faultScript(withProperties(`${folder}<d:getetag>${xml}</d:getetag>`))
    t.equal(await freshnessOf(backend, null), null)
  }
  for (const xml of ['', '<d:displayname>x</d:displayname>']) {
    fake.dav.script = faultScript(withProperties(xml))
    await rejectsWith(t, feed.changes(since), 'PROVIDER_ERROR', 'no ETag at all')
  }
  fake.dav.script = faultScript(htmlPage())
  await rejectsWith(t, feed.changes(since), 'PROVIDER_ERROR', 'a page of a proxy')
})

t.test('an outage loses no position and outdates no page', async (t) => {
  const { fake, backend, feed } = await open(t)
  const since = await feed.position()
  const mark = (await freshnessOf(backend, 'f/'))?.mark ?? ''
  for (const [fault, code] of [
    [respondsWith(429, { retryAfter: 3 }), 'PROVIDER_THROTTLED'],
    [respondsWith(503), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(403), 'ACCESS_DENIED'],
    [resets(), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.dav.script = faultScript(fault)
    await rejectsWith(t, feed.position(), code)
    await rejectsWith(t, feed.changes(since), code)
    await rejectsWith(t, feed.isCurrent('f/', mark), code)
  }
  fake.dav.script = () => undefined
  fake.maintenance = true
  await rejectsWith(t, feed.isCurrent('f/', mark), 'PROVIDER_THROTTLED', 'maintenance')
  fake.maintenance = false
  t.same((await feed.changes(since)).changes, [])
  t.equal(await feed.isCurrent('f/', mark), true)
})

t.test('plain WebDAV covers nothing, because ETags of folders prove nothing there', async (t) => {
  const { backend, seed } = await webdavHarness.open(t)
  await seed({ 'a/b': 'b' })
  t.equal(backend.capabilities.changes, 'unsupported')
  for (const name of ['position', 'changes', 'isCurrent'] as const) t.equal(typeof backend[name], 'undefined', name)
  for (const id of [null, 'a/']) t.equal(await freshnessOf(backend, id), null)
})
