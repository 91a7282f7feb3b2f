import { createHash } from 'node:crypto'
import {
  OneDriveLargeFileUploadTask,
  PageIterator,
  ResponseType,
  type GraphError,
  type PageCollection
} from '@microsoft/microsoft-graph-client'
import type { Drive, DriveItem, Site, User } from '@microsoft/microsoft-graph-types'
import t from 'tap'
import { takeMistakes } from '../../support/dav/requests.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { respondsWith, resets } from '../faults.ts'
import { startFakeGraph, startWithClient, type GraphJson } from './client.ts'
import { quickXorHash } from './hash.ts'
import { DOWNLOAD_URL } from './select.ts'
import { FAKE_GRAPH_TOKEN } from './fake-graph.ts'

const UNIT = 320 * 1024
const BEHAVIOR = '@microsoft.graph.conflictBehavior'

t.test('the official client', async (t) => {
  t.test('lists a folder over three pages in the order of its names', async (t) => {
    const { fake, client, root } = await startWithClient(t)
    fake.tree.addFiles(4, (index) => ({ name: `file ${9 - index}` }))
    fake.tree.addFolder({ name: 'FILE 75' })
    const first = (await client
      .api(`${root}/children`)
      .top(2)
      .orderby('name')
      .select('name,folder')
      .get()) as PageCollection
    const found: DriveItem[] = []
    await new PageIterator(client, first, (item: DriveItem) => found.push(item) > 0).iterate()
    t.same(found, [
      { name: 'file 6' },
      { name: 'file 7' },
      { name: 'FILE 75', folder: { childCount: 0 } },
      { name: 'file 8' },
      { name: 'file 9' }
    ])
    t.equal(fake.requests.length, 3)
  })

  t.test('gets the requested fields and no others', async (t) => {
    const { fake, client } = await startWithClient(t)
    const modified = new Date('2024-05-06T07:08:09.010Z')
    const { id } = fake.tree.addFile({ name: 'a.txt', content: 'abc', modified })
    const user = (await client.api('/me').select('displayName,mail').get()) as User
    t.same(withoutContext(user), { displayName: 'me', mail: 'me@example.com' })
    const drive = (await client.api('/me/drive').select('driveType,quota').get()) as Drive
    t.match(drive, { driveType: 'business', quota: { used: 3 } })
    t.same(Object.keys(withoutContext(drive)), ['driveType', 'quota'])
    const item = (await client.api(`/me/drive/items/${id}`).select('size,file,lastModifiedDateTime').get()) as DriveItem
    const file = { mimeType: 'text/plain', hashes: { quickXorHash: quickXorHash(Buffer.from('abc')) } }
    t.same(withoutContext(item), { size: 3, lastModifiedDateTime: '2024-05-06T07:08:09Z', file })
    const all = (await client.api(`/drives/${fake.tree.root.driveId}/root:/A.TXT`).get()) as GraphJson
    t.match(all, { id, cTag: /^"c:\{.*\},1"$/, eTag: /^"\{.*\},1"$/, [DOWNLOAD_URL]: /tempauth=/ })
    t.match(all.parentReference, { id: fake.tree.root.id, path: /\/root:$/, driveType: 'business' })
  })

  t.test('downloads from another origin, without its token', async (t) => {
    const { fake, client } = await startWithClient(t)
    const { id } = fake.tree.addFile({ name: 'a.bin', content: '0123456789' })
    const content = await client.api(`/me/drive/items/${id}/content`).responseType(ResponseType.TEXT).get()
    t.equal(content, '0123456789')
    t.same(
      fake.requests.map(({ host, headers }) => [host, headers['authorization'] !== undefined]),
      [
        ['api', true],
        ['content', false]
      ]
    )
  })

  t.test('creates a folder and a file, replaces the file and deletes it', async (t) => {
    const { fake, client, root } = await startWithClient(t)
    const body = { name: 'new', folder: {}, [BEHAVIOR]: 'fail' }
    const folder = (await client.api(`${root}/children`).post(body)) as DriveItem
    t.match(await rejectionOf(client.api(`${root}/children`).post(body)), {
      statusCode: 409,
      code: 'nameAlreadyExists'
    })
    const url = `/me/drive/items/${folder.id}:/${encodeURIComponent('ä #%.txt')}:/content`
    const made = (await client.api(url).header('content-type', 'text/plain').put('one')) as DriveItem
    t.match(made, { name: 'ä #%.txt', parentReference: { id: folder.id } })
    const again = (await client.api(url).header('content-type', 'text/plain').put('two')) as DriveItem
    t.equal(again.id, made.id)
    t.equal(fake.tree.read(made.id ?? '').toString(), 'two')
    await client.api(`/me/drive/items/${made.id}`).delete()
    t.same(fake.tree.children(folder.id), [])
    t.match(fake.tree.recycleBin, [{ id: made.id }])
  })

  t.test('uploads in fragments, from the offset that the fake reports', async (t) => {
    const { fake, client } = await startWithClient(t)
    const content = Buffer.alloc(3 * UNIT + 5, 'abc')
    fake.tree.addFolder({ name: 'in' })
    const options = { fileName: 'big #1.bin', path: '/in', rangeSize: 2 * UNIT }
    fake.knobs.storedFragmentBytes.push(UNIT)
    const task = await OneDriveLargeFileUploadTask.create(client, content, options)
    t.equal(fake.uploads.open, 1)
    const { responseBody } = (await task.upload()) as { responseBody: DriveItem }
    t.match(responseBody, { name: 'big #1.bin', size: content.length })
    t.equal(sha1(fake.tree.read(responseBody.id ?? '')), sha1(content))
    t.equal(fake.uploads.open, 0)
    t.equal(fake.operations().filter((operation) => operation.startsWith('PUT')).length, 3)
    const other = await OneDriveLargeFileUploadTask.create(client, content, options)
    await other.cancel()
    t.equal(fake.uploads.open, 0)
    t.match(await rejectionOf(other.getStatus()), { statusCode: 404, code: 'itemNotFound' })
  })

  t.test('finds sites and their libraries', async (t) => {
    const { fake, client } = await startWithClient(t)
    const site = fake.tree.addSite({ name: 'Team' })
    const below = fake.tree.addSite({ name: 'Inner', parent: site })
    const library = fake.tree.addDrive({ name: 'Documents', site })
    fake.knobs.pageLimit = 1
    const first = (await client.api('/sites').query({ search: '*' }).get()) as PageCollection
    const found: Site[] = []
    await new PageIterator(client, first, (each: Site) => found.push(each) > 0).iterate()
    const ids = found.map(({ id }) => id)
    t.same(ids, [site.id, below.id])
    t.match(await client.api('/sites').query({ search: 'inn' }).get(), { value: [{ displayName: 'Inner' }] })
    t.match(await client.api(`/sites/${site.id}`).get(), { id: site.id, displayName: 'Team' })
    t.match(await client.api(`/sites/${site.id}/sites`).get(), { value: [{ id: below.id }] })
    const { value } = await client.api(`/sites/${site.id}/drives`).select('id,name,driveType').get()
    t.same(value, [{ id: library.driveId, name: 'Documents', driveType: 'documentLibrary' }])
  })

  t.test('sees the reason of a failure', async (t) => {
    const { fake, client } = await startWithClient(t)
    fake.failNext(1, { code: 'activityLimitReached' })
    const refusal = (await rejectionOf(client.api('/me').get())) as GraphError
    t.match(refusal, { statusCode: 429, code: 'activityLimitReached' })
    t.equal(refusal.headers?.get('retry-after'), '1')
    t.match(await rejectionOf(client.api('/me/drive/items/01NOTHING').get()), { statusCode: 404, code: 'itemNotFound' })
  })
})

t.test('the hash is QuickXorHash', async (t) => {
  const known = [104, 40, 3, 27, 216, 240, 6, 16, 220, 225, 13, 114, 107, 3, 25, 0, 0, 0, 0, 0]
  t.same([...Buffer.from(quickXorHash(Buffer.from('hello world')), 'base64')], known)
  t.equal(quickXorHash(Buffer.alloc(0)), Buffer.alloc(20).toString('base64'))
  const [long, short] = [Buffer.alloc(200), Buffer.alloc(200)]
  long[165] = 7
  short[5] = 7
  t.equal(quickXorHash(long), quickXorHash(short), 'the ring wraps around after 160 bytes')
})

t.test('an error has the exact format of Graph', async (t) => {
  const now = () => new Date('2024-05-06T07:08:09.010Z')
  const { fake, go, send } = await startFakeGraph(t, { now })
  const { json, status } = await send('/me/drive/items/01NOTHING')
  const id = json.error?.innerError['request-id']
  const innerError = { date: '2024-05-06T07:08:09', 'request-id': id, 'client-request-id': id }
  t.match(id, /^[0-9a-f-]{36}$/)
  t.equal(status, 404)
  t.same(json, { error: { code: 'itemNotFound', message: 'The resource could not be found.', innerError } })
  for (const headers of [{}, { authorization: 'Bearer no' }]) {
    const refused = await go(`${fake.url}/v1.0/me`, { headers })
    t.match(refused, { status: 401, code: 'InvalidAuthenticationToken' })
    t.match(refused.headers['www-authenticate'], /^Bearer realm=/)
  }
  fake.failNext(1, { code: 'serviceNotAvailable', headers: { 'retry-after': '7' } }, { path: '/v1.0/me' })
  t.match(await send('/me'), { status: 503, code: 'serviceNotAvailable', headers: { 'retry-after': '7' } })
  t.match((await send('/drives/garbage/root')).code, 'invalidRequest')
})

t.test('pages', async (t) => {
  t.test('are linked by URLs of Graph with a new token each', async (t) => {
    const { fake, ownId, send, pages } = await startFakeGraph(t)
    fake.tree.addFiles(5, (index) => ({ name: `${index}` }))
    const path = `/drives/${ownId}/root/children?$top=2&$select=name&$orderby=name%20desc`
    t.same(await pages(path), ['4,3', '2,1', '0'])
    fake.knobs.shortPages.push(1, 0)
    t.same(await pages(path), ['4', '', '3,2', '1,0'])
    fake.knobs.pageLimit = 3
    fake.knobs.sendsCount = true
    const [one, two] = [await send('/me/drive/root/children'), await send('/me/drive/root/children')]
    t.equal(one.json['@odata.count'], 5)
    t.equal(one.json.value?.length, 3)
    t.not(one.json['@odata.nextLink'], two.json['@odata.nextLink'])
    t.ok(one.json['@odata.nextLink']?.startsWith(`${fake.url}/v1.0/me/drive/root/children?$skiptoken=`))
    const { json } = await send(`${path}&$expand=thumbnails`)
    t.match(json['@odata.nextLink'], /\$top=2&\$select=name&\$orderby=name%20desc&\$expand=thumbnails&\$skiptoken=/)
  })

  t.test('have the faults that a test configures', async (t) => {
    const { fake, send, pages } = await startFakeGraph(t)
    fake.tree.addFiles(5, (index) => ({ name: `${index}` }))
    const path = '/me/drive/root/children?$top=2&$select=name'
    const linkOf = async (url: string) => (await send(url)).json['@odata.nextLink'] ?? ''
    fake.knobs.pageFault = 'skips'
    t.same(await pages(path), ['0,1', '3,4'])
    fake.knobs.pageFault = 'doubles'
    t.same(await pages(path), ['0,1', '1,2', '2,3', '3,4'])
    fake.knobs.pageFault = 'loops'
    t.same(await pages(path, 3), ['0,1', '0,1', '0,1'])
    const looping = await linkOf(path)
    t.equal(await linkOf(looping), looping)
    fake.knobs.pageFault = 'repeats'
    const repeating = await linkOf(path)
    t.not(await linkOf(repeating), repeating)
    t.same(await pages(path, 3), ['0,1', '0,1', '0,1'])
    fake.expirePageTokens()
    t.match(await send(repeating), { status: 410, code: 'resyncRequired' })
  })

  t.test('omit items that were deleted since', async (t) => {
    const { fake, send } = await startFakeGraph(t)
    const [, , third] = fake.tree.addFiles(4, (index) => ({ name: `${index}` }))
    const { json } = await send('/me/drive/root/children?$top=2&$select=name')
    fake.tree.remove(third!)
    t.same((await send(json['@odata.nextLink']!)).json.value, [{ name: '3' }])
  })

  t.test('of 5,000 files are fast', async (t) => {
    const { fake, pages } = await startFakeGraph(t)
    const begun = process.cpuUsage()
    fake.tree.addFiles(5000, (index) => ({ name: `file ${index}`, content: `${index}` }))
    const seeded = process.cpuUsage(begun)
    const found = await pages('/me/drive/root/children?$top=200&$orderby=name&$select=id,name,file,size', 100)
    const listed = process.cpuUsage(begun)
    t.equal(new Set(found.flatMap((names) => names.split(','))).size, 5000)
    // CPU time, not wall-clock time: the machine may be busy.
    t.ok(seeded.user < 1_000_000, `seeded in ${seeded.user} µs`)
    t.ok(listed.user < 3_000_000, `listed in ${listed.user} µs`)
  })
})

t.test('items', async (t) => {
  t.test('have the facets of their kind', async (t) => {
    const { fake, ownId, send } = await startFakeGraph(t)
    const { tree } = fake
    const notes = tree.addFolder({ name: 'notes', package: { type: 'oneNote' }, specialFolder: { name: 'notes' } })
    tree.addFile({ name: 'part.one', parent: notes })
    tree.addFile({ name: 'virus', malware: { description: 'bad' }, shared: { scope: 'users' } })
    tree.addFolder({ name: 'album', bundle: { childCount: 2, album: {} } })
    const gone = tree.addFile({ name: 'gone', deleted: true })
    const folder = tree.addFolder({ name: 'ü b' })
    const inner = tree.addFile({ name: 'x', parent: folder, content: '123' })
    const { json } = await send('/me/drive/root/children')
    const byName = Object.fromEntries((json.value ?? []).map((item) => [item.name, item]))
    t.match(byName['notes'], { package: { type: 'oneNote' }, specialFolder: { name: 'notes' } })
    t.match(byName['virus'], { malware: { description: 'bad' }, shared: { scope: 'users' }, file: {} })
    t.match(byName['album'], { bundle: { childCount: 2 } })
    t.match(byName['ü b'], { folder: { childCount: 1 }, size: 3 })
    for (const name of ['notes', 'album']) t.notOk('folder' in (byName[name] ?? {}), name)
    t.notOk('cTag' in (byName['ü b'] ?? {}), 'a business folder')
    t.equal(json.value?.length, 4, 'a deleted item is not listed')
    t.equal((await send(`/me/drive/items/${gone.id}`)).status, 404)
    const path = `/drives/${ownId}/root:/%C3%BC%20b`
    t.equal((await send(`/me/drive/items/${inner.id}`)).json.parentReference?.path, path)
    const { json: root } = await send('/me/drive/root?$select=root,folder,parentReference,name')
    t.match(root, { root: {}, name: 'root', folder: { childCount: 4 }, parentReference: { driveId: ownId } })
  })

  t.test('are found below others by encoded names, in any case', async (t) => {
    const { fake, ownId, send } = await startFakeGraph(t)
    const folder = fake.tree.addFolder({ name: "a+b & 'c'" })
    const { id } = fake.tree.addFile({ name: '100% #1.txt', parent: folder })
    const name = encodeURIComponent('100% #1.TXT')
    for (const path of [
      `/drives/${ownId}/root:/${encodeURIComponent("A+B & 'C'")}/${name}`,
      `/me/drive/items/${folder.id}:/${name}`,
      `/me/drive/items/${folder.id}:/${name}:?$select=id`
    ]) {
      t.equal((await send(path)).json.id, id, path)
    }
    t.equal((await send(`/me/drive/root:/${encodeURIComponent(folder.name)}:/children`)).json.value?.[0]?.id, id)
    t.match(await send(`/me/drive/items/${folder.id}:/other`), { status: 404, code: 'itemNotFound' })
    t.match(await send(`/me/drive/items/${folder.id}:/a%2Fb`), { status: 400, code: 'invalidRequest' })
  })

  t.test('may have the same id in two drives', async (t) => {
    const { fake, ownId, send } = await startFakeGraph(t)
    const other = fake.tree.addDrive({ name: 'Other' })
    const { id } = fake.tree.addFile({ name: 'mine' })
    const theirs = fake.tree.addFile({ id, name: 'theirs', parent: other, content: 'x' })
    t.equal((await send(`/drives/${ownId}/items/${id}`)).json.name, 'mine')
    t.equal((await send(`/drives/${other.driveId}/items/${id}`)).json.name, 'theirs')
    t.equal(fake.tree.read(theirs).toString(), 'x')
    t.equal(fake.tree.find(id)?.name, 'mine')
    t.throws(() => fake.tree.addFile({ id, name: 'once more' }))
  })

  t.test('in other drives are not found below their shortcuts', async (t) => {
    const { fake, send } = await startFakeGraph(t)
    const other = fake.tree.addDrive({ name: 'Other' })
    const target = fake.tree.addFolder({ name: 'real', parent: other })
    fake.tree.addFile({ name: 'inside', parent: target })
    const shortcut = fake.tree.addRemote({ name: 'short', target })
    const { json } = await send(`/me/drive/items/${shortcut.id}`)
    const parentReference = { driveId: other.driveId, driveType: 'business' }
    t.match(json, { name: 'short', remoteItem: { id: target.id, name: 'real', folder: { childCount: 1 } } })
    t.same(json.remoteItem?.parentReference, parentReference)
    t.notOk('folder' in json)
    t.match(await send(`/me/drive/items/${shortcut.id}/children`), { status: 404, code: 'itemNotFound' })
    t.match(await send(`/me/drive/items/${shortcut.id}/content`), { status: 404, code: 'itemNotFound' })
    const { driveId } = target
    t.match((await send(`/drives/${driveId}/items/${target.id}/children`)).json.value, [{ name: 'inside' }])
    fake.tree.remove(target)
    t.equal((await send(`/me/drive/items/${shortcut.id}`)).json.remoteItem?.id, target.id)
  })

  t.test('have thumbnails if requested', async (t) => {
    const { fake, go, send } = await startFakeGraph(t)
    const { id } = fake.tree.addFile({ name: 'a.jpg', hasThumbnail: true })
    fake.tree.addFile({ name: 'b.jpg' })
    const { json } = await send('/me/drive/root/children?$select=name&$expand=thumbnails($select=small,large)')
    t.match(json.value, [
      { name: 'a.jpg', thumbnails: [{ id: '0' }] },
      { name: 'b.jpg', thumbnails: [] }
    ])
    const [thumbnails] = json.value?.[0]?.thumbnails ?? []
    t.same(Object.keys(thumbnails ?? {}), ['id', 'small', 'large'])
    t.equal((await go(thumbnails?.small?.url ?? '')).text, 'thumbnail of a.jpg: small')
    t.notOk('thumbnails' in (await send(`/me/drive/items/${id}`)).json)
  })

  t.test('have an eTag for all changes and a cTag for the content', async (t) => {
    const { fake, send } = await startFakeGraph(t)
    const { id } = fake.tree.addFile({ name: 'a', content: 'x' })
    const folder = fake.tree.addFolder({ name: 'f' })
    const tags = async (of = id) => (await send(`/me/drive/items/${of}?$select=eTag,cTag`)).json
    const [before, folderBefore] = [await tags(), await tags(folder.id)]
    fake.tree.rename(id, 'b')
    const renamed = await tags()
    fake.tree.write(id, 'y')
    const written = await tags()
    t.not(renamed.eTag, before.eTag)
    t.equal(renamed.cTag, before.cTag)
    t.not(written.eTag, renamed.eTag)
    t.not(written.cTag, renamed.cTag)
    fake.tree.move(id, folder)
    t.not((await tags()).eTag, written.eTag)
    t.same(await tags(folder.id), folderBefore, 'a folder in a business account does not change with its content')
    const headers = { 'if-none-match': (await tags()).eTag ?? '' }
    t.equal((await send(`/me/drive/items/${id}`, { headers })).status, 304)
    t.equal((await send(`/me/drive/items/${id}`, { headers: { 'if-none-match': '"other"' } })).status, 200)
  })
})

t.test('a download', async (t) => {
  t.test('has ranges at its second URL only', async (t) => {
    const { fake, go, send } = await startFakeGraph(t)
    const { id } = fake.tree.addFile({ name: 'a.txt', content: '0123456789' })
    const { status, headers } = await send(`/me/drive/items/${id}/content`)
    const url = String(headers['location'])
    t.equal(status, 302)
    t.ok(url.startsWith(`${fake.contentUrl}/`))
    const part = await go(url, { headers: { range: 'bytes=2-4' } })
    t.match(part, { status: 206, text: '234', headers: { 'content-range': 'bytes 2-4/10' } })
    t.equal((await go(url, { headers: { range: 'bytes=10-' } })).status, 416)
    t.equal((await go(url, { headers: { range: 'bytes=2-', 'if-range': '"other"' } })).status, 200)
    t.equal((await go(url, { headers: { range: 'bytes=2-', 'if-range': String(part.headers['etag']) } })).status, 206)
    t.equal((await go(url, { headers: { 'if-match': '"other"' } })).status, 412)
    fake.knobs.ignoresRanges = true
    t.match(await go(url, { headers: { range: 'bytes=2-4' } }), { status: 200, text: '0123456789' })
    fake.resetDownloads(1, 4)
    await t.rejects(go(url))
    t.equal((await go(url)).text, '0123456789')
    fake.expireDownloadUrls()
    t.match(await go(url), { status: 401, code: 'unauthenticated' })
    t.notOk(DOWNLOAD_URL in (await send(`/me/drive/items/${id}?$select=id,${DOWNLOAD_URL}`)).json)
    const { json } = await send(`/me/drive/items/${id}`)
    t.equal((await go(json[DOWNLOAD_URL]!)).text, '0123456789')
    t.not(json[DOWNLOAD_URL], (await send(`/me/drive/items/${id}`)).json[DOWNLOAD_URL])
    t.notOk(DOWNLOAD_URL in (await send(`/me/drive/items/${id}?$select=id`)).json)
    await send(`/me/drive/items/${id}/content`, { headers: { range: 'bytes=0-1' } })
    t.match(await send(url), { status: 401, code: 'unauthenticated' })
    t.same(takeMistakes(fake), ['the header range', 'a token where an address is secret'])
  })

  t.test('is refused for items without content or permission', async (t) => {
    const { fake, go, send } = await startFakeGraph(t)
    const virus = fake.tree.addFile({ name: 'virus', malware: {} })
    const denied = fake.tree.addFile({ name: 'denied', denied: true })
    const folder = fake.tree.addFolder({ name: 'folder' })
    t.match(await send(`/me/drive/items/${virus.id}/content`), { status: 403, code: 'malwareDetected' })
    const { json } = await send(`/me/drive/items/${virus.id}`)
    t.match(await go(json[DOWNLOAD_URL]!), { status: 403, code: 'malwareDetected' })
    t.match(await send(`/me/drive/items/${denied.id}/content`), { status: 403, code: 'accessDenied' })
    t.match(await send(`/me/drive/root:/denied`), { status: 403, code: 'accessDenied' })
    t.match(await send(`/me/drive/items/${folder.id}/content`), { status: 400, code: 'invalidRequest' })
  })
})

t.test('the quirks of Microsoft are reproduced', async (t) => {
  const { fake, ownId, go, send } = await startFakeGraph(t)
  const { id } = fake.tree.addFile({ name: 'a.heic', content: 'abc', listedSize: 7 })
  const { json } = await send(`/me/drive/items/${id}`)
  t.equal(json.size, 7)
  t.equal((await go(json[DOWNLOAD_URL]!)).text, 'abc')
  t.match((await send('/me/drive/root')).json.parentReference, { path: '/drive/root:' })
  fake.knobs.omitsDownloadUrl = true
  t.notOk(DOWNLOAD_URL in (await send(`/me/drive/items/${id}`)).json)
  fake.tree.addSite({ name: 'Team' })
  t.match((await send('/sites?search=*')).json.value, [{ name: 'Team', displayName: 'Team' }])
  t.strictSame((await send('/sites?search=*&$select=name,displayName')).json.value, [{ name: 'Team' }])
  fake.knobs.noDriveError = { code: 'BadRequest' }
  t.match(await send('/me/drive?$select=id'), { status: 400, code: 'BadRequest' })
  t.match(await send('/me/drive/root/children'), { status: 400, code: 'BadRequest' })
  t.equal((await send('/me')).status, 200)
  t.equal((await send(`/drives/${ownId}/root`)).status, 200)
})

t.test('a feed reports changed items', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    for (const feedLinks of ['query', 'function', 'qualified'] as const) {
      await t.test(`${kind}, links as ${feedLinks}`, async (t) => {
        const { fake, ownId, send } = await startFakeGraph(t, { kind })
        const { tree, knobs } = fake
        knobs.feedLinks = feedLinks
        const parent = tree.addFolder({ name: 'folder' })
        const file = tree.addFile({ name: 'file', parent })
        const link = ({ json }: { json: GraphJson }) =>
          (json['@odata.nextLink'] ?? json['@odata.deltaLink'] ?? '').replace(/([?&])token=latest&/, '$1')
        const names = ({ json }: { json: GraphJson }) => json.value?.map(({ name }) => name)
        const whole = await send('/me/drive/root/delta')
        t.same(names(whole), ['root', 'folder', 'file'], 'a feed without a token enumerates the drive')
        const start = await send(`/drives/${ownId}/root/delta?token=latest`)
        t.same(start.json.value, [])
        const unchanged = await send(link(start))
        t.same(names(unchanged), kind === 'business' ? [] : ['root'])
        tree.rename(file, 'renamed')
        tree.addFile({ name: 'new', parent })
        const select = '$select=id,name,deleted'
        knobs.pageLimit = 1
        const latest = await send(`/drives/${ownId}/root/delta?token=latest&${select}`)
        t.same(latest.json.value, [])
        const page = await send(link(unchanged))
        t.same(names(page), ['root', 'folder', 'renamed'])
        t.same(names(await send(link(page))), ['root', 'folder', 'new'], 'each page repeats the folders')
        tree.remove(parent)
        knobs.pageLimit = 10
        const deleted = await send(link(latest))
        t.match(deleted.json.value?.slice(1), Array(3).fill({ deleted: {} }), 'the folder and all below it')
        t.equal(deleted.json.value?.at(-1)?.name, kind === 'business' ? undefined : 'new')
        const cut = await send(link(deleted))
        fake.expireFeedTokens()
        const gone = await send(link(cut))
        t.match(gone, { status: 410, code: kind === 'business' ? 'resyncRequired' : 'resyncChangesApplyDifferences' })
        t.equal((await send(String(gone.headers['location']))).status, 200)
      })
    }
  }
})

t.test('a feed lags, and is missing in some clouds', async (t) => {
  let time = Date.parse('2026-11-30T12:00:00Z')
  const { fake, ownId, send } = await startFakeGraph(t, { now: () => new Date(time) })
  fake.knobs.feedLagMs = 5000
  const start = await send('/me/drive/root/delta?token=latest')
  fake.tree.addFile({ name: 'file' })
  const empty = await send(start.json['@odata.deltaLink']!)
  t.same(empty.json.value, [])
  time += 5000
  t.match((await send(empty.json['@odata.deltaLink']!)).json.value, [{ name: 'root' }, { name: 'file' }])
  fake.knobs.noFeedError = { code: 'notSupported', status: 501 }
  t.match(await send('/me/drive/root/delta?token=latest'), { status: 501, code: 'notSupported' })
  fake.knobs.noFeedError = undefined
  t.same(fake.mistakes, [])
  const other = fake.tree.addDrive({ name: 'other' })
  const folder = fake.tree.addFolder({ name: 'folder' })
  const { searchParams } = new URL(start.json['@odata.deltaLink']!)
  for (const path of [
    '/me/drive/root/delta?token=never-handed-out',
    `/drives/${other.driveId}/root/delta?token=${searchParams.get('token')}`,
    `/me/drive/root/delta(token='latest')?token=latest`,
    `/drives/${ownId}/items/${folder.id}/delta?token=latest`
  ]) {
    t.match(await send(path), { status: 400 }, path)
    t.equal(fake.mistakes.splice(0).length, 1, path)
  }
})

t.test('a test can script faults', async (t) => {
  const { fake, go, send } = await startFakeGraph(t)
  const { id } = fake.tree.addFile({ name: 'a', content: 'abc' })
  fake.failNext(1, resets(), { host: 'content' })
  fake.failNext(1, respondsWith(429, { retryAfter: new Date(0) }), { path: /\/content$/ })
  const url = `/me/drive/items/${id}/content`
  t.match(await send(url), { status: 429, headers: { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' } })
  const location = String((await send(url)).headers['location'])
  await t.rejects(go(location))
  t.equal((await go(location)).text, 'abc')
})

t.test('a response is compressed for clients that accept it', async (t) => {
  const { fake } = await startFakeGraph(t)
  const headers = { authorization: `Bearer ${FAKE_GRAPH_TOKEN}` }
  const answer = await fetch(`${fake.url}/v1.0/me?$select=displayName`, { headers })
  t.equal(answer.headers.get('content-encoding'), 'gzip')
  t.match(await answer.json(), { displayName: 'me' })
})

const sha1 = (content: Buffer) => createHash('sha1').update(content).digest('hex')

/** Returns a response without its `@odata.context`, which depends on the request. */
function withoutContext(thing: object): object {
  return Object.fromEntries(Object.entries(thing).filter(([name]) => name !== '@odata.context'))
}
