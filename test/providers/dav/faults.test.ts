import t, { type Test } from 'tap'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import type { StorageErrorCode } from '../../../src/errors.ts'
import type { Timeouts } from '../../../src/core/stores.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { provider } from '../../../src/providers/webdav/index.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { upload } from '../../contract/suite/uploads.ts'
import {
  respondsWith,
  billionLaughs,
  truncates,
  type DavFault,
  endlessXml,
  externalEntity,
  faultScript,
  gzipBomb,
  gzipped,
  hangs,
  hostileHrefs,
  hrefs,
  htmlPage,
  redirects,
  resets,
  INVALID_XML,
  xml
} from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER } from '../../fakes/dav/auth.ts'
import { FakeDav } from '../../fakes/dav/fake-dav.ts'
import { readBody } from '../../support/app/read-body.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { until } from '../../support/time/until.ts'

async function start(t: Test, timeouts: Partial<Timeouts> = {}) {
  const fake = await FakeDav.start(t)
  fake.tree.put('a.txt', 'content')
  const egress = openEgress({ timeouts })
  t.teardown(() => egress.close())
  const { credentials } = provider.connect.parse({
    baseUrl: fake.url,
    username: FAKE_DAV_USER,
    password: FAKE_DAV_PASSWORD
  })
  const backend = await provider.open({ credentials, egress, timeouts: { ...TEST_TIMEOUTS, ...timeouts } })
  return { fake, backend }
}

const everyCall = (backend: StorageBackend): Record<string, () => Promise<unknown>> => ({
  list: () => backend.listFolder(null, { ...callOptions(), limit: 10 }),
  stat: () => backend.stat('a.txt', callOptions()),
  download: async () => readBody((await backend.download('a.txt', callOptions())).body),
  upload: () => upload(backend, { id: 'b.txt' }, Readable.from(['x'])),
  account: () => backend.account(callOptions())
})

/** An endless folder of files with different names. */
function endlessFolder(): DavFault {
  return (_request, response) => {
    let count = 0
    const one = () =>
      `<D:response><D:href>/dav/${count++}</D:href><D:propstat><D:prop><D:resourcetype/></D:prop>` +
      '<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>'
    const more = () => {
      while (!response.destroyed && response.write(Array.from({ length: 64 }, one).join('')));
    }
    response.writeHead(207).write('<D:multistatus xmlns:D="DAV:">')
    response.on('drain', more)
    more()
  }
}

/** Checks that each call fails with one of the codes while the fault applies, and releases its connection. */
async function everyCallFails(t: Test, fault: DavFault, codes: StorageErrorCode[], name: string, only?: string[]) {
  const { fake, backend } = await start(t)
  fake.script = faultScript(fault)
  for (const [operation, work] of Object.entries(everyCall(backend))) {
    if (only?.includes(operation) === false) continue
    const error: unknown = await work().catch((error: unknown) => error)
    t.ok(codes.includes((error as { code: StorageErrorCode }).code), `${name}: ${operation}: ${String(error)}`)
    t.notMatch(inspect(error, { depth: 10 }), /SECRET|p\u00e4ssword/)
  }
  await until(() => fake.busy() === 0)
}

t.test('each status is mapped to an error code', async (t) => {
  for (const [status, code] of [
    [400, 'INVALID_REQUEST'],
    [401, 'ACCESS_DENIED'],
    [403, 'ACCESS_DENIED'],
    [423, 'LOCKED'],
    [429, 'PROVIDER_THROTTLED'],
    [500, 'PROVIDER_UNAVAILABLE'],
    [502, 'PROVIDER_UNAVAILABLE'],
    [503, 'PROVIDER_UNAVAILABLE'],
    [504, 'PROVIDER_TIMEOUT'],
    [507, 'QUOTA_EXCEEDED'],
    [302, 'PROVIDER_ERROR'],
    [418, 'PROVIDER_ERROR']
  ] as const) {
    await everyCallFails(t, respondsWith(status, { body: 'Bearer SECRET' }), [code], String(status))
  }
  const { fake, backend } = await start(t)
  fake.script = faultScript(respondsWith(401))
  t.match(await backend.account(callOptions()).catch((error: unknown) => error), { credentialsRefused: true })
  fake.script = faultScript(respondsWith(404))
  await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 1 }), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, backend.stat('a.txt', callOptions()), 'OBJECT_NOT_FOUND')
})

t.test('Retry-After is accepted in seconds and as a date', async (t) => {
  const { fake, backend } = await start(t)
  for (const status of [429, 503]) {
    fake.script = faultScript(respondsWith(status, { retryAfter: 7 }))
    const error = await backend.stat('a.txt', callOptions()).catch((error: unknown) => error)
    t.match(error, { code: 'PROVIDER_THROTTLED', retryAfterMs: 7000 })
    const headers = { date: new Date(0).toUTCString() }
    fake.script = faultScript(respondsWith(status, { retryAfter: new Date(90_000), headers }))
    t.match(await backend.stat('a.txt', callOptions()).catch((error: unknown) => error), { retryAfterMs: 90_000 })
  }
})

t.test('invalid responses are errors and never an empty folder', async (t) => {
  const told = ['list', 'stat', 'upload', 'account']
  for (const [name, text] of Object.entries(INVALID_XML)) {
    await everyCallFails(t, xml(text), ['PROVIDER_ERROR'], name, ['list', 'stat', 'account'])
  }
  await everyCallFails(t, billionLaughs(), ['PROVIDER_ERROR'], 'laughs', told)
  await everyCallFails(t, externalEntity(), ['PROVIDER_ERROR'], 'entity', told)
  await everyCallFails(t, htmlPage(), ['PROVIDER_ERROR'], 'html', ['list', 'stat', 'account', 'download'])
  await everyCallFails(t, htmlPage(207), ['PROVIDER_ERROR'], 'html 207', told)
  await everyCallFails(t, await gzipBomb(), ['PROVIDER_ERROR'], 'bomb', ['list', 'stat', 'account'])
  await everyCallFails(t, resets(), ['PROVIDER_UNAVAILABLE'], 'reset')
  await everyCallFails(t, redirects('http://127.0.0.1:1/dav/'), ['PROVIDER_ERROR'], 'redirect')
})

t.test('a folder with an unreadable or foreign child is never listed as shorter', async (t) => {
  const { fake, backend } = await start(t)
  for (const [name, href] of Object.entries(hostileHrefs('/dav/'))) {
    fake.script = faultScript(hrefs(['/dav/', '/dav/good', href]))
    const page = await backend.listFolder(null, { ...callOptions(), limit: 10 })
    t.same(
      page.entries.map(({ id }) => id),
      ['good'],
      name
    )
    t.match(page, { complete: false, reason: 'provider-partial', next: null }, name)
  }
  fake.script = faultScript(hrefs(['/dav2/', '/dav2/x']))
  await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 10 }), 'PROVIDER_ERROR', 'another folder')
  const denied = (href: string, status: string) =>
    `<D:response><D:href>${href}</D:href><D:status>HTTP/1.1 ${status}</D:status></D:response>`
  const multistatus = (inner: string) => xml(`<D:multistatus xmlns:D="DAV:">${inner}</D:multistatus>`)
  fake.script = faultScript(multistatus(denied('/dav/', '403 No')))
  await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 10 }), 'ACCESS_DENIED', 'the folder itself')
  fake.script = faultScript(multistatus(denied('/dav/a.txt', '423 Locked')))
  await rejectsWith(t, backend.stat('a.txt', callOptions()), 'LOCKED', 'a single file')
  fake.script = faultScript(hrefs(['/dav/other/a.txt']))
  await rejectsWith(t, backend.stat('a.txt', callOptions()), 'PROVIDER_ERROR', 'a file with a foreign href')
})

t.test('a redirect is not followed, and the password is not sent there', async (t) => {
  const elsewhere = await FakeDav.start(t)
  const { fake, backend } = await start(t)
  fake.script = faultScript(redirects(elsewhere.url))
  for (const [name, work] of Object.entries(everyCall(backend))) await rejectsWith(t, work(), 'PROVIDER_ERROR', name)
  t.equal(elsewhere.connections, 0)
})

t.test('an endless listing stops at the size limit and closes the connection', async (t) => {
  const { fake, backend } = await start(t)
  fake.script = faultScript(endlessFolder())
  let page = await backend.listFolder(null, { ...callOptions(), limit: 1000 })
  await until(() => fake.busy() === 0)
  let count = page.entries.length
  while (page.next !== null) {
    page = await backend.listFolder(null, { ...callOptions(), limit: 1000, cursor: page.next })
    count += page.entries.length
  }
  t.match(page, { complete: false, reason: 'page-cap' })
  t.equal(count, 50_000)
})

t.test('a missing response and an endless response time out', async (t) => {
  const { fake, backend } = await start(t, { totalMs: 250 })
  for (const fault of [hangs(), endlessXml()]) {
    fake.script = faultScript(fault)
    await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 10 }), 'PROVIDER_TIMEOUT')
    await until(() => fake.busy() === 0)
  }
})

t.test('a truncated download never ends cleanly', async (t) => {
  const { fake, backend } = await start(t, { idleMs: 300 })
  const headers = { etag: '"a"' }
  for (const framing of ['length', 'chunked'] as const) {
    for (const end of ['close', 'reset', 'hang'] as const) {
      fake.script = faultScript(truncates({ content: 'content', afterBytes: 3, framing, end, headers }), { times: 1 })
      const work = backend.download('a.txt', callOptions()).then(({ body }) => readBody(body))
      await rejectsWith(t, work, ['PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT'], `${framing} ${end}`)
    }
  }
  for (const encoding of [undefined, 'identity']) {
    const isGet = ({ method }: { method: string }) => method === 'GET'
    const raw: DavFault = (_request, response) => {
      const coding = encoding === undefined ? '' : `Transfer-Encoding: ${encoding}\r\n`
      response.socket?.end(`HTTP/1.1 200 OK\r\nETag: "a"\r\n${coding}Connection: close\r\n\r\ncon`)
    }
    fake.script = faultScript(raw, { matching: isGet })
    const work = backend.download('a.txt', callOptions()).then(({ body }) => readBody(body))
    await rejectsWith(t, work, ['PROVIDER_UNAVAILABLE', 'PROVIDER_ERROR'], `no length, ${encoding}`)
  }
})

t.test('a body with other bytes than the file is an error', async (t) => {
  const { fake, backend } = await start(t)
  const isGet = ({ method }: { method: string }) => method === 'GET'
  const get = () => backend.download('a.txt', callOptions()).then(({ body }) => readBody(body))
  fake.script = faultScript(htmlPage(), { matching: isGet })
  await rejectsWith(t, get(), 'PROVIDER_ERROR', 'an HTML page')
  fake.script = faultScript(gzipped('content', 200, { etag: '"a"' }), { matching: isGet })
  await rejectsWith(t, get(), 'PROVIDER_ERROR', 'compressed in transit')
  fake.tree.put('a.txt', Buffer.from('1f8b0800', 'hex'))
  const stored = { etag: '"a"', 'content-encoding': 'x-gzip', 'content-length': 4 }
  fake.script = faultScript(respondsWith(200, { headers: stored, body: 'gzip' }), { matching: isGet })
  t.equal((await get()).toString(), 'gzip', 'stored compressed')
  for (const range of ['bytes 1-2/*', 'bytes 0-3/4', '']) {
    const headers = { etag: '"a"', 'content-range': range }
    fake.script = faultScript(respondsWith(206, { headers, body: 'xyz' }), { matching: isGet })
    const work = backend.download('a.txt', { ...callOptions(), range: { start: 0, end: 2 } })
    await rejectsWith(t, work, 'PROVIDER_ERROR', range)
  }
})

t.test('aborting closes the socket at once', async (t) => {
  const { fake, backend } = await start(t)
  fake.script = faultScript(hangs())
  for (const name of ['list', 'stat', 'download', 'upload'] as const) {
    const controller = new AbortController()
    const { signal } = controller
    const work = {
      list: () => backend.listFolder(null, { signal, limit: 10 }),
      stat: () => backend.stat('a.txt', { signal }),
      download: () => backend.download('a.txt', { signal }),
      upload: () => upload(backend, { id: 'b' }, Readable.from(['x']), { signal })
    }[name]()
    await until(() => fake.busy() === 1)
    const reason = new Error(name)
    controller.abort(reason)
    t.equal(await work.catch((error: unknown) => error), reason)
    await until(() => fake.busy() === 0)
  }
})
