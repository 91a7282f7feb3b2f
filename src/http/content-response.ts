import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ByteRange, Download, StorageBackend } from '../core/backend.ts'
import {
  formatContentDisposition,
  type Entry,
  exportedName,
  type ExportFormat,
  stripBidiControls
} from '../core/entry.ts'
import { isStorageError, StorageError } from '../errors.ts'
import {
  isConditional,
  evaluatePreconditions,
  matchesIfRange,
  parseRange,
  type Validators,
  type PreconditionResult
} from './conditional.ts'
import { type ClientWatch, endSlowReader, watchClient } from './in-flight.ts'
import { sendProblem } from './problem.ts'

/** The content to send. A native document is sent under this name with the extension and the type of its export. */
export interface Content extends NamedContent {
  readonly backend: StorageBackend
  readonly id: string
  /** The object's metadata, if the caller has it already. */
  readonly entry?: Entry
  /** The media type of the export format. Default: the first format of a native document. */
  readonly exportAs?: string
  /** The minimum reading rate of clients. Slower ones are disconnected. */
  readonly minBytesPerSecond: number
}

/** Responds to `HEAD` with the headers of `GET`; opens no body. Exports have no size and ETag before they exist. */
export async function sendContentHead(
  request: FastifyRequest,
  reply: FastifyReply,
  content: Content,
  { signal }: ClientWatch = watchClient(reply)
): Promise<FastifyReply> {
  const { entry, format, validators } = await loadMetadata(content, signal)
  const result = evaluatePreconditions(request.headers, validators)
  setDownloadHeaders(reply, content, format, validators)
  if (result !== 'send') return sendPreconditionResult(result, reply)
  // Set explicitly, since there is no body from which it could be computed.
  if (entry.size !== null && format === null) reply.header('content-length', entry.size)
  return reply.send()
}

/**
 * Responds to `GET` with the requested bytes, or with the result of a precondition. A body that fails upstream breaks
 * the connection. A client that disconnects ends the call and the body.
 */
export async function sendContent(
  request: FastifyRequest,
  reply: FastifyReply,
  content: Content,
  { signal, release }: ClientWatch = watchClient(reply)
): Promise<FastifyReply> {
  const hasPreconditions = isConditional(request.headers)
  const metadata = hasPreconditions ? await loadMetadata(content, signal) : null
  if (metadata?.format === null) {
    const result = evaluatePreconditions(request.headers, metadata.validators)
    if (result !== 'send') {
      setDownloadHeaders(reply, content, null, metadata.validators)
      return sendPreconditionResult(result, reply)
    }
  }
  const entry = metadata?.entry ?? content.entry
  const requestedFormat = entry === undefined ? null : selectFormat(entry, content.exportAs)
  const download = await openDownload(request, content, requestedFormat, signal)
  // From here on, Fastify destroys the body when the client disconnects. No error is needed for that.
  release()
  const validators = validatorsOf(download)
  const format = download.exportedAs ?? requestedFormat
  setDownloadHeaders(reply, content, format, validators)
  const { range, size, body } = download
  // The ETag of an export is known only now.
  const result = hasPreconditions && format !== null ? evaluatePreconditions(request.headers, validators) : 'send'
  if (result !== 'send') {
    body.destroy()
    return sendPreconditionResult(result, reply)
  }
  if (range !== null) {
    reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${size ?? '*'}`)
    reply.header('content-length', range.end - range.start + 1)
  } else if (size !== null) {
    reply.header('content-length', size)
  }
  endSlowReader(reply, body, content.minBytesPerSecond)
  return reply.send(body)
}

/** Handles errors of routes that send content: removes the headers of the content, then sends the problem. */
export function sendContentProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  removeContentHeaders(reply)
  return sendProblem(error, request, reply)
}

/** Returns whether an entry can be downloaded. Some providers correctly say so of shortcuts to files too. */
export function hasContent({ kind, can }: Entry): boolean {
  return kind === 'file' || can.download === true
}

/**
 * Returns the format in which a native document is exported; `null` for a file.
 *
 * @throws StorageError `INVALID_REQUEST` for a format that the object does not have
 */
function selectFormat({ exportFormats }: Entry, exportAs: string | undefined): ExportFormat | null {
  if (exportAs === undefined) return exportFormats[0] ?? null
  const format = exportFormats.find(({ mimeType }) => mimeType === exportAs)
  if (format !== undefined) return format
  throw new StorageError('INVALID_REQUEST', 'This file cannot be exported in the requested format.')
}

/**
 * Opens the requested range, or the whole content if the range is useless to the client.
 *
 * @param format `null` also if it is unknown whether the object is a native document: an export ignores the range
 */
async function openDownload(
  request: FastifyRequest,
  content: Content,
  format: ExportFormat | null,
  signal: AbortSignal
): Promise<Download> {
  const exportAs = format?.mimeType ?? content.exportAs
  const requested = { ...content, ...(exportAs !== undefined && { exportAs }) }
  const range = supportsRange(content, format) ? parseRange(request.headers.range) : undefined
  if (range === undefined) return download(requested, signal)

  const part = await openRange(request, requested, range, signal)
  if (part !== null && (part.range === null || matchesIfRange(ifRangeOf(request), validatorsOf(part)))) return part
  part?.body.destroy()
  return download(requested, signal)
}

/**
 * @returns `null` if there is no such range, and `If-Range` names other content
 * @throws StorageError `RANGE_NOT_SATISFIABLE`, with the current size of the content
 */
async function openRange(
  request: FastifyRequest,
  content: Content,
  range: ByteRange,
  signal: AbortSignal
): Promise<Download | null> {
  try {
    return await download(content, signal, range)
  } catch (error) {
    if (!isStorageError(error, 'RANGE_NOT_SATISFIABLE')) throw error
    // Reads the entry again: an entry from before may describe content that had this range.
    const { entry, validators } = await loadMetadata({ ...content, entry: undefined }, signal)
    if (!matchesIfRange(ifRangeOf(request), validators)) return null
    const headers = { 'content-range': `bytes */${entry.size ?? '*'}` }
    throw new StorageError('RANGE_NOT_SATISFIABLE', error.message, { headers, cause: error })
  }
}

async function download({ backend, id, exportAs }: Content, signal: AbortSignal, range?: ByteRange): Promise<Download> {
  return backend.download(id, { signal, ...(range && { range }), ...(exportAs !== undefined && { exportAs }) })
}

interface ContentMetadata {
  readonly entry: Entry
  readonly format: ExportFormat | null
  readonly validators: Validators
}

/** @throws StorageError `OBJECT_NOT_FOUND`, also for an object without content; `INVALID_REQUEST` as `selectFormat` */
async function loadMetadata(content: MetadataRequest, signal: AbortSignal): Promise<ContentMetadata> {
  const { backend, id, exportAs } = content
  const entry = content.entry ?? (await backend.stat(id, { signal }))
  if (!hasContent(entry)) throw new StorageError('OBJECT_NOT_FOUND')
  const format = selectFormat(entry, exportAs)
  const etag = format === null ? entry.version : null
  return { entry, format, validators: validatorsOf({ etag, modifiedAt: entry.modifiedAt }) }
}

type MetadataRequest = Pick<Content, 'backend' | 'id' | 'exportAs'> & { readonly entry?: Entry | undefined }

function setDownloadHeaders(
  reply: FastifyReply,
  content: Content,
  format: ExportFormat | null,
  validators: Validators
): void {
  const { name, mimeType } =
    format === null ? content : { name: exportedName(content.name, format), mimeType: format.mimeType }
  setContentHeaders(reply, { name, mimeType }, validators)
  reply.header('accept-ranges', supportsRange(content, format) ? 'bytes' : 'none')
}

function supportsRange({ backend }: Content, format: ExportFormat | null): boolean {
  return backend.capabilities.rangeDownload !== 'unsupported' && format === null
}

/** Returns `If-Range`. Node joins repeated headers, and a joined value matches nothing. */
function ifRangeOf({ headers }: FastifyRequest): string | undefined {
  return headers['if-range']?.toString()
}

function sendPreconditionResult(result: Exclude<PreconditionResult, 'send'>, reply: FastifyReply): FastifyReply {
  if (result === 'precondition-failed') {
    throw new StorageError('PRECONDITION_FAILED', 'The content does not match the precondition of the request.')
  }
  return reply.removeHeader('content-type').code(304).send()
}

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
/** RFC 9110, 8.3.1. Checked, since the value becomes a header. */
const MEDIA_TYPE = new RegExp(
  `^${TOKEN}/${TOKEN}(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|"[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*"))*$`
)
const MAX_MEDIA_TYPE_LENGTH = 255
/** In code points, not UTF-16 units. File systems allow no longer names, clients no headers of many kilobytes. */
const LONG_NAME = /.{256}/su
const NAME_PREFIX = /^.{238}/su
const WEAK_TAG = /^W\/"[\x21\x23-\x7e]{0,200}"$/
const TAG = /^[\x21\x23-\x7e]{1,200}$/

/** The headers that describe content. An error response must not have them. */
const CONTENT_HEADERS = [
  'accept-ranges',
  'content-disposition',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'last-modified'
]

/** The metadata of an object, from a listing or from a download. */
export interface ValidatorSource {
  readonly etag: string | null
  /** ISO 8601. */
  readonly modifiedAt: string | null
}

/** Returns the validators of a response. A backend's are opaque: a value that no header can hold is hashed. */
export function validatorsOf({ etag, modifiedAt }: ValidatorSource): Validators {
  const time = modifiedAt === null ? NaN : Date.parse(modifiedAt)
  return {
    etag: etag === null || etag === '' ? null : toEntityTag(etag),
    modifiedAt: Number.isNaN(time) ? null : Math.floor(time / 1000) * 1000
  }
}

function toEntityTag(validator: string): string {
  if (WEAK_TAG.test(validator)) return validator
  return `"${TAG.test(validator) ? validator : createHash('sha256').update(validator).digest('base64url')}"`
}

/** The name and type under which browsers save content. */
export interface NamedContent {
  readonly name: string
  readonly mimeType: string | null
}

/**
 * Sets the headers of every response about content, including 304, except those for caches, which depend on how the
 * route authenticates users. Uploaded content is never shown as a page of this origin: browsers save it and do not
 * guess its type. If one displays it anyway, the content may run and load nothing.
 */
export function setContentHeaders(reply: FastifyReply, { name, mimeType }: NamedContent, validators: Validators): void {
  const { etag, modifiedAt } = validators
  reply
    .header('content-disposition', formatContentDisposition(toFileName(name)))
    .header('content-security-policy', "sandbox; default-src 'none'")
    .header('cross-origin-resource-policy', 'same-origin')
    .header('x-content-type-options', 'nosniff')
    .header('content-type', toMediaType(mimeType))
  if (etag !== null) reply.header('etag', etag)
  if (modifiedAt !== null) reply.header('last-modified', new Date(modifiedAt).toUTCString())
}

/** Removes the headers of content that is not sent. */
export function removeContentHeaders(reply: FastifyReply): void {
  for (const name of CONTENT_HEADERS) reply.removeHeader(name)
}

function toMediaType(type: string | null): string {
  const isValid = type !== null && type.length <= MAX_MEDIA_TYPE_LENGTH && MEDIA_TYPE.test(type)
  return isValid ? type : 'application/octet-stream'
}

/** Returns a well-formed name without folders that fits into a header. A shortened name keeps its extension. */
function toFileName(name: string): string {
  const fullName = stripBidiControls(name.toWellFormed()).replace(/[/\\]/g, '_')
  if (!LONG_NAME.test(fullName)) return fullName === '' ? 'document' : fullName
  const extension = /\.[^.\s]{1,16}$/u.exec(fullName)?.[0] ?? ''
  return (NAME_PREFIX.exec(fullName)?.[0] ?? '') + extension
}
