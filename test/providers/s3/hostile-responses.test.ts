import t from 'tap'
import { Readable } from 'node:stream'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { isStorageError } from '../../../src/errors.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { FakeS3 } from '../../fakes/s3/fake-s3.ts'
import { HOSTILE_LISTINGS, listingXml, sendsInChunks } from '../../fakes/s3/hostile.ts'
import { escapeXml, listing } from '../../fakes/s3/xml.ts'
import { cpuTimePerTurn, repeatTo as fill } from '../../support/time/cpu-time.ts'
import { openFakeS3 } from '../../support/s3/s3-backend.ts'

const MIB = 1024 * 1024
/** The maximum CPU time of one turn of the event loop. */
const MAX_TURN_MS = 250

const listAgain = (backend: StorageBackend) => backend.listFolder(null, { ...callOptions(), limit: 1000 })

for (const [what, make] of Object.entries(HOSTILE_LISTINGS)) {
  t.test(`a listing of ${what} fails without blocking the event loop`, async (t) => {
    const fake = await FakeS3.start(t)
    const backend = await openFakeS3(fake)
    fake.script = sendsInChunks(make())
    const work = listAgain(backend)
    const { longest, total } = await cpuTimePerTurn(work)
    await rejectsWith(t, work, 'PROVIDER_ERROR')
    t.ok(longest < MAX_TURN_MS, `${longest} ms of CPU in one turn, ${total} ms in total`)
  })
}

const operations: Readonly<Record<string, (backend: StorageBackend) => Promise<unknown>>> = {
  list: listAgain,
  statFolder: (backend) => backend.stat('a/', callOptions()),
  download: (backend) => backend.download('a', callOptions()),
  remove: async (backend) => backend.remove?.('a', callOptions()),
  put: (backend) => upload(backend, { id: 'a' }, Readable.from(['x'])),
  multipart: (backend) => upload(backend, { id: 'a' }, chunkedStream(Buffer.alloc(9 * MIB)))
}

t.test('hostile bodies of any operation and status do not block the event loop', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const error = (content: string) => `<Error><Code>AccessDenied</Code>${content}</Error>`
  const bodies = {
    'document types': fill('<!DOCTYPE a>', MIB),
    'document types in an error': error(fill('<!DOCTYPE a>', MIB)),
    'too many elements': error(fill('<a/>', 2 * MIB)),
    'too many bytes': error(fill(' ', 7 * MIB))
  }
  for (const [what, body] of Object.entries(bodies)) {
    for (const status of [200, 301, 403, 404, 412, 500, 503]) {
      fake.script = sendsInChunks(body, status, { etag: '"e"' })
      for (const [name, operation] of Object.entries(operations)) {
        if (status === 200 && name === 'download') continue
        const work = operation(backend)
        const { longest } = await cpuTimePerTurn(work)
        await rejectsWith(t, work, 'PROVIDER_ERROR', `${name} ${status}: ${what}`)
        t.ok(longest < MAX_TURN_MS, `${longest} ms of CPU in one turn`)
      }
    }
  }
  // A failure in a response that began with 200, at each step of an upload.
  for (const step of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'AbortMultipartUpload']) {
    fake.script = (request, response) => {
      if (request.operation === 'AbortMultipartUpload')
        return sendsInChunks(bodies['too many elements'], 500)(request, response)
      return request.operation === step ? sendsInChunks(bodies['too many elements'])(request, response) : false
    }
    const work = operations['multipart']?.(backend) ?? Promise.resolve()
    const { longest } = await cpuTimePerTurn(work)
    if (step === 'AbortMultipartUpload') await work
    else await rejectsWith(t, work, 'PROVIDER_ERROR', step)
    t.ok(longest < MAX_TURN_MS, `${longest} ms of CPU in one turn`)
  }
})

t.test('an error whose code is not a word is what its status says', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  // Without the filter, the SDK would parse these again, and find "SlowDown" in the last one.
  const codes = ['<', '&', '<!DOCTYPE a>', '</Code></Error>', '<![CDATA[SlowDown]]>', 'S&#108;owDown']
  for (const code of codes) {
    fake.script = sendsInChunks(`<Error><Code>${escapeXml(code)}</Code></Error>`, 403)
    for (const name of ['list', 'download', 'put', 'multipart', 'remove']) {
      await rejectsWith(t, operations[name]!(backend), 'ACCESS_DENIED', `${name}: ${code.slice(0, 40)}`)
    }
  }
})

t.test('a full page of the longest keys is parsed in several turns of the event loop', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const keys = Array.from({ length: 1000 }, (_, index) => `${String(index).padStart(4, '0')}${'\u00e9'.repeat(510)}`)
  const contents = keys.map(
    (key) =>
      `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>2026-11-22T16:00:00.700Z</LastModified>\r\n` +
      `  <!-- a comment --><ETag>&#34;a&#x62;${escapeXml('"')}</ETag><Size>12</Size><StorageClass><![CDATA[GLACIER]]></StorageClass>` +
      '<Owner><ID>1</ID><DisplayName a="1" b = \'>\'>x</DisplayName></Owner><RestoreStatus/></Contents>\n'
  )
  const page = listingXml(`<EncodingType>url</EncodingType>${contents.join('')}`)
  fake.script = sendsInChunks(page)
  const work = listAgain(backend)
  const { longest } = await cpuTimePerTurn(work)
  const { entries, complete } = await work
  t.same([entries.length, complete], [1000, true])
  t.match(entries[999], { id: keys[999], size: 12, version: 'ab', modifiedAt: '2026-11-22T16:00:00.000Z' })
  t.equal(entries[0]?.can.download, false, 'a storage class in CDATA is parsed')
  t.ok(longest < MAX_TURN_MS, `${longest} ms of CPU in one turn for ${page.length} bytes`)
})

t.test('a listing that arrives byte by byte, or cut within a character or tag, is the same', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const page = listingXml(
    '<Contents><Key>\u00e9\u{1f4be}&amp;</Key><Size>1</Size></Contents><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>'
  )
  const bytes = Buffer.from(`\ufeff${page}`)
  for (const size of [1, 2, 3, 7, 100]) {
    fake.script = (_request, response) => {
      response.writeHead(200)
      for (let at = 0; at < bytes.length; at += size) response.write(bytes.subarray(at, at + size))
      response.end()
      return true
    }
    const { entries } = await listAgain(backend)
    t.same(
      entries.map(({ id }) => id),
      ['b/', '\u00e9\u{1f4be}&'],
      `${size} bytes at a time`
    )
  }
})

t.test('many small chunks cost CPU time linear in their bytes', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const costOf = async (kib: number, chunk: number) => {
    const bytes = Buffer.from(listingXml(`<a>${fill('b', 60_000)}</a>`.repeat(kib / 60)))
    fake.script = (_request, response) => {
      response.writeHead(200)
      const pieces = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, index) =>
        bytes.subarray(index * chunk, (index + 1) * chunk)
      )
      Readable.from(pieces, { highWaterMark: 64 }).pipe(response)
      return true
    }
    const work = listAgain(backend)
    const { longest, total } = await cpuTimePerTurn(work)
    t.ok(longest < MAX_TURN_MS, `${longest} ms of CPU in one turn`)
    t.same((await work).entries, [])
    return total
  }
  await costOf(60, 16)
  const small = await costOf(120, 16)
  const large = await costOf(1200, 16)
  t.ok(large < 40 * Math.max(small, 20), `${small} ms for a tenth, ${large} ms`)
})

t.test('a page that is not from S3 is mapped by its status, and a slow one ends at the deadline', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake, { timeouts: { totalMs: 50 } })
  for (const page of ['<!DOCTYPE html><p>no', '<html><body>no</body></html>', 'no', '\x1f\x8b\x08']) {
    fake.script = sendsInChunks(page, 503)
    await rejectsWith(t, listAgain(backend), 'PROVIDER_UNAVAILABLE', page)
    fake.script = sendsInChunks(page, 404)
    await rejectsWith(t, listAgain(backend), 'PROVIDER_ERROR', page)
  }
  fake.script = (_request, response) => {
    response.writeHead(200).write('<ListBucketResult>')
    const timer = setInterval(() => response.write(' '), 5)
    response.on('close', () => {
      clearInterval(timer)
    })
    return true
  }
  const error: unknown = await listAgain(backend).catch((error: unknown) => error)
  t.ok(isStorageError(error, 'PROVIDER_TIMEOUT'), String(error))
})

t.test('values of the wrong type are an error and never an entry', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const object = { key: 'a', content: Buffer.alloc(1), etag: '"e"', modified: new Date(0), storageClass: 'STANDARD' }
  for (const [from, to] of [
    ['<Size>1<', '<Size>many<'],
    ['<Size>1<', '<Size>-1<'],
    ['1970-01-01T', '01/01/1970 '],
    ['<IsTruncated>false<', '<IsTruncated>perhaps<']
  ] as const) {
    fake.script = sendsInChunks(listing([object]).replace(from, to))
    await rejectsWith(t, listAgain(backend), 'PROVIDER_ERROR', to)
  }
  fake.script = sendsInChunks(listing([object]).replace('<Size>1<', '<Size>99999999999999999999<'))
  t.equal((await listAgain(backend)).entries[0]?.size, null, 'a size that exceeds the safe integers')
})
