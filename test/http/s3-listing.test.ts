import { buildApp } from 'fauxqs'
import t, { type Test } from 'tap'
import type { Listing } from '../../src/core/entry.ts'
import { testApp } from '../support/app/app.ts'

/** An S3 server in this process that counts its calls. */
async function startS3(t: Test, keys: readonly string[]) {
  const calls: string[] = []
  const server = buildApp({ logger: false })
  server.addHook('onRequest', async (request) => {
    calls.push(`${request.method} ${request.url}`)
  })
  const endpoint = await server.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => server.close())
  for (const key of ['', ...keys]) await fetch(`${endpoint}/bucket/${key}`, { method: 'PUT', body: key })
  calls.length = 0
  return { endpoint, calls, lists: () => calls.filter((call) => call.includes('list-type=2')).length }
}

function credentials(endpoint: string) {
  return { endpoint, bucket: 'bucket', accessKeyId: 'AKID', secretAccessKey: 'hunter2' }
}

t.test('a user connects a bucket and browses it; the second listing is cached', async (t) => {
  const s3 = await startS3(t, ['readme.txt', 'docs/a.txt', 'docs/b.txt', 'docs/deep/c.txt'])
  const { as } = await testApp(t, { providers: { s3: { allowHosts: [new URL(s3.endpoint).host] } } })
  const made = await as('ann').send('POST', '/cloud/connections/s3', credentials(s3.endpoint))
  t.equal(made.statusCode, 201)
  t.notMatch(made.body, 'hunter2')
  t.ok(s3.calls.length > 0, 'connecting contacts the server')
  t.notOk(
    s3.calls.some((call) => !/^(GET|HEAD) /.test(call)),
    'connecting sends no write request'
  )

  const names = async (query: string) => {
    const answer = await as('ann').get(`/cloud/s3/listing${query}`)
    t.equal(answer.statusCode, 200)
    return answer.json<Listing>().entries.map(({ id, name, kind }) => [id, name, kind])
  }
  t.same(await names(''), [
    ['docs/', 'docs', 'folder'],
    ['readme.txt', 'readme.txt', 'file']
  ])
  t.same(await names('?folder=docs%2F'), [
    ['docs/deep/', 'deep', 'folder'],
    ['docs/a.txt', 'a.txt', 'file'],
    ['docs/b.txt', 'b.txt', 'file']
  ])
  const before = s3.calls.length
  const again = await as('ann').get('/cloud/s3/listing?folder=docs%2F')
  t.match(again.headers['cache-status'], /; hit; ttl=\d+$/)
  t.equal(s3.calls.length, before)

  t.match((await as('ann').get('/cloud/s3/listing?folder=none%2F')).json(), { code: 'FOLDER_NOT_FOUND', status: 404 })
  for (const folder of ['../', 'docs/../../', '/etc/', 'a\0/']) {
    const answer = await as('ann').get(`/cloud/s3/listing?folder=${encodeURIComponent(folder)}`)
    t.match(String(answer.statusCode), /^40[04]$/, JSON.stringify(folder))
  }
})

t.test('a thousand cold reads of one folder share a call to the store', async (t) => {
  const s3 = await startS3(t, ['a.txt'])
  const { as } = await testApp(t, { providers: { s3: { allowHosts: [new URL(s3.endpoint).host] } } })
  await as('ann').send('POST', '/cloud/connections/s3', credentials(s3.endpoint))
  const before = s3.lists()
  const answers = await Promise.all(Array.from({ length: 1000 }, () => as('ann').get('/cloud/s3/listing')))
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  t.equal(s3.lists() - before, 1)
})

t.test('an endpoint that the operator does not allow is refused, and no connection is opened', async (t) => {
  const s3 = await startS3(t, [])
  const { as } = await testApp(t, { providers: { s3: true } })
  for (const endpoint of [s3.endpoint, 'http://169.254.169.254', 'http://localhost.:80', 'http://0x7f.1:9000']) {
    const answer = await as('ann').send('POST', '/cloud/connections/s3', credentials(endpoint))
    t.equal(answer.statusCode, 403)
    t.match(answer.json(), { code: 'ENDPOINT_FORBIDDEN', detail: 'Connections to this server are not allowed.' })
  }
  t.equal(s3.calls.length, 0)
})

t.test('an endpoint that is removed from allowHosts is no longer contacted', async (t) => {
  const s3 = await startS3(t, ['a.txt'])
  const host = new URL(s3.endpoint).host
  const first = await testApp(t, { providers: { s3: { allowHosts: [host] } } })
  const made = await first.as('ann').send('POST', '/cloud/connections/s3', credentials(s3.endpoint))
  const { credentials: sealed, ...row } = await first.db.prisma.cloudConnection.findUniqueOrThrow({
    where: { id: made.json<{ id: string }>().id }
  })
  const second = await testApp(t, { providers: { s3: { allowHosts: ['other.example'] } } })
  await second.db.prisma.cloudConnection.create({ data: { ...row, credentials: sealed } })
  const calls = s3.calls.length
  t.match((await second.as('ann').get('/cloud/s3/listing')).json(), { code: 'ENDPOINT_FORBIDDEN', status: 403 })
  t.equal(s3.calls.length, calls)
})

t.test('a missing bucket and missing keys are refused and not stored', async (t) => {
  const s3 = await startS3(t, [])
  const { as } = await testApp(t, { providers: { s3: { allowHosts: [new URL(s3.endpoint).host] } } })
  const connect = (over: object) =>
    as('ann').send('POST', '/cloud/connections/s3', { ...credentials(s3.endpoint), ...over })
  t.match((await connect({ bucket: 'nowhere' })).json(), { code: 'INVALID_CREDENTIALS', status: 400 })
  for (const over of [{ accessKeyId: '' }, { secretAccessKey: '' }, { accessKeyId: undefined }, { bucket: '' }]) {
    t.equal((await connect(over)).statusCode, 400)
  }
  t.same((await as('ann').get('/cloud/connections')).json(), { connections: [] })
})
