import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import t from 'tap'
import { StorageError } from '../../src/index.ts'
import { Deferred } from '../support/time/deferred.ts'
import { OneObject, serverApp, unavailable, type ServerUnderTest } from '../support/app/server-app.ts'
import { until } from '../support/time/until.ts'

const TEXT = '0123456789'

t.test('a document is sent to its owner as an attachment and never inline', async (t) => {
  const { app, add, as } = await serverApp(t)
  const url = await add({ name: 'page.html', mimeType: 'text/html', text: TEXT })
  const { statusCode, headers, body } = await app.inject({ url, headers: as('ann') })
  t.equal(statusCode, 200)
  t.equal(body, TEXT)
  t.match(headers, {
    'content-type': /^text\/html$/,
    'content-length': '10',
    'content-disposition': 'attachment; filename="page.html"',
    'content-security-policy': "sandbox; default-src 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'cache-control': 'private, no-cache',
    vary: 'Authorization',
    'accept-ranges': 'bytes',
    etag: /^"[^"]+"$/,
    'last-modified': /GMT$/
  })
})

t.test('a single range answers 206, and anything else answers with the whole content', async (t) => {
  const { app, add, as } = await serverApp(t)
  const url = await add({ text: TEXT })
  const parts: [range: string, contentRange: string, body: string][] = [
    ['bytes=0-3', 'bytes 0-3/10', '0123'],
    ['bytes=4-', 'bytes 4-9/10', '456789'],
    ['bytes=-3', 'bytes 7-9/10', '789'],
    ['bytes=9-9', 'bytes 9-9/10', '9'],
    ['bytes=0-99', 'bytes 0-9/10', TEXT],
    ['bytes=-99', 'bytes 0-9/10', TEXT],
    ['BYTES=1-2', 'bytes 1-2/10', '12'],
    [`bytes=8-${'9'.repeat(40)}`, 'bytes 8-9/10', '89']
  ]
  for (const [range, contentRange, body] of parts) {
    const answer = await app.inject({ url, headers: { ...as('ann'), range } })
    t.equal(answer.statusCode, 206, range)
    t.equal(answer.headers['content-range'], contentRange, range)
    t.equal(answer.headers['content-length'], String(body.length), range)
    t.equal(answer.body, body, range)
  }
  const ignored = [
    'bytes=0-1,3-4',
    'bytes=5-2',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1',
    'lines=0-1',
    'bytes 0-1',
    'bytes=+1-2',
    'bytes=0x0-1'
  ]
  for (const range of ignored) {
    const answer = await app.inject({ url, headers: { ...as('ann'), range } })
    t.equal(answer.statusCode, 200, range)
    t.equal(answer.body, TEXT, range)
    t.notOk('content-range' in answer.headers, range)
  }
})

t.test('an unsatisfiable range answers 416 with the size', async (t) => {
  const { app, add, as } = await serverApp(t)
  const url = await add({ text: TEXT })
  for (const range of ['bytes=10-', 'bytes=10-11', 'bytes=-0', `bytes=${'9'.repeat(40)}-`]) {
    const answer = await app.inject({ url, headers: { ...as('ann'), range } })
    t.equal(answer.statusCode, 416, range)
    t.equal(answer.headers['content-range'], 'bytes */10', range)
    t.match(answer.headers['content-type'], 'application/problem+json')
    t.match(answer.json(), { code: 'RANGE_NOT_SATISFIABLE', status: 416 })
  }
})

t.test('a range with If-Range is resumed only if the content is the same', async (t) => {
  const { app, add, as } = await serverApp(t)
  const url = await add({ text: TEXT })
  const { headers } = await app.inject({ url, headers: as('ann') })
  const { etag, 'last-modified': modified } = headers as Record<string, string>
  const cases: [ifRange: string, status: number][] = [
    [etag!, 206],
    [modified!, 206],
    ['"another"', 200],
    [`W/${etag}`, 200],
    ['Thu, 01 Jan 2026 00:00:00 GMT', 200],
    [new Date(Date.parse(modified!) + 60_000).toUTCString(), 200],
    ['nonsense', 200]
  ]
  for (const [ifRange, status] of cases) {
    const answer = await app.inject({ url, headers: { ...as('ann'), range: 'bytes=2-3', 'if-range': ifRange } })
    t.equal(answer.statusCode, status, ifRange)
    t.equal(answer.body, status === 206 ? '23' : TEXT, ifRange)
  }
  const past = { ...as('ann'), range: 'bytes=10-' }
  const resumed = await app.inject({ url, headers: { ...past, 'if-range': etag } })
  t.equal(resumed.statusCode, 416, 'beyond the end of the same content')
  const changed = await app.inject({ url, headers: { ...past, 'if-range': '"longer, earlier"' } })
  t.equal(changed.statusCode, 200, 'beyond the end of shorter content')
  t.equal(changed.body, TEXT)
})

t.test('the body of a range that is not used is closed', async (t) => {
  const bodies: Readable[] = []
  const { app, add, as, object } = await serverApp(t)
  object.send = async ({ range }) => {
    const body = Readable.from([Buffer.from(range === undefined ? 'hello' : 'ell')])
    bodies.push(body)
    return { body, range: range === undefined ? null : { start: 1, end: 3 } }
  }
  const headers = { ...as('ann'), range: 'bytes=1-3', 'if-range': '"v0"' }
  const answer = await app.inject({ url: await add(), headers })
  t.equal(answer.body, 'hello')
  t.same(
    bodies.map(({ destroyed }) => destroyed),
    [true, true]
  )
})

t.test('If-None-Match answers 304 without opening a body', async (t) => {
  const { app, add, as, object } = await serverApp(t)
  const url = await add()
  const cases: [headers: Record<string, string>, status: number][] = [
    [{ 'if-none-match': '"v1"' }, 304],
    [{ 'if-none-match': 'W/"v1"' }, 304],
    [{ 'if-none-match': '"a", "v1"' }, 304],
    [{ 'if-none-match': '*' }, 304],
    [{ 'if-modified-since': 'Fri, 02 Jan 2026 03:04:05 GMT' }, 304],
    [{ 'if-none-match': '"v2"', 'if-modified-since': 'Fri, 02 Jan 2026 03:04:05 GMT' }, 200],
    [{ 'if-modified-since': 'Fri, 02 Jan 2026 03:04:04 GMT' }, 200],
    [{ 'if-modified-since': '2027' }, 200],
    [{ 'if-none-match': 'v1' }, 200],
    [{ 'if-match': '"v1"' }, 200],
    [{ 'if-match': '*' }, 200],
    [{ 'if-match': '"v2"' }, 412],
    [{ 'if-match': 'W/"v1"' }, 412],
    [{ 'if-unmodified-since': 'Fri, 02 Jan 2026 03:04:05 GMT' }, 200],
    [{ 'if-unmodified-since': 'Fri, 02 Jan 2026 03:04:04 GMT' }, 412]
  ]
  for (const method of ['GET', 'HEAD'] as const) {
    for (const [headers, status] of cases) {
      object.downloads.length = 0
      const answer = await app.inject({ method, url, headers: { ...as('ann'), ...headers } })
      const name = `${method} ${JSON.stringify(headers)}`
      t.equal(answer.statusCode, status, name)
      t.equal(object.downloads.length, method === 'GET' && status === 200 ? 1 : 0, name)
      if (status !== 304) continue
      t.equal(answer.body, '', name)
      t.match(answer.headers, { etag: '"v1"', 'cache-control': 'private, no-cache', vary: 'Authorization' }, name)
      t.notOk('content-length' in answer.headers, name)
    }
  }
})

t.test('HEAD has the headers of GET and opens no body', async (t) => {
  const { app, add, as, object } = await serverApp(t)
  const url = await add()
  const get = await app.inject({ url, headers: as('ann') })
  const head = await app.inject({ method: 'HEAD', url, headers: { ...as('ann'), range: 'bytes=0-1' } })
  t.equal(head.statusCode, 200)
  t.equal(head.body, '')
  const own = { date: '', 'x-request-id': '' }
  t.same({ ...head.headers, ...own }, { ...get.headers, ...own })
  t.equal(object.downloads.length, 1)
})

t.test('a missing object and a folder answer 404', async (t) => {
  const { app, add, as, object } = await serverApp(t)
  object.send = () => Promise.reject(new StorageError('OBJECT_NOT_FOUND', 'The object was not found.'))
  object.metadata = { kind: 'folder' }
  const url = await add()
  for (const method of ['GET', 'HEAD'] as const) {
    const answer = await app.inject({ method, url, headers: as('ann') })
    t.equal(answer.statusCode, 404, method)
    t.notOk('content-disposition' in answer.headers)
  }
})

t.test('any file name gives a valid Content-Disposition', async (t) => {
  const { app, database, as, add } = await serverApp(t)
  const url = await add({ id: 'named' })
  const names: [name: string, shown: string][] = [
    ['plain.txt', 'plain.txt'],
    ['a "quoted" name.txt', 'a "quoted" name.txt'],
    ['back\\slash/and/slash.txt', 'back_slash_and_slash.txt'],
    ['../../etc/passwd', '.._.._etc_passwd'],
    ['line\r\nSet-Cookie: a=b.txt', 'line\r\nSet-Cookie: a=b.txt'],
    ['\u202egnp.exe', 'gnp.exe'],
    ['\u200fשלום.txt', 'שלום.txt'],
    ['\u2066\u200e', 'document'],
    ['<script>alert(1)</script>.html', '<script>alert(1)<_script>.html'],
    ["per%20cent'and*star.txt", "per%20cent'and*star.txt"],
    ['Résumé – 履歴書 😀.pdf', 'Résumé – 履歴書 😀.pdf'],
    ['tab\tand\u007fdelete', 'tab\tand\u007fdelete'],
    ['; filename=other.txt', '; filename=other.txt'],
    ['', 'document'],
    ['😀'.repeat(300) + '.jpeg', '😀'.repeat(238) + '.jpeg'],
    ['x'.repeat(100_000), 'x'.repeat(238)]
  ]
  for (const [name, shown] of names) {
    await database.prisma.document.update({ where: { id: 'named' }, data: { name } })
    const { headers, statusCode } = await app.inject({ method: 'HEAD', url, headers: as('ann') })
    t.equal(statusCode, 200, name)
    t.equal(savedAs(headers['content-disposition'] as string), shown, name)
  }
})

t.test('a native document is sent with the name and the type of its export, whatever its own name is', async (t) => {
  const xlsx = { mimeType: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', extension: 'xlsx' }
  const { app, add, as, object } = await serverApp(t)
  object.metadata = {
    size: null,
    version: '7',
    exportFormats: [xlsx, { mimeType: 'application/pdf', extension: 'pdf' }]
  }
  const bodies: Readable[] = []
  object.send = async () => {
    const body = Readable.from([Buffer.from('PK')])
    bodies.push(body)
    return {
      body,
      size: null,
      range: null,
      mimeType: xlsx.mimeType,
      name: 'Budget.xlsx',
      exportedAs: xlsx,
      etag: '7.xlsx'
    }
  }
  const url = await add({ name: 'My plan', mimeType: null })
  const expected = {
    'content-type': xlsx.mimeType,
    'content-disposition': 'attachment; filename="My plan.xlsx"',
    'accept-ranges': 'none'
  }
  const head = await app.inject({ method: 'HEAD', url, headers: as('ann') })
  t.match(head.headers, expected, 'HEAD')
  for (const name of ['content-length', 'etag']) t.notOk(name in head.headers, 'the export does not exist yet')
  const asked: [headers: Record<string, string>, status: number][] = [
    [{}, 200],
    [{ range: 'bytes=0-0' }, 200],
    [{ range: 'bytes=0-0', 'if-range': '"7.xlsx"' }, 200],
    [{ range: 'bytes=0-0', 'if-range': '"7"' }, 200],
    [{ 'if-none-match': '"7.xlsx"' }, 304],
    [{ 'if-none-match': '"7"' }, 200],
    [{ 'if-match': '"7.xlsx"' }, 200],
    [{ 'if-match': '"7"' }, 412]
  ]
  for (const [headers, status] of asked) {
    const before = bodies.length
    const answer = await app.inject({ url, headers: { ...as('ann'), ...headers } })
    const what = JSON.stringify(headers)
    t.equal(answer.statusCode, status, what)
    if (status === 200) t.match(answer.headers, { ...expected, etag: '"7.xlsx"' }, what)
    if (status === 200) t.equal(answer.body, 'PK', what)
    t.equal(bodies.length, before + 1, `${what}: one export`)
  }
  t.ok(bodies.every(({ destroyed }) => destroyed))
})

t.test('lone surrogates in a name are replaced', async (t) => {
  // The database cannot contain them, but a host's own rows may.
  const row = { id: 'd', userId: 'ann', storageBackend: 'object', objectKey: 'k', connectionId: null, mimeType: null }
  const { app, as } = await serverApp(t, {
    database: (database) =>
      ({ ...database, prisma: withDocument(database, { ...row, name: 'half \ud83d of it.txt' }) }) as typeof database
  })
  const { headers } = await app.inject({ method: 'HEAD', url: '/documents/d/content', headers: as('ann') })
  t.equal(savedAs(headers['content-disposition'] as string), 'half \ufffd of it.txt')
})

t.test('the type of a document is sent only if it is valid', async (t) => {
  const { app, database, as, add } = await serverApp(t)
  const url = await add({ id: 'typed' })
  const types: [given: string | null, sent: string][] = [
    ['text/plain', 'text/plain'],
    ['text/plain; charset=iso-8859-1', 'text/plain; charset=iso-8859-1'],
    ['application/vnd.ms-excel.sheet+xml;a="b c"', 'application/vnd.ms-excel.sheet+xml;a="b c"'],
    ['application/json', 'application/json'],
    ...[
      null,
      '',
      'text',
      'text/',
      '/plain',
      'text/plain\r\nX-A: b',
      'text/plain; charset',
      'text/plän',
      'a/b c',
      `a/${'b'.repeat(300)}`
    ].map((given): [string | null, string] => [given, 'application/octet-stream'])
  ]
  for (const [mimeType, sent] of types) {
    await database.prisma.document.update({ where: { id: 'typed' }, data: { mimeType } })
    const { headers } = await app.inject({ method: 'HEAD', url, headers: as('ann') })
    t.equal(headers['content-type'], sent, String(mimeType))
  }
})

t.test('the version of a backend is converted to a valid ETag', async (t) => {
  const { app, as, add, object } = await serverApp(t)
  const url = await add()
  const cases: [version: string | null, modifiedAt: string | null, etag: RegExp | undefined][] = [
    ['abc', null, /^"abc"$/],
    ['W/"abc"', null, /^W\/"abc"$/],
    ['with "quotes" and spaces', null, /^"[\w-]{43}"$/],
    ['line\r\nbreak', null, /^"[\w-]{43}"$/],
    ['', 'nonsense', undefined],
    [null, null, undefined]
  ]
  for (const [version, modifiedAt, etag] of cases) {
    object.metadata = { version, modifiedAt, size: null }
    for (const method of ['GET', 'HEAD'] as const) {
      const { headers } = await app.inject({ method, url, headers: as('ann') })
      if (etag === undefined) t.notOk('etag' in headers)
      else t.match(headers.etag, etag)
      t.notOk('last-modified' in headers)
    }
  }
})

t.test('a backend without ranges sends the whole content and no Content-Range', async (t) => {
  const { app, as, add, object } = await serverApp(t, { object: new OneObject('unsupported') })
  const url = await add()
  const answer = await app.inject({ url, headers: { ...as('ann'), range: 'bytes=1-2' } })
  t.equal(answer.statusCode, 200)
  t.equal(answer.body, 'hello')
  t.equal(answer.headers['accept-ranges'], 'none')
  t.equal(object.downloads[0]?.range, undefined)
})

t.test('unknown ids and documents of other users answer the same 404', async (t) => {
  const { app, as, add } = await serverApp(t)
  const theirs = await add()
  const bodies = new Set<string>()
  for (const url of [
    theirs,
    ...['none', '%00', 'a%00b', '..%2F..%2Fetc', '%0d%0aX:1', '😀', "'%20OR%201=1--"].map(
      (id) => `/documents/${encodeURI(decodeURIComponent(id)).replaceAll('/', '%2F')}/content`
    )
  ]) {
    const answer = await app.inject({ url, headers: as('bob') })
    t.equal(answer.statusCode, 404, url)
    bodies.add(JSON.stringify({ ...answer.json<object>(), requestId: '' }))
  }
  t.equal(bodies.size, 1)
  const malformed = await app.inject({ url: '/documents/%E0%A4%A/content?token=hidden', headers: as('bob') })
  t.equal(malformed.statusCode, 400)
  t.match(malformed.headers['content-type'], 'application/problem+json')
  t.notMatch(malformed.body, 'hidden')
})

t.test('a request without a token is refused', async (t) => {
  const { app, add } = await serverApp(t)
  const answer = await app.inject({ url: await add({ text: TEXT }) })
  t.equal(answer.statusCode, 401)
  t.equal(answer.headers['www-authenticate'], 'Bearer')
})

t.test('an upstream that fails before the first byte is a problem document, without content headers', async (t) => {
  const { app, as, add, object } = await serverApp(t)
  object.send = async () => ({
    body: new Readable({
      read() {
        this.destroy(unavailable())
      }
    })
  })
  const answer = await app.inject({ url: await add(), headers: as('ann') })
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { code: 'PROVIDER_UNAVAILABLE' })
  t.match(answer.headers, { 'content-type': /problem\+json/, 'cache-control': 'no-store', 'retry-after': '5' })
  for (const name of ['etag', 'last-modified', 'content-disposition', 'accept-ranges']) {
    t.notOk(name in answer.headers, name)
  }
  t.equal(answer.headers['content-length'], String(Buffer.byteLength(answer.body)))
})

t.test('an upstream that is reset in the middle breaks the connection of the client', async (t) => {
  const server = await serverApp(t)
  const url = await server.add()
  for (const size of [1_000_000, null]) {
    server.object.metadata = { size }
    const upstream = begun()
    server.object.send = async () => ({ body: upstream })
    const answer = await ask(server, url)
    t.equal(answer.statusCode, 200)
    await once(answer, 'data')
    upstream.destroy(unavailable())
    await t.rejects(once(answer, 'end'), { code: 'ECONNRESET' }, `size ${String(size)}`)
    t.notOk(answer.complete)
  }
})

t.test('a client that disconnects closes the upstream', async (t) => {
  const server = await serverApp(t)
  const url = await server.add()
  server.object.metadata = { size: null }
  const upstream = begun()
  server.object.send = async () => ({ body: upstream })
  const answer = await ask(server, url)
  await once(answer, 'data')
  const closed = once(upstream, 'close')
  answer.destroy()
  await t.resolves(closed)
})

t.test('a client that disconnects before the body begins ends the call', async (t) => {
  const server = await serverApp(t)
  const url = await server.add()
  const called = new Deferred<AbortSignal>()
  server.object.send = ({ signal }) => {
    called.resolve(signal)
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error)
      })
    })
  }
  const request = await open(server, url)
  request.on('error', () => undefined)
  const signal = await called.promise
  request.destroy()
  await until(() => signal.aborted)
  t.ok(signal.aborted)
})

t.test('a client that does not read makes the upstream wait', async (t) => {
  const server = await serverApp(t)
  const url = await server.add()
  server.object.metadata = { size: null }
  const chunk = Buffer.alloc(65_536)
  let taken = 0
  let reads = 0
  const upstream = new Readable({
    read() {
      reads++
      taken += chunk.length
      this.push(chunk)
    }
  })
  server.object.send = async () => ({ body: upstream })
  const answer = await ask(server, url)
  answer.socket.pause()
  // The machine's sockets buffer some bytes; then no more are read, however often the event loop turns.
  let before = -1
  let still = 0
  await until(() => {
    still = reads === before ? still + 1 : 0
    before = reads
    return still > 2000 || taken > 1e9
  })
  t.ok(taken < 64 * 1024 * 1024, `${taken} bytes`)
  answer.destroy()
  await until(() => upstream.destroyed)
})

/** Returns the name that a browser uses for the file: `filename*` if present (RFC 6266), else `filename`. */
function savedAs(disposition: string): string {
  const [, quoted, extended] =
    /^attachment; filename="((?:[\x20\x21\x23-\x5b\x5d-\x7e])*)"(?:; filename\*=UTF-8''((?:[\w!#$&+.^`|~-]|%[0-9A-Fa-f]{2})*))?$/.exec(
      disposition
    ) ?? []
  if (quoted === undefined) throw new Error(`Not a valid Content-Disposition: ${disposition}`)
  return extended === undefined ? quoted : decodeURIComponent(extended)
}

function withDocument(database: ServerUnderTest['database'], row: object): object {
  const documents = { findFirst: async () => row }
  return new Proxy(database.prisma, {
    get: (prisma, name) => (name === 'document' ? documents : (Reflect.get(prisma, name) as unknown))
  })
}

/** A body that has produced some bytes and then stalls. */
function begun(): Readable {
  const body = new Readable({ read: () => undefined })
  body.push(Buffer.alloc(1000))
  return body
}

async function open({ app, as }: ServerUnderTest, path: string) {
  if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const request = httpRequest({ host: '127.0.0.1', port, path, headers: as('ann') })
  request.end()
  return request
}

async function ask(server: ServerUnderTest, path: string): Promise<IncomingMessage> {
  const [answer] = (await once(await open(server, path), 'response')) as [IncomingMessage]
  return answer
}
