import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import { googleDrive, provider } from '../../../src/providers/google-drive/index.ts'
import { VALID_TOKENS, openGoogleDrive } from '../../contract/harness/google-drive.ts'
import { callOptions, find, rejectsWith } from '../../contract/suite/arrange.ts'
import { failureOf } from '../../support/rejection.ts'
import { respondsWith, hangs, htmlPage } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FakeDrive } from '../../fakes/drive/fake-drive.ts'
import { EXPORT_FORMATS, RENDERED_FORMATS } from '../../fakes/drive/formats.ts'
import {
  DRIVE_DOCUMENT,
  DRIVE_FORM,
  DRIVE_PRESENTATION,
  DRIVE_SHORTCUT,
  DRIVE_SPREADSHEET,
  DRIVE_VIDEO
} from '../../fakes/drive/node.ts'
import { useManualTimers } from '../../support/time/manual-timers.ts'
import { readBody } from '../../support/app/read-body.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { until } from '../../support/time/until.ts'

async function start(t: Test) {
  const fake = await FakeDrive.start(t)
  const { backend } = await openGoogleDrive(t, fake)
  const entries = async (id: string | null = null) =>
    (await backend.listFolder(id, { ...callOptions(), limit: 1000 })).entries
  return { fake, tree: fake.tree, backend, entries }
}

const statesOf = (entries: readonly Entry[]) => entries.map(({ name, target }) => [name, target?.state])

t.test('a file has all metadata of Google', async (t) => {
  const { tree, entries, backend } = await start(t)
  const created = new Date('2026-01-05T10:00:00.000Z')
  const modified = new Date('2026-11-02T08:30:00.125Z')
  const seed = { name: 'a.txt', content: 'hello', created, modified, thumbnailLink: 'https://lh3.example/t' }
  const { id } = tree.addFile(seed)
  const [entry] = await entries()
  t.match(entry, {
    id,
    kind: 'file',
    mimeType: 'text/plain',
    size: 5,
    createdAt: '2026-01-05T10:00:00.000Z',
    modifiedAt: '2026-11-02T08:30:00.125Z',
    version: `${id.slice(0, 12)}-r1`,
    hash: { algorithm: 'md5', value: '5d41402abc4b2a76b9719d911017c592' },
    exportFormats: [],
    target: null,
    webUrl: `https://drive.google.com/file/d/${id}/view?usp=drivesdk`,
    thumbnailUrl: null,
    path: null,
    can: { list: false, download: true, write: true }
  })
  tree.rename(id, 'b.txt')
  t.equal((await backend.stat(id, callOptions())).version, entry?.version, 'its content has not changed')
})

t.test('capabilities are those that Google reports', async (t) => {
  const { tree, entries } = await start(t)
  tree.addFile({ name: 'read', capabilities: { canEdit: false, canDownload: false } })
  const folder = tree.addFolder({ name: 'folder', capabilities: { canAddChildren: false } })
  const [first, second] = await entries()
  t.match(first, { id: folder.id, mimeType: null, version: null, can: { list: true, download: false, write: false } })
  t.match(second, { can: { list: false, download: false, write: false } })
})

t.test('Google documents can be exported to other formats, and forms can only be viewed', async (t) => {
  const { tree, entries, backend } = await start(t)
  for (const mimeType of [DRIVE_DOCUMENT, DRIVE_SPREADSHEET, DRIVE_PRESENTATION]) {
    tree.addDocument({ name: mimeType, mimeType, size: 77 })
  }
  for (const type of ['drawing', 'script', 'vid']) {
    tree.addDocument({ name: type, mimeType: `application/vnd.google-apps.${type}` })
  }
  for (const type of ['form', 'site', 'map', 'drive-sdk.1234']) {
    tree.addDocument({ name: `see ${type}`, mimeType: `application/vnd.google-apps.${type}` })
  }
  for (const type of ['gem', 'conversation', 'something-new']) {
    tree.addDocument({ name: `see ${type}`, mimeType: `application/vnd.google-gemini.${type}` })
  }
  const listed = await entries()
  const formatsOf = (name: string) =>
    listed.find((entry) => entry.name === name)?.exportFormats.map(({ extension }) => extension)
  t.same(formatsOf(DRIVE_DOCUMENT), ['docx', 'pdf', 'odt', 'rtf', 'txt', 'html', 'zip', 'epub', 'md'])
  t.same(formatsOf(DRIVE_SPREADSHEET), ['xlsx', 'pdf', 'ods', 'zip', 'csv', 'tsv'])
  t.same(formatsOf(DRIVE_PRESENTATION), ['pptx', 'pdf', 'odp', 'txt', 'jpg', 'png', 'svg'])
  t.same(formatsOf('drawing'), ['png', 'pdf', 'svg', 'jpg'])
  t.same(formatsOf('script'), ['json'])
  t.same(formatsOf('vid'), ['mp4'])
  for (const entry of listed) {
    const isLink = entry.name.startsWith('see ')
    t.match(entry, { kind: isLink ? 'link' : 'file', size: null, hash: null, can: { download: !isLink } }, entry.name)
    if (isLink) await rejectsWith(t, backend.download(entry.id, callOptions()), 'UNSUPPORTED', entry.name)
  }
  const page = await backend.listFolder(null, { ...callOptions(), limit: 100, kind: 'file' })
  t.equal(page.entries.length, 6, 'a link is not a file')
})

t.test('every export format is accepted by Google for its type', async (t) => {
  const { fake, tree, entries, backend } = await start(t)
  fake.knobs.pendingPolls = -1
  for (const [mimeType, formats] of Object.entries({ ...EXPORT_FORMATS, ...RENDERED_FORMATS })) {
    tree.addDocument({ name: mimeType, mimeType, exports: Object.fromEntries(formats.map((each) => [each, each])) })
  }
  for (const { id, name, exportFormats } of await entries()) {
    for (const { mimeType } of exportFormats) {
      const { body } = await backend.download(id, { ...callOptions(), exportAs: mimeType })
      t.equal((await readBody(body)).toString(), mimeType, name)
    }
  }
})

t.test('a document is exported to its first format, or to the requested one', async (t) => {
  const { fake, tree, backend } = await start(t)
  const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'
  const exports = { [DOCX]: 'as docx', 'application/pdf': 'as pdf' }
  const { id } = tree.addDocument({ name: 'document', exports })
  const first = await backend.download(id, callOptions())
  t.equal((await readBody(first.body)).toString(), 'as docx')
  const docx = { mimeType: DOCX, extension: 'docx' }
  t.match(first, { size: null, range: null, mimeType: DOCX, name: 'document.docx', exportedAs: docx, etag: '1.docx' })
  const range = { start: 2, end: 3 }
  const pdf = await backend.download(id, { ...callOptions(), exportAs: 'application/pdf', range })
  t.equal((await readBody(pdf.body)).toString(), 'as pdf', 'the range is ignored')
  t.match(pdf, { range: null, mimeType: 'application/pdf', name: 'document.pdf', etag: '1.pdf' })
  await rejectsWith(t, backend.download(id, { ...callOptions(), exportAs: 'image/png' }), 'INVALID_REQUEST')
  const file = tree.addFile({ name: 'file' })
  await rejectsWith(t, backend.download(file.id, { ...callOptions(), exportAs: 'text/plain' }), 'INVALID_REQUEST')
  fake.knobs.exportLimitBytes = 3
  await rejectsWith(t, backend.download(id, callOptions()), 'PAYLOAD_TOO_LARGE')
})

const RENDER = /\/download$/
const OPERATION = /\/operations\//
const countOf = ({ requests }: FakeDrive, path: RegExp) => requests.filter((request) => path.test(request.path)).length

/** A video that is rendered after `pendingPolls` polls; the test advances the timers. */
async function startRendering(t: Test, seed: { readonly resourceKey?: string } = {}, timeouts = TEST_TIMEOUTS) {
  const fake = await FakeDrive.start(t)
  const { backend } = await openGoogleDrive(t, fake, VALID_TOKENS, openEgress(), timeouts)
  const { id } = fake.tree.addDocument({
    name: 'Demo',
    mimeType: DRIVE_VIDEO,
    exports: { 'video/mp4': 'film' },
    ...seed
  })
  const tick = useManualTimers(t)
  /** Advances the timers after each poll response. Returns the result of the work. */
  const settle = async <T>(work: Promise<T>): Promise<T> => {
    const state = { isSettled: false }
    const end = () => {
      state.isSettled = true
    }
    work.then(end, end)
    await until(() => {
      tick(10_000)
      return state.isSettled
    })
    return work
  }
  return { fake, backend, id, tick, settle }
}

t.test('a video is rendered by Google first, and polled until it is done', async (t) => {
  const { fake, backend, id, settle } = await startRendering(t)
  fake.knobs.pendingPolls = 3
  const { body, ...facts } = await settle(backend.download(id, { ...callOptions(), range: { start: 1 } }))
  t.equal((await readBody(body)).toString(), 'film')
  t.match(facts, {
    size: null,
    range: null,
    mimeType: 'video/mp4',
    name: 'Demo.mp4',
    exportedAs: { mimeType: 'video/mp4', extension: 'mp4' },
    etag: '1.mp4'
  })
  t.equal(countOf(fake, /export$/), 0, 'a video cannot be exported directly')
  t.equal(countOf(fake, OPERATION), 4)
  t.equal(fake.renderings.count, 1)
})

t.test('each request about a rendering has the resource key of the file', async (t) => {
  const { backend, id, settle } = await startRendering(t, { resourceKey: 'key-1' })
  const { body } = await settle(backend.download(`${id}/key-1`, callOptions()))
  t.equal((await readBody(body)).toString(), 'film')
})

t.test('polls start at intervals of one second and grow to ten seconds', async (t) => {
  const { fake, backend, id, tick } = await startRendering(t)
  fake.knobs.pendingPolls = 6
  const downloading = backend.download(id, callOptions())
  await until(() => countOf(fake, RENDER) === 1)
  let polls = 0
  for (const pauseMs of [1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]) {
    let waitedMs = 0
    // Until the pause begins, there is no timer to advance.
    await until(() => {
      if (countOf(fake, OPERATION) > polls) return true
      tick(500)
      waitedMs += 500
      return false
    })
    polls++
    t.ok(waitedMs >= pauseMs, `${waitedMs} ms`)
  }
  const { body } = await downloading
  await readBody(body)
})

t.test('a rendering that takes too long is continued by the next call', async (t) => {
  const { fake, backend, id, settle } = await startRendering(t, {}, { ...TEST_TIMEOUTS, totalMs: 1 })
  fake.knobs.pendingPolls = 2
  for (const polls of [0, 1, 2]) {
    const error = await failureOf(settle(backend.download(id, callOptions())))
    t.match(error, { code: 'PROVIDER_UNAVAILABLE', responded: true, retryAfterMs: 60_000 })
    t.equal(countOf(fake, OPERATION), polls)
  }
  const { body } = await settle(backend.download(id, callOptions()))
  t.equal((await readBody(body)).toString(), 'film')
  t.equal(countOf(fake, RENDER), 1, 'one rendering')

  await failureOf(settle(backend.download(id, callOptions())))
  t.equal(countOf(fake, RENDER), 2, 'the URL of a completed operation is not used again')
  fake.renderings.expire()
  await failureOf(settle(backend.download(id, callOptions())))
  t.equal(countOf(fake, RENDER), 3, 'a forgotten operation is started again')
  fake.tree.touch(fake.tree.get(id))
  await failureOf(settle(backend.download(id, callOptions())))
  t.equal(countOf(fake, RENDER), 4, 'another version has its own rendering')
})

t.test('aborting ends the wait for a rendering', async (t) => {
  const { fake, backend, id } = await startRendering(t)
  const controller = new AbortController()
  const downloading = backend.download(id, { signal: controller.signal })
  await until(() => countOf(fake, RENDER) === 1)
  const reason = new Error('left')
  controller.abort(reason)
  await t.rejects(downloading, reason)
})

t.test('a failed rendering is mapped by its error code', async (t) => {
  const { fake, backend, id, settle } = await startRendering(t)
  const cases = [
    [4, 'PROVIDER_UNAVAILABLE'],
    [5, 'OBJECT_NOT_FOUND'],
    [7, 'ACCESS_DENIED'],
    [8, 'PROVIDER_THROTTLED'],
    [12, 'UNSUPPORTED'],
    [13, 'PROVIDER_UNAVAILABLE'],
    [99, 'PROVIDER_ERROR']
  ] as const
  for (const [code, expected] of cases) {
    fake.knobs.operationError = { code, message: 'for a person' }
    await rejectsWith(t, settle(backend.download(id, callOptions())), expected, `code ${code}`)
  }
})

t.test('a rendered video is downloaded from Google only, and an HTML page is refused', async (t) => {
  const { fake, backend, id, settle } = await startRendering(t)
  for (const address of [
    undefined,
    'nonsense',
    'http://drive.usercontent.google.com/download',
    'https://drive.usercontent.google.com.example.org/download',
    'https://user:password@drive.usercontent.google.com/download',
    `${fake.url}@example.org/`
  ]) {
    fake.knobs.downloadUri = address ?? { no: 'address' }
    await rejectsWith(t, settle(backend.download(id, callOptions())), 'PROVIDER_ERROR', String(address))
  }
  fake.knobs.downloadUri = undefined
  fake.failNext(1, htmlPage(200), { host: 'content' })
  await rejectsWith(t, settle(backend.download(id, callOptions())), 'PROVIDER_ERROR')
  fake.failNext(1, respondsWith(200, { headers: { 'content-type': 'application/json' }, body: '{"done":false}' }), {
    path: RENDER
  })
  await rejectsWith(t, settle(backend.download(id, callOptions())), 'PROVIDER_ERROR', 'an operation without a name')
  for (const name of ['.', '..', 'operations/..', 'a b']) {
    const body = JSON.stringify({ name })
    fake.failNext(1, respondsWith(200, { headers: { 'content-type': 'application/json' }, body }), { path: RENDER })
    await rejectsWith(t, settle(backend.download(id, callOptions())), 'PROVIDER_ERROR', name)
  }
})

t.test('a URL that needs no access token is requested without it', async (t) => {
  const { fake, id, settle } = await startRendering(t)
  const seen: (string | undefined)[] = []
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization, request.headers['x-goog-drive-resource-keys'] as string | undefined)
    response.writeHead(200, { 'content-type': 'video/mp4', 'content-length': 4 }).end('film')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const egress = openEgress()
  t.teardown(() => egress.close())
  const { server: authorization } = provider.connect
  const backend = await googleDrive({ api: fake.url, contentHosts: [origin], server: authorization }).open({
    accessTokens: VALID_TOKENS,
    egress,
    timeouts: TEST_TIMEOUTS,
    spool: TEST_SPOOL
  })
  fake.knobs.downloadUri = `${origin}/video`
  const { body } = await settle(backend.download(id, callOptions()))
  t.equal((await readBody(body)).toString(), 'film')
  t.same(seen, [undefined, undefined])
})

t.test('an export that is truncated or has no visible end fails', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addDocument({ name: 'document', exports: { 'text/plain': 'x'.repeat(100_000) } })
  const text = { ...callOptions(), exportAs: 'text/plain' }
  fake.resetDownloads(1, 1000)
  await rejectsWith(t, readBody((await backend.download(id, text)).body), 'PROVIDER_UNAVAILABLE')
  const unframed = (_request: unknown, response: { socket: { end(text: string): void } | null }) => {
    response.socket?.end('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhalf')
  }
  fake.failNext(1, unframed, { path: /export$/ })
  await rejectsWith(t, backend.download(id, text), 'PROVIDER_ERROR')
})

t.test('a shortcut reports whether its target exists', async (t) => {
  const { tree, entries, backend } = await start(t)
  const folder = tree.addFolder({ name: 'elsewhere' })
  const file = tree.addFile({ name: 'file', parent: folder })
  const parent = tree.addFolder({ name: 'shortcuts' })
  const add = (name: string, target: Parameters<typeof tree.get>[0], targetMimeType?: string) =>
    tree.addShortcut({ name, parent, target, ...(targetMimeType !== undefined && { targetMimeType }) })
  add('1 file', file)
  add('2 folder', folder)
  add('3 gone', tree.newId(), 'text/plain')
  add('4 denied', tree.addFile({ name: 'denied', parent: folder, denied: true }))
  add('5 trash', tree.addFile({ name: 'trash', parent: folder, trashed: true }))
  add('6 shortcut', add('7 another', file))
  const listed = await entries(parent.id)
  t.same(statesOf(listed), [
    ['1 file', 'ok'],
    ['2 folder', 'ok'],
    ['3 gone', 'dangling'],
    ['4 denied', 'denied'],
    ['5 trash', 'dangling'],
    ['6 shortcut', 'ok'],
    ['7 another', 'ok']
  ])
  t.match(listed[0], {
    kind: 'shortcut',
    mimeType: DRIVE_SHORTCUT,
    size: null,
    target: { id: file.id, kind: 'file', mimeType: 'text/plain' },
    can: { list: false, download: false }
  })
  t.match(listed[1]?.target, { id: folder.id, kind: 'folder' })
  t.match(listed[5]?.target, { kind: 'shortcut' }, 'a shortcut to a shortcut is not followed')
  for (const entry of listed) {
    t.same(await backend.stat(entry.id, callOptions()), entry, entry.name)
    await rejectsWith(t, backend.download(entry.id, callOptions()), 'OBJECT_NOT_FOUND', entry.name)
  }
})

t.test('a page looks up a hundred targets, six at a time', async (t) => {
  const { fake, tree, entries } = await start(t)
  const target = tree.addFile({ name: 'target', parent: tree.addFolder({ name: 'elsewhere' }) })
  const parent = tree.addFolder({ name: 'shortcuts' })
  for (let index = 0; index < 120; index++) tree.addShortcut({ name: `s ${index}`, parent, target })
  let most = 0
  fake.failNext(0, () => {}, {
    matching: () => {
      most = Math.max(most, fake.sockets.size)
      return false
    }
  })
  const states = statesOf(await entries(parent.id)).map(([, state]) => state)
  t.same(
    ['ok', 'unknown'].map((state) => states.filter((each) => each === state).length),
    [100, 20]
  )
  t.ok(most <= 7, `${most} sockets`)
})

t.test('a failed lookup of a target does not fail the page, and a throttle ends the lookups', async (t) => {
  const { fake, tree, entries } = await start(t)
  const target = tree.addFile({ name: 'target', parent: tree.addFolder({ name: 'elsewhere' }) })
  const parent = tree.addFolder({ name: 'shortcuts' })
  for (let index = 0; index < 50; index++) tree.addShortcut({ name: `s ${index}`, parent, target })
  const path = `/drive/v3/files/${target.id}`
  fake.failNext(1, { reason: 'backendError' }, { path })
  const states = async () => (await entries(parent.id)).map((entry) => entry.target?.state)
  t.equal((await states()).filter((state) => state === 'unknown').length, 1)
  for (const reason of ['userRateLimitExceeded', 'rateLimitExceeded']) {
    fake.failNext(1, { reason }, { path })
    const before = fake.requests.length
    t.ok((await states()).filter((state) => state === 'unknown').length >= 44, reason)
    t.ok(fake.requests.length - before <= 7, 'only those already in flight')
  }
})

t.test('slow lookups of targets time out before their page does', async (t) => {
  const { fake, tree } = await start(t)
  const target = tree.addFile({ name: 'target', parent: tree.addFolder({ name: 'elsewhere' }) })
  const parent = tree.addFolder({ name: 'shortcuts' })
  for (let index = 0; index < 20; index++) tree.addShortcut({ name: `s ${index}`, parent, target })
  fake.failNext(Infinity, hangs(), { path: `/drive/v3/files/${target.id}` })
  const { backend } = await openGoogleDrive(t, fake, VALID_TOKENS, openEgress(), { ...TEST_TIMEOUTS, totalMs: 300 })
  const advance = useManualTimers(t)
  const listing = backend.listFolder(parent.id, { ...callOptions(), limit: 100 })
  await until(() => fake.requests.filter(({ path }) => path.endsWith(target.id)).length === 6)
  // A third of the call's time limit, long before a single lookup would reach a limit of its own.
  advance(100)
  const { entries } = await listing
  t.equal(entries.length, 20)
  t.ok(entries.every((entry) => entry.target?.state === 'unknown'))
  t.equal(fake.requests.filter(({ path }) => path.endsWith(target.id)).length, 6, 'no lookup started after the timeout')
})

t.test('a caller that aborts during the lookup of targets receives its reason', async (t) => {
  const { fake, tree, backend } = await start(t)
  const target = tree.addFile({ name: 'target', parent: tree.addFolder({ name: 'elsewhere' }) })
  const parent = tree.addFolder({ name: 'shortcuts' })
  tree.addShortcut({ name: 's', parent, target })
  const controller = new AbortController()
  const reason = new Error('enough')
  fake.failNext(
    1,
    () => {
      controller.abort(reason)
    },
    { path: `/drive/v3/files/${target.id}` }
  )
  const work = backend.listFolder(parent.id, { signal: controller.signal, limit: 10 })
  t.equal(await work.catch((error: unknown) => error), reason)
})

t.test('an id includes the resource key of the item, which is sent with requests', async (t) => {
  const { fake, tree, entries, backend } = await start(t)
  const shared = { sharedWithMe: true, resourceKey: 'k-1_2' }
  const file = tree.addFile({ name: 'file', content: 'shared', ...shared })
  const folder = tree.addFolder({ name: 'folder', ...shared })
  tree.addFile({ name: 'inside', parent: folder })
  tree.addShortcut({ name: '1', target: file, targetResourceKey: 'k-1_2' })
  tree.addShortcut({ name: '2', target: folder, targetResourceKey: 'k-1_2' })
  tree.addShortcut({ name: '3', target: file })
  const listed = await entries()
  t.same(statesOf(listed), [
    ['1', 'ok'],
    ['2', 'ok'],
    ['3', 'dangling']
  ])
  const [fileId, folderId] = listed.map(({ target }) => target?.id ?? '')
  t.equal(fileId, `${file.id}/k-1_2`)
  const stat = await backend.stat(fileId ?? '', callOptions())
  t.equal(stat.id, fileId)
  t.equal((await readBody((await backend.download(stat.id, callOptions())).body)).toString(), 'shared')
  const page = await backend.listFolder(folderId ?? '', { ...callOptions(), limit: 10 })
  t.match(page, { folder: { id: folderId }, entries: [{ name: 'inside', parentId: folderId }] })
  const header = 'x-goog-drive-resource-keys'
  t.equal(fake.requests.at(-1)?.headers[header], folderId)
  await rejectsWith(t, backend.stat(file.id, callOptions()), 'OBJECT_NOT_FOUND', 'without the resource key')
  await rejectsWith(t, backend.stat(`${file.id}/`, callOptions()), 'OBJECT_NOT_FOUND')
  await rejectsWith(t, backend.stat(`${file.id}/k/l`, callOptions()), 'OBJECT_NOT_FOUND')
})

t.test('an item in the trash, or in a trashed folder, is not found', async (t) => {
  const { tree, backend, entries } = await start(t)
  const trashed = tree.addFolder({ name: 'trashed', trashed: true })
  const below = tree.addFile({ name: 'below', parent: trashed })
  t.same(await entries(), [])
  for (const { id } of [trashed, below]) {
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.download(id, callOptions()), 'OBJECT_NOT_FOUND')
  }
})

t.test('removing moves files, shortcuts and documents to the trash, and never a folder', async (t) => {
  const { tree, backend } = await start(t)
  const target = tree.addFile({ name: 'file' })
  const gone = [
    tree.addShortcut({ name: 'shortcut', target }),
    tree.addDocument({ name: 'form', mimeType: DRIVE_FORM }),
    target
  ]
  for (const node of gone) {
    await backend.remove?.(node.id, callOptions())
    t.equal(tree.get(node).trashed, true)
  }
  const drive = tree.addDrive('Team')
  for (const id of ['root', tree.root.id, drive.id]) {
    await rejectsWith(t, backend.remove?.(id, callOptions()) ?? Promise.resolve(), 'INVALID_REQUEST')
  }
  const protectedFile = tree.addFile({ name: 'kept', capabilities: { canTrash: false } })
  await rejectsWith(t, backend.remove?.(protectedFile.id, callOptions()) ?? Promise.resolve(), 'ACCESS_DENIED')
})

t.test('a folder may be created beside a file of the same name, and only in a folder', async (t) => {
  const { tree, backend } = await start(t)
  tree.addFile({ name: 'name' })
  const made = await backend.createFolder?.(null, 'name', callOptions())
  t.same(await backend.stat(made?.id ?? '', callOptions()), made)
  const drive = tree.addDrive('Team')
  const inside = await backend.createFolder?.(drive.id, 'inside', callOptions())
  t.match(inside, { parentId: drive.id, driveId: drive.id })
  t.same(await find(backend, 'Team/inside'), inside)
  const create = (id: string) => backend.createFolder?.(id, 'x', callOptions()) ?? Promise.resolve()
  await rejectsWith(t, create(tree.newId()), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, create(tree.addFile({ name: 'file' }).id), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, create(tree.addFolder({ name: 'old', trashed: true }).id), 'FOLDER_NOT_FOUND')
})

t.test('a folder is created in a folder that needs a resource key', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFolder({ name: 'folder', sharedWithMe: true, resourceKey: 'key' })
  t.match(await backend.createFolder?.(`${id}/key`, 'inside', callOptions()), { name: 'inside' })
  const created = fake.requests.find(({ method }) => method === 'POST')
  t.equal(created?.headers['x-goog-drive-resource-keys'], `${id}/key`)
})
