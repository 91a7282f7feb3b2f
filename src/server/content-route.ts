import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isStorageError, StorageError } from '../domain/errors.ts'
import type { ByteRange, Download } from '../domain/storage-backend.ts'
import { ClientGone } from '../http/client-signal.ts'
import { answerProblem } from '../http/problem.ts'
import type { HttpStorageError } from '../http/status.ts'
import { describeContent, forgetContent, validatorsOf } from './content-headers.ts'
import type { DocumentRow, FindDocument } from './documents.ts'
import { isConditional, judge, mayResume, type Validators, type Verdict } from './preconditions.ts'
import { parseRange } from './range-request.ts'

const PATH = '/documents/:id/content'

/** `GET` and `HEAD` of a document's bytes, wherever they are. */
export function contentRoute(app: FastifyInstance, findDocument: FindDocument): void {
  const preHandler = app.storageBackendHook({
    document: (request, user) => findDocument((request.params as { id: string }).id, user)
  })
  const options = { preHandler, errorHandler: answerWithoutContent, exposeHeadRoute: false }

  app.head(PATH, options, async (request, reply) => {
    const { entry, validators } = await stat(request, signalOf(reply).signal)
    const verdict = judge(request.headers, validators)
    describe(request, reply, validators)
    if (verdict !== 'send') return answerVerdict(verdict, reply)
    // Sent as it is: there is no body from which it could be counted.
    if (entry.size !== null) reply.header('content-length', entry.size)
    return reply.send()
  })

  app.get(PATH, options, async (request, reply) => {
    const { signal, release } = signalOf(reply)
    if (isConditional(request.headers)) {
      const { validators } = await stat(request, signal)
      const verdict = judge(request.headers, validators)
      if (verdict !== 'send') {
        describe(request, reply, validators)
        return answerVerdict(verdict, reply)
      }
    }
    const download = await open(request, signal)
    // From here on Fastify destroys the body when the client leaves, and no error needs to be made of that.
    release()
    describe(request, reply, validatorsOf(download))
    const { range, size, body } = download
    if (range !== null) {
      reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${size ?? '*'}`)
      reply.header('content-length', range.end - range.start + 1)
    } else if (size !== null) {
      reply.header('content-length', size)
    }
    return reply.send(body)
  })
}

/** The bytes that are asked for, or all of them where a part would be of no use. */
async function open(request: FastifyRequest, signal: AbortSignal): Promise<Download> {
  const { storageBackend: backend, storageDocument: document } = request
  const range = canRange(request) ? parseRange(request.headers.range) : undefined
  if (range === undefined) return backend.download(document.objectKey, { signal })

  const part = await openPart(request, range, signal)
  if (part !== null && mayResume(ifRangeOf(request), validatorsOf(part))) return part
  part?.body.destroy()
  return backend.download(document.objectKey, { signal })
}

/**
 * @returns `null` where there is no such part, of content that the client does not know
 * @throws StorageError `RANGE_NOT_SATISFIABLE`, with the size that the content has
 */
async function openPart(request: FastifyRequest, range: ByteRange, signal: AbortSignal): Promise<Download | null> {
  const { storageBackend: backend, storageDocument: document } = request
  try {
    return await backend.download(document.objectKey, { signal, range })
  } catch (error) {
    if (!isStorageError(error, 'RANGE_NOT_SATISFIABLE')) throw error
    const { entry, validators } = await stat(request, signal)
    if (!mayResume(ifRangeOf(request), validators)) return null
    const refusal: HttpStorageError = error as HttpStorageError
    refusal.headers = { 'content-range': `bytes */${entry.size ?? '*'}` }
    throw refusal
  }
}

async function stat(request: FastifyRequest, signal: AbortSignal) {
  const { storageBackend: backend, storageDocument: document } = request
  const entry = await backend.stat(document.objectKey, { signal })
  if (entry.kind !== 'file') throw new StorageError('OBJECT_NOT_FOUND', 'There is no such object.')
  return { entry, validators: validatorsOf({ etag: entry.version, modifiedAt: entry.modifiedAt }) }
}

function describe(request: FastifyRequest, reply: FastifyReply, validators: Validators): void {
  // The very row that `findDocument` gave to the hook.
  describeContent(reply, request.storageDocument as DocumentRow, validators)
  reply.header('accept-ranges', canRange(request) ? 'bytes' : 'none')
}

function canRange({ storageBackend }: FastifyRequest): boolean {
  return storageBackend.capabilities.rangeDownload !== 'unsupported'
}

/** Node joins what comes twice, so that two validators match nothing. */
function ifRangeOf({ headers }: FastifyRequest): string | undefined {
  return headers['if-range']?.toString()
}

function answerVerdict(verdict: Exclude<Verdict, 'send'>, reply: FastifyReply): FastifyReply {
  if (verdict === 'precondition-failed') {
    throw new StorageError('PRECONDITION_FAILED', 'The document is not the one that the request is about.')
  }
  return reply.removeHeader('content-type').code(304).send()
}

function answerWithoutContent(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  forgetContent(reply)
  return answerProblem(error, request, reply)
}

/** Aborts when the client leaves, until it is released. */
function signalOf(reply: FastifyReply): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController()
  const leave = (): void => {
    if (!reply.raw.writableFinished) controller.abort(new ClientGone('The client is gone'))
  }
  reply.raw.once('close', leave)
  return {
    signal: controller.signal,
    release: () => {
      reply.raw.off('close', leave)
    }
  }
}
