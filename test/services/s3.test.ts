import t from 'tap'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client
} from '@aws-sdk/client-s3'
import { readConfig } from '../../server/config.ts'
import { openManaged, provider } from '../../src/providers/s3/index.ts'
import { backendContract } from '../contract/backend.ts'
import { openWithPrefix } from '../contract/harness/s3.ts'
import { callOptions, find, rejectsWith } from '../contract/suite/arrange.ts'
import { upload } from '../contract/suite/uploads.ts'
import { GUEST, hasCephRgw, startCephRgw } from '../support/s3/ceph-rgw.ts'
import { openEgress } from '../support/backend/egress.ts'
import { requireService } from '../support/process/services.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'
import { until } from '../support/time/until.ts'

if (requireService(t, 's3', hasCephRgw())) {
  const rgw = await startCephRgw(t)

  t.test('the contract', async (t) => {
    backendContract(t, { name: 's3 at Ceph RGW', open: (t) => openWithPrefix(t, rgw) })
  })

  const open = (fields: object) => {
    const { credentials } = provider.connect.parse({ ...rgw, bucket: 'contract', ...fields })
    return provider.open({ credentials, egress: openEgress(), timeouts: TEST_TIMEOUTS })
  }

  t.test('a wrong secret, an unknown key and a missing bucket differ from an empty folder', async (t) => {
    for (const [fields, code] of [
      [{ secretAccessKey: 'wrong' }, 'ACCESS_DENIED'],
      [{ accessKeyId: 'NOBODY' }, 'ACCESS_DENIED'],
      [{ bucket: 'no-such-bucket' }, 'FOLDER_NOT_FOUND']
    ] as const) {
      const backend = await open(fields)
      await rejectsWith(t, backend.account(callOptions()), code, JSON.stringify(fields))
      await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit: 1 }), code, JSON.stringify(fields))
    }
    t.equal((await (await open({})).account(callOptions())).name, `contract at ${new URL(rgw.endpoint).host}`)
  })

  t.test('two connections to different folders of one bucket are isolated', async (t) => {
    const [one, two] = [await open({ prefix: 'one' }), await open({ prefix: 'one two' })]
    await upload(one, { id: 'a' }, Readable.from(['1']))
    t.equal((await find(one, 'a')).size, 1)
    await rejectsWith(t, two.stat('a', callOptions()), 'OBJECT_NOT_FOUND')
    t.same((await two.listFolder(null, { ...callOptions(), limit: 10 })).entries, [])
  })

  t.test('a managed store works with a key that has only the policy of docs/SECURITY.md', async (t) => {
    const { endpoint, ...credentials } = rgw
    const owner = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true })
    t.teardown(() => {
      owner.destroy()
    })
    const Bucket = 'invoices'
    await owner.send(new CreateBucketCommand({ Bucket }))
    const security = readFileSync(new URL('../../docs/SECURITY.md', import.meta.url), 'utf8')
    const [, json = ''] = /## A policy for S3[^]*?```json\n([^]*?)```/.exec(security) ?? []
    const policy = JSON.parse(json) as { Statement: object[] }
    const Principal = { AWS: [`arn:aws:iam:::user/${GUEST.uid}`] }
    const Statement = policy.Statement.map((statement) => ({ ...statement, Principal }))
    await owner.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ ...policy, Statement }) }))

    // All variables of the store, as docker-compose.yml passes them.
    const config = readConfig({
      DATABASE_URL: 'postgres://user@db.example/documents',
      ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      ENCRYPTION_CURRENT_KEY: 'k1',
      JWT_SECRET: 'a secret of the tests, 32 bytes and more',
      JWT_ISSUER: 'tests',
      JWT_AUDIENCE: 'tests',
      MANAGED_S3_ENDPOINT: endpoint,
      MANAGED_S3_PUBLIC_ENDPOINT: endpoint.replace('127.0.0.1', 'localhost'),
      MANAGED_S3_REGION: 'us-east-1',
      MANAGED_S3_BUCKET: Bucket,
      MANAGED_S3_PREFIX: 'documents/',
      MANAGED_S3_ACCESS_KEY_ID: GUEST.accessKeyId,
      MANAGED_S3_SECRET_ACCESS_KEY: GUEST.secretAccessKey,
      MANAGED_S3_FORCE_PATH_STYLE: 'true'
    })
    if (config.mode !== 'service' || config.managed.type !== 's3') return t.fail('not a store at S3')
    const store = await openManaged(config.managed, { timeouts: TEST_TIMEOUTS })
    const large = randomBytes(9 * 1024 * 1024)
    await upload(store, { id: 'a/small.txt' }, Readable.from(['small']))
    await upload(store, { id: 'a/large.bin' }, Readable.from([large]))
    const { entries } = await store.listFolder('a/', { ...callOptions(), limit: 10 })
    t.same(
      entries.map(({ name, size }) => [name, size]),
      [
        ['large.bin', large.length],
        ['small.txt', 5]
      ]
    )
    const { body } = await store.download('a/large.bin', callOptions())
    t.ok(large.equals(Buffer.concat(await body.toArray())))
    const link = await store.downloadUrl?.('a/small.txt', { ...callOptions(), expiresInMs: 60_000 })
    t.match(link?.url, 'http://localhost:')
    t.equal(await (await fetch(link?.url ?? '')).text(), 'small')
    // S3 reports missing objects only to keys that may list the whole bucket.
    await rejectsWith(t, store.stat('a/none', callOptions()), 'ACCESS_DENIED')
    await store.remove?.('a/small.txt', callOptions())
    t.equal((await store.listFolder('a/', { ...callOptions(), limit: 10 })).entries.length, 1)

    await owner.send(new PutObjectCommand({ Bucket, Key: 'elsewhere.txt', Body: 'other' }))
    const guest = new S3Client({ endpoint, credentials: GUEST, region: 'us-east-1', forcePathStyle: true })
    t.teardown(() => {
      guest.destroy()
    })
    const forbidden = { name: 'AccessDenied' }
    await t.rejects(guest.send(new GetObjectCommand({ Bucket, Key: 'elsewhere.txt' })), forbidden)
    await t.rejects(guest.send(new ListObjectsV2Command({ Bucket })), forbidden)
    await t.rejects(guest.send(new DeleteBucketCommand({ Bucket })), forbidden)
  })

  t.test('a failed upload leaves no parts at the server', async (t) => {
    const { endpoint, ...credentials } = rgw
    const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true })
    t.teardown(() => {
      client.destroy()
    })
    const begun = async () => (await client.send(new ListMultipartUploadsCommand({ Bucket: 'contract' }))).Uploads ?? []
    const backend = await open({ prefix: 'parts' })
    const controller = new AbortController()
    const silent = new Readable({ read() {} })
    silent.push(randomBytes(9 * 1024 * 1024))
    const work = upload(backend, { id: 'a' }, silent, { signal: controller.signal })
    work.catch(() => {})
    await until(async () => (await begun()).length === 1)
    controller.abort()
    await until(async () => (await begun()).length === 0)
    await rejectsWith(t, backend.stat('a', callOptions()), 'OBJECT_NOT_FOUND')
  })
}
