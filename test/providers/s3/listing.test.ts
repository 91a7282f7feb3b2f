import t from 'tap'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { ServerResponse } from 'node:http'
import { callOptions, listAll, rejectsWith } from '../../contract/suite/arrange.ts'
import { FakeS3, type FakeS3Request } from '../../fakes/s3/fake-s3.ts'
import { listing, sendError, sendXml } from '../../fakes/s3/xml.ts'
import { openFakeS3 } from '../../support/s3/s3-backend.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const object = (key: string, facts: { storageClass?: string } = {}) => ({
  key,
  content: Buffer.from('x'),
  etag: '"etag"',
  modified: new Date('2026-11-22T16:00:00.700Z'),
  storageClass: facts.storageClass ?? 'STANDARD'
})

/** Responds to the n-th listing with the n-th page, and to further ones with the last page. */
function pages(...answers: string[]) {
  let asked = 0
  return ({ operation }: FakeS3Request, response: ServerResponse) => {
    if (operation !== 'ListObjectsV2') return false
    sendXml(response, 200, answers[Math.min(asked++, answers.length - 1)] ?? '')
    return true
  }
}

t.test('100,000 objects in one folder are listed once each, a thousand per page, in bounded memory', async (t) => {
  const fake = await FakeS3.start(t)
  fake.script = ({ query }, response) => {
    const page = Number(query.get('continuation-token') ?? '0')
    const keys = Array.from({ length: 1000 }, (_, index) => `big/${String(page * 1000 + index).padStart(6, '0')}.bin`)
    const items = keys.map((key) => object(key))
    sendXml(response, 200, listing(items, page === 99 ? {} : { next: String(page + 1) }))
    fake.requests.length = 0
    return true
  }
  const backend = await openFakeS3(fake)
  const seen = new Uint8Array(100_000)
  let cursor: string | undefined
  let calls = 0
  let memory = 0
  do {
    const page = await backend.listFolder('big/', {
      ...callOptions(),
      limit: 1000,
      ...(cursor !== undefined && { cursor })
    })
    for (const { name } of page.entries) seen[Number.parseInt(name, 10)] = (seen[Number.parseInt(name, 10)] ?? 0) + 1
    t.equal(page.complete, page.next === null)
    cursor = page.next ?? undefined
    if (++calls === 10) {
      collectGarbage()
      memory = process.memoryUsage().heapUsed
    }
  } while (cursor !== undefined)
  collectGarbage()
  t.equal(calls, 100)
  t.ok(
    seen.every((times) => times === 1),
    'each entry is listed once'
  )
  const grown = process.memoryUsage().heapUsed - memory
  t.ok(grown < 8 * 1024 * 1024, `after 90 more pages ${grown} more bytes are in use`)
})

t.test('files and folders are merged in the byte order of their keys', async (t) => {
  const fake = await FakeS3.start(t)
  fake.script = pages(
    listing([object('\uffee'), object('b'), object('\u{1f4be}'), object('Z'), object('a'), 'a/', 'ab/', '\u00e9/'])
  )
  const backend = await openFakeS3(fake)
  t.same(
    (await listAll(backend, null)).map(({ id }) => id),
    ['Z', 'a', 'a/', 'ab/', 'b', '\u00e9/', '\uffee', '\u{1f4be}']
  )
})

t.test('keys are decoded: a plus is a space, and an encoded percent sign is a percent sign', async (t) => {
  const fake = await FakeS3.start(t)
  const keys = ['a b', 'a+b', 'a%20b', 'a%2Bb', '100%', '\u0001control', 'line\nbreak', '\ufffe']
  fake.script = pages(listing(keys.map((key) => object(key))))
  const backend = await openFakeS3(fake)
  t.same((await listAll(backend, null)).map(({ name }) => name).sort(), [...keys].sort())
})

t.test('keys of a server that does not encode them are not decoded', async (t) => {
  const fake = await FakeS3.start(t)
  const page = listing([]).replace('<EncodingType>url</EncodingType>', '')
  const raw = '<Contents><Key>a+b %41</Key><Size>1</Size></Contents></ListBucketResult>'
  fake.script = pages(page.replace('</ListBucketResult>', raw))
  const backend = await openFakeS3(fake)
  const [entry] = await listAll(backend, null)
  t.match(entry, { name: 'a+b %41', modifiedAt: null, version: null, size: 1 })
})

t.test('a key that cannot be decoded is left out, and the listing is not complete', async (t) => {
  const fake = await FakeS3.start(t)
  fake.script = pages(listing([object('a'), object('BAD'), object('c')]).replace('BAD', '%ff%fe'))
  const backend = await openFakeS3(fake)
  const page = await backend.listFolder(null, { ...callOptions(), limit: 10 })
  t.same(
    page.entries.map(({ id }) => id),
    ['a', 'c']
  )
  t.match(page, { next: null, complete: false, reason: 'provider-partial' })
})

t.test('pages without entries are skipped, up to ten at a time', async (t) => {
  const fake = await FakeS3.start(t)
  const empty = (next: string) => listing([], { next })
  fake.script = pages(empty('1'), empty('2'), listing([object('a')], { next: '3' }))
  const backend = await openFakeS3(fake)
  const page = await backend.listFolder(null, { ...callOptions(), limit: 10 })
  t.match(page, { entries: [{ id: 'a' }], next: '3', complete: false, reason: 'more' })
  t.same(
    fake.requests.map(({ query }) => query.get('continuation-token')),
    [null, '1', '2']
  )

  fake.requests.length = 0
  let token = 0
  fake.script = (_request, response) => {
    sendXml(response, 200, empty(String(++token)))
    return true
  }
  const bounded = await backend.listFolder('folder/', { ...callOptions(), limit: 10 })
  t.match(bounded, { next: '10', complete: false, reason: 'more' })
  t.equal(bounded.entries.length, 0)
  t.equal(fake.requests.length, 10)
})

t.test('a page of unrelated keys is skipped too', async (t) => {
  const fake = await FakeS3.start(t)
  fake.script = pages(listing([object('a'), object('b')], { next: '1' }), listing(['c/']))
  const backend = await openFakeS3(fake)
  const page = await backend.listFolder(null, { ...callOptions(), limit: 2, kind: 'folder' })
  t.match(page, { entries: [{ id: 'c/' }], next: null, complete: true, reason: null })
})

t.test('a repeated continuation token ends the listing as incomplete', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.script = pages(listing([object('a')], { next: 'same' }))
  const page = await backend.listFolder(null, { ...callOptions(), limit: 10, cursor: 'same' })
  t.match(page, { entries: [{ id: 'a' }], next: null, complete: false, reason: 'duplicate-cursor' })
  fake.script = pages(listing([], { next: '1' }), listing([], { next: '2' }), listing([], { next: '1' }))
  const circle = await backend.listFolder('folder/', { ...callOptions(), limit: 10 })
  t.match(circle, { next: null, complete: false, reason: 'duplicate-cursor' })
})

t.test('a truncated listing without a continuation token is incomplete, and the folder exists', async (t) => {
  const fake = await FakeS3.start(t)
  fake.script = pages(listing([], { isTruncated: true }))
  const backend = await openFakeS3(fake)
  const page = await backend.listFolder('folder/', { ...callOptions(), limit: 10 })
  t.match(page, { next: null, complete: false, reason: 'provider-partial' })
})

t.test('a continuation token that the server rejects is CURSOR_EXPIRED', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 10, cursor: 'made up' }), 'CURSOR_EXPIRED')
  fake.script = (_request, response) => {
    sendError('GET', response, 400, 'InvalidArgument')
    return true
  }
  await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 10 }), 'PROVIDER_ERROR', 'without a cursor')
})

t.test('a response that is not a listing is an error and never an empty folder', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const list = () => backend.listFolder(null, { ...callOptions(), limit: 2 })
  for (const [what, body] of [
    ['an empty body', ''],
    ['text', 'hello'],
    ['JSON', '{"entries":[]}'],
    ['a page of HTML', '<!doctype html><html><body>Sign in<br></body></html>'],
    ['a page of XHTML', '<html><body><p>Sign in</p></body></html>'],
    ['half a listing', listing([object('a')]).slice(0, 200)],
    ['another document', '<LocationConstraint>eu-west-1</LocationConstraint>'],
    ['an invalid date', listing([object('a')]).replace('2026-11', 'today')],
    ['more keys than requested', listing([object('a'), object('b'), object('c')])],
    ['a key of another folder', listing([object('other/a')])],
    ['an invalid folder', listing(['a'])],
    ['a folder below another', listing(['a/b/'])]
  ] as const) {
    fake.script = pages(body)
    await rejectsWith(t, list(), 'PROVIDER_ERROR', what)
  }
  const jailed = await openFakeS3(fake, { prefix: 'jail/' })
  fake.script = pages(listing([object('outside')]))
  await rejectsWith(
    t,
    jailed.listFolder(null, { ...callOptions(), limit: 2 }),
    'PROVIDER_ERROR',
    'a key outside the prefix'
  )
})

t.test('an endless response is ended', async (t) => {
  const fake = await FakeS3.start(t)
  let sent = 0
  fake.script = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/xml' })
    const chunk = Buffer.alloc(1024 * 1024, ' ')
    const more = () => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length
    }
    response.on('drain', more)
    response.write('<?xml version="1.0"?><ListBucketResult>')
    more()
    return true
  }
  const backend = await openFakeS3(fake)
  await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 10 }), 'PROVIDER_ERROR')
  t.ok(sent < 64 * 1024 * 1024, `${sent} bytes were sent`)
})

t.test('the marker object of a folder is not listed as an entry', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.store.put('folder/', Buffer.alloc(0))
  fake.store.put('folder/a', Buffer.from('a'))
  for (const limit of [1, 2, 1000]) {
    t.same(
      (await listAll(backend, 'folder/', { limit })).map(({ id }) => id),
      ['folder/a']
    )
  }
  fake.store.objects.delete('folder/a')
  t.same(await listAll(backend, 'folder/'), [])
  fake.store.objects.delete('folder/')
  await rejectsWith(t, listAll(backend, 'folder/'), 'FOLDER_NOT_FOUND')
  fake.requests.length = 0
  await rejectsWith(t, listAll(backend, 'folder'), 'FOLDER_NOT_FOUND')
  t.same(fake.requests, [], 'an id without a slash is not a folder, without a call')
  t.same(await listAll(await openFakeS3(fake, { prefix: 'nothing here/' }), null), [], 'an empty root exists')
})

t.test('keys that cannot be requested are listed, and cannot be downloaded', async (t) => {
  const fake = await FakeS3.start(t)
  const long = 'x'.repeat(1024)
  fake.script = pages(listing([object('..'), object('.'), object(long), object('ok'), '../', './']))
  const backend = await openFakeS3(fake, { prefix: '' })
  const entries = await listAll(backend, null)
  t.same(
    Object.fromEntries(entries.map(({ id, can }) => [id.slice(0, 5), can.download === true || can.list === true])),
    {
      '.': false,
      './': false,
      '..': false,
      '../': false,
      xxxxx: true,
      ok: true
    }
  )
  const jailed = await openFakeS3(fake, { prefix: 'j/' })
  fake.script = pages(listing([object(`j/${long.slice(2)}`), object(`j/${long}`)]))
  t.same(
    (await listAll(jailed, null)).map(({ can }) => can.download),
    [true, false],
    'the length includes the prefix'
  )
})

t.test('ids that would be resolved in transit are refused before any call', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake, { prefix: 'jail/' })
  for (const id of ['../secret', 'a/../../secret', '..', '.', 'a/.', 'nul\0', '\ud800', 'x'.repeat(1020)]) {
    await rejectsWith(t, backend.stat(id, callOptions()), 'INVALID_REQUEST')
    await rejectsWith(t, backend.listFolder(`${id}/`, { ...callOptions(), limit: 10 }), 'INVALID_REQUEST')
    await rejectsWith(t, backend.download(id, callOptions()), 'INVALID_REQUEST')
  }
  t.same(fake.requests, [])
})

t.test('an archived object is listed, and cannot be downloaded until it is restored', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  for (const storageClass of ['STANDARD', 'GLACIER', 'DEEP_ARCHIVE', 'GLACIER_IR', 'STANDARD_IA']) {
    fake.store.put(storageClass, Buffer.from('a'), { storageClass })
  }
  const can = Object.fromEntries((await listAll(backend, null)).map((entry) => [entry.id, entry.can.download]))
  t.same(can, { STANDARD: true, STANDARD_IA: true, GLACIER: false, DEEP_ARCHIVE: false, GLACIER_IR: true })
  t.equal((await backend.stat('GLACIER', callOptions())).can.download, false)
  fake.script = ({ operation }, response) => {
    if (operation === 'HeadObject') response.setHeader('x-amz-restore', 'ongoing-request="false", expiry-date="Fri"')
    return false
  }
  t.equal((await backend.stat('GLACIER', callOptions())).can.download, true)
})

t.test('an entry has the metadata of S3, and null for the rest', async (t) => {
  const fake = await FakeS3.start(t)
  fake.script = pages(listing([object('a/b.txt')]))
  const backend = await openFakeS3(fake)
  const page = await backend.listFolder('a/', { ...callOptions(), limit: 10 })
  t.same(page.folder, { id: 'a/', name: 'a', parentId: null })
  t.same(page.entries, [
    {
      id: 'a/b.txt',
      parentId: 'a/',
      driveId: null,
      name: 'b.txt',
      kind: 'file',
      mimeType: null,
      size: 1,
      createdAt: null,
      modifiedAt: '2026-11-22T16:00:00.000Z',
      version: 'etag',
      hash: null,
      exportFormats: [],
      target: null,
      webUrl: null,
      thumbnailUrl: null,
      path: 'a/b.txt',
      can: { list: false, download: true, write: null }
    }
  ])
})
