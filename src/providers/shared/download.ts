import type { ByteRange, Download, DownloadCall } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
import { connectionFailure } from '../../net/errors.ts'
import { parseProviderUrl } from './bearer.ts'
import { readCount } from './entries.ts'
import { failure } from './errors.ts'
import type { RestClient, RestRequest } from './rest-client.ts'
import { TransferBody } from './transfer-body.ts'

/** Maximum attempts to download a file that changes between the metadata request and the download. */
const MAX_ATTEMPTS = 2

/** The metadata of a file, read before its content is requested. */
export type FileMetadata = Pick<Entry, 'name' | 'size' | 'mimeType' | 'version' | 'modifiedAt'>

/** The content requests of a provider. */
export interface ContentSource {
  /** The provider's name, for the log. */
  readonly service: string
  /** Requests the content, as a transfer. @param headers `range` for a part of the content */
  readonly request: (headers: Readonly<Record<string, string>>) => Promise<HttpResponse>
  /** Maps an error response to a StorageError. Consumes or discards the body. */
  readonly readError: (response: HttpResponse) => Promise<StorageError>
  readonly idleMs: number
}

/** Reads a file's metadata and downloads it. Repeats once if `download` returns `null` (newer version). */
export async function downloadLatest<File>(
  service: string,
  getFile: () => Promise<File>,
  download: (file: File) => Promise<Download | null>
): Promise<Download> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const result = await download(await getFile())
    if (result !== null) return result
  }
  throw failure('PROVIDER_ERROR', `The content from ${service} does not match the file's metadata`)
}

/**
 * Downloads the content, or the requested range, of a file of known size.
 *
 * @returns `null` if the bytes belong to another, newer version
 * @throws StorageError `RANGE_NOT_SATISFIABLE`, `INVALID_REQUEST`, and the errors of `readError`
 */
export async function downloadContent(
  file: FileMetadata,
  call: DownloadCall,
  { service, request, readError, idleMs }: ContentSource
): Promise<Download | null> {
  const { name, size, mimeType, version, modifiedAt } = file
  if (size === null) throw failure('PROVIDER_ERROR', `${service} returned no file size`)
  const range = call.range === undefined ? undefined : resolveRange(call.range, size)
  const response = await request(range === undefined ? {} : { range: `bytes=${range.start}-${range.end}` })
  const { status } = response
  if (status === 416) {
    await response.discard()
    return null
  }
  if (status !== 200 && status !== 206) throw await readError(response)
  const sizes = readResponseSizes(response, range)
  if (sizes === null || (status === 206) !== (range !== undefined) || (sizes.size ?? size) !== size) {
    destroyBody(response)
    return null
  }
  const body = toTransferBody(response, sizes.expected ?? size, { service, idleMs, signal: call.signal })
  return { body, size, range: sizes.range, mimeType, name, etag: version, modifiedAt }
}

/**
 * Reads the URL to which a service redirects for content. The URL grants access by itself: requests to it must carry no
 * token, and no message contains it.
 *
 * @param request the request with `redirects: 'manual'`
 * @throws StorageError the error of an error response; `PROVIDER_ERROR` for any other response or target
 */
export async function readContentUrl(
  client: RestClient,
  request: RestRequest,
  response: HttpResponse,
  { service, contentHosts }: { readonly service: string; readonly contentHosts: readonly string[] }
): Promise<URL> {
  const { status, headers } = response
  if (status === 302) {
    await response.discard()
    return parseProviderUrl(headers['location'], contentHosts, `The download URL of ${service}`)
  }
  if (status >= 400) throw await client.readError(request, response)
  destroyBody(response)
  throw failure('PROVIDER_ERROR', `${service} returned ${status} instead of a redirect to the content`)
}

/** Wraps the body of a transfer. @param expected its length in bytes; `null` if unknown */
export function toTransferBody(
  response: HttpResponse,
  expected: number | null,
  { service, idleMs, signal }: { service: string; idleMs: number; signal: AbortSignal }
): TransferBody {
  const toError = (error: unknown): Error => connectionFailure(error, `A download from ${service}`)
  return new TransferBody(response.body, { expected, idleMs, signal, toError })
}

/** Closes a body at once instead of draining it: it may be long. */
export function destroyBody({ body }: Pick<HttpResponse, 'body'>): void {
  body.on('error', () => {}).destroy()
}

export interface DownloadSizes {
  /** The size of the whole object, if the response contains it. */
  readonly size: number | null
  /** The bytes of the body, both ends inclusive; `null` for the whole object. */
  readonly range: { readonly start: number; readonly end: number } | null
  /** The length of the body in bytes, if known. */
  readonly expected: number | null
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/

/** Reads the sizes of a download. Returns `null` if the body is encoded or is not the requested one. */
export function readResponseSizes(
  response: Pick<HttpResponse, 'status' | 'headers'>,
  requested: ByteRange | undefined
): DownloadSizes | null {
  const contentRange = response.status === 206 ? (response.headers['content-range'] ?? '') : undefined
  return isEncoded(response) ? null : readDownloadSizes(contentRange, readContentLength(response), requested)
}

/**
 * Reads `Content-Range` and `Content-Length`. Returns `null` if the bytes are not the requested ones. A server
 * without range support sends the whole object and no `Content-Range`.
 */
export function readDownloadSizes(
  contentRange: string | undefined,
  contentLength: number | null,
  requested: ByteRange | undefined
): DownloadSizes | null {
  if (contentRange === undefined) return { size: contentLength, range: null, expected: contentLength }
  const [, first, last, total] = CONTENT_RANGE.exec(contentRange) ?? []
  const start = Number(first)
  const end = Number(last)
  const size = total === undefined || total === '*' ? null : Number(total)
  const expected = end - start + 1
  const matchesRequest = first !== undefined && matchesRequestedRange(requested, start, end, size)
  return matchesRequest && (contentLength === null || contentLength === expected)
    ? { size, range: { start, end }, expected }
    : null
}

function matchesRequestedRange(
  requested: ByteRange | undefined,
  start: number,
  end: number,
  size: number | null
): boolean {
  if (requested === undefined || end < start || (size !== null && end >= size)) return false
  if ('suffix' in requested)
    return size === null || (end === size - 1 && start === Math.max(0, size - requested.suffix))
  const requestedEnd = requested.end ?? Infinity
  return start === requested.start && (size === null ? end <= requestedEnd : end === Math.min(requestedEnd, size - 1))
}

type ResponseHead = Pick<HttpResponse, 'headers'>

const CHUNKED = /(?:^|[\s,])chunked\s*$/i

/** Returns `Content-Length` in bytes, or `null` if it is missing or malformed. */
export function readContentLength({ headers }: ResponseHead): number | null {
  return readCount(headers['content-length'])
}

/** Returns whether the body has a content encoding (compression): its bytes then differ from the content. */
export function isEncoded({ headers }: ResponseHead): boolean {
  return (headers['content-encoding'] ?? 'identity') !== 'identity'
}

/** Returns whether a truncated body can be detected: by its length or by the last chunk. */
export function hasDetectableEnd({ headers }: ResponseHead, expected: number | null): boolean {
  return expected !== null || CHUNKED.test(headers['transfer-encoding'] ?? '')
}

/**
 * @throws StorageError `INVALID_REQUEST` for an invalid range; `RANGE_NOT_SATISFIABLE` for a suffix of 0 bytes, which
 * no object can satisfy (RFC 9110, 14.1.2)
 */
export function requireRange(range: ByteRange): void {
  if ('suffix' in range) {
    if (!isOffset(range.suffix)) throw invalidRange()
    if (range.suffix === 0) throw unsatisfiableRange()
  } else {
    const { start, end } = range
    if (!isOffset(start) || (end !== undefined && (!isOffset(end) || end < start))) throw invalidRange()
  }
}

/**
 * Returns the bytes that `range` selects in an object of `size` bytes, both ends inclusive.
 *
 * @throws StorageError `INVALID_REQUEST`, `RANGE_NOT_SATISFIABLE`
 */
export function resolveRange(range: ByteRange, size: number): { start: number; end: number } {
  requireRange(range)
  const start = 'suffix' in range ? Math.max(0, size - range.suffix) : range.start
  const end = 'suffix' in range ? size - 1 : Math.min(range.end ?? size - 1, size - 1)
  if (start >= size) throw unsatisfiableRange()
  return { start, end }
}

/** Formats a range for the `Range` header (RFC 9110, 14.2). */
export function rangeHeader(range: ByteRange): string {
  requireRange(range)
  return 'suffix' in range ? `bytes=-${range.suffix}` : `bytes=${range.start}-${range.end ?? ''}`
}

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function invalidRange(): StorageError {
  return new StorageError('INVALID_REQUEST', 'This is not a valid byte range.')
}

export function unsatisfiableRange(cause?: unknown): StorageError {
  return new StorageError('RANGE_NOT_SATISFIABLE', 'The requested range is outside the object.', { cause })
}
