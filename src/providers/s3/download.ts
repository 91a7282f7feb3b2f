import { Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { StorageError } from '../../domain/errors.ts'
import type { Download, DownloadCall } from '../../domain/storage-backend.ts'
import { rangeHeader } from '../shared/byte-range.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { attempt, type Bucket } from './bucket.ts'
import { toTime, unquote } from './entries.ts'
import { nonsense, toStorageError } from './errors.ts'

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/

export async function downloadObject(bucket: Bucket, key: string, call: DownloadCall): Promise<Download> {
  const range = call.range === undefined ? undefined : rangeHeader(call.range)
  const answer = await attempt(call, 'OBJECT_NOT_FOUND', (options) =>
    bucket.transfers.send(new bucket.sdk.GetObjectCommand({ Bucket: bucket.name, Key: key, Range: range }), options)
  )
  const source = answer.Body
  if (!(source instanceof Readable)) throw nonsense('S3 answered without a body')
  let parts: ReturnType<typeof readSizes>
  try {
    parts = readSizes(answer, call.range)
  } catch (error) {
    source.on('error', () => {})
    source.destroy()
    throw error
  }
  const body = new TransferBody(source, {
    expected: parts.expected,
    idleMs: bucket.timeouts.idleMs,
    signal: call.signal,
    toError: (error) => toStorageError(error, 'OBJECT_NOT_FOUND')
  })
  return {
    body,
    size: parts.size,
    range: parts.range,
    mimeType: answer.ContentType ?? null,
    etag: unquote(answer.ETag),
    modifiedAt: toTime(answer.LastModified)
  }
}

/** @throws StorageError `PROVIDER_ERROR` for an answer that is no object, or other bytes than were asked for */
function readSizes(answer: GetObjectCommandOutput, asked: DownloadCall['range']) {
  // A proxy's page or a captive portal has neither; each S3 object has both.
  if (answer.ETag === undefined && answer.LastModified === undefined)
    throw nonsense('S3 answered 200 without an object')
  const length = answer.ContentLength ?? null
  // A server that does not know ranges sends the whole object, and says so by not naming a range.
  if (answer.ContentRange === undefined) return { size: length, range: null, expected: length }

  const [, first, last, total] = CONTENT_RANGE.exec(answer.ContentRange) ?? []
  const start = Number(first)
  const end = Number(last)
  const size = total === undefined || total === '*' ? null : Number(total)
  const expected = end - start + 1
  if (first === undefined || !isWhatWasAsked(asked, start, end, size) || (length !== null && length !== expected)) {
    throw nonsense('S3 answered with other bytes than were asked for')
  }
  return { size, range: { start, end }, expected }
}

function isWhatWasAsked(asked: DownloadCall['range'], start: number, end: number, size: number | null): boolean {
  if (asked === undefined || end < start || (size !== null && end >= size)) return false
  if ('suffix' in asked) return size === null || (end === size - 1 && start === Math.max(0, size - asked.suffix))
  const wantedEnd = asked.end ?? Infinity
  return start === asked.start && (size === null ? end <= wantedEnd : end === Math.min(wantedEnd, size - 1))
}

/** @throws StorageError `OBJECT_NOT_FOUND` for a folder: its marker is not a document */
export function requireFile(id: string): void {
  if (id.endsWith('/')) throw new StorageError('OBJECT_NOT_FOUND', 'There is no such object.')
}
