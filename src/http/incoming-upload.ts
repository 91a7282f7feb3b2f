import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { dropRest, IncomingBody, type IncomingBodyOptions, requireSize } from './incoming-body.ts'
import { answerProblem } from './problem.ts'

/** In the scope of `app` a body is nobody's to parse: it is read as it is stored, of any type and size. */
export function takeAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })
}

/** What a request brings to be stored. */
export interface IncomingUpload {
  /** `null` where there is no body at all. */
  readonly source: IncomingBody | null
  readonly body: Readable
  readonly mimeType: string | undefined
  /** In bytes, where it was announced. */
  readonly size: number | undefined
}

/**
 * @throws StorageError for a part of a content (RFC 9110, 14.5), for one that would be stored as it is coded, and
 * `PAYLOAD_TOO_LARGE` for what is announced to be larger than it may
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
    throw new StorageError('INVALID_REQUEST', 'A part of a content cannot be stored.')
  }
  if ((headers['content-encoding'] ?? 'identity').trim().toLowerCase() !== 'identity') {
    throw new StorageError('UNSUPPORTED_MEDIA_TYPE', 'Send the content itself, without a Content-Encoding.')
  }
}

/** A failure of the body itself is the one that counts, and that of a client who has left before all others. */
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

/** The error handler of routes that take uploads. */
export function answerUploadProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  dropRest(request, reply)
  return answerProblem(error, request, reply)
}
