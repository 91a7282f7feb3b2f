import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { idOf, openOneDrive } from '../../contract/harness/onedrive.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { respondsWith, truncates, htmlPage, redirects, resets } from '../../fakes/faults.ts'
import { FAKE_GRAPH_TOKEN, FakeGraph, type FakeGraphOptions } from '../../fakes/graph/fake-graph.ts'
import { readBody } from '../../support/app/read-body.ts'
import { until } from '../../support/time/until.ts'

async function start(t: Test, options: FakeGraphOptions = {}) {
  const fake = await FakeGraph.start(t, options)
  const { backend } = await openOneDrive(t, fake)
  const textOf = async (id: string) => (await readBody((await backend.download(id, callOptions())).body)).toString()
  return { fake, tree: fake.tree, backend, textOf }
}

const CONTENT = { host: 'content' }
const ADDRESS = '@microsoft.graph.downloadUrl'
const json = (body: unknown) => respondsWith(200, { body: JSON.stringify(body) })

t.test('a download is one metadata call and one transfer, with the range and without the token', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { fake, tree, backend } = await start(t, { kind })
    const file = tree.addFile({ name: 'a', content: 'content' })
    const { body, range } = await backend.download(idOf(file), { ...callOptions(), range: { start: 2, end: 4 } })
    t.equal((await readBody(body)).toString(), 'nte')
    t.same(range, { start: 2, end: 4 })
    const [look, transfer, ...others] = fake.requests
    t.equal(others.length, 0)
    t.equal(look?.headers['authorization'], `Bearer ${FAKE_GRAPH_TOKEN}`)
    t.equal(look?.headers['range'], undefined)
    t.match(transfer, { host: 'content', headers: { range: 'bytes=2-4' } })
    t.equal(transfer?.headers['authorization'], undefined)
  }
})

t.test('an expired download URL is requested once more', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { fake, tree, backend, textOf } = await start(t, { kind })
    const file = tree.addFile({ name: 'a', content: 'content' })
    fake.failNext(
      1,
      (_request, response) => {
        fake.expireDownloadUrls()
        response.writeHead(kind === 'business' ? 401 : 404).end()
      },
      CONTENT
    )
    t.equal(await textOf(idOf(file)), 'content')
    t.equal(fake.requests.length, 4)
    for (const status of [401, 403, 404, 410]) {
      fake.failNext(1, respondsWith(status), CONTENT)
      t.equal(await textOf(idOf(file)), 'content', String(status))
    }
    fake.failNext(2, { code: 'accessDenied' }, CONTENT)
    const before = fake.requests.length
    const error = await backend.download(idOf(file), callOptions()).catch((error: unknown) => error)
    t.match(error, { code: 'ACCESS_DENIED', credentialsRefused: false }, 'at most once')
    t.equal(fake.requests.length - before, 4)
    t.notMatch(inspect(error, { depth: 10 }), /tempauth|y4m|download\.aspx/)
    fake.failNext(2, { code: 'unauthenticated' }, CONTENT)
    const second = await backend.download(idOf(file), callOptions()).catch((error: unknown) => error)
    t.match(second, { code: 'ACCESS_DENIED', credentialsRefused: false }, 'the URL says nothing about the grant')
    fake.failNext(
      1,
      (_request, response) => {
        tree.remove(file)
        response.writeHead(404).end()
      },
      CONTENT
    )
    await rejectsWith(
      t,
      backend.download(idOf(file), callOptions()),
      'OBJECT_NOT_FOUND',
      'the file was removed meanwhile'
    )
  }
})

t.test('an error of the download URL is mapped by its status', async (t) => {
  const { fake, tree, backend } = await start(t)
  const file = tree.addFile({ name: 'a', content: 'content' })
  for (const [fault, code] of [
    [{ code: 'activityLimitReached' }, 'PROVIDER_THROTTLED'],
    [respondsWith(503), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(500, { body: '<html>' }), 'PROVIDER_UNAVAILABLE'],
    [resets(), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.failNext(1, fault, CONTENT)
    const before = fake.requests.length
    await rejectsWith(t, backend.download(idOf(file), callOptions()), code)
    t.equal(fake.requests.length - before, 2)
  }
  fake.failNext(2, respondsWith(404, { body: '<html>' }), CONTENT)
  await rejectsWith(t, backend.download(idOf(file), callOptions()), 'PROVIDER_ERROR', 'a 404 that is not from Graph')
})

t.test('a foreign or invalid download URL is not requested', async (t) => {
  const other = await FakeGraph.start(t)
  const { fake, tree, backend } = await start(t)
  const file = tree.addFile({ name: 'a', content: 'content' })
  const item = { id: file.id, name: 'a', size: 7, file: {}, parentReference: { driveId: file.driveId } }
  for (const url of [
    `${other.contentUrl}/x`,
    fake.url,
    'http://contoso.sharepoint.com/x',
    fake.contentUrl.replace('//', '//user:password@'),
    '/x',
    '',
    7
  ]) {
    fake.failNext(1, json({ ...item, [ADDRESS]: url }))
    const error = await backend.download(idOf(file), callOptions()).catch((error: unknown) => error)
    t.match(error, { code: 'PROVIDER_ERROR' }, String(url))
    t.notMatch(inspect(error, { depth: 10 }), /password/)
  }
  t.equal(other.requests.length, 0)
  t.equal(fake.requests.filter(({ host }) => host === 'content').length, 0)
})

t.test('a truncated download fails', async (t) => {
  const { fake, tree, backend } = await start(t)
  const file = tree.addFile({ name: 'a', content: randomBytes(100_000) })
  fake.resetDownloads(1, 50_000)
  const { body } = await backend.download(idOf(file), callOptions())
  await rejectsWith(t, readBody(body), 'PROVIDER_UNAVAILABLE')
})

t.test('a download URL that the item lacks is requested, and is treated as a secret', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { fake, tree, backend, textOf } = await start(t, { kind })
    const file = tree.addFile({ name: 'a', content: 'content' })
    fake.knobs.omitsDownloadUrl = true
    t.equal(await textOf(idOf(file)), 'content')
    t.match(fake.requests, [{ method: 'GET' }, { path: /\/content$/, headers: { range: undefined } }, CONTENT])
    t.equal(fake.requests.length, 3)
    t.equal(fake.requests[2]?.headers['authorization'], undefined)
    const { body } = await backend.download(idOf(file), { ...callOptions(), range: { start: 2, end: 4 } })
    t.equal((await readBody(body)).toString(), 'nte')
    fake.failNext(1, respondsWith(410), CONTENT)
    t.equal(await textOf(idOf(file)), 'content', 'the URL has expired')
    const asked = { path: /\/content$/ }
    for (const [fault, code] of [
      [redirects('https://example.com/x'), 'PROVIDER_ERROR'],
      [respondsWith(302), 'PROVIDER_ERROR'],
      [respondsWith(200, { body: 'content' }), 'PROVIDER_ERROR'],
      [{ code: 'itemNotFound' }, 'OBJECT_NOT_FOUND'],
      [{ code: 'malwareDetected' }, 'ACCESS_DENIED']
    ] as const) {
      fake.failNext(1, fault, asked)
      await rejectsWith(t, backend.download(idOf(file), callOptions()), code)
    }
  }
})

t.test('the size is that of the response, whatever the item reports', async (t) => {
  const { fake, tree, backend } = await start(t)
  const content = randomBytes(1000)
  for (const listedSize of [0, 900, 1100]) {
    const file = tree.addFile({ name: `${listedSize}.heic`, content, listedSize })
    const whole = await backend.download(idOf(file), callOptions())
    t.match(whole, { size: 1000, range: null })
    t.ok((await readBody(whole.body)).equals(content))
    for (const [range, start, end] of [
      [{ start: 0, end: 0 }, 0, 0],
      [{ start: 950 }, 950, 999],
      [{ start: 990, end: 5000 }, 990, 999],
      [{ suffix: 100 }, 900, 999],
      [{ suffix: 5000 }, 0, 999]
    ] as const) {
      const part = await backend.download(idOf(file), { ...callOptions(), range })
      t.match(part, { size: 1000, range: { start, end } })
      t.ok((await readBody(part.body)).equals(content.subarray(start, end + 1)))
    }
    t.equal(fake.requests.at(-1)?.headers['range'], 'bytes=-5000')
    const beyond = backend.download(idOf(file), { ...callOptions(), range: { start: 1000 } })
    await rejectsWith(t, beyond, 'RANGE_NOT_SATISFIABLE', `with a listed size of ${listedSize}`)
  }
})

t.test('a body without Content-Length is accepted if its end is visible', async (t) => {
  const { fake, tree, backend } = await start(t)
  const file = tree.addFile({ name: 'a', content: 'content' })
  const unending = (isChunked: boolean) => (_request: unknown, response: ServerResponse) => {
    response.useChunkedEncodingByDefault = isChunked
    response.writeHead(200).write('content')
    response.end()
  }
  fake.failNext(1, unending(true), CONTENT)
  const { body, size } = await backend.download(idOf(file), callOptions())
  t.equal(size, null)
  t.equal((await readBody(body)).toString(), 'content')
  fake.failNext(1, unending(false), CONTENT)
  await rejectsWith(t, backend.download(idOf(file), callOptions()), 'PROVIDER_ERROR')
  fake.failNext(1, truncates({ content: 'content', afterBytes: 3, framing: 'chunked' }), CONTENT)
  const cut = await backend.download(idOf(file), callOptions())
  await rejectsWith(t, readBody(cut.body), 'PROVIDER_UNAVAILABLE')
  fake.failNext(1, unending(true), CONTENT)
  await rejectsWith(t, backend.download(idOf(file), { ...callOptions(), range: { start: 0 } }), 'PROVIDER_ERROR')
})

t.test('a whole file is accepted as the response to a range that covers all of it', async (t) => {
  const { fake, tree, backend } = await start(t)
  const file = tree.addFile({ name: 'a', content: 'content' })
  const empty = tree.addFile({ name: 'empty' })
  fake.knobs.ignoresRanges = true
  for (const range of [{ start: 0 }, { start: 0, end: 6 }, { start: 0, end: 9 }, { suffix: 7 }, { suffix: 9 }]) {
    const { body, ...facts } = await backend.download(idOf(file), { ...callOptions(), range })
    t.match(facts, { size: 7, range: { start: 0, end: 6 } }, JSON.stringify(range))
    t.equal((await readBody(body)).toString(), 'content')
  }
  for (const range of [{ start: 0, end: 5 }, { start: 1 }, { suffix: 6 }]) {
    await rejectsWith(
      t,
      backend.download(idOf(file), { ...callOptions(), range }),
      'PROVIDER_ERROR',
      JSON.stringify(range)
    )
  }
  for (const range of [{ start: 0, end: 0 }, { start: 0 }, { suffix: 5 }]) {
    await rejectsWith(t, backend.download(idOf(empty), { ...callOptions(), range }), 'RANGE_NOT_SATISFIABLE')
  }
  await rejectsWith(t, backend.download(idOf(file), { ...callOptions(), range: { start: 7 } }), 'RANGE_NOT_SATISFIABLE')
  await until(() => fake.busy() === 0)
})

t.test('a response with other bytes than requested fails', async (t) => {
  const { fake, tree, backend } = await start(t)
  const file = tree.addFile({ name: 'a', content: 'content' })
  const range = { start: 2, end: 4 }
  for (const [name, fault] of Object.entries({
    page: htmlPage(),
    other: respondsWith(206, { headers: { 'content-range': 'bytes 1-3/7' }, body: 'ont' }),
    'no range': respondsWith(206, { body: 'nte' }),
    compressed: respondsWith(200, { headers: { 'content-encoding': 'gzip' }, body: 'content' }),
    elsewhere: redirects('https://example.com/')
  })) {
    fake.failNext(1, fault, CONTENT)
    await rejectsWith(t, backend.download(idOf(file), { ...callOptions(), range }), 'PROVIDER_ERROR', name)
  }
  fake.failNext(2, respondsWith(416), CONTENT)
  await rejectsWith(t, backend.download(idOf(file), { ...callOptions(), range }), 'RANGE_NOT_SATISFIABLE')
  await rejectsWith(t, backend.download(idOf(file), callOptions()), 'PROVIDER_ERROR', 'without a requested range')
  await until(() => fake.busy() === 0)
})

t.test('a file with malware, and an item that is not a file, is not downloaded', async (t) => {
  const { fake, tree, backend } = await start(t)
  const bad = tree.addFile({ name: 'bad', content: 'x', malware: { description: 'EICAR' } })
  await rejectsWith(t, backend.download(idOf(bad), callOptions()), 'ACCESS_DENIED')
  t.equal(fake.requests.length, 1, 'no content is requested')
  const notebook = tree.addFolder({ name: 'notebook', package: { type: 'oneNote' } })
  await rejectsWith(t, backend.download(idOf(notebook), callOptions()), 'UNSUPPORTED')
  await rejectsWith(t, backend.download('root', callOptions()), 'OBJECT_NOT_FOUND')
  const file = tree.addFile({ name: 'a.docx', content: 'x' })
  await rejectsWith(
    t,
    backend.download(idOf(file), { ...callOptions(), exportAs: 'application/pdf' }),
    'INVALID_REQUEST'
  )
})
