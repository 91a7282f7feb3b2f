import t from 'tap'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import type { Egress } from '../../../src/core/egress.ts'
import { StorageError } from '../../../src/errors.ts'
import { isProviderDefinition } from '../../../src/core/provider.ts'
import { Secret } from '../../../src/core/secret.ts'
import { openManaged, provider } from '../../../src/providers/s3/index.ts'
import { backendContract } from '../../contract/backend.ts'
import { harness } from '../../contract/harness/s3.ts'
import { harness as strictHarness } from '../../contract/harness/s3-strict.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { singleCreatorWins } from '../../contract/suite/replaces-with-conditions.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FakeS3, FAKE_BUCKET, FAKE_CREDENTIALS } from '../../fakes/s3/fake-s3.ts'
import { setEnvironment } from '../../support/process/environment.ts'
import { openFakeS3 } from '../../support/s3/s3-backend.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

t.test('a server that may ignore conditions (fauxqs)', async (t) => {
  backendContract(t, harness)
})

t.test('a server that checks conditions (our strict fake)', async (t) => {
  backendContract(t, strictHarness)
  singleCreatorWins(t, strictHarness.open)
})

const FIELDS = {
  endpoint: 'https://s3.example.org',
  bucket: 'invoices',
  accessKeyId: 'AKIAEXAMPLE',
  secretAccessKey: 'hunter2/+='
}

const parse = (fields: object) => provider.connect.parse({ ...FIELDS, ...fields })

t.test('credentials are parsed into settings to be sealed, an account and a label', async (t) => {
  t.ok(isProviderDefinition(provider))
  const { credentials, accountId, label } = parse({ prefix: 'a b/ü', endpoint: 'HTTPS://S3.Example.org:443' })
  t.same(credentials.reveal(), {
    ...FIELDS,
    region: 'us-east-1',
    prefix: 'a b/ü/',
    forcePathStyle: true
  })
  t.equal(accountId, 'https://s3.example.org/invoices/a%20b/ü/#AKIAEXAMPLE')
  t.equal(label, 'invoices at s3.example.org')
  t.notMatch(accountId + label, 'hunter2')
})

t.test('no two accounts share an account id', async (t) => {
  const different = [
    {},
    { endpoint: 'http://s3.example.org' },
    { endpoint: 'https://s3.example.org:8443' },
    { bucket: 'invoices.b' },
    { prefix: 'b' },
    { prefix: 'b/c' },
    { prefix: 'b#AKIAEXAMPLE' },
    { prefix: 'b%23AKIAEXAMPLE' },
    { prefix: 'b c' },
    { prefix: 'b%20c' },
    { prefix: 'b\u00a0c' },
    { prefix: 'e\u0301' },
    { prefix: '\u00e9' },
    { accessKeyId: 'AKIAEXAMPLE#' },
    { accessKeyId: 'AKIAEXAMPLE%23' },
    { accessKeyId: 'b/#AKIAEXAMPLE'.replace('/', '') }
  ]
  const ids = different.map((fields) => parse(fields).accountId)
  t.equal(new Set(ids).size, different.length)
  t.equal(parse({ prefix: 'b' }).accountId, parse({ prefix: 'b/' }).accountId, 'the same folder is the same account')
  t.equal(parse({ secretAccessKey: 'another' }).accountId, parse({}).accountId, 'a new secret is the same account')
})

t.test('invalid fields are refused and named', async (t) => {
  const wrong: [string, unknown][] = [
    ['endpoint', ''],
    ['endpoint', 's3.example.org'],
    ['endpoint', 'ftp://s3.example.org'],
    ['endpoint', 'https://s3.example.org/path'],
    ['endpoint', 'https://s3.example.org/?'],
    ['endpoint', 'https://s3.example.org/#'],
    ['endpoint', 'https://s3.example.org?x=1'],
    ['endpoint', 'https://user@s3.example.org'],
    ['endpoint', 'https://user:secret@s3.example.org'],
    ['endpoint', 'https://' + 'a'.repeat(250)],
    ['endpoint', 17],
    ['endpoint', undefined],
    ['region', 'eu/west'],
    ['region', ''],
    ['bucket', ''],
    ['bucket', 'ab'],
    ['bucket', '..'],
    ['bucket', 'a/b'],
    ['bucket', 'arn:aws:s3:::bucket'],
    ['bucket', 'express--use1-az4--x-s3'],
    ['bucket', 'x'.repeat(64)],
    ['bucket', undefined],
    ['prefix', '/absolute'],
    ['prefix', 'a//b'],
    ['prefix', '../up'],
    ['prefix', 'a/./b'],
    ['prefix', 'a\0'],
    ['prefix', '\ud800'],
    ['prefix', 'ü'.repeat(256)],
    ['prefix', '#'.repeat(511)],
    ['prefix', 7],
    ['accessKeyId', ''],
    ['accessKeyId', 'a b'],
    ['accessKeyId', 'a/b'],
    ['accessKeyId', undefined],
    ['secretAccessKey', ''],
    ['secretAccessKey', 'line\nbreak'],
    ['secretAccessKey', undefined],
    ['forcePathStyle', 'yes']
  ]
  for (const [field, value] of wrong) {
    // 511 characters are allowed in a prefix, but not after escaping.
    const accessKeyId = value === '#'.repeat(511) ? '#'.repeat(128) : FIELDS.accessKeyId
    try {
      parse({ accessKeyId, [field]: value })
      t.fail(`${field}: ${JSON.stringify(value)} was accepted`)
    } catch (error) {
      t.match(error, { code: 'INVALID_CREDENTIALS', message: `"${field}"` })
      t.notMatch(String(error), 'hunter2')
    }
  }
})

t.test('the longest account id fits an index of PostgreSQL', async (t) => {
  const { accountId } = parse({
    endpoint: `https://${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example.org:12345`,
    bucket: 'b'.repeat(63),
    prefix: '\u{1f4be}'.repeat(127),
    accessKeyId: 'k'.repeat(128)
  })
  t.ok(Buffer.byteLength(accountId) < 2000)
})

t.test('the schema of the fields accepts what parse accepts, and marks the secret', async (t) => {
  const { schema } = provider.connect
  const app = Fastify()
  app.post('/', { schema: { body: schema } }, async (request) => request.body)
  const send = async (fields: object) => (await app.inject({ method: 'POST', url: '/', payload: fields })).statusCode
  t.equal(await send(FIELDS), 200)
  t.equal(await send({ ...FIELDS, region: 'eu-central-1', prefix: 'a/', forcePathStyle: false }), 200)
  t.equal(await send({ ...FIELDS, secretAccessKey: '' }), 400)
  t.equal(await send({ ...FIELDS, endpoint: undefined }), 400)
  t.equal(schema.additionalProperties, false)
  t.match(schema.properties['secretAccessKey'], { writeOnly: true })
})

t.test('stored credentials in another format are CREDENTIALS_UNREADABLE, without a call', async (t) => {
  const whole = parse({}).credentials.reveal() as Record<string, unknown>
  const broken: unknown[] = [
    null,
    'text',
    [],
    {},
    ...['endpoint', 'bucket', 'accessKeyId', 'secretAccessKey'].flatMap((field) => [
      { ...whole, [field]: undefined },
      { ...whole, [field]: '' },
      { ...whole, [field]: null }
    ])
  ]
  for (const value of broken) {
    const egress = openEgress()
    const opening = provider.open({ credentials: new Secret(value), egress, timeouts: TEST_TIMEOUTS })
    await rejectsWith(t, opening, 'CREDENTIALS_UNREADABLE', JSON.stringify(value))
    t.same(egress.checkedUrls, [])
  }
})

t.test('an endpoint that the egress rules forbid is not opened', async (t) => {
  const forbidden = new StorageError('ENDPOINT_FORBIDDEN', 'This address is not allowed.')
  const refuse = (host: string): Egress => ({
    ...openEgress(),
    assertAllowed(url: URL) {
      if (url.host === host) throw forbidden
    }
  })
  const timeouts = TEST_TIMEOUTS
  const { credentials } = parse({})
  await rejectsWith(t, provider.open({ credentials, egress: refuse('s3.example.org'), timeouts }), 'ENDPOINT_FORBIDDEN')
  const hosted = parse({ forcePathStyle: false }).credentials
  const opening = provider.open({ credentials: hosted, egress: refuse('invoices.s3.example.org'), timeouts })
  await rejectsWith(t, opening, 'ENDPOINT_FORBIDDEN', 'the host with the bucket name')
  const egress = openEgress()
  await provider.open({ credentials, egress, timeouts })
  t.same(egress.checkedUrls, ['https://s3.example.org/'])
})

t.test('the endpoint determines the capability of conditions', async (t) => {
  const open = async (endpoint: string) =>
    (
      await provider.open({
        credentials: parse({ endpoint }).credentials,
        egress: openEgress(),
        timeouts: TEST_TIMEOUTS
      })
    ).capabilities.createOnly
  t.equal(await open('https://s3.eu-central-1.amazonaws.com'), 'native')
  t.equal(await open('https://s3.cn-north-1.amazonaws.com.cn'), 'native')
  t.equal(await open('https://amazonaws.com.example.org'), 'emulated')
  t.equal(await open('https://notamazonaws.com'), 'emulated')
  t.equal(provider.capabilities.createOnly, 'emulated', 'the minimum for all endpoints')
})

t.test("the server's own identity, proxy and endpoint are never used", async (t) => {
  const metadata = createServer((_request, response) => response.end('us-east-1'))
  const asked: (string | undefined)[] = []
  metadata.on('request', (request) => asked.push(request.url))
  metadata.listen(0, '127.0.0.1')
  await once(metadata, 'listening')
  t.teardown(() => metadata.close())
  const trap = `http://127.0.0.1:${(metadata.address() as AddressInfo).port}`
  const environment = {
    AWS_ACCESS_KEY_ID: 'AKHOST',
    AWS_SECRET_ACCESS_KEY: 'SKHOST',
    AWS_SESSION_TOKEN: 'TOKENHOST',
    AWS_REGION: 'eu-west-3',
    AWS_DEFAULTS_MODE: 'auto',
    AWS_EC2_METADATA_SERVICE_ENDPOINT: trap,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${trap}/credentials`,
    AWS_ENDPOINT_URL: trap,
    AWS_ENDPOINT_URL_S3: trap,
    AWS_USE_FIPS_ENDPOINT: 'true',
    AWS_USE_DUALSTACK_ENDPOINT: 'true',
    AWS_MAX_ATTEMPTS: '5',
    AWS_SDK_UA_APP_ID: 'the-host',
    HTTP_PROXY: trap,
    http_proxy: trap
  }
  setEnvironment(t, environment)

  const fake = await FakeS3.start(t)
  const broken = { endpoint: fake.endpoint, bucket: FAKE_BUCKET, accessKeyId: '', secretAccessKey: '' }
  const opening = provider.open({ credentials: new Secret(broken), egress: openEgress(), timeouts: TEST_TIMEOUTS })
  await rejectsWith(t, opening, 'CREDENTIALS_UNREADABLE')
  t.same([fake.requests, asked], [[], []], 'no request')

  const { credentials } = parse({ endpoint: fake.endpoint, bucket: FAKE_BUCKET, ...FAKE_CREDENTIALS })
  const backend = await provider.open({ credentials, egress: openEgress(), timeouts: TEST_TIMEOUTS })
  fake.store.put('a', Buffer.from('a'))
  await backend.account(callOptions())
  await backend.stat('a', callOptions())
  t.equal(fake.requests.length, 3)
  for (const { headers } of fake.requests) {
    t.notMatch(JSON.stringify(headers), 'HOST')
    t.notMatch(headers['user-agent'], 'the-host')
    t.equal(headers['x-amz-security-token'], undefined)
  }
  const atAmazon = await openManaged(
    { type: 's3', bucket: 'documents', credentials: FAKE_CREDENTIALS },
    { timeouts: TEST_TIMEOUTS }
  )
  const link = await atAmazon.downloadUrl?.('a', { ...callOptions(), expiresInMs: 1000 })
  t.equal(new URL(link?.url ?? '').host, 'documents.s3.us-east-1.amazonaws.com')
  t.same(asked, [], 'no request to the metadata service, the proxy or the other endpoint')
})

t.test('a managed store is a bucket that issues its own links', async (t) => {
  const fake = await FakeS3.start(t)
  const options = { type: 's3', endpoint: fake.endpoint, bucket: FAKE_BUCKET, credentials: FAKE_CREDENTIALS } as const
  const backend = await openManaged(
    { ...options, prefix: 'documents/', publicEndpoint: 'https://files.example.org' },
    { timeouts: TEST_TIMEOUTS }
  )
  fake.store.put('documents/a b.txt', Buffer.from('a'))
  fake.store.put('elsewhere.txt', Buffer.from('b'))
  const page = await backend.listFolder(null, { ...callOptions(), limit: 10 })
  t.same(
    page.entries.map(({ id }) => id),
    ['a b.txt']
  )
  const link = await backend.downloadUrl?.('a b.txt', { ...callOptions(), expiresInMs: 10_000 })
  t.equal(new URL(link?.url ?? '').origin, 'https://files.example.org')
  t.equal(new URL(link?.url ?? '').pathname, `/${FAKE_BUCKET}/documents/a%20b.txt`)
  t.equal(new URL(link?.url ?? '').searchParams.get('X-Amz-Expires'), '10')
  const disguised = await backend.downloadUrl?.('a\u202egpj.exe', { ...callOptions(), expiresInMs: 10_000 })
  const saved = new URL(disguised?.url ?? '').searchParams.get('response-content-disposition')
  t.equal(saved, 'attachment; filename="agpj.exe"', 'without characters that change the text direction')

  for (const wrong of [
    { bucket: 'x' },
    { endpoint: `${fake.endpoint}/path` },
    { publicEndpoint: 'files' },
    { credentials: { accessKeyId: '', secretAccessKey: '' } },
    { prefix: '../' }
  ]) {
    await t.rejects(openManaged({ ...options, ...wrong }, { timeouts: TEST_TIMEOUTS }), { name: 'InvalidSettingError' })
  }
})

t.test('a managed store without an endpoint uses AWS', async (t) => {
  const options = { type: 's3', region: 'eu-central-1', bucket: 'documents', credentials: FAKE_CREDENTIALS } as const
  const backend = await openManaged(options, { timeouts: TEST_TIMEOUTS })
  const link = await backend.downloadUrl?.('a.txt', { ...callOptions(), expiresInMs: 1000 })
  t.equal(new URL(link?.url ?? '').host, 'documents.s3.eu-central-1.amazonaws.com')
  t.equal(backend.capabilities.createOnly, 'native')
})

t.test('a bucket without a prefix is listed from its top', async (t) => {
  const fake = await FakeS3.start(t)
  const backend = await openFakeS3(fake)
  for (const key of ['a', 'b/c', '/absolute', 'b//d']) fake.store.put(key, Buffer.from(key))
  const ids = async (folder: string | null) =>
    (await backend.listFolder(folder, { ...callOptions(), limit: 10 })).entries.map(({ id, name, parentId }) => [
      id,
      name,
      parentId
    ])
  t.same(await ids(null), [
    ['/', '', null],
    ['a', 'a', null],
    ['b/', 'b', null]
  ])
  t.same(await ids('/'), [['/absolute', 'absolute', '/']])
  t.same(await ids('b/'), [
    ['b//', '', 'b/'],
    ['b/c', 'c', 'b/']
  ])
  t.same(await ids('b//'), [['b//d', 'd', 'b//']])
  t.equal((await backend.stat('b//d', callOptions())).size, 4)
  t.equal((await backend.stat('/absolute', callOptions())).size, 9)
})
