import { Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Download, DownloadCall } from '../../core/backend.ts'
import { destroyBody, type DownloadSizes, rangeHeader, readDownloadSizes } from '../shared/download.ts'
import { failure } from '../shared/errors.ts'
import { nameOf } from '../shared/names.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { formatLastModified, unquote } from './entries.ts'
import { toStorageError } from './errors.ts'
import { callS3, type S3Session } from './session.ts'

export async function downloadFile(session: S3Session, id: string, call: DownloadCall): Promise<Download> {
  const key = session.keys.keyOf(id)
  requireFile(id)
  const range = call.range === undefined ? undefined : rangeHeader(call.range)
  const response = await callS3(call, 'OBJECT_NOT_FOUND', (options) =>
    session.transferClient.send(
      new session.sdk.GetObjectCommand({ Bucket: session.bucket, Key: key, Range: range }),
      options
    )
  )
  const source = response.Body
  if (!(source instanceof Readable)) throw failure('PROVIDER_ERROR', 'S3 returned no body')
  let sizes: DownloadSizes
  try {
    sizes = readSizes(response, call.range)
  } catch (error) {
    destroyBody({ body: source })
    throw error
  }
  const body = new TransferBody(source, {
    expected: sizes.expected,
    idleMs: session.timeouts.idleMs,
    signal: call.signal,
    toError: (error) => toStorageError(error, 'OBJECT_NOT_FOUND')
  })
  return {
    body,
    size: sizes.size,
    range: sizes.range,
    mimeType: response.ContentType ?? null,
    name: nameOf(id),
    etag: unquote(response.ETag),
    modifiedAt: formatLastModified(response.LastModified)
  }
}

/** @throws StorageError `PROVIDER_ERROR` for a response that is no object, or has other bytes than requested */
function readSizes(response: GetObjectCommandOutput, requested: DownloadCall['range']): DownloadSizes {
  // A proxy's page or a captive portal has neither; every S3 object has both.
  if (response.ETag === undefined && response.LastModified === undefined)
    throw failure('PROVIDER_ERROR', 'S3 returned 200 without an object')
  const sizes = readDownloadSizes(response.ContentRange, response.ContentLength ?? null, requested)
  if (sizes === null) throw failure('PROVIDER_ERROR', 'S3 returned other bytes than requested')
  return sizes
}

/** @throws StorageError `OBJECT_NOT_FOUND` for a folder: its marker is not a document */
export function requireFile(id: string): void {
  if (id.endsWith('/')) throw failure('OBJECT_NOT_FOUND')
}
