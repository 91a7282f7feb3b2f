import { type Readable, Transform } from 'node:stream'
import type { Download, DownloadCall } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import type { StorageError } from '../../errors.ts'
import { connectionFailure } from '../../net/errors.ts'
import {
  destroyBody,
  type DownloadSizes,
  hasDetectableEnd,
  isEncoded,
  rangeHeader,
  readContentLength,
  readDownloadSizes,
  resolveRange
} from '../shared/download.ts'
import { readETag, readMediaType } from '../shared/entries.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { nameOf } from '../shared/names.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { readTime } from './entries.ts'
import { type DavSession, getResource } from './session.ts'

export async function downloadFile(session: DavSession, id: string, call: DownloadCall): Promise<Download> {
  const { client, paths } = session
  const { signal, range } = call
  const url = paths.urlOf(id)
  if (id.endsWith('/')) throw failure('OBJECT_NOT_FOUND')
  const headers = range === undefined ? {} : { range: rangeHeader(range) }
  const response = await client.send({ method: 'GET', url, signal, headers, purpose: 'transfer' })
  if (response.status !== 200 && response.status !== 206) {
    await response.discard()
    // A folder cannot be downloaded. sabre reports this as not implemented.
    const isFolder = response.status === 405 || response.status === 501
    throw isFolder ? failure('OBJECT_NOT_FOUND') : httpFailure('GET', response, 'OBJECT_NOT_FOUND')
  }
  try {
    const received = await readSizes(session, url, response, call)
    const isWholeFile = isFirstByte(range) && received.range !== null && received.range.end > 0
    const { expected, ...sizes } = isWholeFile ? { ...received, ...FIRST_BYTE } : received
    const body = new TransferBody(isWholeFile ? firstByteOf(response.body) : response.body, {
      expected,
      idleMs: client.timeouts.idleMs,
      signal,
      toError: (error) => connectionFailure(error, 'The download from the server')
    })
    const { headers: responseHeaders } = response
    return {
      body,
      ...sizes,
      name: nameOf(id),
      mimeType: readMediaType(responseHeaders['content-type']),
      etag: readETag(responseHeaders['etag'])?.opaque ?? null,
      modifiedAt: readTime(responseHeaders['last-modified'])
    }
  } catch (error) {
    destroyBody(response)
    throw error
  }
}

/** @throws StorageError for a response that is no file, or has other bytes than requested */
async function readSizes(
  session: DavSession,
  url: URL,
  response: HttpResponse,
  call: DownloadCall
): Promise<DownloadSizes> {
  const { status, headers } = response
  // Servers redirect to a folder's URL with a slash, and return a folder as a page or an archive.
  if (response.url.pathname.endsWith('/')) throw failure('OBJECT_NOT_FOUND')
  const length = readContentLength(response)
  const contentRange = status === 206 ? (headers['content-range'] ?? '') : undefined
  // sabre treats a range of the first byte alone as the whole file.
  const range = isFirstByte(call.range) && contentRange?.startsWith('bytes 0-0/') === false ? { start: 0 } : call.range
  const sizes = readDownloadSizes(contentRange, length, range)
  if (sizes === null) throw unexpectedBytes()

  const hasValidator = headers['etag'] !== undefined || headers['last-modified'] !== undefined
  const isSizeKnown = sizes.range === null || sizes.size !== null
  if (hasValidator && !isEncoded(response) && isSizeKnown && sizes.expected !== null) return checkRange(sizes, range)
  // The response may be another page, a file compressed in transit (a file that is stored compressed has the body's
  // size), or a body without a detectable end, so the properties decide. They also contain the size if the response
  // has only chunks, as sabre's for an empty file.
  const { metadata } = await getResource(session, url, call, 'OBJECT_NOT_FOUND')
  if (metadata.isCollection) throw failure('OBJECT_NOT_FOUND')
  const { size } = metadata
  if (size === null && (isEncoded(response) || !hasDetectableEnd(response, sizes.expected))) {
    throw failure('PROVIDER_ERROR', 'The server did not report the length of the content')
  }
  if (size === null) return checkRange(sizes, range)
  if (sizes.size !== null && sizes.size !== size) throw unexpectedBytes()
  if (sizes.range === null) return checkRange({ ...sizes, size, expected: size }, range)
  const requestedRange = range === undefined ? null : resolveRange(range, size)
  if (requestedRange?.start !== sizes.range.start || requestedRange.end !== sizes.range.end) throw unexpectedBytes()
  return { ...sizes, size }
}

function unexpectedBytes(): StorageError {
  return failure('PROVIDER_ERROR', 'The server returned other bytes than requested')
}

/** A server without range support sends the whole file, even for a range beyond its end. */
function checkRange(sizes: DownloadSizes, range: DownloadCall['range']): DownloadSizes {
  if (range !== undefined && sizes.range === null && sizes.size !== null) resolveRange(range, sizes.size)
  return sizes
}

const FIRST_BYTE = { range: { start: 0, end: 0 }, expected: 1 }

/** sabre 1.8, and servers based on it, ignore the end of `bytes=0-0` and send the whole file. */
function isFirstByte(range: DownloadCall['range']): boolean {
  return range !== undefined && 'start' in range && range.start === 0 && range.end === 0
}

function firstByteOf(source: Readable): Readable {
  const first = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      this.push(chunk.subarray(0, 1))
      this.push(null)
      done()
    }
  })
  // Ending this stream does not end the source, which must always be destroyed.
  first.once('close', () => source.destroy())
  source.once('error', (error) => first.destroy(error))
  return source.pipe(first)
}
