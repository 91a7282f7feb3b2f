import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { headerSafeJson } from '../../../src/providers/dropbox/session.ts'
import { endpointsOf, VALID_TOKENS, startDropbox } from '../../contract/harness/dropbox.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { respondsWith, truncates, htmlPage, redirects } from '../../fakes/faults.ts'
import { dropbox } from '../../../src/providers/dropbox/index.ts'
import { anyText } from '../../support/listing/arbitraries.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { readBody } from '../../support/app/read-body.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { until } from '../../support/time/until.ts'

const DOWNLOAD = { path: '/2/files/download' }
const EXPORT = { path: '/2/files/export' }

t.test('JSON for a header is ASCII and equivalent', async (t) => {
  const text = fc.oneof(anyText(), fc.string({ unit: 'grapheme' }), fc.string())
  fc.assert(
    fc.property(fc.oneof(text, fc.array(text), fc.dictionary(text, text)), (value) => {
      const header = headerSafeJson(value)
      return /^[\x20-\x7e]*$/.test(header) && JSON.stringify(JSON.parse(header)) === JSON.stringify(value)
    })
  )
  t.equal(headerSafeJson({ path: '/\u007f\u0080é💾' }), '{"path":"/\\u007f\\u0080\\u00e9\\ud83d\\udcbe"}')
})

t.test('a download is one call with its arguments in a header', async (t) => {
  const { fake, tree, backend, newRequests } = await startDropbox(t)
  const modified = new Date('2026-11-02T08:30:00.000Z')
  const { id, rev } = tree.addFile({ name: 'a', content: 'content', serverModified: modified })
  const download = await backend.download(id, { ...callOptions(), range: { suffix: 4 } })
  t.equal((await readBody(download.body)).toString(), 'tent')
  t.match(download, { size: 7, range: { start: 3, end: 6 }, mimeType: null, etag: rev })
  t.equal(download.modifiedAt, '2026-11-02T08:30:00.000Z')
  const [request, ...others] = newRequests()
  t.equal(others.length, 0)
  t.match(request, { host: 'content', method: 'POST', path: '/2/files/download' })
  t.match(request?.headers, { range: 'bytes=-4', 'dropbox-api-arg': JSON.stringify({ path: id }) })
  t.equal(request?.headers['content-type'], undefined)
  await until(() => fake.busy() === 0)
})

t.test('a truncated download fails', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  const { id } = tree.addFile({ name: 'a', content: randomBytes(100_000) })
  fake.resetDownloads(1, 50_000)
  const { body } = await backend.download(id, callOptions())
  await rejectsWith(t, readBody(body), 'PROVIDER_UNAVAILABLE')
})

t.test('a response with other bytes than requested fails', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  const { id } = tree.addFile({ name: 'a', content: 'content' })
  const facts = { id, name: 'a', rev: '0123456789', size: 7 }
  const result = (changes: object = {}) => ({ 'dropbox-api-result': headerSafeJson({ ...facts, ...changes }) })
  const range = { start: 2, end: 4 }
  const cases = {
    whole: {
      page: htmlPage(),
      'no result': respondsWith(200, { body: 'content' }),
      'an invalid result': respondsWith(200, { headers: { 'dropbox-api-result': 'x' }, body: 'content' }),
      'another file': respondsWith(200, { headers: result({ id: 'id:other' }), body: 'content' }),
      'no size': respondsWith(200, { headers: result({ size: undefined }), body: 'content' }),
      'a negative size': respondsWith(200, { headers: result({ size: -1 }), body: 'content' }),
      'too short': respondsWith(200, { headers: { ...result(), 'content-length': '6' }, body: 'conten' }),
      compressed: respondsWith(200, { headers: { ...result(), 'content-encoding': 'gzip' }, body: 'content' }),
      part: respondsWith(206, { headers: { ...result(), 'content-range': 'bytes 0-6/7' }, body: 'content' }),
      'without an end': truncates({
        content: 'x'.repeat(9999),
        afterBytes: 99,
        end: 'hang',
        headers: result({ id: 'id:y' })
      }),
      elsewhere: redirects('https://example.com/'),
      created: respondsWith(204, { headers: result() })
    },
    part: {
      whole: respondsWith(200, { headers: result(), body: 'content' }),
      other: respondsWith(206, { headers: { ...result(), 'content-range': 'bytes 1-3/7' }, body: 'ont' }),
      'of another size': respondsWith(206, { headers: { ...result(), 'content-range': 'bytes 2-4/8' }, body: 'nte' }),
      'no range': respondsWith(206, { headers: result(), body: 'nte' })
    }
  }
  for (const [name, fault] of Object.entries(cases.whole)) {
    fake.failNext(1, fault, DOWNLOAD)
    await rejectsWith(t, backend.download(id, callOptions()), 'PROVIDER_ERROR', name)
  }
  for (const [name, fault] of Object.entries(cases.part)) {
    fake.failNext(1, fault, DOWNLOAD)
    await rejectsWith(t, backend.download(id, { ...callOptions(), range }), 'PROVIDER_ERROR', `a range: ${name}`)
  }
  fake.failNext(
    1,
    respondsWith(200, { headers: { ...result(), 'transfer-encoding': 'chunked' }, body: 'short' }),
    DOWNLOAD
  )
  const { body } = await backend.download(id, callOptions())
  await rejectsWith(t, readBody(body), 'PROVIDER_UNAVAILABLE', 'shorter than the file, without Content-Length')
  await until(() => fake.busy() === 0)
})

t.test('a document is exported to its first format, or to the requested one', async (t) => {
  const { fake, tree, backend, operations } = await startDropbox(t)
  const exports = { html: '<p>', markdown: '#', plain_text: 'text', unheard_of: '?' }
  const document = tree.addDocument({ name: 'a.paper', exports, size: 99 })
  const { id, rev } = document
  const entry = await backend.stat(id, callOptions())
  t.match(entry, { kind: 'file', size: null, hash: null, version: rev, can: { download: true } })
  t.same(entry.exportFormats, [
    { mimeType: 'text/html', extension: 'html' },
    { mimeType: 'text/markdown', extension: 'md' },
    { mimeType: 'text/plain', extension: 'txt' }
  ])
  operations()
  const first = await backend.download(id, { ...callOptions(), range: { start: 1 } })
  t.equal((await readBody(first.body)).toString(), '<p>', 'the range is ignored')
  t.match(first, { size: null, range: null, mimeType: 'text/html', name: 'a.paper.html', etag: `${rev}.html` })
  t.same(first.exportedAs, { mimeType: 'text/html', extension: 'html' })
  t.same(operations(), ['download', 'get_metadata', 'export'])
  for (const [exportAs, content] of Object.entries({
    'text/html': '<p>',
    'text/markdown': '#',
    'text/plain': 'text'
  })) {
    const download = await backend.download(id, { ...callOptions(), exportAs })
    t.equal((await readBody(download.body)).toString(), content)
    t.equal(download.mimeType, exportAs)
  }
  const args = fake.requests.filter(({ path }) => path === EXPORT.path).map(({ headers }) => headers['dropbox-api-arg'])
  t.same(args.slice(1), [
    JSON.stringify({ path: id }),
    JSON.stringify({ path: id, export_format: 'markdown' }),
    JSON.stringify({ path: id, export_format: 'plain_text' })
  ])
  await rejectsWith(t, backend.download(id, { ...callOptions(), exportAs: 'image/png' }), 'INVALID_REQUEST')
  const file = tree.addFile({ name: 'file' })
  await rejectsWith(t, backend.download(file.id, { ...callOptions(), exportAs: 'text/plain' }), 'INVALID_REQUEST')
  const folder = tree.addFolder({ name: 'folder' })
  await rejectsWith(t, backend.download(folder.id, { ...callOptions(), exportAs: 'text/plain' }), 'OBJECT_NOT_FOUND')
  const unknown = tree.addDocument({ name: 'unknown', exports: { unheard_of: '?' } })
  t.match(await backend.stat(unknown.id, callOptions()), { exportFormats: [], can: { download: false } })
  await rejectsWith(t, backend.download(unknown.id, callOptions()), 'UNSUPPORTED')
})

t.test('an export that is truncated or has no length fails', async (t) => {
  const { fake, tree, backend } = await startDropbox(t)
  const { id } = tree.addDocument({ name: 'document', exports: { html: 'x'.repeat(100_000) } })
  const html = { ...callOptions(), exportAs: 'text/html' }
  fake.resetDownloads(1, 1000)
  await rejectsWith(t, readBody((await backend.download(id, html)).body), 'PROVIDER_UNAVAILABLE')
  const file_metadata = { id, name: 'document' }
  for (const [name, result, length] of [
    ['no size', { export_metadata: {}, file_metadata }, undefined],
    ['another size', { export_metadata: { size: 5 }, file_metadata }, 4],
    ['no file', { export_metadata: { size: 4 } }, 4]
  ] as const) {
    const headers = { 'dropbox-api-result': JSON.stringify(result), ...(length && { 'content-length': length }) }
    fake.failNext(1, respondsWith(200, { headers, body: 'half' }), EXPORT)
    await rejectsWith(t, backend.download(id, html), 'PROVIDER_ERROR', name)
  }
  const whole = JSON.stringify({ export_metadata: { size: 4 }, file_metadata })
  const coded = { 'dropbox-api-result': whole, 'content-length': 4, 'content-encoding': 'gzip' }
  fake.failNext(1, respondsWith(200, { headers: coded, body: 'half' }), EXPORT)
  await rejectsWith(t, backend.download(id, html), 'PROVIDER_ERROR', 'compressed')
  fake.failNext(1, { status: 409, error: { '.tag': 'retry_error' } }, EXPORT)
  await rejectsWith(t, backend.download(id, html), 'PROVIDER_UNAVAILABLE')
  await until(() => fake.busy() === 0)
})

t.test('a link is valid for four hours by Dropbox’s clock, and only where that lifetime is accepted', async (t) => {
  const { fake, tree, backend, newRequests } = await startDropbox(t)
  const { id } = tree.addFile({ name: 'a.html', content: 'content' })
  const link = (options: object = {}) =>
    backend.downloadUrl!(id, { ...callOptions(), expiresInMs: 1, acceptLonger: true, ...options })
  const { url, expiresAt } = await link()
  const lifetime = expiresAt.getTime() - Date.now()
  t.ok(Math.abs(lifetime - 14_400_000) < 10_000, `${lifetime}`)
  const answer = await fetch(url)
  t.equal(await answer.text(), 'content')
  t.match(answer.headers.get('content-disposition'), /^attachment; filename="a\.html"/)
  t.equal(newRequests().length, 2)
  for (const options of [{ acceptLonger: false }, { acceptLonger: undefined }, { expiresInMs: 300_001 }]) {
    await rejectsWith(t, link(options), 'INVALID_REQUEST')
  }
  const refused = await link({ acceptLonger: false }).catch((error: unknown) => error)
  t.match(refused, { message: /four hours/ })
  t.equal(newRequests().length, 0)
  const says = (body: object, headers: object = {}) => {
    fake.failNext(1, respondsWith(200, { body: JSON.stringify(body), headers: { ...headers } }), {
      path: /temporary_link/
    })
  }
  const metadata = { '.tag': 'file', id, name: 'a.html' }
  for (const [name, body, headers] of [
    ['elsewhere', { metadata, link: 'https://example.com/secret' }, {}],
    ['no link', { metadata }, {}],
    ['another file', { metadata: { ...metadata, id: 'id:x' }, link: url }, {}],
    ['no metadata', { link: url }, {}],
    ['an invalid date', { metadata, link: url }, { date: 'now' }]
  ] as const) {
    says(body, headers)
    const error = await link().catch((error: unknown) => error)
    t.match(error, { code: 'PROVIDER_ERROR' }, name)
    t.notMatch(String((error as Error).cause), /secret/)
  }
  const document = tree.addDocument({ name: 'document' })
  const work = backend.downloadUrl!(document.id, { ...callOptions(), expiresInMs: 1000, acceptLonger: true })
  await rejectsWith(t, work, 'UNSUPPORTED')
})

t.test('by default only links of Dropbox are accepted', async (t) => {
  const { fake, tree } = await startDropbox(t)
  const { id } = tree.addFile({ name: 'a' })
  const { linkHosts: _fake, ...endpoints } = endpointsOf(fake)
  const egress = openEgress()
  t.teardown(() => egress.close())
  const linkHosts = ['*.dropboxusercontent.com', '*.dropbox.com']
  const context = { accessTokens: VALID_TOKENS, egress, timeouts: TEST_TIMEOUTS, spool: TEST_SPOOL }
  const backend = await dropbox({ ...endpoints, linkHosts }).open(context)
  for (const [link, isGood] of [
    ['https://ucabc.dl.dropboxusercontent.com/cd/0/get/x/file', true],
    ['https://dropboxusercontent.com.example.com/x', false],
    ['http://uc.dl.dropboxusercontent.com/x', false],
    ['https://user@uc.dl.dropboxusercontent.com/x', false]
  ] as const) {
    const body = JSON.stringify({ link, metadata: { id } })
    fake.failNext(1, respondsWith(200, { body }), { path: /temporary_link/ })
    const work = backend.downloadUrl!(id, { ...callOptions(), expiresInMs: 1000, acceptLonger: true })
    if (isGood) t.equal((await work).url, link)
    else await rejectsWith(t, work, 'PROVIDER_ERROR', link)
  }
})
