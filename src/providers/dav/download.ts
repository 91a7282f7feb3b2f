import { type Readable, Transform } from 'node:stream'
import type { HttpAnswer } from '../../core/egress.ts'
import type { StorageError } from '../../errors.ts'
import type { Download, DownloadCall } from '../../core/backend.ts'
import { connectionFailure } from '../../net/errors.ts'
import { hasEnd, isCoded, lengthOf } from '../shared/download.ts'
import { rangeHeader, resolveRange } from '../shared/download.ts'
import { type DownloadSizes, readDownloadSizes } from '../shared/download.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { readETag, readMediaType, readTime } from './entries.ts'
import { type DavServer, look } from './session.ts'

/** Downloads a file. @param url of the file */
export async function downloadFile(server: DavServer, url: URL, call: DownloadCall): Promise<Download> {
  const { client } = server
  const { signal, range } = call
  const headers = range === undefined ? {} : { range: rangeHeader(range) }
  const answer = await client.send({ method: 'GET', url, signal, headers, purpose: 'transfer' })
  if (answer.status !== 200 && answer.status !== 206) {
    await answer.discard()
    // A folder cannot be downloaded. sabre reports this as not implemented.
    const isNoFile = answer.status === 405 || answer.status === 501
    throw isNoFile ? failure('OBJECT_NOT_FOUND') : httpFailure('GET', answer, 'OBJECT_NOT_FOUND')
  }
  try {
    const sent = await sizesOf(server, url, answer, call)
    const isTooMuch = isFirstByte(range) && sent.range !== null && sent.range.end > 0
    const { expected, ...sizes } = isTooMuch ? { ...sent, ...FIRST_BYTE } : sent
    const body = new TransferBody(isTooMuch ? firstByteOf(answer.body) : answer.body, {
      expected,
      idleMs: client.timeouts.idleMs,
      signal,
      toError: (error) => connectionFailure(error, 'The download from the server')
    })
    const { headers: told } = answer
    return {
      body,
      ...sizes,
      mimeType: readMediaType(told['content-type']),
      etag: readETag(told['etag'])?.opaque ?? null,
      modifiedAt: readTime(told['last-modified'])
    }
  } catch (error) {
    answer.body.on('error', () => {})
    answer.body.destroy()
    throw error
  }
}

/** @throws StorageError for a response that is no file, or has other bytes than requested */
async function sizesOf(server: DavServer, url: URL, answer: HttpAnswer, call: DownloadCall): Promise<DownloadSizes> {
  const { status, headers } = answer
  // Servers redirect to a folder's URL with a slash, and return a folder as a page or an archive.
  if (answer.url.pathname.endsWith('/')) throw failure('OBJECT_NOT_FOUND')
  const length = lengthOf(answer)
  const contentRange = status === 206 ? (headers['content-range'] ?? '') : undefined
  // sabre treats a range of the first byte alone as the whole file.
  const range = isFirstByte(call.range) && contentRange?.startsWith('bytes 0-0/') === false ? { start: 0 } : call.range
  const sizes = readDownloadSizes(contentRange, length, range)
  if (sizes === null) throw otherBytes()

  const isTold = headers['etag'] !== undefined || headers['last-modified'] !== undefined
  const isWholeKnown = sizes.range === null || sizes.size !== null
  if (isTold && !isCoded(answer) && isWholeKnown && sizes.expected !== null) return checked(sizes, range)
  // The response may be another page, a file compressed in transit (a file that is stored compressed has the body's
  // size), or a body without a detectable end, so the properties decide. They also contain the size if the response
  // has only chunks, as sabre's for an empty file.
  const { facts } = await look(server, url, call, 'OBJECT_NOT_FOUND')
  if (facts.isCollection) throw failure('OBJECT_NOT_FOUND')
  const { size } = facts
  if (size === null && (isCoded(answer) || !hasEnd(answer, sizes.expected))) {
    throw failure('PROVIDER_ERROR', 'The server did not report the length of the content')
  }
  if (size === null) return checked(sizes, range)
  if (sizes.size !== null && sizes.size !== size) throw otherBytes()
  if (sizes.range === null) return checked({ ...sizes, size, expected: size }, range)
  const wanted = range === undefined ? null : resolveRange(range, size)
  if (wanted?.start !== sizes.range.start || wanted.end !== sizes.range.end) throw otherBytes()
  return { ...sizes, size }
}

function otherBytes(): StorageError {
  return failure('PROVIDER_ERROR', 'The server returned other bytes than requested')
}

/** A server without range support sends the whole file, even for a range beyond its end. */
function checked(sizes: DownloadSizes, range: DownloadCall['range']): DownloadSizes {
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
