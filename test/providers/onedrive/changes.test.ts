import t, { type Test } from 'tap'
import { type Change, type FeedPage, ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { idOf, openOneDrive } from '../../contract/harness/onedrive.ts'
import { callOptions, rejectsWith, requireMethod } from '../../contract/suite/arrange.ts'
import { hangs, htmlPage, respondsWith } from '../../fakes/faults.ts'
import { FakeGraph, type FakeGraphOptions } from '../../fakes/graph/fake-graph.ts'
import { rejectionOf } from '../../support/rejection.ts'

const DELTA = /\/delta(?:\(|$)/

type Feed = Exclude<FeedPage, 'lost'>

function feedOf(backend: StorageBackend) {
  const position = requireMethod(backend.position?.bind(backend))
  const changes = requireMethod(backend.changes?.bind(backend))
  const read = async (scope: string, since: string) => changes(scope, since, callOptions())
  return {
    position: async (scope: string = ROOT_SCOPE) => position(scope, callOptions()),
    read,
    /** Reads to the end of the feed. */
    readAll: async (scope: string, since: string) => {
      const found: Change[] = []
      let current: Feed = { position: since, changes: [], hasMore: true }
      let pages = 0
      for (; current.hasMore; pages++) {
        const page = await read(scope, current.position)
        if (page === 'lost') throw new Error('the position is lost')
        found.push(...page.changes)
        current = page
      }
      return { position: current.position, changes: found, pages }
    }
  }
}

async function start(t: Test, options?: FakeGraphOptions) {
  const fake = await FakeGraph.start(t, options)
  const { backend } = await openOneDrive(t, fake)
  const list = (id: string | null, limit = 100, cursor?: string) =>
    backend.listFolder(id, { ...callOptions(), limit, ...(cursor !== undefined && { cursor }) })
  return { fake, tree: fake.tree, backend, list, ...feedOf(backend) }
}

const json = (body: unknown) =>
  respondsWith(200, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

t.test('a change has the ids of entries', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { tree, list, position, readAll } = await start(t, { kind })
    const folder = tree.addFolder({ name: 'folder' })
    const since = await position()
    const file = tree.addFile({ name: 'file' })
    const gone = tree.addFile({ name: 'gone', parent: folder })
    tree.remove(gone)
    const [entry] = (await list(null)).entries.filter(({ name }) => name === 'file')
    const { changes } = await readAll(ROOT_SCOPE, since)
    const item = { path: null, concerns: 'item' } as const
    t.same(changes, [
      { ...item, id: idOf(folder), parentId: 'root', isFolder: true, isGone: false },
      { ...item, id: idOf(file), parentId: 'root', isFolder: false, isGone: false },
      { ...item, id: idOf(gone), parentId: idOf(folder), isFolder: false, isGone: true }
    ])
    t.equal(entry?.id, changes[1]?.id)
  }
})

t.test('a position costs two requests, then one; a check costs one', async (t) => {
  const { fake, tree, backend, position, readAll } = await start(t)
  const library = tree.addDrive({ name: 'Docs', site: tree.addSite({ name: 'Team' }) })
  for (const [scope, path] of [
    [ROOT_SCOPE, '/v1.0/me/drive/root'],
    [library.driveId, `/v1.0/drives/${library.driveId}/root`]
  ] as const) {
    fake.requests.length = 0
    const since = await position(scope)
    t.same(fake.operations().sort(), [`GET ${path}`, `GET ${path}/delta`])
    t.match(Object.fromEntries(fake.requests.at(-1)?.query ?? []), { $select: /^id,parentReference,root/ })
    fake.requests.length = 0
    await position(scope)
    await readAll(scope, since)
    t.same(fake.operations(), [`GET ${path}/delta`, `GET ${path}/delta`])
    const cold = feedOf((await openOneDrive(t, fake)).backend)
    const parent = library
    tree.addFile({ name: `in ${scope}`, ...(scope !== ROOT_SCOPE && { parent }) })
    const { changes } = await cold.readAll(scope, since)
    t.same(
      changes.map(({ parentId }) => parentId),
      [scope === ROOT_SCOPE ? 'root' : `${scope}/root`],
      'in another process'
    )
  }
  t.equal(backend.capabilities.changes, 'native')
})

t.test('a link is followed however Graph writes it', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    for (const feedLinks of ['query', 'function', 'qualified'] as const) {
      const { fake, tree, position, readAll } = await start(t, { kind })
      fake.knobs.feedLinks = feedLinks
      fake.knobs.pageLimit = 2
      const since = await position()
      const ids = tree.addFiles(5, (index) => ({ name: `file ${index}` })).map(idOf)
      const { changes, position: next, pages } = await readAll(ROOT_SCOPE, since)
      t.same(
        changes.map(({ id }) => id),
        ids,
        `${kind}, ${feedLinks}`
      )
      t.equal(pages, 3)
      t.notMatch(next, /http|latest|\$select/)
      t.ok(next.length < 300)
      tree.addFile({ name: 'another' })
      t.equal((await readAll(ROOT_SCOPE, next)).changes.length, 1)
    }
  }
  const { fake, position, read } = await start(t)
  const respond = (link: unknown) => {
    fake.failNext(1, json({ value: [], '@odata.deltaLink': link }), { path: DELTA })
  }
  for (const [link, expected] of [
    [`${fake.url}/v1.0/me/drive/root/delta?$select=id&token=a%23b`, 'delta?token=a%23b'],
    [`${fake.url}/v1.0/me/drive/delta(token=abc)`, `delta(token='abc')`],
    [`${fake.url}/v1.0/me/drive/root/microsoft.graph.delta()?token=abc`, 'delta?token=abc'],
    [`${fake.url}/v1.0/me/drive/root/delta?token=latest&token=abc`, 'delta?token=abc'],
    [`${fake.url}/v1.0/me/drive/root/delta?$skiptoken=abc&$top=5`, 'delta?%24skiptoken=abc'],
    [`${fake.url}/v1.0/me/drive/root/delta(token='3;%234;a')?token=latest`, `delta(token='3;%234;a')`]
  ] as const) {
    respond(link)
    t.equal(await position(), expected)
  }
  const wrong = [
    'https://attacker.example/v1.0/me/drive/root/delta?token=abc',
    fake.url.replace('//', '//user@') + '/v1.0/me/drive/root/delta?token=abc',
    `${fake.contentUrl}/v1.0/me/drive/root/delta?token=abc`,
    `${fake.url}/v1.0/me/drive/root/children?token=abc`,
    `${fake.url}/v1.0/me/drive/root/delta`,
    `${fake.url}/v1.0/me/drive/root/delta?token=latest`,
    `${fake.url}/v1.0/me/drive/root/delta(token='latest')`,
    `${fake.url}/v1.0/me/drive/root/delta?(token='abc')`,
    `${fake.url}/v1.0/me/drive/root/delta(token='a/../../b')`,
    `${fake.url}/v1.0/me/drive/root/delta?token=${'x'.repeat(5000)}`,
    `${fake.url}/v1.0/me/drive/root/delta?token=${'x'.repeat(9000)}`,
    '/v1.0/me/drive/root/delta?token=abc',
    7
  ]
  for (const link of wrong) {
    const label = String(link).slice(0, 80)
    respond(link)
    const error = await rejectionOf(position())
    t.match(error, { code: 'PROVIDER_ERROR' }, label)
    t.notMatch((error as Error).message, /abc|attacker/)
    respond(link)
    await rejectsWith(t, read(ROOT_SCOPE, 'delta?token=x'), 'PROVIDER_ERROR', label)
  }
})

t.test('a position that is unknown to Graph is lost', async (t) => {
  const { fake, position, read, readAll } = await start(t)
  const since = await position()
  fake.expireFeedTokens()
  t.equal(await read(ROOT_SCOPE, since), 'lost')
  t.same(fake.requests.filter(({ path }) => DELTA.test(path)).length, 2, 'the new link is not followed')
  const next = await position()
  t.same((await readAll(ROOT_SCOPE, next)).changes, [])
  for (const error of [
    { code: 'resyncRequired' },
    { code: 'resyncChangesUploadDifferences', status: 410 },
    { code: 'generalException', status: 410 },
    { code: 'resyncChangesApplyDifferences', status: 400 },
    { code: 'syncStateNotFound', status: 404 },
    { code: 'invalidRequest', message: 'Provided sync token is malformed' },
    { code: 'itemNotFound' },
    { code: 'accessDenied' },
    { code: 'notSupported', status: 501 }
  ]) {
    fake.failNext(1, error, { path: DELTA })
    t.equal(await read(ROOT_SCOPE, next), 'lost', error.code)
  }
  fake.failNext(1, respondsWith(410, { headers: { location: 'https://attacker.example/' }, body: '<html>' }), {
    path: DELTA
  })
  t.equal(await read(ROOT_SCOPE, next), 'lost')
  const asked = fake.requests.length
  for (const wrong of [
    '',
    'x',
    'delta(token=',
    `delta(token='a/b')`,
    `delta(token='${'x'.repeat(5000)}')`,
    'https://attacker.example/delta?token=x',
    'children?token=x',
    'delta',
    'delta?x=y',
    'delta?token=latest',
    `delta(token='latest')`,
    'delta?$select=id&token=x',
    '../delta?token=x'
  ]) {
    t.equal(await read(ROOT_SCOPE, wrong), 'lost', wrong.slice(0, 40))
  }
  t.equal(await read('../x', next), 'lost')
  t.equal(fake.requests.length, asked, 'without a request')
  t.same((await readAll(ROOT_SCOPE, next)).changes, [], 'the position is still valid')
})

t.test('an outage and a throttle are not lost positions', async (t) => {
  const { fake, position, read } = await start(t)
  const since = await position()
  for (const [fault, code] of [
    [{ code: 'activityLimitReached' }, 'PROVIDER_THROTTLED'],
    [{ code: 'throttledRequest', status: 400 }, 'PROVIDER_THROTTLED'],
    [{ code: 'serviceNotAvailable' }, 'PROVIDER_THROTTLED'],
    [{ code: 'generalException' }, 'PROVIDER_UNAVAILABLE'],
    [respondsWith(504), 'PROVIDER_TIMEOUT'],
    [htmlPage(404), 'PROVIDER_ERROR'],
    [htmlPage(200), 'PROVIDER_ERROR'],
    [json({ '@odata.deltaLink': 'x' }), 'PROVIDER_ERROR'],
    [json({ value: {}, '@odata.deltaLink': 'x' }), 'PROVIDER_ERROR'],
    [json({ value: [] }), 'PROVIDER_ERROR']
  ] as const) {
    fake.failNext(1, fault, { path: DELTA })
    await rejectsWith(t, read(ROOT_SCOPE, since), code)
  }
  const faults = [
    { code: 'activityLimitReached' },
    { code: 'resyncRequired' },
    { code: 'generalException', status: 410 },
    htmlPage(404),
    json({})
  ]
  for (const fault of faults) {
    fake.failNext(1, fault, { path: DELTA })
    await rejectsWith(t, position(), ['PROVIDER_THROTTLED', 'PROVIDER_UNAVAILABLE', 'PROVIDER_ERROR'])
  }
  t.type(await position(), 'string', 'none of them means that there is no feed')
  const reason = new Error('aborted')
  fake.failNext(1, hangs(), { path: DELTA })
  const controller = new AbortController()
  const { backend } = await openOneDrive(t, fake)
  const call = requireMethod(backend.changes?.bind(backend))(ROOT_SCOPE, since, { signal: controller.signal })
  setTimeout(() => {
    controller.abort(reason)
  }, 20)
  t.equal(await rejectionOf(call), reason)
})

t.test('a drive without a feed is remembered', async (t) => {
  for (const error of [
    { code: 'invalidRequest' },
    { code: 'BadRequest' },
    { code: 'itemNotFound' },
    { code: 'accessDenied' },
    { code: 'notSupported', status: 400 },
    { code: 'notSupported', status: 501 }
  ]) {
    const { fake, tree, list, position } = await start(t, { kind: 'personal' })
    const folder = tree.addFolder({ name: 'folder' })
    tree.addFile({ name: 'file', parent: folder })
    t.match((await list(null)).freshness, { scope: ROOT_SCOPE })
    fake.knobs.noFeedError = error
    await rejectsWith(t, position(), 'UNSUPPORTED', error.code)
    fake.knobs.noFeedError = undefined
    const asked = fake.requests.length
    await rejectsWith(t, position(), 'UNSUPPORTED', error.code)
    t.equal(fake.requests.length, asked)
    t.equal((await list(null)).freshness, null)
    t.equal((await list(idOf(folder))).freshness, null)
  }
  const { fake, position } = await start(t)
  const link = `${fake.url}/v1.0/me/drive/root/delta?token=abc`
  fake.failNext(1, json({ value: [], '@odata.nextLink': link }), { path: DELTA })
  await rejectsWith(t, position(), 'UNSUPPORTED', 'a service that ignores the token, and enumerates the drive')
  const unlicensed = await start(t)
  unlicensed.fake.knobs.noDriveError = { code: 'BadRequest' }
  await rejectsWith(t, unlicensed.position(), 'UNSUPPORTED', 'a user without a drive')
  t.equal((await unlicensed.list(null)).freshness, null)
  const denied = await start(t)
  const library = denied.tree.addDrive({ name: 'Docs', site: denied.tree.addSite({ name: 'Team' }) })
  Object.assign(library, { flags: { denied: true } })
  await rejectsWith(t, denied.position(library.driveId), 'UNSUPPORTED', 'a library that is denied')
  for (const scope of ['../x', 'a/b', 'x'.repeat(201)]) {
    await rejectsWith(t, denied.position(scope), 'UNSUPPORTED', scope.slice(0, 10))
  }
})

t.test('a page is covered if a feed reports its folder', async (t) => {
  const { tree, list, position } = await start(t)
  const site = tree.addSite({ name: 'Team' })
  const library = tree.addDrive({ name: 'Docs', site })
  const inLibrary = tree.addFolder({ name: 'folder', parent: library })
  const elsewhere = tree.addDrive({ name: 'of somebody' })
  const shared = tree.addFolder({ name: 'shared', parent: elsewhere })
  const inShared = tree.addFolder({ name: 'in shared', parent: shared })
  tree.addFile({ name: 'deep', parent: inShared })
  const own = tree.addFolder({ name: 'own' })
  const toShared = tree.addRemote({ name: 'to shared', target: shared })
  const toLibrary = tree.addRemote({ name: 'to library', target: inLibrary })
  tree.addFile({ name: 'file', parent: own })
  const freshness = async (id: string | null) => (await list(id)).freshness
  t.equal(await freshness(idOf(own)), null, 'nothing is known of the own drive')
  await position()
  t.same(await freshness(idOf(own)), { scope: ROOT_SCOPE })
  t.equal(await freshness(null), null, 'no feed reports sites')
  for (const id of [null, 'root']) {
    const page = await list(id, 1)
    t.equal(page.freshness, null)
    t.same(
      (await list(id, 1, page.next ?? '')).freshness,
      { scope: ROOT_SCOPE, isTop: true },
      'the page behind the sites'
    )
  }
  t.equal(await freshness(`site:${site.id}`), null)
  const scope = library.driveId
  t.same(await freshness(`${scope}/root`), { scope, isTop: true })
  t.same(await freshness(idOf(library)), { scope, isTop: true }, 'a library by the id of its item')
  t.same(await freshness(idOf(inLibrary)), { scope }, 'an empty folder of a library')
  t.equal(await freshness(idOf(toLibrary)), null, 'by a shortcut')
  t.equal(await freshness(idOf(toShared)), null, 'by a shortcut')
  t.equal(await freshness(idOf(shared)), null, 'of another person')
  t.equal(await freshness(idOf(inShared)), null, 'of another person')
  tree.remove(inLibrary)
  t.same(await freshness(`${scope}/root`), { scope, isTop: true }, 'an empty library')
  t.equal(await freshness(idOf(library)), null, 'an empty library by an id that the feed does not use')
  const personal = await start(t, { kind: 'personal' })
  const empty = personal.tree.addFolder({ name: 'empty' })
  for (const id of [null, 'root', idOf(personal.tree.root)]) {
    t.same((await personal.list(id)).freshness, { scope: ROOT_SCOPE, isTop: true }, `${id}`)
  }
  t.same((await personal.list(idOf(empty))).freshness, { scope: ROOT_SCOPE })
})

t.test('a feed lags behind the change', async (t) => {
  let time = Date.parse('2026-11-30T12:00:00Z')
  const { fake, tree, list, position, readAll } = await start(t, { now: () => new Date(time) })
  fake.knobs.feedLagMs = 4000
  const folder = tree.addFolder({ name: 'folder' })
  const since = await position()
  const file = tree.addFile({ name: 'file', parent: folder })
  t.match(await list(idOf(folder)), { entries: [{ id: idOf(file) }] })
  const early = await readAll(ROOT_SCOPE, since)
  t.same(early.changes, [])
  time += 4000
  const { changes } = await readAll(ROOT_SCOPE, early.position)
  t.match(
    changes.map(({ id }) => id),
    [idOf(folder), idOf(file)],
    'no change is skipped, even one from before the position'
  )
})

t.test('hostile and incomplete items', async (t) => {
  const { fake, tree, position, read } = await start(t)
  const since = await position()
  const { driveId, id: rootId } = tree.root
  const link = `${fake.url}/v1.0/me/drive/root/delta?token=next`
  const readItems = async (value: unknown, links: object = { '@odata.deltaLink': link }) => {
    fake.failNext(1, json({ value, ...links }), { path: DELTA })
    return read(ROOT_SCOPE, since)
  }
  const changesOf = async (item: unknown) => {
    const page = await readItems([item])
    return page === 'lost' ? page : page.changes
  }
  const unknown = { id: null, path: null, parentId: null, isFolder: null, isGone: false, concerns: 'item' }
  const long = 'x'.repeat(201)
  const parentReference = { driveId, id: 'P' }
  for (const item of [
    null,
    7,
    'text',
    [],
    {},
    { id: 7, parentReference },
    { id: '../x', parentReference },
    { id: long, parentReference },
    { id: 'X', parentReference: { driveId: long, id: 'P' } },
    { id: 'X', parentReference: { driveId, id: long } },
    { id: 'X', parentReference: { driveId } },
    { id: 'X', file: {} }
  ]) {
    t.same(await changesOf(item), [unknown], JSON.stringify(item).slice(0, 60))
  }
  const gone = { path: null, isGone: true, concerns: 'item' }
  const deleted = { state: 'deleted' }
  t.same(await changesOf({ id: 'X', deleted }), [{ ...gone, id: `${driveId}/X`, parentId: null, isFolder: null }])
  t.same(await changesOf({ id: 'X', deleted, folder: {}, parentReference: { driveId, id: rootId } }), [
    { ...gone, id: `${driveId}/X`, parentId: 'root', isFolder: true }
  ])
  t.match(await changesOf({ id: 'X', package: {}, parentReference: { driveId, id: 'P' } }), [
    { id: `${driveId}/X`, parentId: `${driveId}/P`, isFolder: false, isGone: false }
  ])
  t.match(await changesOf({ id: 'X', folder: {}, parentReference: { driveId: 'other' } }), [
    { id: 'other/X', parentId: null, isFolder: true }
  ])
  t.match(await changesOf({ id: 'X', file: {}, parentReference: { driveId, id: 'P', path: '/drive/root:' } }), [
    { parentId: 'root' }
  ])
  t.same(await changesOf({ id: rootId, folder: {} }), [], 'the root')
  t.equal(await readItems(Array.from({ length: 10_001 }, () => ({}))), 'lost')
  const page = await readItems([], { '@odata.nextLink': link, '@odata.deltaLink': null })
  t.same(page, { position: 'delta?token=next', changes: [], hasMore: true })
  const again = link.replace('token=next', since.slice(since.indexOf('token=')))
  t.equal(await readItems([], { '@odata.nextLink': again }), 'lost', 'the same page again and again')
  t.match(await readItems([], { '@odata.deltaLink': again }), { position: since, hasMore: false })
})
