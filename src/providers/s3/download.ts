import { Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Download, DownloadCall } from '../../core/backend.ts'
import { providerFailure } from '../../errors.ts'
import { rangeHeader } from '../shared/download.ts'
import { type DownloadSizes, readDownloadSizes } from '../shared/download.ts'
import { nameOf } from '../shared/names.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { mapErrors, type Bucket } from './client.ts'
import { formatLastModified, unquote } from './entries.ts'
import { invalidResponse, toStorageError } from './errors.ts'

export async function downloadObject(bucket: Bucket, key: string, call: DownloadCall): Promise<Download> {
  const range = call.range === undefined ? undefined : rangeHeader(call.range)
  const response = await mapErrors(call, 'OBJECT_NOT_FOUND', (options) =>
    bucket.transferClient.send(
      new bucket.sdk.GetObjectCommand({ Bucket: bucket.name, Key: key, Range: range }),
      options
    )
  )
  const source = response.Body
  if (!(source instanceof Readable)) throw invalidResponse('S3 returned no body')
  let sizes: DownloadSizes
  try {
    sizes = readSizes(response, call.range)
  } catch (error) {
    source.on('error', () => {})
    source.destroy()
    throw error
  }
  const body = new TransferBody(source, {
    expected: sizes.expected,
    idleMs: bucket.timeouts.idleMs,
    signal: call.signal,
    toError: (error) => toStorageError(error, 'OBJECT_NOT_FOUND')
  })
  return {
    body,
    size: sizes.size,
    range: sizes.range,
    mimeType: response.ContentType ?? null,
    name: nameOf(key),
    etag: unquote(response.ETag),
    modifiedAt: formatLastModified(response.LastModified)
  }
}

/** @throws StorageError `PROVIDER_ERROR` for a response that is no object, or has other bytes than requested */
function readSizes(response: GetObjectCommandOutput, requested: DownloadCall['range']): DownloadSizes {
  // A proxy's page or a captive portal has neither; every S3 object has both.
  if (response.ETag === undefined && response.LastModified === undefined)
    throw invalidResponse('S3 returned 200 without an object')
  const sizes = readDownloadSizes(response.ContentRange, response.ContentLength ?? null, requested)
  if (sizes === null) throw invalidResponse('S3 returned other bytes than requested')
  return sizes
}

/** @throws StorageError `OBJECT_NOT_FOUND` for a folder: its marker is not a document */
export function requireFile(id: string): void {
  if (id.endsWith('/')) throw providerFailure('OBJECT_NOT_FOUND')
}
