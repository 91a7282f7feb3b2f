import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import type { Listing } from '../../src/core/entry.ts'
import { testApp } from '../support/app/app.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { entry, page, pages } from '../support/backend/scripted-backend.ts'
import { until } from '../support/time/until.ts'
import type { CloudStorageOptions } from '../../src/index.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

const LISTING = '/cloud/scripted/listing'

t.test('links that are unsafe in a browser are neither listed nor stored', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  const webUrl = 'https://files.example.org/a'
  const hostile = ['javascript:alert(1)', 'data:text/html,x', 'blob:https://app.example.org/1', 'http://example.org/']
  scripted.backend.list = async () =>
    page([entry('good', { webUrl }), ...hostile.map((url) => entry(url, { webUrl: url, thumbnailUrl: url }))])
  for (const cached of [false, true]) {
    const { entries } = (await as('ann').get(LISTING)).json<Listing>()
    t.same(
      entries.flatMap((each) => [each.webUrl, each.thumbnailUrl]).filter((url) => url !== null),
      [webUrl],
      cached ? 'from the cache' : 'from the provider'
    )
  }
})

t.test('a listing follows the documented format, and the second one is cached', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  const id = await connect('ann')
  scripted.backend.list = async () => page([entry('b'), entry('Invoices', { kind: 'folder' })])

  const first = await as('ann').get(LISTING)
  t.equal(first.statusCode, 200)
  t.match(first.json(), {
    provider: 'scripted',
    connectionId: id,
    folder: { id: null, name: null, parentId: null },
    entries: [{ name: 'Invoices' }, { name: 'b' }],
    page: { next: null, complete: true, reason: null, order: 'folder-then-name' }
  })
  t.same(Object.keys(first.json<{ entries: object[] }>().entries[0]!), [
    'id',
    'parentId',
    'driveId',
    'name',
    'kind',
    'mimeType',
    'size',
    'createdAt',
    'modifiedAt',
    'version',
    'hash',
    'exportFormats',
    'target',
    'webUrl',
    'thumbnailUrl',
    'path',
    'can'
  ])
  t.match(first.headers, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'private, no-cache',
    'cache-status': 'fastify-cloud-storage; fwd=miss; stored',
    age: '0',
    vary: 'Authorization, Cookie',
    etag: /^"[\w-]{43}"$/
  })

  const second = await as('ann').get(LISTING)
  t.match(second.headers['cache-status'], /^fastify-cloud-storage; hit; ttl=\d+$/)
  t.equal(second.body, first.body)
  t.equal(scripted.backend.listCalls.length, 1)

  const conditional = await as('ann').get(LISTING, { 'if-none-match': `"other", W/${String(first.headers.etag)}` })
  t.equal(conditional.statusCode, 304)
  t.equal(conditional.body, '')
  t.equal(conditional.headers.etag, first.headers.etag)
  t.match(conditional.headers['cache-status'], /hit/)
  t.equal((await as('ann').get(LISTING, { 'if-none-match': '*' })).statusCode, 304)
  t.equal((await as('ann').get(LISTING, { 'if-none-match': '"other"' })).statusCode, 200)
})

t.test('HEAD returns the headers only', async (t) => {
  const { app, as, connect } = await testApp(t)
  await connect('ann')
  const get = await as('ann').get(LISTING)
  const head = await app.inject({ method: 'HEAD', url: LISTING, headers: { 'x-user': 'ann' } })
  t.equal(head.statusCode, 200)
  t.equal(head.body, '')
  t.equal(head.headers.etag, get.headers.etag)
  t.equal(head.headers['content-length'], get.headers['content-length'])
})

t.test('the query is passed to the backend, and the cursor leads to the next page', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  scripted.backend.list = async (_folder, { cursor }) =>
    page([entry(cursor ?? 'first')], cursor === undefined ? 'up' : null)
  const first = await as('ann').get(`${LISTING}?folder=a%2Fb&limit=7&kind=file`)
  t.match(scripted.backend.listCalls[0], { folderId: 'a/b', call: { limit: 7, kind: 'file' } })
  const { next } = first.json<Listing>().page
  const second = await as('ann').get(`${LISTING}?folder=a%2Fb&limit=7&kind=file&cursor=${next!}`)
  t.same(
    second.json<Listing>().entries.map(({ name }) => name),
    ['up']
  )
  for (const [query, code] of [
    [`folder=a%2Fb&limit=8&kind=file&cursor=${next!}`, 'INVALID_CURSOR'],
    [`folder=a%2Fb&limit=7&kind=file&cursor=${next!.slice(0, -1)}`, 'INVALID_CURSOR'],
    [`folder=a%2Fb&limit=7&kind=file&cursor=nonsense`, 'INVALID_CURSOR'],
    [`folder=a%2Fb&limit=7&kind=file&refresh=true&cursor=${next!}`, 'INVALID_REQUEST']
  ] as const) {
    const answer = await as('ann').get(`${LISTING}?${query}`)
    t.equal(answer.statusCode, 400, query)
    t.equal(answer.json<{ code: string }>().code, code, query)
  }
})

t.test('a repeated request gets the listing of exactly its parameters', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  const first = await connect('ann', 'first')
  const second = await connect('ann', 'second')
  await as('ann').send('PATCH', `/cloud/connections/${first}`, { default: true })
  scripted.backend.list = async (folderId, { limit, kind, cursor }) =>
    page([entry(JSON.stringify([folderId, limit, kind, cursor]))], cursor === undefined ? 'up' : null)
  const { next } = (await as('ann').get(`${LISTING}?limit=3`)).json<Listing>().page
  const requests: [query: string, status: number, connection: string, parameters: unknown[]][] = [
    ['', 200, first, [null, 200]],
    ['?limit=200', 200, first, [null, 200]],
    ['?limit=3', 200, first, [null, 3]],
    [`?limit=3&cursor=${next!}`, 200, first, [null, 3, undefined, 'up']],
    ['?limit=3&kind=file', 200, first, [null, 3, 'file']],
    ['?kind=file&limit=3', 200, first, [null, 3, 'file']],
    ['?kind=folder&limit=3', 200, first, [null, 3, 'folder']],
    ['?folder=a', 200, first, ['a', 200]],
    [`?folder=a&connection=${second}`, 200, second, ['a', 200]],
    [`?connection=${second}`, 200, second, [null, 200]],
    [`?connection=${first}`, 200, first, [null, 200]],
    ['?folder=', 400, '', []],
    ['?refresh=false', 200, first, [null, 200]],
    [`?folder=${encodeURIComponent('a","limit":3')}`, 200, first, ['a","limit":3', 200]],
    [`?folder=${encodeURIComponent('é'.normalize('NFC'))}`, 200, first, ['é'.normalize('NFC'), 200]],
    [`?folder=${encodeURIComponent('é'.normalize('NFD'))}`, 200, first, ['é'.normalize('NFD'), 200]]
  ]
  for (let round = 1; round <= 4; round += 1) {
    for (const [query, status, connectionId, parameters] of requests) {
      const response = await as('ann').get(`${LISTING}${query}`)
      t.equal(response.statusCode, status, `${query}, round ${String(round)}`)
      if (status !== 200) continue
      const [folderId = null, limit, kind, cursor] = parameters
      const { connectionId: used, entries } = response.json<Listing>()
      t.equal(used, connectionId, query)
      t.equal(entries[0]?.name, JSON.stringify([folderId, limit, kind, cursor]), query)
    }
    // What is found by its parameters depends on the default connection.
    if (round === 3) {
      await as('ann').send('PATCH', `/cloud/connections/${second}`, { default: true })
      for (const request of requests) if (!request[0].includes('connection=')) request[2] = second
      requests.splice(3, 1)
    }
  }
})

t.test('an invalid query is refused without a call upstream', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  for (const query of [
    'folder=',
    'folder=a&folder=b',
    'folder=%00',
    `folder=${'x'.repeat(8193)}`,
    `folder=${encodeURIComponent('é'.repeat(4097))}`,
    'limit=0',
    'limit=1001',
    'limit=ten',
    'limit=1.5',
    'limit=1&limit=2',
    'kind=drive',
    'refresh=maybe',
    'connection=',
    'connection=a&connection=b',
    'cursor=',
    `cursor=${'x'.repeat(4097)}`,
    'foldr=typo'
  ]) {
    const answer = await as('ann').get(`${LISTING}?${query}`)
    t.equal(answer.statusCode, 400, query.slice(0, 40))
    t.match(answer.json(), {
      type: 'urn:fastify-cloud-storage:error:INVALID_REQUEST',
      title: 'Invalid request',
      status: 400,
      code: 'INVALID_REQUEST',
      requestId: String
    })
    t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
    t.equal(answer.headers['cache-control'], 'no-store')
  }
  t.equal(scripted.backend.listCalls.length, 0)
  for (const folder of ['..', '../../x', 'a\r\nb', '__proto__', '%2e%2e%2f', 'x'.repeat(8192)]) {
    const answer = await as('ann').get(`${LISTING}?folder=${encodeURIComponent(folder)}`)
    t.equal(answer.statusCode, 200)
    t.equal(scripted.backend.listCalls.at(-1)?.folderId, folder, 'a folder id is opaque')
  }
})

t.test('refresh reloads the listing, is reported in Cache-Status, and is rate limited', async (t) => {
  const { as, connect, scripted } = await testApp(t, { limits: { refreshPerMinute: 2 } })
  await connect('ann')
  await as('ann').get(LISTING)
  for (let i = 0; i < 2; i += 1) {
    const answer = await as('ann').get(`${LISTING}?refresh=true`)
    t.equal(answer.headers['cache-status'], 'fastify-cloud-storage; fwd=request; stored')
  }
  t.equal(scripted.backend.listCalls.length, 3)
  const refused = await as('ann').get(`${LISTING}?refresh=true`)
  t.equal(refused.statusCode, 429)
  t.equal(refused.json<{ code: string }>().code, 'TOO_MANY_REQUESTS')
  t.ok(Number(refused.headers['retry-after']) > 0)
  t.equal((await as('ann').get(LISTING)).statusCode, 200)
})

t.test('refresh during an older load makes its own call', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  const slow = new Deferred<ReturnType<typeof page>>()
  scripted.backend.list = () => slow.promise
  const old = as('ann').get(LISTING)
  await until(() => scripted.backend.listCalls.length === 1)
  scripted.backend.list = async () => page([entry('new')])
  const fresh = await as('ann').get(`${LISTING}?refresh=true`)
  t.same(
    fresh.json<Listing>().entries.map(({ name }) => name),
    ['new']
  )
  slow.resolve(page([entry('old')]))
  await old
  t.same(
    (await as('ann').get(LISTING)).json<Listing>().entries.map(({ name }) => name),
    ['new']
  )
})

t.test('concurrent cold reads of one folder share a call upstream; two users make two', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  await connect('bob')
  const slow = new Deferred<ReturnType<typeof page>>()
  scripted.backend.list = () => slow.promise
  const readers = Array.from({ length: 1000 }, () => as('ann').get(LISTING))
  const other = as('bob').get(LISTING)
  await until(() => scripted.backend.listCalls.length === 2)
  slow.resolve(page([entry('a')]))
  const answers = await Promise.all(readers)
  await other
  t.equal(scripted.backend.listCalls.length, 2)
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  t.equal(
    answers.filter(({ headers }) => headers['cache-status'] === 'fastify-cloud-storage; fwd=miss; stored').length,
    1
  )
  t.same(
    new Set(scripted.opened.map((each) => (each as { token: string }).token)),
    new Set(['token of ann', 'token of bob'])
  )
})

t.test('a user who opens very many folders at once receives 429, and other users are not affected', async (t) => {
  const { as, connect, scripted } = await testApp(t, { timeouts: TEST_TIMEOUTS })
  await connect('ann')
  await connect('bob')
  const slow = new Deferred<ReturnType<typeof page>>()
  scripted.backend.list = (folder) => (folder === 'bob' ? Promise.resolve(page([])) : slow.promise)
  const many = Array.from({ length: 1001 }, (_, i) => as('ann').get(`${LISTING}?folder=${i}`))
  await until(() => scripted.backend.listCalls.length === 32)
  t.equal((await as('bob').get(`${LISTING}?folder=bob`)).statusCode, 200)
  slow.resolve(page([]))
  const statuses = (await Promise.all(many)).map(({ statusCode }) => statusCode)
  t.equal(statuses.filter((status) => status === 200).length, 32)
  t.equal(statuses.filter((status) => status === 429).length, 969)
})

t.test('a failure is a problem document, is never cached, and reveals nothing of the upstream', async (t) => {
  const lines: string[] = []
  const { as, connect, scripted } = await testApp(
    t,
    {},
    { logger: { stream: { write: (line: string) => lines.push(line) } } }
  )
  await connect('ann')
  scripted.backend.list = () => Promise.reject(new Error('upstream said Bearer SECRET'))
  const failed = await as('ann').get(`${LISTING}?folder=private-name`)
  t.equal(failed.statusCode, 502)
  t.match(failed.json(), { code: 'PROVIDER_ERROR', status: 502 })
  t.notMatch(failed.body, 'SECRET')
  t.notMatch(lines.join(''), 'SECRET')
  t.notMatch(lines.join(''), 'private-name', 'the plugin’s own log lines contain no query')
  t.match(lines.join(''), 'PROVIDER_ERROR')
  t.match(lines.join(''), LISTING)
  scripted.backend.list = async () => page([])
  const empty = await as('ann').get(`${LISTING}?folder=private-name`)
  t.equal(empty.headers['cache-status'], 'fastify-cloud-storage; fwd=miss; stored', 'an empty folder is cached')
})

t.test('an unknown provider and a foreign or unknown connection answer 404', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  const foreign = await connect('bob')
  await connect('ann')
  const listed = scripted.backend.listCalls.length
  t.match((await as('ann').get('/cloud/nowhere/listing')).json(), { code: 'PROVIDER_UNKNOWN', status: 404 })
  t.match((await as('ann').get('/cloud/connections/listing')).json(), { code: 'PROVIDER_UNKNOWN', status: 404 })
  const bodies = await Promise.all(
    [foreign, '00000000-0000-4000-8000-000000000000', 'x', '%00'].map(async (id) => {
      const answer = await as('ann').get(`${LISTING}?connection=${id}`)
      t.equal(answer.statusCode, 404)
      const { requestId, ...body } = answer.json<Record<string, unknown>>()
      return body
    })
  )
  for (const body of bodies) t.same(body, bodies[0])
  t.equal(scripted.backend.listCalls.length, listed)
})

t.test('a missing or disabled connection, or one with swapped credentials, answers 503 without a call', async (t) => {
  const { as, connect, db, scripted } = await testApp(t)
  const code = async () => {
    const answer = await as('ann').get(LISTING)
    t.equal(answer.statusCode, 503)
    return answer.json<{ code: string }>().code
  }
  t.equal(await code(), 'CONNECTION_MISSING')
  const id = await connect('ann')
  const theirs = await connect('bob')
  await as('ann').get(LISTING)
  t.equal(scripted.backend.listCalls.length, 1)
  for (const status of ['DISABLED', 'ERROR', 'REQUIRES_REAUTH'] as const) {
    await db.prisma.cloudConnection.update({ where: { id }, data: { status } })
    t.equal(await code(), 'CONNECTION_INACTIVE')
  }
  const { credentials } = await db.prisma.cloudConnection.findUniqueOrThrow({ where: { id: theirs } })
  for (const swapped of [credentials, '{"token":"plain"}', '']) {
    await db.prisma.cloudConnection.update({ where: { id }, data: { status: 'ACTIVE', credentials: swapped } })
    const answer = await as('ann').get(LISTING)
    t.match(answer.json(), { code: 'CREDENTIALS_UNREADABLE', status: 503 })
  }
  t.equal(scripted.backend.listCalls.length, 1)
})

t.test('an entry expires after a minute', async (t) => {
  const { as, connect, scripted } = await testApp(t)
  await connect('ann')
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => {
    mock.timers.reset()
  })
  const { headers } = await as('ann').get(LISTING)
  mock.timers.tick(58_000)
  const hit = await as('ann').get(LISTING)
  t.match(hit.headers['cache-status'], /hit; ttl=[12]$/)
  t.match(hit.headers.age, /^5[89]$/)
  mock.timers.tick(2000)
  const miss = await as('ann').get(LISTING, { 'if-none-match': String(headers.etag) })
  t.equal(miss.headers['cache-status'], 'fastify-cloud-storage; fwd=miss; stored')
  t.equal(miss.statusCode, 304, 'the content is unchanged')
  t.equal(scripted.backend.listCalls.length, 2)
})

t.test('a removed connection takes effect at once', async (t) => {
  const { as, connect, db, scripted } = await testApp(t)
  const id = await connect('ann')
  await as('ann').get(LISTING)
  await db.prisma.cloudConnection.delete({ where: { id } })
  t.equal((await as('ann').get(LISTING)).json<{ code: string }>().code, 'CONNECTION_MISSING')
  t.equal(scripted.backend.listCalls.length, 1)
})

/** A reader with a connection of its own; `leave` closes it. */
function read(port: number) {
  const agent = new Agent()
  const asked = request({
    host: '127.0.0.1',
    port,
    path: '/cloud/scripted/listing',
    agent,
    headers: { 'x-user': 'ann' }
  })
  const status = new Promise<number | null>((resolve) => {
    asked.once('response', (answer) => {
      answer.resume().once('end', () => {
        resolve(answer.statusCode ?? null)
        agent.destroy()
      })
    })
    asked.once('error', () => {
      resolve(null)
    })
  })
  asked.end()
  return { status, leave: () => asked.destroy() }
}

t.test('fifty cold reads share the call of the first client, which disconnects without failing the rest', async (t) => {
  const { app, connect, scripted } = await testApp(t)
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const slow = new Deferred<ReturnType<typeof page>>()
  scripted.backend.list = () => slow.promise
  const first = read(port)
  await until(() => scripted.backend.listCalls.length === 1)
  const others = Array.from({ length: 49 }, () => read(port))
  await until(() => app.folderCache.stats().joins === 49)
  first.leave()
  t.equal(await first.status, null)
  slow.resolve(page([entry('a')]))
  t.same(new Set(await Promise.all(others.map(({ status }) => status))), new Set([200]))
  t.equal(scripted.backend.listCalls.length, 1)
})

t.test('the call upstream is aborted when all clients have disconnected', async (t) => {
  const { app, connect, scripted } = await testApp(t)
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const aborted = new Deferred<unknown>()
  scripted.backend.list = (_folder, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason)
        reject(signal.reason as Error)
      })
    })
  const readers = Array.from({ length: 50 }, () => read(port))
  await until(() => app.folderCache.stats().joins === 49)
  for (const { leave } of readers) leave()
  await t.resolves(aborted.promise)
  await until(() => app.folderCache.stats().inFlight === 0)
  t.equal(app.folderCache.stats().entries, 0)
})

/** Connects a user to a folder of nine pages and reads the first page. */
async function turned(t: Test, options: Partial<CloudStorageOptions> = {}) {
  const world = await testApp(t, options)
  await world.connect('ann')
  const { backend } = world.scripted
  backend.list = pages(9)
  const get = async (cursor?: string) => {
    const answer = await world.as('ann').get(cursor === undefined ? LISTING : `${LISTING}?cursor=${cursor}`)
    return { status: answer.headers['cache-status'], body: answer.json<Listing>() }
  }
  const first = await get()
  return { ...world, get, first, asked: () => backend.listCalls.map(({ call }) => call.cursor ?? 'p1') }
}

t.test('a reader who has requested the second page finds the third page cached', async (t) => {
  const { app, get, first, asked } = await turned(t)
  const second = await get(first.body.page.next!)
  await until(() => app.folderCache.stats().entries === 3)
  t.strictSame(asked(), ['p1', 'p2', 'p3'])
  const third = await get(second.body.page.next!)
  t.match(third.status, /^fastify-cloud-storage; hit; ttl=\d+$/)
  t.equal(third.body.entries[0]?.name, 'p3')
})

t.test('with cache.readAhead false no page is loaded before it is requested', async (t) => {
  const { app, get, first, asked } = await turned(t, { cache: { readAhead: false } })
  const second = await get(first.body.page.next!)
  for (let i = 0; i < 20; i += 1) await nextTurn()
  t.equal(app.folderCache.stats().loads, 2)
  await get(second.body.page.next!)
  t.strictSame(asked(), ['p1', 'p2', 'p3'])
})

t.test('a closing app aborts read-ahead loads', async (t) => {
  const { app, get, first, scripted } = await turned(t)
  let signal: AbortSignal | undefined
  const others = scripted.backend.list
  scripted.backend.list = (folderId, call) => {
    if (call.cursor !== 'p3') return others(folderId, call)
    signal = call.signal
    return new Promise((_resolve, reject) => {
      call.signal.addEventListener('abort', () => {
        reject(call.signal.reason as Error)
      })
    })
  }
  await get(first.body.page.next!)
  await until(() => signal !== undefined)
  t.notOk(signal?.aborted)
  await app.close()
  t.ok(signal?.aborted)
  await until(() => app.folderCache.stats().inFlight === 0)
})

t.test('a user who lists one folder with many limits does not evict the page of another user', async (t) => {
  const { app, as, connect } = await testApp(t, { cache: { max: 40 } })
  await connect('ann')
  await connect('bob')
  const isHit = async (user: string, query = '') =>
    /; hit/.test(String((await as(user).get(LISTING + query)).headers['cache-status']))
  t.notOk(await isHit('bob'))
  for (let limit = 1; limit <= 50; limit += 1) await as('ann').get(`${LISTING}?limit=${limit}`)
  t.ok(await isHit('bob'))
  t.equal(app.folderCache.stats().entries, 11)
  t.ok(await isHit('ann', '?limit=50'))
  t.notOk(await isHit('ann', '?limit=1'))
})
