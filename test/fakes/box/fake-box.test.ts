import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { BoxClient, BoxDeveloperTokenAuth } from 'box-node-sdk'
import { DownloadFileHeaders } from 'box-node-sdk/managers/downloads'
import { BaseUrls, BoxRetryStrategy, NetworkSession } from 'box-node-sdk/networking'
import { deserializeClientError } from 'box-node-sdk/schemas/clientError'
import { deserializeConflictError } from 'box-node-sdk/schemas/conflictError'
import { deserializeFileFull } from 'box-node-sdk/schemas/fileFull'
import { deserializeFolderFull } from 'box-node-sdk/schemas/folderFull'
import { deserializeItems } from 'box-node-sdk/schemas/items'
import { deserializeWebLink } from 'box-node-sdk/schemas/webLink'
import type { SerializedData } from 'box-node-sdk/serialization/json'
import t, { type Test } from 'tap'
import { takeMistakes, type RequestOptions } from '../../support/dav/requests.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { respondsWith, hangs, htmlPage, resets } from '../faults.ts'
import { BOX_READ_SCOPE, BOX_WRITE_SCOPE, FAKE_BOX_TOKEN, FakeBox, type FakeBoxOptions } from './fake-box.ts'
import { startFakeBox, BOX_AUTHORIZATION, JSON_POST, type BoxJson } from './client.ts'
import { until } from '../../support/time/until.ts'

const ALL_FIELDS =
  'type,id,name,size,etag,sequence_id,sha1,modified_at,parent,permissions,extension,item_status,url,is_package'
const MARKER_PAGING = { usemarker: 'true' }

/** The official client. */
async function startWithClient(t: Test, options?: FakeBoxOptions) {
  const fake = await FakeBox.start(t, options)
  const baseUrls = new BaseUrls({ baseUrl: fake.url, uploadUrl: `${fake.uploadUrl}/api`, oauth2Url: fake.url })
  const retryStrategy = new BoxRetryStrategy({ maxAttempts: 1, maxRetriesOnException: 0 })
  const auth = new BoxDeveloperTokenAuth({ token: FAKE_BOX_TOKEN })
  const client = new BoxClient({ auth, networkSession: new NetworkSession({ baseUrls, retryStrategy }) })
  return { fake, tree: fake.tree, client }
}

t.test('the official client', async (t) => {
  t.test('reads the user', async (t) => {
    const { fake, tree, client } = await startWithClient(t)
    tree.addFile({ name: 'a', content: 'abc' })
    fake.knobs.quotaBytes = 10
    const me = await client.users.getUserMe()
    t.match(me, { name: 'me', login: 'me@example.com', spaceAmount: 10, spaceUsed: 3, status: 'active' })
    const { rawData, ...asked } = await client.users.getUserMe({ fields: ['space_used'] })
    t.same(rawData, { type: 'user', id: me.id, space_used: 3 })
    t.equal(asked.name, undefined)
  })

  t.test('reads events, unsorted and repeated', async (t) => {
    let now = Date.UTC(2026, 0, 1)
    const { fake, tree, client } = await startWithClient(t, { now: () => new Date(now) })
    Object.assign(fake.knobs, { positionType: 'string', repeatedEvents: 1 })
    const eventsSince = async (streamPosition: string) => {
      const queryParams = { streamType: 'changes', streamPosition, limit: 3 }
      const { entries = [], nextStreamPosition, chunkSize } = await client.events.getEvents({ ...queryParams })
      t.equal(chunkSize, entries.length)
      const sources = entries.map(({ eventType, source }): unknown[] => [
        eventType,
        source && 'id' in source ? source.id : null
      ])
      return { sources, next: String(nextStreamPosition), ids: entries.map(({ eventId }) => eventId) }
    }
    const old = tree.addFolder({ name: 'old' })
    const { sources: none, next: start } = await eventsSince('now')
    t.same(none, [])
    t.ok(BigInt(start) > 2n ** 53n)
    const file = tree.addFile({ name: 'file', parent: old })
    tree.trash(file)
    const first = await eventsSince(start)
    t.same(first.sources, [
      ['ITEM_TRASH', file.id],
      ['ITEM_UPLOAD', file.id],
      ['ITEM_CREATE', old.id]
    ])
    t.same((await eventsSince(first.next)).ids, [first.ids[0]], 'again')
    t.same((await eventsSince(start)).ids, first.ids, 'and with the same ids')
    Object.assign(fake.knobs, { repeatedEvents: 0, eventPageLimit: 1 })
    const short = await eventsSince(start)
    t.same([short.sources.length, (await eventsSince(short.next)).sources.length], [1, 1])
    Object.assign(fake.knobs, { eventPageLimit: Infinity, repeatsLastEvents: true })
    const ends = [first.next]
    for (let count = 0; count < 3; count += 1) ends.push((await eventsSince(ends.at(-1) ?? '')).next)
    t.equal(new Set(ends).size, 3, 'new positions for the same events')
    t.equal((await eventsSince(ends.at(-1) ?? '')).ids.length, 3)
    Object.assign(fake.knobs, { repeatsLastEvents: false, eventLagMs: 1000, eventSource: 'event-source' })
    tree.restore(file)
    t.same((await eventsSince(first.next)).sources, [])
    now += 1000
    t.same((await eventsSince(first.next)).sources, [['ITEM_UNDELETE_VIA_TRASH', null]])
    fake.knobs.eventLifetimeMs = 60_000
    now += 60_000
    t.same((await eventsSince(start)).sources, [], 'no longer stored')
    fake.knobs.positionType = 'number'
    const { nextStreamPosition } = await client.events.getEvents({ streamPosition: 'now' })
    t.equal(typeof nextStreamPosition, 'number')
  })

  t.test('lists a folder by markers and by offsets', async (t) => {
    const { tree, client } = await startWithClient(t)
    const folder = tree.addFolder({ name: 'folder' })
    tree.addFiles(3, (index) => ({ name: `file ${10 - index}.txt`, parent: folder, content: 'abc' }))
    tree.addWebLink({ name: 'a link', parent: folder, url: 'https://example.com/' })
    tree.addFolder({ name: 'z', parent: folder })
    tree.addPackage({ name: 'a.pages', parent: folder })
    const found: (string | undefined)[] = []
    let marker: string | undefined
    do {
      const queryParams = { fields: ALL_FIELDS.split(','), limit: 2, usemarker: true, ...(marker && { marker }) }
      const { entries = [], nextMarker, totalCount } = await client.folders.getFolderItems(folder.id, { queryParams })
      t.equal(totalCount, undefined)
      found.push(...entries.map(({ name }) => name))
      marker = nextMarker ?? undefined
    } while (marker)
    t.same(found, ['z', 'a.pages', 'file 8.txt', 'file 9.txt', 'file 10.txt', 'a link'])
    const queryParams = { limit: 2, offset: 4, sort: 'name', direction: 'DESC' } as const
    const page = await client.folders.getFolderItems(folder.id, { queryParams })
    t.same(
      page.entries?.map(({ name }) => name),
      ['a.pages', 'a link']
    )
    t.match(page, { totalCount: 6, offset: 4, limit: 2, order: [{ by: 'type' }, { by: 'name', direction: 'DESC' }] })
  })

  t.test('reads a file, a folder and a web link of the same id', async (t) => {
    const { tree, client } = await startWithClient(t)
    const folder = tree.addFolder({ name: 'folder' })
    const modified = new Date('2024-05-06T07:08:09.010Z')
    const { id } = tree.addFile({ name: 'a.TXT', parent: folder, content: 'abc', modified, sharedLink: 'https://x.y/' })
    tree.addWebLink({ name: 'link', parent: folder, url: 'https://example.com/' })
    t.equal(folder.id, id)
    const file = await client.files.getFileById(id)
    t.match(file, { name: 'a.TXT', size: 3, etag: '0', sequenceId: '0', itemStatus: 'active', parent: { id } })
    t.equal(file.sha1, createHash('sha1').update('abc').digest('hex'))
    t.equal(file.modifiedAt?.value.getTime(), Math.floor(modified.getTime() / 1000) * 1000)
    t.match(file.sharedLink, { url: 'https://x.y/' })
    t.match(file.rawData, { modified_at: '2024-05-05T23:08:09-08:00', file_version: { sha1: file.sha1 } })
    t.equal(file.permissions, undefined, 'it is not a default field')
    const fields = ['permissions', 'extension', 'is_package']
    const asked = await client.files.getFileById(id, { queryParams: { fields } })
    t.match(asked, { extension: 'TXT', isPackage: false, permissions: { canDownload: true, canUpload: true } })
    t.match(await client.folders.getFolderById(id), {
      size: 3,
      pathCollection: { totalCount: 1, entries: [{ id: '0', name: 'All Files' }] },
      itemCollection: { totalCount: 2, entries: [{ name: 'a.TXT' }, { name: 'link' }] }
    })
    t.match(await client.webLinks.getWebLinkById(id), { url: 'https://example.com/', parent: { id } })
    t.match((await client.folders.getFolderById('0')).rawData, { etag: null, created_at: null, parent: null })
  })

  t.test('downloads, also ranges, and waits for content that is not ready', async (t) => {
    const { fake, tree, client } = await startWithClient(t)
    const { id } = tree.addFile({ name: 'a', content: '0123456789', notReady: 1 })
    t.equal(await client.downloads.downloadFile(id), undefined)
    t.equal(String(await buffer((await client.downloads.downloadFile(id))!)), '0123456789')
    const headers = new DownloadFileHeaders({ range: 'bytes=2-4' })
    const part = await client.downloads.downloadFile(id, { headers })
    t.equal(String(await buffer(part!)), '234')
    const url = await client.downloads.getDownloadFileUrl(id)
    t.ok(url.startsWith(`${fake.contentUrl}/d/1/`))
    const fromContent = fake.requests.filter(({ host }) => host === 'content')
    t.same(
      fromContent.map((request) => [request.headers['authorization'], request.headers['range']]),
      [
        [undefined, undefined],
        [undefined, 'bytes=2-4']
      ]
    )
  })

  t.test('uploads in one request, after a preflight check', async (t) => {
    const { tree, client } = await startWithClient(t)
    const attributes = { name: 'new.txt', parent: { id: '0' } }
    const content = 'in\r\n--one'
    const checked = { ...attributes, size: content.length }
    const uploaded = await client.uploads.uploadWithPreflightCheck({ attributes: checked, file: streamOf(content) })
    const [made] = uploaded.entries ?? []
    t.match(made, { name: 'new.txt', size: 9, etag: '0' })
    t.equal(String(tree.read(made!.id)), content)
    const again = { ...attributes, name: 'NEW.txt' }
    const refusal = await rejectionOf(client.uploads.uploadFile({ attributes: again, file: streamOf('other') }))
    t.match(refusal, { responseInfo: { statusCode: 409, code: 'item_name_in_use' } })
    t.match(refusal, { responseInfo: { contextInfo: { conflicts: { type: 'file', id: made!.id } } } }, 'not a list')
    const version = { attributes: { name: 'new.txt' }, file: streamOf('second') }
    const etag = { headers: { ifMatch: '0' } }
    const { entries } = await client.uploads.uploadFileVersion(made!.id, version, etag)
    t.match(entries?.[0], { id: made!.id, size: 6, etag: '1' })
    const late = await rejectionOf(
      client.uploads.uploadFileVersion(made!.id, { ...version, file: streamOf('x') }, etag)
    )
    t.match(late, { responseInfo: { statusCode: 412, code: 'precondition_failed' } })
    t.equal(String(tree.read(made!.id)), 'second')
  })

  t.test('uploads in parts', async (t) => {
    const { fake, tree, client } = await startWithClient(t)
    Object.assign(fake.knobs, { minSessionBytes: 25, partSize: 10 })
    const content = 'abcdefghijklmnopqrstuvwxyz'
    const { id, size } = await client.chunkedUploads.uploadBigFile(streamOf(content), 'big', content.length, '0')
    t.equal(size, 26)
    t.equal(String(tree.read(id)), content)
    t.equal(fake.uploads.open, 0)
    const session = await client.chunkedUploads.createFileUploadSessionForExistingFile(id, { fileSize: 30 })
    t.match(session, { partSize: 10, totalParts: 3, numPartsProcessed: 0 })
    t.match(await client.chunkedUploads.getFileUploadSessionById(session.id!), { totalParts: 3 })
    t.equal(fake.uploads.open, 1)
    await client.chunkedUploads.deleteFileUploadSessionById(session.id!)
    t.equal(fake.uploads.open, 0)
    const small = client.chunkedUploads.createFileUploadSession({ fileName: 'a', fileSize: 24, folderId: '0' })
    t.match(await rejectionOf(small), { responseInfo: { code: 'file_size_too_small' } })
  })

  t.test('creates, renames, moves and deletes', async (t) => {
    const { tree, client } = await startWithClient(t)
    const folder = await client.folders.createFolder({ name: 'new', parent: { id: '0' } })
    t.match(folder, { name: 'new', etag: '0', parent: { id: '0' } })
    const refusal = await rejectionOf(client.folders.createFolder({ name: 'New', parent: { id: '0' } }))
    t.match(refusal, { responseInfo: { statusCode: 409, contextInfo: { conflicts: [{ id: folder.id }] } } })
    const { id } = tree.addFile({ name: 'a' })
    const moved = await client.files.updateFileById(id, { requestBody: { name: 'b', parent: { id: folder.id } } })
    t.match(moved, { name: 'b', parent: { id: folder.id } })
    const isFull = await rejectionOf(client.folders.deleteFolderById(folder.id))
    t.match(isFull, { responseInfo: { statusCode: 400 } })
    await client.folders.deleteFolderById(folder.id, { queryParams: { recursive: true } })
    t.match(await rejectionOf(client.files.getFileById(id)), { responseInfo: { statusCode: 404, code: 'trashed' } })
    t.same(tree.children(), [])
    const inside = tree.addFolder({ name: 'inside', parent: tree.addFolder({ name: 'outside' }) })
    const above = { requestBody: { parent: { id: inside.id } } }
    t.match(await rejectionOf(client.folders.updateFolderById(inside.parent!, above)), {
      responseInfo: { code: 'cyclical_folder_structure' }
    })
  })
})

t.test('invalid requests are recorded', async (t) => {
  const { fake, tree, send } = await startFakeBox(t)
  const { id } = tree.addFile({ name: 'a', content: 'abc' })
  const link = tree.addWebLink({ name: 'link', url: 'https://example.com/' })
  const items = '/2.0/folders/0/items'
  const json = (body: object | string, more: RequestOptions = {}): RequestOptions => ({
    ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...more
  })
  const mistakes: [string, string, Record<string, string>?, RequestOptions?][] = [
    ['a route that there is not', '/2.0/folders/abc'],
    ['a route that there is not', '/api/2.0/users/me'],
    ['a route that there is not', '/2.0/files/content', {}, json({})],
    ['the parameter version', `/2.0/files/${id}/content`, { version: '1' }],
    ['a token in the query', '/2.0/users/me', { access_token: 'x' }],
    ['the header as-user', '/2.0/users/me', {}, { headers: { 'as-user': '1' } }],
    ['the header if-match', `/2.0/files/${id}`, {}, { headers: { 'if-match': '0' } }],
    ['the etag "0"', `/2.0/files/${id}`, {}, { method: 'DELETE', headers: { 'if-match': '"0"' } }],
    ['the range bytes=2-1,4-5', `/2.0/files/${id}/content`, {}, { headers: { range: 'bytes=2-1,4-5' } }],
    ['the field nome, which there is not', items, { fields: 'id,nome' }],
    ['the field url, which there is not', `/2.0/files/${id}`, { fields: 'url' }],
    ['the field metadata, which the fake does not serve', items, { fields: 'metadata' }],
    ['fields of a web link', `/2.0/web_links/${link.id}`, { fields: 'name' }],
    ['a field twice', items, { fields: 'id,id' }],
    ['the field , which there is not', items, { fields: '' }],
    ['limit=1001', items, { limit: '1001' }],
    ['limit=0', items, { limit: '0' }],
    ['offset=-1', items, { offset: '-1' }],
    ['usemarker=1', items, { usemarker: '1' }],
    ['sort=type', items, { sort: 'type' }],
    ['direction=asc', items, { direction: 'asc' }],
    ['a marker without usemarker=true', items, { marker: 'x' }],
    ['an offset together with markers', items, { ...MARKER_PAGING, offset: '0' }],
    ['the content type text/plain', '/2.0/folders', {}, json({}, { headers: { 'content-type': 'text/plain' } })],
    ['a body that is no JSON object', '/2.0/folders', {}, json('[]')],
    ['the field color in a body', '/2.0/folders', {}, json({ color: 1 })],
    ['no name', '/2.0/folders', {}, json({ parent: { id: '0' } })],
    ['no parent', '/2.0/folders', {}, json({ name: 'a' })],
    ['the value of id: 0', '/2.0/folders', {}, json({ name: 'a', parent: { id: 0 } })],
    ['no file_size', '/api/2.0/files/upload_sessions', {}, json({ file_name: 'a', folder_id: '0' })],
    ['an upload of the content type application/json', '/api/2.0/files/content', {}, json({})]
  ]
  for (const [what, path, query, asked] of mistakes) {
    t.ok((await send(path, query, asked)).status >= 400, what)
    t.same(takeMistakes(fake), [what])
  }
  const { headers } = await send(`/2.0/files/${id}/content`)
  t.equal((await send(String(headers['location']), {}, { headers: BOX_AUTHORIZATION })).status, 400)
  t.same(takeMistakes(fake), ['a token for a secret address'])
})

t.test('fields replace the default fields', async (t) => {
  const { tree, send, list } = await startFakeBox(t)
  const { id } = tree.addFile({ name: 'a.txt', content: 'abc' })
  tree.addFolder({ name: 'f' })
  tree.addWebLink({ name: 'l', url: 'https://example.com/' })
  t.same((await send(`/2.0/files/${id}`, { fields: 'size' })).json, { type: 'file', id, etag: '0', size: 3 })
  const mini = ['type', 'id', 'etag', 'sequence_id']
  t.same((await list()).json.entries?.map(Object.keys), [
    [...mini, 'name'],
    [...mini, 'sha1', 'name', 'file_version'],
    [...mini, 'name', 'url']
  ])
  const { text } = await list({ fields: ALL_FIELDS })
  const { entries } = JSON.parse(text) as { entries: Record<string, SerializedData>[] }
  t.same(
    entries.map((entry) => Object.keys(entry).filter((name) => ['sha1', 'url', 'size', 'is_package'].includes(name))),
    [['size'], ['size', 'sha1', 'is_package'], ['url']]
  )
  const [folder, file, link] = entries
  t.match(deserializeFolderFull(folder), { permissions: { canUpload: true, canDelete: true } })
  t.match(deserializeFileFull(file), { permissions: { canPreview: true }, parent: { id: '0' } })
  t.match(deserializeWebLink(link), { url: 'https://example.com/', itemStatus: 'active' })
  t.equal(deserializeItems(JSON.parse(text) as SerializedData).entries?.length, 3)
})

t.test('a listing', async (t) => {
  t.test('is ordered by type first, and in the root with markers not at all', async (t) => {
    const { tree, names } = await startFakeBox(t)
    const fill = (parent = tree.root) => {
      tree.addFile({ name: 'b', parent, content: '1', modified: new Date(2000) })
      tree.addFolder({ name: 'c', parent })
      tree.addFile({ name: 'A', parent, content: '123', modified: new Date(3000) })
      tree.addFile({ name: 'd', parent, content: '12', modified: new Date(1000) })
    }
    fill()
    const folder = tree.addFolder({ name: 'x' })
    fill(folder)
    t.same(await names(), ['c', 'x', 'A', 'b', 'd'])
    t.same(await names({ sort: 'date' }, folder.id), ['c', 'd', 'b', 'A'])
    t.same(await names({ sort: 'size', direction: 'DESC' }, folder.id), ['c', 'A', 'd', 'b'])
    t.same(await names({ sort: 'id', ...MARKER_PAGING }, folder.id), ['c', 'b', 'A', 'd'])
    t.same(await names({ sort: 'name', ...MARKER_PAGING }), ['c', 'b', 'x', 'A', 'd'], 'by id')
  })

  t.test('has no marker at its end in one of three ways, and accepts no foreign marker', async (t) => {
    const { fake, tree, list } = await startFakeBox(t)
    tree.addFiles(3, (index) => ({ name: `${index}` }))
    const folder = tree.addFolder({ name: 'f' })
    const first = await list({ ...MARKER_PAGING, limit: '2', marker: '' })
    const marker = String(first.json.next_marker)
    const last = () => list({ ...MARKER_PAGING, limit: '2', marker })
    for (const lastMarker of ['', null, undefined] as const) {
      fake.knobs.lastMarker = lastMarker
      const { json } = await last()
      t.equal(json.entries?.length, 2)
      t.equal(json.next_marker, lastMarker)
      t.equal('next_marker' in json, lastMarker !== undefined)
    }
    t.match(await list({ ...MARKER_PAGING, marker }, folder.id), { status: 400, code: 'bad_request' })
    fake.expireMarkers()
    t.match((await last()).json.context_info?.errors, [{ reason: 'invalid_parameter', name: 'marker' }])
  })

  t.test('has the configured page faults', async (t) => {
    const { fake, tree, list } = await startFakeBox(t)
    tree.addFiles(5, (index) => ({ name: `${index}` }))
    const pages = async () => {
      const found: string[] = []
      let marker: string | undefined = '0'
      for (let page = 0; page < 4 && marker; page++) {
        const { json }: { json: BoxJson } = await list({ ...MARKER_PAGING, limit: '2', marker })
        found.push(json.entries?.map(({ name }) => name).join('') ?? '')
        marker = json.next_marker ?? undefined
      }
      return found.join()
    }
    for (const [pageFault, found] of [
      [undefined, '01,23,4'],
      ['skips', '01,34'],
      ['doubles', '01,12,23,34'],
      ['loops', '01,01,01,01'],
      ['repeats', '01,01,01,01']
    ] as const) {
      fake.knobs.pageFault = pageFault
      t.equal(await pages(), found, pageFault ?? 'not at all')
    }
    fake.knobs.pageFault = undefined
    fake.knobs.pageLimit = 3
    t.match((await list({ limit: '5' })).json, { limit: 3, entries: { length: 3 }, total_count: 5 })
  })

  t.test('hides items, and limits the offset', async (t) => {
    const { tree, list } = await startFakeBox(t)
    tree.addFiles(3, (index) => ({ name: `${index}`, hidden: index === 1 }))
    const { json } = await list({ limit: '1', offset: '1' })
    t.match(json, { total_count: 3, entries: [] })
    t.equal((await list({ limit: '1', offset: '2' })).json.entries?.length, 1)
    t.equal((await list({ offset: '10000' })).status, 200)
    const far = await list({ offset: '10001' })
    t.match(far.json.context_info?.errors, [{ reason: 'invalid_parameter', name: 'offset' }])
  })

  t.test('of five thousand items is fast', async (t) => {
    const { tree, list } = await startFakeBox(t)
    const folder = tree.addFolder({ name: 'big' })
    const begun = process.cpuUsage()
    tree.addFiles(5000, (index) => ({ name: `file ${index}`, parent: folder }))
    let marker = ''
    let count = 0
    do {
      const { json } = await list({ ...MARKER_PAGING, fields: ALL_FIELDS, limit: '200', marker }, folder.id)
      count += json.entries?.length ?? 0
      marker = json.next_marker ?? ''
    } while (marker !== '')
    t.equal(count, 5000)
    // CPU time of this process only: other work on the machine does not count.
    t.ok(process.cpuUsage(begun).user < 3_000_000)
  })
})

t.test('content', async (t) => {
  t.test('is served at a secret URL for a while, with ranges', async (t) => {
    const { fake, tree, send } = await startFakeBox(t)
    const { id } = tree.addFile({ name: 'ä".txt', content: '0123456789' })
    const redirect = await send(`/2.0/files/${id}/content`)
    t.match(redirect, { status: 302, text: '' })
    const get = (range: string) => send(String(redirect.headers['location']), {}, { headers: { range } })
    const part = await get('bytes=-3')
    t.match(part, { status: 206, text: '789', headers: { 'content-range': 'bytes 7-9/10', 'accept-ranges': 'bytes' } })
    t.equal(part.headers['content-disposition'], `attachment;filename="__.txt";filename*=UTF-8''%C3%A4%22.txt`)
    t.match(await get('bytes=10-'), { status: 416, headers: { 'content-range': 'bytes */10' } })
    tree.write(id, 'changed')
    t.equal((await get('bytes=0-')).text, '0123456789', 'of the requested version')
    fake.resetDownloads(1, 3)
    await t.rejects(get('bytes=0-'))
    fake.expireDownloads()
    t.equal((await get('bytes=0-')).status, 404)
  })

  t.test('is refused, or not ready', async (t) => {
    const { fake, tree, send } = await startFakeBox(t)
    const content = async (id: string) => {
      const { status, code, text, headers } = await send(`/2.0/files/${id}/content`)
      return { status, code, isEmpty: text === '', retryAfter: headers['retry-after'] }
    }
    const malicious = tree.addFile({ name: 'virus', malicious: true })
    t.match(await content(malicious.id), { status: 403, code: 'forbidden_by_policy' })
    const locked = tree.addFile({ name: 'locked', permissions: { can_download: false } })
    const denied = tree.addFile({ name: 'denied', denied: true })
    for (const { id } of [locked, denied]) {
      t.match(await content(id), { status: 403, code: 'access_denied_insufficient_permissions' })
    }
    t.match(await content(tree.newId()), { status: 404, code: 'not_found' })
    const file = tree.addFile({ name: 'a' })
    Object.assign(fake.knobs, { notReady: 1, retryAfter: 7 })
    t.match(await content(file.id), { status: 202, isEmpty: true, retryAfter: '7' })
    t.equal((await content(file.id)).status, 302)
    tree.trash(file)
    t.match(await content(file.id), { status: 404, code: 'trashed' })
  })
})

t.test('an error has the format of Box', async (t) => {
  const { fake, tree, send } = await startFakeBox(t)
  const { status, text, headers } = await send('/2.0/folders/17')
  const error = JSON.parse(text) as Record<string, SerializedData>
  t.same([status, Object.keys(error)], [404, ERROR_FIELDS])
  t.match(error['context_info'], {
    errors: [{ name: 'folder', message: "Invalid value 'd_17'. 'folder' with value 'd_17' not found" }]
  })
  t.match(deserializeClientError(error), { type: 'error', status: 404, code: 'not_found', message: 'Not Found' })
  t.ok(headers['box-request-id'])
  tree.addFile({ name: 'a' })
  const body = JSON.stringify({ name: 'a', parent: { id: '0' } })
  const conflict = await send('/2.0/folders', {}, { ...JSON_POST, body })
  t.match(deserializeConflictError(JSON.parse(conflict.text) as SerializedData), {
    contextInfo: { conflicts: [{ name: 'a' }] }
  })
  tree.addFile({ name: 'a', parent: tree.addFolder({ name: 'f' }) })
  const [folder] = tree.children().filter(({ type }) => type === 'folder')
  const full = await send(`/2.0/folders/${folder!.id}`, {}, { method: 'DELETE' })
  t.match(full, { status: 400, code: 'folder_not_empty' })
  for (const [code, expected] of [
    ['name_temporarily_reserved', 409],
    ['operation_blocked_temporary', 409],
    ['rate_limit_exceeded', 429],
    ['unavailable', 503]
  ] as const) {
    fake.failNext(1, { code, headers: { 'retry-after': '3' } }, { method: 'GET', path: '/2.0/users/me' })
    t.match(await send('/2.0/users/me'), { status: expected, code, headers: { 'retry-after': '3' } })
  }
  t.equal((await send('/2.0/users/me')).status, 200)
})

const ERROR_FIELDS = ['type', 'status', 'code', 'context_info', 'help_url', 'message', 'request_id']

t.test('a token is valid, with scopes', async (t) => {
  const scopes: Record<string, readonly string[]> = { reads: [BOX_READ_SCOPE], writes: [BOX_WRITE_SCOPE], none: [] }
  const authorize = (bearer: string) => ({ user: 'u', scopes: scopes[bearer] ?? [] })
  const known = (bearer: string) => (bearer in scopes ? authorize(bearer) : null)
  const { send } = await startFakeBox(t, { authorize: known })
  const as = (bearer: string, path: string, asked: RequestOptions = {}) =>
    send(path, {}, { ...asked, headers: { ...asked.headers, authorization: `Bearer ${bearer}` } })
  const bad = await as('bad', '/2.0/users/me')
  t.match(bad, { status: 401, text: '' })
  t.match(bad.headers['www-authenticate'], /^Bearer realm="Service", error="invalid_token", error_description="/)
  t.equal((await as('none', '/2.0/users/me')).status, 200)
  t.equal((await as('reads', '/2.0/folders/0/items')).status, 200)
  const create = { ...JSON_POST, body: JSON.stringify({ name: 'a', parent: { id: '0' } }) }
  for (const answer of [await as('none', '/2.0/folders/0/items'), await as('reads', '/2.0/folders', create)]) {
    t.match(answer, { status: 403, code: 'insufficient_scope' })
    t.match(answer.headers['www-authenticate'], /error="insufficient_scope"/)
  }
  t.equal((await as('writes', '/2.0/folders', create)).status, 201)
})

t.test('a test can script faults', async (t) => {
  const { fake, tree, send } = await startFakeBox(t)
  const { id } = tree.addFile({ name: 'a', content: 'x'.repeat(1000) })
  const me = () => send('/2.0/users/me')
  for (const [fault, status] of [
    [htmlPage(502), 502],
    [respondsWith(429, { retryAfter: 3 }), 429]
  ] as const) {
    fake.failNext(1, fault)
    t.equal((await me()).status, status)
  }
  fake.failNext(1, resets(), { host: 'content' })
  t.equal((await me()).status, 200)
  const { headers } = await send(`/2.0/files/${id}/content`)
  const url = String(headers['location'])
  await t.rejects(send(url), { code: 'ECONNRESET' })
  fake.failNext(1, hangs(), { host: 'content' })
  const leave = new AbortController()
  const hanging = fetch(url, { signal: leave.signal })
  await until(() => fake.busy() === 1)
  leave.abort()
  await t.rejects(hanging, { name: 'AbortError' })
  await until(() => fake.busy() === 0)
  t.equal(fake.operations().at(-1), `GET ${new URL(url).pathname}`)
})

t.test('a response is compressed for clients that accept it', async (t) => {
  const { fake } = await startFakeBox(t)
  const answer = await fetch(`${fake.url}/2.0/folders/0?fields=name`, { headers: BOX_AUTHORIZATION })
  t.equal(answer.headers.get('content-encoding'), 'gzip')
  t.same(await answer.json(), { type: 'folder', id: '0', etag: null, name: 'All Files' })
})

t.test('the tree can be changed and read by tests', async (t) => {
  const { tree } = await startFakeBox(t)
  const folder = tree.addFolder({ name: 'f' })
  const file = tree.addFile({ name: 'a', parent: folder, content: 'abc' })
  t.throws(() => tree.find(file.id), { message: /say the type/ })
  t.equal(tree.find(file.id, 'file'), file)
  t.equal(tree.find(tree.newId()), undefined)
  tree.move(file, tree.root)
  tree.rename(file, 'b')
  tree.write(file.id, 'new')
  t.match([file.name, file.parent, file.etag, String(tree.read(file.id))], ['b', '0', 3, 'new'])
  t.equal(tree.childNamed(tree.root, 'B'), file)
  tree.remove(folder)
  t.same(tree.children(), [file])
})

function streamOf(text: string): Readable {
  return Readable.from([Buffer.from(text)])
}
