import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { DriveCall } from './call.ts'
import { DriveFailure, DriveMistake, invalid } from './failure.ts'
import type { FakeDriveKnobs } from './knobs.ts'
import type { FieldMask } from './mask.ts'
import type { FakeDriveNode } from './node.ts'
import type { FakeDavRequest } from '../dav/request.ts'
import type { DriveMedia } from './writes.ts'

const CHUNK_UNIT = 256 * 1024

export interface UploadPlan {
  readonly mimeType: string | undefined
  readonly mask: FieldMask | undefined
  /** Creates the file, or replaces its content. */
  readonly complete: (media: DriveMedia) => FakeDriveNode
}

interface Session extends UploadPlan {
  /** The declared length, once it is known. */
  declaredBytes: number | undefined
  readonly chunks: Buffer[]
  storedBytes: number
  node: FakeDriveNode | undefined
}

interface Range {
  readonly start: number | undefined
  readonly total: number | undefined
  readonly length: number
}

export type CompletedUpload = Pick<Session, 'mask'> & { readonly node: FakeDriveNode }

/** Resumable upload sessions (Google's page "Upload file data"). */
export class FakeDriveUploads {
  readonly #sessions = new Map<string, Session>()
  readonly #knobs: FakeDriveKnobs

  constructor(knobs: FakeDriveKnobs) {
    this.#knobs = knobs
  }

  /** Sessions that are neither completed nor cancelled. */
  get open(): number {
    return [...this.#sessions.values()].filter(({ node }) => node === undefined).length
  }

  expire(): void {
    this.#sessions.clear()
  }

  /** Responds with the address of a new session. */
  start({ request, response }: DriveCall, plan: UploadPlan): void {
    const { headers, path } = request
    const id = randomBytes(32).toString('base64url')
    this.#sessions.set(id, {
      ...plan,
      declaredBytes: declaredLength(request),
      chunks: [],
      storedBytes: 0,
      node: undefined
    })
    // Uses the Host header, because there may be a proxy in between.
    const location = `http://${headers['host']}${path}?uploadType=resumable&upload_id=${id}`
    response.writeHead(200, { location, 'x-guploader-uploadid': id, 'content-length': 0 }).end()
  }

  cancel({ query }: FakeDavRequest, response: ServerResponse): void {
    this.#session(query)
    this.#sessions.delete(query.get('upload_id') ?? '')
    response.writeHead(499, { 'content-length': 0 }).end()
  }

  /** Handles a chunk or a status request. Returns the file once it is complete, and responds with 308 otherwise. */
  put(request: FakeDavRequest, response: ServerResponse): CompletedUpload | undefined {
    const session = this.#session(request.query)
    const { mask } = session
    if (session.node !== undefined) return { mask, node: session.node }
    const body = request.body ?? Buffer.alloc(0)
    const { start, total, length } = rangeOf(request, body)
    if (length !== body.length) throw badChunk(`${length} bytes were announced, and ${body.length} came`)
    if (start !== undefined && start !== session.storedBytes) {
      throw badChunk(`a chunk begins at ${start}, and ${session.storedBytes} bytes are stored`)
    }
    const end = session.storedBytes + length
    const totalBytes = total ?? session.declaredBytes
    if ((session.declaredBytes ?? totalBytes) !== totalBytes)
      throw badChunk(`${session.declaredBytes} bytes were declared, not ${total}`)
    if (totalBytes !== undefined && end > totalBytes) throw badChunk(`more than ${totalBytes} bytes`)
    const isLast = total !== undefined && end === total
    if (!isLast && length % CHUNK_UNIT !== 0) throw badChunk(`a chunk of ${length} bytes that is not the last`)
    session.declaredBytes = totalBytes
    const storedLength = length === 0 ? 0 : Math.min(length, this.#knobs.storedChunkBytes.shift() ?? length)
    this.#store(session, body.subarray(0, storedLength))
    if (isLast && session.storedBytes === total) {
      const content = Buffer.concat(session.chunks)
      session.node = session.complete({ content, mimeType: session.mimeType })
      if (!this.#knobs.repeatsCompletedUploads) this.#sessions.delete(request.query.get('upload_id') ?? '')
      return { mask, node: session.node }
    }
    if (session.storedBytes > 0) response.setHeader('range', `bytes=0-${session.storedBytes - 1}`)
    response.writeHead(308, { 'content-length': 0 }).end()
    return undefined
  }

  /** Stores the received part of an interrupted chunk: Drive stores whole units. */
  storePartial({ query, headers }: FakeDavRequest, received: Buffer): void {
    const session = this.#sessions.get(query.get('upload_id') ?? '')
    const [, start = '0'] = /^bytes (\d+)-/.exec(headers['content-range'] ?? '') ?? []
    if (session?.storedBytes !== Number(start)) return
    this.#store(session, received.subarray(0, received.length - (received.length % CHUNK_UNIT)))
  }

  #store(session: Session, bytes: Buffer): void {
    session.chunks.push(bytes)
    session.storedBytes += bytes.length
  }

  #session(query: URLSearchParams): Session {
    if (query.get('uploadType') !== 'resumable') throw new DriveMistake('a session URI that was changed')
    const session = this.#sessions.get(query.get('upload_id') ?? '')
    if (session === undefined) throw new DriveFailure({ reason: 'notFound', message: 'The upload session is gone.' })
    return session
  }
}

/** Returns the declared length of the content in bytes, from the request that begins an upload. */
export function declaredLength({ headers }: FakeDavRequest): number | undefined {
  const declaredBytes = headers['x-upload-content-length']
  if (declaredBytes === undefined) return undefined
  if (!/^\d+$/.test(declaredBytes)) throw invalid('X-Upload-Content-Length')
  return Number(declaredBytes)
}

/** Parses the range of a request. Without a header it is the whole file; `bytes *` contains no data. */
function rangeOf({ headers }: FakeDavRequest, body: Buffer): Range {
  const header = headers['content-range']
  if (header === undefined) return { start: 0, total: body.length, length: body.length }
  const [, first, last, wildcard, size = ''] = /^bytes (?:(\d+)-(\d+)|(\*))\/(\d+|\*)$/.exec(header) ?? []
  const total = size === '*' ? undefined : Number(size)
  if (wildcard === '*') return { start: undefined, total, length: 0 }
  if (first === undefined || Number(last) < Number(first)) throw badChunk(`the Content-Range ${header}`)
  return { start: Number(first), total, length: Number(last) - Number(first) + 1 }
}

const badChunk = (reason: string) => new DriveFailure({ reason: 'badRequest', message: `Failed to parse: ${reason}` })
