import type { Test } from 'tap'
import { S3Client, CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { provider } from '../../../src/providers/s3/index.ts'
import { busySockets, openEgress } from '../../support/backend/egress.ts'
import { startFauxqs } from '../../support/s3/fauxqs.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import type { Harness, OpenedBackend } from '../harness.ts'

export interface S3Endpoint {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

let prefixCount = 0

/** Opens the provider like a user's connection, on a prefix of its own in a bucket. */
export async function openWithPrefix(t: Test, server: S3Endpoint): Promise<OpenedBackend> {
  const bucket = 'contract'
  const prefix = `place ${++prefixCount}/`
  const { endpoint, ...credentials } = server
  const client = new S3Client({
    endpoint,
    credentials,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED'
  })
  t.teardown(() => {
    client.destroy()
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
    if (!(error instanceof Error && error.name.startsWith('BucketAlready'))) throw error
  })
  const { credentials: parsed } = provider.connect.parse({ ...server, bucket, prefix })
  const egress = openEgress()
  const backend = await provider.open({ credentials: parsed, egress, timeouts: TEST_TIMEOUTS })
  return {
    backend,
    async seed(files) {
      for (const [path, content] of Object.entries(files)) {
        const size = Buffer.byteLength(content)
        const command = { Bucket: bucket, Key: prefix + path, Body: content, ContentLength: size }
        await client.send(new PutObjectCommand(command))
      }
    },
    busy: () => busySockets(egress, new URL(endpoint).port),
    missing: { folder: 'no such folder/', file: 'no such file' }
  }
}

export const harness: Harness = {
  name: 's3',
  async open(t) {
    const { endpoint } = await startFauxqs(t)
    return openWithPrefix(t, { endpoint, accessKeyId: 'AKTEST', secretAccessKey: 'SKTEST' })
  }
}
