import t from 'tap'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { provider } from '../../src/providers/s3.ts'
import { backendContract } from '../contract/backend.ts'
import { openPlace } from '../contract/harness/s3.ts'
import { call, find, rejectsWith } from '../contract/suite/arrange.ts'
import { upload } from '../contract/suite/uploads.ts'
import { hasCephRgw, startCephRgw } from '../support/ceph-rgw.ts'
import { openEgress } from '../support/egress.ts'
import { requireService } from '../support/services.ts'
import { TEST_TIMEOUTS } from '../support/timeouts.ts'
import { until } from '../support/until.ts'

if (requireService(t, 's3', hasCephRgw())) {
  const rgw = await startCephRgw(t)

  t.test('the contract', async (t) => {
    backendContract(t, { name: 's3 at Ceph RGW', open: (t) => openPlace(t, rgw) })
  })

  const open = (fields: object) => {
    const { credentials } = provider.connect.parse({ ...rgw, bucket: 'contract', ...fields })
    return provider.open({ credentials, egress: openEgress(), timeouts: TEST_TIMEOUTS })
  }

  t.test('a wrong secret, an unknown key and a missing bucket are told apart from an empty folder', async (t) => {
    for (const [fields, code] of [
      [{ secretAccessKey: 'wrong' }, 'ACCESS_DENIED'],
      [{ accessKeyId: 'NOBODY' }, 'ACCESS_DENIED'],
      [{ bucket: 'no-such-bucket' }, 'FOLDER_NOT_FOUND']
    ] as const) {
      const backend = await open(fields)
      await rejectsWith(t, backend.account(call()), code, JSON.stringify(fields))
      await rejectsWith(t, backend.listFolder(null, { ...call(), limit: 1 }), code, JSON.stringify(fields))
    }
    t.equal((await (await open({})).account(call())).name, `contract at ${new URL(rgw.endpoint).host}`)
  })

  t.test('two connections to folders of one bucket do not see each other', async (t) => {
    const [one, two] = [await open({ prefix: 'one' }), await open({ prefix: 'one two' })]
    await upload(one, { id: 'a' }, Readable.from(['1']))
    t.equal((await find(one, 'a')).size, 1)
    await rejectsWith(t, two.stat('a', call()), 'OBJECT_NOT_FOUND')
    t.same((await two.listFolder(null, { ...call(), limit: 10 })).entries, [])
  })

  t.test('an upload that fails leaves no parts at the server', async (t) => {
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
    await rejectsWith(t, backend.stat('a', call()), 'OBJECT_NOT_FOUND')
  })
}
