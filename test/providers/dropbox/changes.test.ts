import t, { type Test } from 'tap'
import type { EntryPage } from '../../../src/core/entry.ts'
import type { ListCall, StorageBackend } from '../../../src/core/backend.ts'
import { openDropbox, startDropbox } from '../../contract/harness/dropbox.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { hangs, resets, respondsWith } from '../../fakes/faults.ts'
import { clientFor } from '../../fakes/dropbox/client.ts'
import { FakeDropbox, type FakeDropboxOptions } from '../../fakes/dropbox/fake-dropbox.ts'
import type { FakeDropboxNode } from '../../fakes/dropbox/node.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { until } from '../../support/time/until.ts'

const CONTINUE = '/2/files/list_folder/continue'
const LATEST = '/2/files/list_folder/get_latest_cursor'

const list = (backend: StorageBackend, id: string | null, options: Partial<ListCall> = {}) =>
  backend.listFolder(id, { ...callOptions(), limit: 100, ...options })
const namesOf = ({ entries }: EntryPage) => entries.map(({ name }) => name)
const markOf = ({ freshness }: EntryPage) => freshness?.mark ?? ''
const check = (backend: StorageBackend, id: string | null, mark: string, options: object = {}) =>
  backend.isCurrent!(id, mark, { ...callOptions(), ...options })

/** Returns all pages of a folder. */
async function pagesOf(backend: StorageBackend, id: string | null, options: Partial<ListCall>): Promise<EntryPage[]> {
  const pages = [await list(backend, id, options)]
  for (let next = pages[0]?.next ?? null; next !== null; next = pages.at(-1)?.next ?? null) {
    pages.push(await list(backend, id, { ...options, cursor: next }))
  }
  return pages
}

/** Starts a fake with three folders `a`, `b` and `other`, which contain one file each, and lists all folders. */
async function startWithFolders(t: Test, options?: FakeDropboxOptions) {
  const started = await startDropbox(t, options)
  const { tree, backend } = started
  const nodes: Record<string, FakeDropboxNode> = {}
  for (const name of ['a', 'b', 'other']) {
    const folder = (nodes[name] = tree.addFolder({ name }))
    nodes[`${name}.txt`] = tree.addFile({ name: `${name}.txt`, parent: folder, content: 'old' })
  }
  const node = (name: string) => tree.get(nodes[name] ?? '')
  const ids = { root: null, a: node('a').id, b: node('b').id, other: node('other').id }
  const marks = new Map<string, string>()
  const listFolders = async () => {
    for (const [name, id] of Object.entries(ids)) {
      const page = await list(backend, id).catch(() => null)
      if (page !== null) marks.set(name, markOf(page))
    }
  }
  await listFolders()
  /** Returns the names of the folders that are not confirmed. */
  const changedFolders = async () => {
    const changed: string[] = []
    for (const [name, id] of Object.entries(ids)) {
      if (!(await check(backend, id, marks.get(name) ?? ''))) changed.push(name)
    }
    return changed
  }
  return { ...started, node, ids, changedFolders, listFolders }
}

t.test('a folder with one page is listed by one call, and confirmed by one call', async (t) => {
  const { tree, backend, newRequests, operations } = await startDropbox(t)
  const parent = tree.addFolder({ name: 'folder' })
  tree.addFiles(100, (index) => ({ name: `file ${index}`, parent }))
  for (const id of [null, parent.id]) {
    operations()
    const page = await list(backend, id)
    t.same(operations(), ['list_folder'])
    t.ok(markOf(page).length > 10)
    t.equal(await check(backend, id, markOf(page)), true)
    t.equal(await check(backend, id, markOf(page)), true, 'more than once')
    const requests = newRequests()
    t.same(
      requests.map(({ path, body }): unknown[] => [path, JSON.parse(body?.toString() ?? '')]),
      [
        [CONTINUE, { cursor: markOf(page) }],
        [CONTINUE, { cursor: markOf(page) }]
      ]
    )
  }
  t.equal(backend.capabilities.changes, 'emulated')
  t.notOk('changes' in backend || 'position' in backend)
})

t.test('a folder that was created and removed again since is not confirmed', async (t) => {
  const { tree, node, changedFolders } = await startWithFolders(t)
  tree.remove(tree.addFile({ name: 'brief', parent: node('a') }))
  t.same(await changedFolders(), ['a'])
})

t.test('a folder that was moved is not confirmed, however Dropbox reports it', async (t) => {
  for (const movedFolderError of [undefined, 'reset', 'not_found'] as const) {
    const { fake, tree, node, changedFolders } = await startWithFolders(t)
    fake.knobs.movedFolderError = movedFolderError
    tree.move(node('a'), node('b'))
    t.same(await changedFolders(), ['root', 'a', 'b'], String(movedFolderError))
  }
})

t.test('a rename that only changes case is not reported (Dropbox, at `path_display`)', async (t) => {
  const { tree, node, changedFolders } = await startWithFolders(t)
  tree.rename(node('a.txt'), 'A.TXT')
  t.same(await changedFolders(), [])
})

t.test('a mark that Dropbox has reset, or that expired unused, confirms nothing', async (t) => {
  let now = Date.UTC(2026, 0, 1)
  const { fake, changedFolders, listFolders } = await startWithFolders(t, { now: () => new Date(now) })
  const all = ['root', 'a', 'b', 'other']
  fake.knobs.cursorLifetimeMs = 60_000
  for (let count = 0; count < 3; count += 1) {
    now += 60_000
    t.same(await changedFolders(), [])
  }
  now += 60_001
  t.same(await changedFolders(), all)
  await listFolders()
  t.same(await changedFolders(), [])
  fake.resetCursors()
  t.same(await changedFolders(), all)
})

t.test('a change is noticed as soon as Dropbox reports it', async (t) => {
  let now = Date.UTC(2026, 0, 1)
  const { fake, tree, node, changedFolders } = await startWithFolders(t, { now: () => new Date(now) })
  fake.knobs.changeLagMs = 3000
  now += 1
  tree.remove(node('a.txt'))
  t.same(await changedFolders(), [])
  now += 2999
  t.same(await changedFolders(), [])
  now += 1
  t.same(await changedFolders(), ['a'])
})

t.test('the pages of a large folder have one mark, from before the first of them', async (t) => {
  const { fake, tree, backend, operations, newRequests } = await startDropbox(t)
  const parent = tree.addFolder({ name: 'large' })
  tree.addFiles(25, (index) => ({ name: `file ${index}`, parent }))
  operations()
  const pages = await pagesOf(backend, parent.id, { limit: 10 })
  const requests = newRequests()
  t.same(
    requests.map(({ path }) => path.replace('/2/files/', '')),
    ['list_folder', 'list_folder/get_latest_cursor', 'list_folder', 'list_folder/continue', 'list_folder/continue']
  )
  t.match(JSON.parse(requests[1]?.body?.toString() ?? ''), { path: parent.id, recursive: false, limit: 1 })
  t.same(
    pages.map(({ entries }) => entries.length),
    [10, 10, 5]
  )
  const [mark = ''] = pages.map(markOf)
  t.same(pages.map(markOf), [mark, mark, mark])
  t.equal(await check(backend, parent.id, mark), true)
  t.ok((pages[0]?.next ?? '').length < 300)
  tree.addFiles(500, (index) => ({ name: `later ${index}`, parent }))
  t.equal(await check(backend, parent.id, mark), false)
  const { entries } = (await clientFor(fake).filesListFolderContinue({ cursor: mark })).result
  t.equal(entries.length, 1, 'a short response, whatever has changed')
  const [first] = await pagesOf(backend, parent.id, { limit: 10 })
  t.equal(await check(backend, parent.id, markOf(first!)), true, 'a new mark')
})

t.test('a change while a large folder is listed is never missed', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  const changeOnce = (path: string, after: number, change: () => void) => {
    let count = 0
    fake.delayMs = (request) => {
      if (request.path === path && count++ === after) change()
      return 0
    }
  }
  for (const [path, after, isListed] of [
    ['/2/files/list_folder', 0, true],
    [LATEST, 0, true],
    ['/2/files/list_folder', 1, false],
    [CONTINUE, 0, false],
    [CONTINUE, 1, false]
  ] as const) {
    const parent = tree.addFolder({ name: `${path.replaceAll('/', ' ')} ${after}` })
    tree.addFiles(25, (index) => ({ name: `file ${index}`, parent }))
    changeOnce(path, after, () => {
      tree.remove(tree.children(parent)[0] ?? '')
    })
    const pages = await pagesOf(backend, parent.id, { limit: 10 })
    const expected = tree.children(parent).map(({ name }) => name)
    const isTrue = pages.flatMap(namesOf).sort().join() === expected.sort().join()
    for (const page of pages) {
      const isConfirmed = page.freshness != null && (await check(backend, parent.id, markOf(page)))
      t.equal(isConfirmed, isListed, `${path}, ${after}`)
      t.ok(isTrue || !isConfirmed)
    }
  }
})

t.test('the parts of a page that is longer than requested have one mark', async (t) => {
  const { fake, tree, backend, operations } = await startDropbox(t)
  tree.addFiles(12, (index) => ({ name: `file ${index}` }))
  fake.knobs.extraPerPage = 3
  operations()
  const pages = await pagesOf(backend, null, { limit: 10 })
  t.same(operations(), ['list_folder', 'list_folder'])
  t.equal(pages.length, 2)
  t.not(markOf(pages[0]!), '')
  t.equal(markOf(pages[0]!), markOf(pages[1]!))
  t.equal(await check(backend, null, markOf(pages[0]!)), true)
  const longer = await pagesOf(backend, null, { limit: 4 })
  t.equal(new Set(longer.map(markOf)).size, 1)
  t.equal(await check(backend, null, markOf(longer[0]!)), true)
})

t.test('pages of one kind have marks too', async (t) => {
  const { tree, backend } = await startDropbox(t)
  tree.addFiles(3, (index) => ({ name: `file ${index}` }))
  const page = await list(backend, null, { kind: 'folder' })
  t.equal(await check(backend, null, markOf(page)), true)
  tree.addFolder({ name: 'folder' })
  t.equal(await check(backend, null, markOf(page)), false)
})

t.test('a page that contains removals has no mark', async (t) => {
  const { fake, backend } = await startDropbox(t)
  await list(backend, null)
  const entries = [{ '.tag': 'deleted', name: 'gone', path_lower: '/gone' }]
  const body = JSON.stringify({ entries, cursor: 'c', has_more: false })
  fake.failNext(1, respondsWith(200, { body }), { path: /list_folder/ })
  t.match(await list(backend, null), { complete: false, freshness: null })
})

t.test('a cursor without a mark continues without one', async (t) => {
  const { tree, backend } = await startDropbox(t)
  tree.addFiles(25, (index) => ({ name: `file ${index}` }))
  const { next } = await list(backend, null, { limit: 10 })
  const old = (JSON.parse(next ?? '') as unknown[]).slice(0, 5)
  t.match(await list(backend, null, { limit: 10, cursor: JSON.stringify(old) }), { freshness: null })
  for (const mark of ['', 5, false, {}]) {
    const cursor = JSON.stringify([...old, mark])
    await rejectsWith(t, list(backend, null, { limit: 10, cursor }), 'INVALID_CURSOR', cursor)
  }
})

t.test('a mark that is too long is left out', async (t) => {
  const { fake, backend } = await startDropbox(t)
  await list(backend, null)
  const says = (path: string, cursor: string, has_more: boolean) => {
    fake.failNext(1, respondsWith(200, { body: JSON.stringify({ entries: [], cursor, has_more }) }), { path })
  }
  const LIST = '/2/files/list_folder'
  says(LIST, 'c'.repeat(4097), false)
  t.match(await list(backend, null), { complete: true, freshness: null })
  says(LIST, 'c'.repeat(4096), false)
  t.equal(markOf(await list(backend, null)).length, 4096)
  says(LIST, 'token', true)
  says(LATEST, 'm'.repeat(3000), false)
  says(LIST, 'token', true)
  const first = await list(backend, null)
  t.equal(markOf(first).length, 3000)
  t.ok((first.next ?? '').length < 100, 'the cursor stays usable')
  says(CONTINUE, 'end', false)
  t.match(await list(backend, null, { cursor: first.next ?? '' }), { complete: true, freshness: null })
  says(LIST, 'token', true)
  says(LATEST, '', false)
  await rejectsWith(t, list(backend, null), 'PROVIDER_ERROR')
})

t.test('an empty page that others follow confirms nothing', async (t) => {
  const { fake, backend } = await startDropbox(t)
  const mark = markOf(await list(backend, null))
  const says = (body: unknown) => {
    fake.failNext(1, respondsWith(200, { body: JSON.stringify(body) }), { path: CONTINUE })
  }
  says({ entries: [], cursor: 'c', has_more: true })
  t.equal(await check(backend, null, mark), false)
  says({ entries: [{ '.tag': 'unknown' }], cursor: 'c', has_more: false })
  t.equal(await check(backend, null, mark), false)
  for (const body of [null, [], {}, { entries: [], cursor: 'c' }, { entries: {}, cursor: 'c', has_more: false }]) {
    says(body)
    await rejectsWith(t, check(backend, null, mark), 'PROVIDER_ERROR', JSON.stringify(body))
  }
})

t.test('a failed check is an error, and says nothing about the folder', async (t) => {
  const { fake, backend } = await startDropbox(t)
  const mark = markOf(await list(backend, null))
  for (const [fault, code] of [
    [respondsWith(429, { retryAfter: 3 }), 'PROVIDER_THROTTLED'],
    [respondsWith(503), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(400, { body: 'Error in call: Invalid "cursor"' }), 'PROVIDER_ERROR'],
    [resets(), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.failNext(1, fault, { path: CONTINUE })
    await rejectsWith(t, check(backend, null, mark), code)
    t.equal(await check(backend, null, mark), true)
  }
})

t.test('equal checks at the same time share one request', async (t) => {
  const { fake, tree, backend, operations } = await startDropbox(t)
  const folder = tree.addFolder({ name: 'folder' })
  const marks = [markOf(await list(backend, null)), markOf(await list(backend, folder.id))] as const
  fake.delayMs = () => 50
  operations()
  const checks = [null, folder.id].flatMap((id, index) =>
    Array.from({ length: 5 }, () => check(backend, id, marks[index] ?? ''))
  )
  t.same(
    await Promise.all(checks),
    checks.map(() => true)
  )
  t.equal(operations().length, 2)
  t.equal(await check(backend, null, marks[0]), true)
  t.equal(operations().length, 1, 'a result is not stored')
  fake.failNext(1, respondsWith(503), { path: CONTINUE })
  const failing = [check(backend, null, marks[0]), check(backend, null, marks[0])]
  for (const each of failing) await rejectsWith(t, each, 'PROVIDER_UNAVAILABLE')
  t.equal(await check(backend, null, marks[0]), true)
})

t.test('aborting one check does not end it for others, and the last one ends the request', async (t) => {
  const fake = await FakeDropbox.start(t)
  const { backend } = await openDropbox(t, fake)
  const mark = markOf(await list(backend, null))
  const checkCount = () => fake.requests.filter(({ path }) => path === CONTINUE).length
  const controllers = [new AbortController(), new AbortController()] as const
  const reason = new Error('enough')
  fake.delayMs = () => 100
  const leaving = rejectionOf(check(backend, null, mark, { signal: controllers[0].signal }))
  const staying = check(backend, null, mark)
  await until(() => checkCount() === 1)
  controllers[0].abort(reason)
  t.equal(await leaving, reason)
  t.equal(await staying, true)
  let isClosed = false
  fake.failNext(
    1,
    (request, response) => {
      response.once('close', () => (isClosed = true))
      hangs()(request, response)
    },
    { path: CONTINUE }
  )
  const last = rejectionOf(check(backend, null, mark, { signal: controllers[1].signal }))
  await until(() => checkCount() === 2)
  controllers[1].abort(reason)
  t.equal(await last, reason)
  await until(() => isClosed)
  t.equal(await check(backend, null, mark), true)
  const aborted = { signal: AbortSignal.abort(reason) }
  t.equal(await rejectionOf(check(backend, null, mark, aborted)), reason)
  t.equal(checkCount(), 3)
})

t.test('marks of a team space are checked in it', async (t) => {
  const { tree, backend, newRequests } = await startDropbox(t, { team: true })
  const folder = tree.addTeamFolder({ name: 'Team' })
  const mark = markOf(await list(backend, folder.id))
  const rootMark = markOf(await list(backend, null))
  newRequests()
  t.equal(await check(backend, folder.id, mark), true)
  t.equal(await check(backend, null, rootMark), true)
  for (const { headers } of newRequests()) t.match(headers, { 'dropbox-api-path-root': /"root"/ })
  tree.addFile({ name: 'x', parent: folder })
  t.equal(await check(backend, folder.id, mark), false)
  t.equal(await check(backend, null, rootMark), true)
})
