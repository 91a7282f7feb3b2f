import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { dropRest, IncomingBody, type IncomingBodyOptions, requireSize } from './incoming-body.ts'
import { answerProblem } from './problem.ts'

/** Disables body parsing in the scope of `app`: handlers get the raw stream, of any type and size. */
export function takeAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })
}

/** The content that a request uploads. */
export interface IncomingUpload {
  /** `null` if the request has no body. */
  readonly source: IncomingBody | null
  readonly body: Readable
  readonly mimeType: string | undefined
  /** In bytes, if announced. */
  readonly size: number | undefined
}

/**
 * @throws StorageError for partial content (RFC 9110, 14.5), for content with a coding, which would be stored
 * encoded, and `PAYLOAD_TOO_LARGE` for an announced size above `maxBytes`
 */
export function incomingUpload({ headers, body }: FastifyRequest, options: IncomingBodyOptions): IncomingUpload {
  requireWhole(headers)
  const size = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
  requireSize(size, options.maxBytes)
  const source = body instanceof Readable ? new IncomingBody(body, options) : null
  return {
    source,
    body: source ?? Readable.from([]),
    mimeType: headers['content-type'],
    size: source === null ? 0 : size
  }
}

function requireWhole(headers: IncomingHttpHeaders): void {
  if (headers['content-range'] !== undefined) {
    throw new StorageError('INVALID_REQUEST', 'Partial uploads with Content-Range are not supported.')
  }
  if ((headers['content-encoding'] ?? 'identity').trim().toLowerCase() !== 'identity') {
    throw new StorageError('UNSUPPORTED_MEDIA_TYPE', 'Send the content without a Content-Encoding.')
  }
}

/** Runs an upload. On failure, throws the signal's abort reason, else the failure of the body, else the error. */
export async function endingWith<T>(body: IncomingBody | null, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    signal.throwIfAborted()
    throw body?.failure ?? error
  } finally {
    body?.destroy()
  }
}

/** Handles errors of routes that receive uploads. */
export function answerUploadProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  dropRest(request, reply)
  return answerProblem(error, request, reply)
}
