import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import type { HttpRequest } from '../../../src/core/egress.ts'
import { isStorageError } from '../../../src/errors.ts'
import { VALID_TOKENS, openBox } from '../../contract/harness/box.ts'
import { withAllLayers } from '../../contract/layers.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { respondsWith, hangs, htmlPage, redirects, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_BOX_TOKEN, FakeBox } from '../../fakes/box/fake-box.ts'
import type { FakeCloudRequest } from '../../fakes/fake-cloud.ts'
import { readBody } from '../../support/app/read-body.ts'
import { until } from '../../support/time/until.ts'

const ADDRESS = { host: 'api', path: /\/content$/ }
const CONTENT = { host: 'content' }

async function start(t: Test) {
  const fake = await FakeBox.start(t)
  const egress = openEgress({ timeouts: { headersMs: 500 } })
  const sent: HttpRequest[] = []
  const spying = {
    ...egress,
    request: (request: HttpRequest) => {
      sent.push(request)
      return egress.request(request)
    }
  }
  const { backend } = await openBox(t, fake, VALID_TOKENS, spying)
  return { fake, tree: fake.tree, backend, sent }
}

t.test('content is downloaded from another origin, with the range and without the token', async (t) => {
  const { fake, tree, backend, sent } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'content' })
  const { body, ...facts } = await backend.download(`file:${id}`, { ...callOptions(), range: { start: 2, end: 4 } })
  t.equal((await readBody(body)).toString(), 'nte')
  t.match(facts, { size: 7, range: { start: 2, end: 4 }, etag: '0', mimeType: null })
  const [looked, asked, content, ...others] = fake.requests
  t.equal(others.length, 0)
  t.match(looked, { host: 'api', path: `/2.0/files/${id}` })
  t.match(asked, { host: 'api', path: `/2.0/files/${id}/content` })
  t.equal(asked?.headers['range'], undefined)
  t.equal(asked?.headers['authorization'], `Bearer ${FAKE_BOX_TOKEN}`)
  t.match(content, { host: 'content', headers: { range: 'bytes=2-4' } })
  t.equal(content?.headers['authorization'], undefined)
  t.same(sent.at(-1)?.redirectHosts, [fake.contentUrl])
})

t.test('a package is downloaded as a single file', async (t) => {
  const { tree, backend } = await start(t)
  const { id } = tree.addPackage({ name: 'a.pages', content: 'zip' })
  t.equal((await readBody((await backend.download(`file:${id}`, callOptions())).body)).toString(), 'zip')
})

t.test('links and folders cannot be downloaded, and there are no export formats', async (t) => {
  const { tree, backend } = await start(t)
  const link = tree.addWebLink({ name: 'link', url: 'https://example.org/' })
  const folder = tree.addFolder({ name: 'folder' })
  const file = tree.addFile({ name: 'file' })
  await rejectsWith(t, backend.download(`link:${link.id}`, callOptions()), 'UNSUPPORTED')
  await rejectsWith(t, backend.download(`link:${tree.newId()}`, callOptions()), 'OBJECT_NOT_FOUND')
  await rejectsWith(t, backend.download(`folder:${folder.id}`, callOptions()), 'OBJECT_NOT_FOUND')
  const exportAs = { ...callOptions(), exportAs: 'application/pdf' }
  await rejectsWith(t, backend.download(`file:${file.id}`, exportAs), 'INVALID_REQUEST')
})

t.test('a file that is not ready yet has a Retry-After, and the download waits for it', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'content', notReady: 2 })
  fake.knobs.retryAfter = 7
  const error: unknown = await backend.download(`file:${id}`, callOptions()).catch((error: unknown) => error)
  t.match(error, { code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 7000, responded: true })
  fake.knobs.retryAfter = 0
  const layered = withAllLayers()(backend)
  t.equal((await readBody((await layered.download(`file:${id}`, callOptions())).body)).toString(), 'content')
  fake.failNext(1, respondsWith(202), ADDRESS)
  await rejectsWith(t, backend.download(`file:${id}`, callOptions()), 'PROVIDER_UNAVAILABLE', 'without Retry-After')
})

t.test('a download URL outside of Box is not requested', async (t) => {
  const other = await FakeBox.start(t)
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'x' })
  for (const location of [
    `${other.contentUrl}/d/1/SECRET/download`,
    `${fake.url}/d/1/SECRET/download`,
    fake.contentUrl.replace('//', '//user:SECRET@'),
    'https://boxcloud.com.example.org/SECRET',
    '/d/1/SECRET/download',
    'file:///etc/passwd',
    'http://[SECRET'
  ]) {
    fake.failNext(1, redirects(location), ADDRESS)
    const error: unknown = await backend.download(`file:${id}`, callOptions()).catch((error: unknown) => error)
    t.ok(isStorageError(error, 'PROVIDER_ERROR'), location)
    t.notMatch(inspect(error, { depth: 10 }), /SECRET/)
  }
  for (const status of [200, 204, 206, 301, 302, 303, 304, 307]) {
    fake.failNext(1, respondsWith(status, { body: status === 204 || status === 304 ? '' : 'x' }), ADDRESS)
    await rejectsWith(t, backend.download(`file:${id}`, callOptions()), 'PROVIDER_ERROR', `${status} without a URL`)
  }
  t.equal(other.requests.length, 0)
  t.equal(fake.requests.filter(({ host }) => host === 'content').length, 0)
})

t.test('a failing download URL has its own error, and is not in the message', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'x' })
  for (const [fault, code] of [
    [respondsWith(401), 'ACCESS_DENIED'],
    [respondsWith(403), 'ACCESS_DENIED'],
    [respondsWith(404), 'PROVIDER_ERROR'],
    [respondsWith(429, { retryAfter: 3 }), 'PROVIDER_THROTTLED'],
    [respondsWith(503), 'PROVIDER_UNAVAILABLE'],
    [redirects('https://example.org/'), 'PROVIDER_ERROR'],
    [resets(), 'PROVIDER_UNAVAILABLE'],
    [hangs(), 'PROVIDER_TIMEOUT']
  ] as const) {
    fake.failNext(1, fault, CONTENT)
    const error: unknown = await backend.download(`file:${id}`, callOptions()).catch((error: unknown) => error)
    t.match(error, { code, credentialsRefused: false })
    t.notMatch(inspect(error, { depth: 10 }), /\/d\/1\//)
  }
  await until(() => fake.busy() === 0)
})

t.test('a truncated download fails', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: randomBytes(100_000) })
  fake.resetDownloads(1, 50_000)
  const { body } = await backend.download(`file:${id}`, callOptions())
  await rejectsWith(t, readBody(body), 'PROVIDER_UNAVAILABLE')
})

t.test('a version that changes during a download is requested once more', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'first' })
  /** Writes a new version right before the address of the content is returned. */
  const overtake = (content: string, times = 1) => {
    let left = times
    const matching = ({ path }: FakeCloudRequest) => {
      if (path.endsWith('/content') && left-- > 0) tree.write(tree.get(id, 'file'), content.repeat(left + 1))
      return false
    }
    fake.failNext(0, () => {}, { matching })
  }
  overtake('second, and longer')
  const download = await backend.download(`file:${id}`, callOptions())
  t.equal((await readBody(download.body)).toString(), 'second, and longer')
  t.match(download, { size: 18, etag: '1' })
  overtake('always another ', 2)
  await rejectsWith(t, backend.download(`file:${id}`, callOptions()), 'PROVIDER_ERROR')
})

t.test('a response with other bytes than requested fails', async (t) => {
  const { fake, tree, backend } = await start(t)
  const { id } = tree.addFile({ name: 'a', content: 'content' })
  const range = { start: 2, end: 4 }
  for (const [name, fault] of Object.entries({
    page: htmlPage(),
    other: respondsWith(206, { headers: { 'content-range': 'bytes 1-3/7' }, body: 'ont' }),
    whole: respondsWith(200, { body: 'content' }),
    gone: respondsWith(416)
  })) {
    fake.failNext(2, fault, CONTENT)
    await rejectsWith(t, backend.download(`file:${id}`, { ...callOptions(), range }), 'PROVIDER_ERROR', name)
  }
  await until(() => fake.busy() === 0)
})

t.test('a file without download permission or with malware is not downloaded', async (t) => {
  const { tree, backend } = await start(t)
  const kept = tree.addFile({ name: 'kept', permissions: { can_download: false } })
  await rejectsWith(t, backend.download(`file:${kept.id}`, callOptions()), 'ACCESS_DENIED')
  const malicious = tree.addFile({ name: 'malicious', malicious: true })
  await rejectsWith(t, backend.download(`file:${malicious.id}`, callOptions()), 'ACCESS_DENIED')
  const trashed = tree.addFile({ name: 'trashed' })
  tree.trash(trashed)
  await rejectsWith(t, backend.download(`file:${trashed.id}`, callOptions()), 'OBJECT_NOT_FOUND')
})
