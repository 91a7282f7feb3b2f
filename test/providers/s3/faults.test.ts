import t from 'tap'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { isStorageError, type StorageErrorCode } from '../../../src/errors.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { Breaker } from '../../../src/core/breaker.ts'
import { withBreaker } from '../../../src/layers/health.ts'
import { interceptCalls, runCall } from '../../../src/layers/layer.ts'
import { ManualClock } from '../../support/time/clock.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FakeS3, FAKE_BUCKET, FAKE_CREDENTIALS, type S3Script } from '../../fakes/s3/fake-s3.ts'
import { sendError, sendXml } from '../../fakes/s3/xml.ts'
import { readBody } from '../../support/app/read-body.ts'
import { failureOf, rejectionOf } from '../../support/rejection.ts'
import { openFakeS3 } from '../../support/s3/s3-backend.ts'
import { until } from '../../support/time/until.ts'
import { partSizeFor } from '../../../src/providers/s3/upload.ts'

const MIB = 1024 * 1024

const refuse =
  (status: number, code: string): S3Script =>
  ({ method }, response) => {
    sendError(method, response, status, code)
    return true
  }

/** One call of each kind, as thunks. */
const everyCall = (backend: StorageBackend) => ({
  list: () => backend.listFolder(null, { ...callOptions(), limit: 10 }),
  stat: () => backend.stat('a', callOptions()),
  statFolder: () => backend.stat('a/', callOptions()),
  download: () => backend.download('a', callOptions()),
  account: () => backend.account(callOptions()),
  remove: async () => backend.remove?.('a', callOptions()),
  createFolder: async () => backend.createFolder?.(null, 'a', callOptions()),
  put: () => upload(backend, { id: 'a' }, Readable.from(['x'])),
  multipart: () => upload(backend, { id: 'a' }, chunkedStream(Buffer.alloc(9 * MIB)))
})

t.test('unknown keys have another error than a missing permission', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  for (const [status, name, credentialsRefused] of [
    [401, 'Unauthorized', true],
    [403, 'InvalidAccessKeyId', true],
    [403, 'AccessDenied', false],
    [403, 'SignatureDoesNotMatch', false],
    [404, 'NoSuchBucket', false]
  ] as const) {
    fake.script = refuse(status, name)
    for (const ask of [
      () => backend.listFolder(null, { ...callOptions(), limit: 1 }),
      () => backend.account(callOptions())
    ]) {
      t.match(await failureOf(ask()), { credentialsRefused }, `${status} ${name}`)
    }
  }
})

t.test('an error is mapped by its name, or by its status where there is no body', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const cases: [number, string, StorageErrorCode, StorageErrorCode][] = [
    // status, name, code with the name, code by the status alone
    [403, 'AccessDenied', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    [403, 'InvalidAccessKeyId', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    [403, 'SignatureDoesNotMatch', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    [403, 'InvalidObjectState', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    [403, 'QuotaExceeded', 'QUOTA_EXCEEDED', 'ACCESS_DENIED'],
    [403, 'RequestTimeTooSkewed', 'PROVIDER_UNAVAILABLE', 'ACCESS_DENIED'],
    [401, 'Unauthorized', 'ACCESS_DENIED', 'ACCESS_DENIED'],
    [400, 'ExpiredToken', 'ACCESS_DENIED', 'PROVIDER_ERROR'],
    [400, 'RequestTimeout', 'PROVIDER_TIMEOUT', 'PROVIDER_ERROR'],
    [400, 'KeyTooLongError', 'INVALID_REQUEST', 'PROVIDER_ERROR'],
    [400, 'EntityTooLarge', 'PAYLOAD_TOO_LARGE', 'PROVIDER_ERROR'],
    [400, 'AuthorizationHeaderMalformed', 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [400, 'Whatever', 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [400, 'constructor', 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [404, 'NoSuchKey', 'OBJECT_NOT_FOUND', 'OBJECT_NOT_FOUND'],
    [404, 'NoSuchBucket', 'OBJECT_NOT_FOUND', 'OBJECT_NOT_FOUND'],
    [409, 'OperationAborted', 'LOCKED', 'LOCKED'],
    [409, 'ConditionalRequestConflict', 'LOCKED', 'LOCKED'],
    [412, 'PreconditionFailed', 'PRECONDITION_FAILED', 'PRECONDITION_FAILED'],
    [413, 'TooLarge', 'PAYLOAD_TOO_LARGE', 'PAYLOAD_TOO_LARGE'],
    [416, 'InvalidRange', 'RANGE_NOT_SATISFIABLE', 'RANGE_NOT_SATISFIABLE'],
    [429, 'TooManyRequests', 'PROVIDER_THROTTLED', 'PROVIDER_THROTTLED'],
    [500, 'InternalError', 'PROVIDER_UNAVAILABLE', 'PROVIDER_UNAVAILABLE'],
    [501, 'NotImplemented', 'UNSUPPORTED', 'UNSUPPORTED'],
    [502, 'BadGateway', 'PROVIDER_UNAVAILABLE', 'PROVIDER_UNAVAILABLE'],
    [503, 'SlowDown', 'PROVIDER_THROTTLED', 'PROVIDER_THROTTLED'],
    [503, 'ServiceUnavailable', 'PROVIDER_THROTTLED', 'PROVIDER_THROTTLED'],
    [503, 'InternalError', 'PROVIDER_UNAVAILABLE', 'PROVIDER_THROTTLED'],
    [507, 'XMinioStorageFull', 'QUOTA_EXCEEDED', 'QUOTA_EXCEEDED']
  ]
  for (const [status, name, named, unnamed] of cases) {
    fake.script = refuse(status, name)
    fake.requests.length = 0
    await rejectsWith(t, backend.download('a', callOptions()), named, `GET ${status} ${name}`)
    await rejectsWith(t, backend.stat('a', callOptions()), unnamed, `HEAD ${status}`)
    t.same(fake.operations(), ['GetObject', 'HeadObject'], 'one request each')
  }
  fake.script = refuse(404, 'NoSuchBucket')
  await rejectsWith(
    t,
    backend.listFolder(null, { ...callOptions(), limit: 1 }),
    'FOLDER_NOT_FOUND',
    'a listing without a bucket'
  )
  await rejectsWith(t, backend.account(callOptions()), 'FOLDER_NOT_FOUND', 'an account without a bucket')
})

t.test('a failure of one object keeps the endpoint in use, a gateway without a server opens the breaker', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = interceptCalls(await openFakeS3(fake), withBreaker(runCall, new Breaker(new ManualClock())))
  const callsOf = async (script: S3Script): Promise<number> => {
    fake.script = script
    fake.requests.length = 0
    for (let count = 0; count < 10; count++) {
      await rejectsWith(t, backend.download('a', callOptions()), ['PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT'])
    }
    return fake.requests.length
  }
  for (const [status, name] of [
    [500, 'InternalError'],
    [503, 'InternalError'],
    [500, 'XMinioWhatever'],
    [400, 'RequestTimeout'],
    [403, 'RequestTimeTooSkewed']
  ] as const) {
    t.equal(await callsOf(refuse(status, name)), 10, `${status} ${name}`)
  }
  for (const status of [502, 503, 504]) {
    const other = interceptCalls(await openFakeS3(fake), withBreaker(runCall, new Breaker(new ManualClock())))
    fake.script = (_request, response) => {
      response.writeHead(status, { 'content-type': 'text/html' }).end('<html>no server is available</html>')
      return true
    }
    fake.requests.length = 0
    for (let count = 0; count < 10; count++)
      await rejectsWith(t, other.download('a', callOptions()), 'PROVIDER_UNAVAILABLE')
    t.equal(fake.requests.length, 5, String(status))
  }
})

t.test('the text of a response is in no message, no cause and no dump', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const scripts: Record<string, S3Script> = {
    error: refuse(403, 'AccessDenied'),
    'error with an odd code': (_request, response) => {
      sendXml(response, 400, '<Error><Code>Bearer SECRET</Code><Message>Bearer SECRET</Message></Error>')
      return true
    },
    html: (_request, response) => {
      response.writeHead(403, { 'content-type': 'text/html' }).end('<html>Bearer SECRET<br></html>')
      return true
    },
    'a tag': (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html><Bearer-SECRET></html>')
      return true
    },
    'a request id': ({ method }, response) => {
      response.setHeader('x-amz-request-id', 'Bearer SECRET')
      sendError(method, response, 500, 'InternalError')
      return true
    }
  }
  for (const [name, script] of Object.entries(scripts)) {
    fake.script = script
    for (const [operation, work] of Object.entries(everyCall(backend))) {
      // A 200 is a normal response where no body is expected.
      const error = await rejectionOf(work())
      const stack = error instanceof Error ? String(error.stack) : ''
      const dump = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error) + stack
      t.notMatch(dump, 'SECRET', `${name}: ${operation}`)
    }
  }
})

t.test('Retry-After is accepted in seconds and as a date', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const waitOf = async (headers: Record<string, string>) => {
    fake.script = ({ method }, response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      sendError(method, response, 503, 'SlowDown')
      return true
    }
    const error = await failureOf(backend.stat('a', callOptions()))
    return isStorageError(error, 'PROVIDER_THROTTLED') ? error.retryAfterMs : error
  }
  const date = 'Sun, 22 Nov 2026 16:00:00 GMT'
  t.equal(await waitOf({ 'retry-after': '7' }), 7000)
  t.equal(await waitOf({ 'retry-after': 'Sun, 22 Nov 2026 16:01:30 GMT', date }), 90_000)
  t.equal(await waitOf({ 'retry-after': 'Sun, 22 Nov 2026 15:00:00 GMT', date }), 0)
  t.equal(await waitOf({ 'retry-after': 'soon', date }), 0, 'an invalid Retry-After means no delay')
  t.equal(await waitOf({}), 0)
})

t.test('an HTML page is mapped by its status and is neither an object nor a folder', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const html = (status: number): S3Script => {
    return ({ method }, response) => {
      response.writeHead(status, { 'content-type': 'text/html' })
      response.end(method === 'HEAD' ? undefined : '<html><body>Please sign in<br></body></html>')
      return true
    }
  }
  for (const [status, code] of [
    [200, 'PROVIDER_ERROR'],
    [302, 'PROVIDER_ERROR'],
    [400, 'PROVIDER_ERROR'],
    [403, 'ACCESS_DENIED'],
    [404, 'PROVIDER_ERROR'],
    [502, 'PROVIDER_UNAVAILABLE'],
    [503, 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.script = html(status)
    await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 1 }), code, `a listing, ${status}`)
    await rejectsWith(t, backend.download('a', callOptions()), code, `a download, ${status}`)
  }
  fake.script = html(200)
  const { remove, ...others } = everyCall(backend)
  await remove()
  for (const [operation, work] of Object.entries(others)) {
    await rejectsWith(t, work(), 'PROVIDER_ERROR', `${operation}, 200`)
  }
  fake.script = (_request, response) => {
    sendXml(response, 200, '<html><body><p>Please sign in</p></body></html>')
    return true
  }
  fake.requests.length = 0
  await rejectsWith(t, others.multipart(), 'PROVIDER_ERROR', 'an XML page')
  t.same(fake.operations(), ['CreateMultipartUpload'], 'no part is sent to an upload without an id')
  fake.script = ({ operation }, response) => {
    if (operation !== 'PutObject') return false
    response.end('<html>Please sign in</html>')
    return true
  }
  await rejectsWith(t, others.createFolder(), 'PROVIDER_ERROR', 'a folder that was not stored')
})

t.test('a redirect is not followed and is an error with the reason', async (t) => {
  const elsewhere = await FakeS3.start(t)
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  for (const [status, name] of [
    [301, 'PermanentRedirect'],
    [307, 'TemporaryRedirect']
  ] as const) {
    fake.script = ({ method }, response) => {
      response.setHeader('location', `${elsewhere.endpoint}/${FAKE_BUCKET}/a`)
      response.setHeader('x-amz-bucket-region', 'eu-west-1')
      sendError(method, response, status, name)
      return true
    }
    for (const [operation, work] of Object.entries(everyCall(backend))) {
      const error = await failureOf(work())
      t.match(error, { code: 'PROVIDER_ERROR', message: /another region/ }, `${operation} ${status}`)
    }
  }
  fake.script = refuse(400, 'AuthorizationHeaderMalformed')
  t.match(
    await failureOf(backend.download('a', callOptions())),
    { message: /another region/ },
    'signed for another region'
  )
  t.same(elsewhere.requests, [])
})

t.test('an unreachable server is PROVIDER_UNAVAILABLE', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  taken.close()
  await once(taken, 'close')
  const open = (endpoint: string) => openFakeS3({ endpoint })
  await rejectsWith(
    t,
    (await open(`http://127.0.0.1:${port}`)).stat('a', callOptions()),
    'PROVIDER_UNAVAILABLE',
    'refused'
  )
  await rejectsWith(
    t,
    (await open('http://no-such-host.invalid')).stat('a', callOptions()),
    'PROVIDER_UNAVAILABLE',
    'no host'
  )

  const fake = await FakeS3.start(t)
  fake.script = (_request, response) => {
    response.socket?.resetAndDestroy()
    return true
  }
  const backend = await openFakeS3(fake)
  for (const [operation, work] of Object.entries(everyCall(backend))) {
    await rejectsWith(t, work(), 'PROVIDER_UNAVAILABLE', `reset: ${operation}`)
  }

  const notHttp = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('SSH-2.0-OpenSSH_9.2\r\n')
  }).listen(0, '127.0.0.1')
  await once(notHttp, 'listening')
  t.teardown(() => notHttp.close())
  const odd = await open(`http://127.0.0.1:${(notHttp.address() as AddressInfo).port}`)
  await rejectsWith(t, odd.stat('a', callOptions()), 'PROVIDER_ERROR', 'not HTTP')
})

t.test('a server that does not respond, or stalls, times out', async (t) => {
  const fake = await FakeS3.start(t)
  const hasty = await openFakeS3(fake, { timeouts: { headersMs: 50, idleMs: 50 } })
  fake.script = () => true
  for (const [operation, work] of Object.entries(everyCall(hasty))) {
    await rejectsWith(t, work(), 'PROVIDER_TIMEOUT', operation)
  }
  fake.script = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/xml' }).write('<?xml version="1.0"?>')
    return true
  }
  await rejectsWith(t, hasty.listFolder(null, { ...callOptions(), limit: 1 }), 'PROVIDER_TIMEOUT', 'half a listing')
  fake.script = (_request, response) => {
    response.writeHead(200, { etag: '"e"', 'content-length': 10 }).write('half')
    return true
  }
  const patient = await openFakeS3(fake, { timeouts: { idleMs: 50 } })
  const { body } = await patient.download('a', callOptions())
  await rejectsWith(t, readBody(body), 'PROVIDER_TIMEOUT', 'half a body')
  await until(() => fake.sockets.size === 0)
})

t.test('aborting ends a hanging call with the unchanged reason', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.script = () => true
  for (const reason of [new Error('left'), 'a text', { code: 'AN_OBJECT' }]) {
    const controller = new AbortController()
    const { signal } = controller
    const calls = [
      backend.listFolder(null, { signal, limit: 1 }),
      backend.stat('a', { signal }),
      backend.download('a', { signal }),
      backend.account({ signal }),
      upload(backend, { id: 'a' }, Readable.from(['x']), { signal })
    ]
    await until(() => fake.requests.length === calls.length)
    controller.abort(reason)
    for (const work of calls) t.equal(await work.catch((error: unknown) => error), reason)
    await until(() => fake.sockets.size === 0)
    fake.requests.length = 0
  }
})

t.test('a body that is truncated, reset or too short fails and never ends cleanly', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const answer = (headers: Record<string, string | number>, finish: 'end' | 'cut' | 'reset'): S3Script => {
    return (_request, response) => {
      response.writeHead(200, { etag: '"e"', ...headers })
      response.write('half', () => {
        if (finish === 'end') response.end()
        else if (finish === 'cut') response.socket?.destroy()
        else response.socket?.resetAndDestroy()
      })
      return true
    }
  }
  for (const [what, script] of Object.entries({
    'cut with a length': answer({ 'content-length': 10 }, 'cut'),
    'cut in a chunk': answer({ 'transfer-encoding': 'chunked' }, 'cut'),
    'reset with a length': answer({ 'content-length': 10 }, 'reset'),
    'reset in a chunk': answer({ 'transfer-encoding': 'chunked' }, 'reset')
  })) {
    fake.script = script
    const { body } = await backend.download('a', callOptions())
    await rejectsWith(t, readBody(body), 'PROVIDER_UNAVAILABLE', what)
  }
  await until(() => fake.sockets.size === 0)
})

t.test('a response with other bytes than requested is refused', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const send = (headers: Record<string, string>): S3Script => {
    return (_request, response) => {
      response.writeHead(206, { etag: '"e"', ...headers }).end('0123456789')
      return true
    }
  }
  const ask = (range?: { start: number; end?: number } | { suffix: number }) =>
    backend.download('a', { ...callOptions(), ...(range !== undefined && { range }) })
  const ten = { start: 10, end: 19 }
  for (const [range, contentRange] of [
    [ten, 'bytes 0-9/100'],
    [ten, 'bytes 10-18/100'],
    [ten, 'bytes 10-20/100'],
    [ten, 'bytes 10-19/15'],
    [ten, 'bytes 19-10/100'],
    [ten, 'items 10-19/100'],
    [{ start: 10 }, 'bytes 10-19/100'],
    [{ suffix: 10 }, 'bytes 80-89/100'],
    [undefined, 'bytes 0-9/100']
  ] as const) {
    fake.script = send({ 'content-range': contentRange, 'content-length': '10' })
    await rejectsWith(t, ask(range), 'PROVIDER_ERROR', `${JSON.stringify(range)} ${contentRange}`)
  }
  fake.script = send({ 'content-range': 'bytes 10-29/100', 'content-length': '10' })
  await rejectsWith(t, ask({ start: 10, end: 29 }), 'PROVIDER_ERROR', 'a length that differs from the range')

  fake.script = send({ 'content-range': 'bytes 10-29/100', 'transfer-encoding': 'chunked' })
  await rejectsWith(t, readBody((await ask({ start: 10, end: 29 })).body), 'PROVIDER_UNAVAILABLE', 'too few bytes')
  fake.script = send({ 'content-range': 'bytes 10-14/100', 'transfer-encoding': 'chunked' })
  await rejectsWith(t, readBody((await ask({ start: 10, end: 14 })).body), 'PROVIDER_ERROR', 'too many bytes')
  await until(() => fake.sockets.size === 0)

  fake.script = send({ 'content-range': 'bytes 10-19/*', 'content-length': '10' })
  const unknown = await ask(ten)
  t.same([unknown.size, unknown.range], [null, ten])
  await readBody(unknown.body)
  fake.script = (_request, response) => {
    response.writeHead(200, { etag: '"e"', 'content-length': 10 }).end('0123456789')
    return true
  }
  const whole = await ask(ten)
  t.same([whole.size, whole.range], [10, null], 'a server that ignores ranges returns the whole content, no range')
  await readBody(whole.body)
})

t.test('a suffix range of 0 bytes is refused without a call, because servers return the whole object', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.store.put('a', Buffer.from('a'))
  await rejectsWith(t, backend.download('a', { ...callOptions(), range: { suffix: 0 } }), 'RANGE_NOT_SATISFIABLE')
  t.same(fake.requests, [])
})

t.test('a failed part removes all parts, and the first failure is reported', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  for (const [operation, status, name, code] of [
    ['CreateMultipartUpload', 403, 'AccessDenied', 'ACCESS_DENIED'],
    ['UploadPart', 500, 'InternalError', 'PROVIDER_UNAVAILABLE'],
    ['CompleteMultipartUpload', 503, 'SlowDown', 'PROVIDER_THROTTLED'],
    // AWS reports this failure in the body of a 200, because it has sent the status earlier.
    ['CompleteMultipartUpload', 200, 'InternalError', 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.script = (request, response) => {
      if (request.operation !== operation) return false
      sendError('', response, status, name)
      return true
    }
    const silent = new Readable({ read() {} })
    // One part is complete, and the upload waits for the next one.
    silent.push(Buffer.alloc(9 * MIB))
    if (operation === 'CompleteMultipartUpload') silent.push(null)
    await rejectsWith(t, upload(backend, { id: 'a' }, silent), code, `${operation} ${status}`)
    t.equal(silent.destroyed, true, 'a stalled source is not waited for')
    t.equal(fake.store.uploads.size, 0, 'no parts are left')
    t.equal(fake.store.objects.size, 0)
  }

  let refusals = 0
  fake.script = ({ operation, method }, response) => {
    if (operation !== 'UploadPart' && (operation !== 'AbortMultipartUpload' || refusals > 1)) return false
    if (operation === 'AbortMultipartUpload') refusals++
    sendError(method, response, operation === 'UploadPart' ? 403 : 500, 'AccessDenied')
    return true
  }
  const failed = upload(backend, { id: 'a' }, chunkedStream(Buffer.alloc(9 * MIB)))
  await rejectsWith(t, failed, 'ACCESS_DENIED', 'although removing the parts fails')
  t.equal(refusals, 2, 'there are two attempts')
})

t.test('an upload that is aborted in flight stores nothing and leaves no parts', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  for (const operation of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'PutObject']) {
    const controller = new AbortController()
    const reason = new Error(operation)
    fake.script = (request, response) => {
      if (request.operation !== operation) return false
      controller.abort(reason)
      // Responds late, and normally.
      if (operation === 'CreateMultipartUpload') return false
      setImmediate(() => response.destroy())
      return true
    }
    const size = operation === 'PutObject' ? 10 : 17 * MIB
    const work = upload(backend, { id: 'a' }, chunkedStream(Buffer.alloc(size)), { signal: controller.signal })
    t.equal(await rejectionOf(work), reason)
    if (operation !== 'PutObject') await until(() => fake.operations().includes('AbortMultipartUpload'))
    await until(() => fake.store.uploads.size === 0)
    t.equal(fake.store.objects.size, 0, operation)
    fake.requests.length = 0
  }
})

t.test('an upload buffers a few parts, however fast its source is', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  let given = 0
  const body = new Readable({
    highWaterMark: MIB,
    read() {
      given += MIB
      this.push(given > 100 * MIB ? null : Buffer.alloc(MIB))
    }
  })
  const held: (() => void)[] = []
  let most = 0
  let taken = 0
  fake.script = ({ operation, body: part }, response) => {
    if (operation !== 'UploadPart') return false
    most = Math.max(most, given - taken)
    held.push(() => {
      taken += part.length
      response.setHeader('etag', '"part"').end()
    })
    // Two parts are uploaded concurrently: the responses wait until both have arrived.
    if (held.length === 2 || given > 100 * MIB) for (const answer of held.splice(0)) answer()
    return true
  }
  await rejectsWith(t, upload(backend, { id: 'a' }, body), 'PROVIDER_ERROR', 'the fake stored no parts')
  t.ok(given > 100 * MIB, 'the source was read completely')
  t.ok(most <= 4 * 8 * MIB, `${most / MIB} MiB were buffered`)
})

t.test('parts are as small as possible such that 10,000 of them hold any body', async (t) => {
  t.equal(partSizeFor(undefined), 8 * MIB)
  t.equal(partSizeFor(0), 8 * MIB)
  t.equal(partSizeFor(80_000 * MIB), 8 * MIB)
  t.equal(partSizeFor(80_000 * MIB + 1), 9 * MIB)
  const fiveTiB = 5 * 1024 ** 4
  t.ok(partSizeFor(fiveTiB) * 10_000 >= fiveTiB)
})

t.test('where conditions may not be checked, one check comes right before the write', async (t) => {
  const fake = await FakeS3.start(t)
  const careful = await openFakeS3(fake)
  const trusting = await openFakeS3(fake, { preconditions: 'native' })
  const create = (backend: StorageBackend, key: string, size: number) =>
    upload(backend, { id: key }, chunkedStream(Buffer.alloc(size)), { ifNoneMatch: '*' })
  const asked = async (work: Promise<unknown>) => {
    fake.requests.length = 0
    await work
    return fake.operations()
  }
  t.same(await asked(create(careful, 'a', 1)), ['HeadObject', 'PutObject'])
  t.same(await asked(create(trusting, 'b', 1)), ['PutObject'])
  t.same(await asked(create(careful, 'c', 9 * MIB)), [
    'HeadObject',
    'CreateMultipartUpload',
    'UploadPart',
    'UploadPart',
    'HeadObject',
    'CompleteMultipartUpload'
  ])
  t.same(await asked(upload(careful, { id: 'd' }, Readable.from(['x']))), ['PutObject'], 'no check without a condition')

  fake.requests.length = 0
  await rejectsWith(t, create(careful, 'c', 9 * MIB), 'ALREADY_EXISTS')
  t.same(fake.operations(), ['HeadObject'], 'no part is sent')
  await rejectsWith(t, create(trusting, 'a', 1), 'ALREADY_EXISTS')
  await rejectsWith(t, create(trusting, 'c', 9 * MIB), 'ALREADY_EXISTS')
  t.equal(fake.store.uploads.size, 0)
})

t.test('a server that ignores conditions does not overwrite an existing object', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.script = ({ headers }) => {
    delete headers['if-match']
    delete headers['if-none-match']
    return false
  }
  fake.store.put('a', Buffer.from('first'))
  const version = (await backend.stat('a', callOptions())).version ?? ''
  await rejectsWith(t, upload(backend, { id: 'a' }, Readable.from(['x']), { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(t, upload(backend, { id: 'a' }, Readable.from(['x']), { ifMatch: 'old' }), 'PRECONDITION_FAILED')
  t.equal(fake.store.get('a').content.toString(), 'first')
  await upload(backend, { id: 'a' }, Readable.from(['second']), { ifMatch: version })
  t.equal(fake.store.get('a').content.toString(), 'second')
})

t.test('a server that refuses conditions receives the write without them, after a check', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.script = ({ headers, method }, response) => {
    if (headers['if-match'] === undefined && headers['if-none-match'] === undefined) return false
    sendError(method, response, 501, 'NotImplemented')
    return true
  }
  for (const size of [1, 9 * MIB]) {
    await upload(backend, { id: `a${size}` }, chunkedStream(Buffer.alloc(size)), { ifNoneMatch: '*' })
    t.equal(fake.store.get(`a${size}`).content.length, size)
    t.same(fake.operations().slice(-2), ['HeadObject', size === 1 ? 'PutObject' : 'CompleteMultipartUpload'])
  }
  await backend.createFolder?.(null, 'folder', callOptions())
  t.ok(fake.store.objects.has('folder/'))
  const trusting = await openFakeS3(fake, { preconditions: 'native' })
  const work = upload(trusting, { id: 'b' }, Readable.from(['x']), { ifNoneMatch: '*' })
  await rejectsWith(t, work, 'UNSUPPORTED', 'a server that is known to support conditions')
})

t.test('a server that compares ETags with their quotes receives them without quotes', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.store.put('a', Buffer.from('first'))
  const version = (await backend.stat('a', callOptions())).version ?? ''
  fake.script = ({ headers, method }, response) => {
    const asked = headers['if-match']
    if (asked === undefined) return false
    headers['if-match'] = `"${asked}"`
    if (asked === version) return false
    sendError(method, response, 412, 'PreconditionFailed')
    return true
  }
  await upload(backend, { id: 'a' }, Readable.from(['second']), { ifMatch: version })
  t.equal(fake.store.get('a').content.toString(), 'second')

  // Another client writes between the lookup and the write: the second lookup detects it.
  const second = (await backend.stat('a', callOptions())).version ?? ''
  let looks = 0
  fake.script = ({ operation, method }, response) => {
    if (operation === 'HeadObject') looks++
    if (operation !== 'PutObject') return false
    fake.store.put('a', Buffer.from('third'))
    sendError(method, response, 412, 'PreconditionFailed')
    return true
  }
  const late = upload(backend, { id: 'a' }, Readable.from(['x']), { ifMatch: second })
  await rejectsWith(t, late, 'PRECONDITION_FAILED')
  t.equal(looks, 2)
  t.equal(fake.store.get('a').content.toString(), 'third')
})

t.test('a server that refuses every conditional completion, such as Swift, gets it after a check', async (t) => {
  const fake = await FakeS3.start(t)
  fake.refusesConditionalCompletion = true
  const backend = await openFakeS3(fake)
  const send = (size: number, condition: { ifMatch: string } | { ifNoneMatch: '*' }, to = backend) =>
    upload(to, { id: 'a' }, chunkedStream(Buffer.alloc(size)), condition)

  await send(9 * MIB, { ifNoneMatch: '*' })
  t.equal(fake.store.get('a').content.length, 9 * MIB)
  await rejectsWith(t, send(9 * MIB, { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  const version = (await backend.stat('a', callOptions())).version ?? ''
  fake.requests.length = 0
  await send(10 * MIB, { ifMatch: version })
  t.equal(fake.store.get('a').content.length, 10 * MIB)
  t.same(
    fake.operations().slice(-6),
    Array.from({ length: 3 }, () => ['HeadObject', 'CompleteMultipartUpload']).flat(),
    'each completion follows right after a check'
  )
  await rejectsWith(t, send(9 * MIB, { ifMatch: version }), 'PRECONDITION_FAILED', 'a replaced version')

  // Another client writes before the first, the second and the last completion.
  for (const turn of [1, 2, 3]) {
    const current = (await backend.stat('a', callOptions())).version ?? ''
    let looks = 0
    fake.script = ({ operation }) => {
      // The first lookup precedes the parts.
      if (operation === 'HeadObject' && ++looks === turn + 1) fake.store.put('a', Buffer.from(`other ${turn}`))
      return false
    }
    await rejectsWith(t, send(9 * MIB, { ifMatch: current }), 'PRECONDITION_FAILED')
    t.equal(fake.store.get('a').content.toString(), `other ${turn}`, 'the content of the other writer is stored')
    t.equal(fake.store.uploads.size, 0, 'no parts are left')
  }

  fake.script = () => false
  const trusting = await openFakeS3(fake, { preconditions: 'native' })
  const current = (await backend.stat('a', callOptions())).version ?? ''
  await rejectsWith(t, send(9 * MIB, { ifMatch: current }, trusting), 'PRECONDITION_FAILED', 'AWS is trusted')
  fake.script = ({ operation, query, headers }) => {
    const isConditional = headers['if-match'] !== undefined
    if (operation === 'CompleteMultipartUpload' && isConditional) fake.store.uploads.delete(query.get('uploadId') ?? '')
    return false
  }
  await rejectsWith(t, send(9 * MIB, { ifMatch: current }), 'UNSUPPORTED', 'the refusal has ended the upload')
})

t.test('a server that checks completions never loses a write between a check and the completion', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  for (const [condition, code] of [
    ['match', 'PRECONDITION_FAILED'],
    ['absent', 'ALREADY_EXISTS']
  ] as const) {
    fake.store.objects.clear()
    const ifMatch = condition === 'match' ? fake.store.put('a', Buffer.from('first')).etag.slice(1, -1) : undefined
    fake.script = ({ operation }) => {
      if (operation === 'CompleteMultipartUpload') fake.store.put('a', Buffer.from('other'))
      return false
    }
    const options = ifMatch === undefined ? { ifNoneMatch: '*' as const } : { ifMatch }
    await rejectsWith(t, upload(backend, { id: 'a' }, chunkedStream(Buffer.alloc(9 * MIB)), options), code)
    t.equal(fake.store.get('a').content.toString(), 'other')
    t.equal(fake.operations().filter((each) => each === 'CompleteMultipartUpload').length, 1)
    fake.requests.length = 0
  }
})

t.test('concurrent writers receive a retryable LOCKED', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake, { preconditions: 'native' })
  fake.script = refuse(409, 'ConditionalRequestConflict')
  const error = await failureOf(upload(backend, { id: 'a' }, Readable.from(['x']), { ifNoneMatch: '*' }))
  t.match(error, { code: 'LOCKED', retryable: true })
})

t.test('the media type of an upload is sent if it is valid', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  const send = (mimeType: string) => upload(backend, { id: 'a', mimeType }, Readable.from(['x']))
  await send('text/html; charset=utf-8')
  t.equal(fake.store.get('a').mimeType, 'text/html; charset=utf-8')
  t.equal((await backend.stat('a', callOptions())).mimeType, 'text/html; charset=utf-8')
  for (const wrong of ['text', 'text/html\r\nX-Evil: 1', '', 'text/\u00e9', `text/${'x'.repeat(200)}`]) {
    await rejectsWith(t, send(wrong), 'INVALID_REQUEST', JSON.stringify(wrong))
  }
})

t.test('requesting the account writes nothing and needs no permission for the whole bucket', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake, { prefix: 'jail/' })
  const account = await backend.account(callOptions())
  t.same(account, {
    id: `${fake.endpoint}/${FAKE_BUCKET}/jail/#${FAKE_CREDENTIALS.accessKeyId}`,
    name: `${FAKE_BUCKET} at ${new URL(fake.endpoint).host}`,
    email: null,
    quota: null
  })
  t.same(fake.operations(), ['HeadBucket', 'ListObjectsV2'])
  t.equal(fake.requests[1]?.query.get('prefix'), 'jail/')
  t.equal(fake.requests[1]?.query.get('max-keys'), '1')
  fake.script = ({ operation, method }, response) => {
    if (operation !== 'HeadBucket') return false
    sendError(method, response, 403, 'AccessDenied')
    return true
  }
  t.same(await backend.account(callOptions()), account)
  fake.script = refuse(403, 'InvalidAccessKeyId')
  await rejectsWith(t, backend.account(callOptions()), 'ACCESS_DENIED')
})

t.test('removing a missing object is not an error, other refusals are', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  fake.script = refuse(404, 'NoSuchKey')
  await backend.remove?.('a', callOptions())
  fake.script = refuse(404, 'NoSuchBucket')
  await rejectsWith(t, backend.remove?.('a', callOptions()) ?? Promise.resolve(), 'OBJECT_NOT_FOUND')
})

t.test('sequential calls share a socket, also after bodies that were read', async (t) => {
  const fake = await FakeS3.start(t)
  const egress = openEgress()
  const backend = await openFakeS3(fake, { egress })
  const other = await openFakeS3(fake, { egress })
  fake.store.put('a', Buffer.alloc(MIB))
  for (let round = 0; round < 3; round++) {
    await backend.listFolder(null, { ...callOptions(), limit: 1 })
    await other.listFolder(null, { ...callOptions(), limit: 1 })
    await backend.stat('a', callOptions())
    await readBody((await backend.download('a', callOptions())).body)
    await rejectsWith(t, backend.download('b', callOptions()), 'OBJECT_NOT_FOUND')
  }
  t.equal(fake.connections, 2)
})
