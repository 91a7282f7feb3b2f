import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Entry } from '../domain/entry.ts'
import { isStorageError, StorageError } from '../domain/errors.ts'
import type { ByteRange, Download, StorageBackend } from '../domain/storage-backend.ts'
import { type ClientWatch, watchClient } from './client-signal.ts'
import { describeContent, forgetContent, type NamedContent, validatorsOf } from './content-headers.ts'
import { isConditional, judge, mayResume, type Validators, type Verdict } from './preconditions.ts'
import { answerProblem } from './problem.ts'
import { parseRange } from './range-request.ts'
import type { HttpStorageError } from './status.ts'

/** What is sent, and what it is called. */
export interface Content extends NamedContent {
  readonly backend: StorageBackend
  readonly id: string
  /** The object, where it was looked at already. */
  readonly entry?: Entry
  /** It is made of a document when it is asked for, in this format: without a size, ranges or validators before that. */
  readonly exportAs?: string
}

/** Answers `HEAD`: what `GET` would say, without opening a body. */
export async function sendContentHead(
  request: FastifyRequest,
  reply: FastifyReply,
  content: Content,
  { signal }: ClientWatch = watchClient(reply)
): Promise<FastifyReply> {
  const { entry, validators } = await look(content, signal)
  const verdict = judge(request.headers, validators)
  describe(reply, content, validators)
  if (verdict !== 'send') return answerVerdict(verdict, reply)
  // Sent as it is: there is no body from which it could be counted.
  if (entry.size !== null && content.exportAs === undefined) reply.header('content-length', entry.size)
  return reply.send()
}

/**
 * Answers `GET`: the bytes that are asked for, or what the client needs to know instead of them. A body that breaks
 * upstream breaks the connection; a client that leaves ends the call, and the body.
 */
export async function sendContent(
  request: FastifyRequest,
  reply: FastifyReply,
  content: Content,
  { signal, release }: ClientWatch = watchClient(reply)
): Promise<FastifyReply> {
  const isJudged = isConditional(request.headers)
  const isExport = content.exportAs !== undefined
  if (isJudged && !isExport) {
    const { validators } = await look(content, signal)
    const verdict = judge(request.headers, validators)
    if (verdict !== 'send') {
      describe(reply, content, validators)
      return answerVerdict(verdict, reply)
    }
  }
  const download = await open(request, content, signal)
  // From here on Fastify destroys the body when the client leaves, and no error needs to be made of that.
  release()
  const validators = validatorsOf(download)
  describe(reply, content, validators)
  const { range, size, body } = download
  // What a document is made into is known only now.
  const verdict = isJudged && isExport ? judge(request.headers, validators) : 'send'
  if (verdict !== 'send') {
    body.destroy()
    return answerVerdict(verdict, reply)
  }
  if (range !== null) {
    reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${size ?? '*'}`)
    reply.header('content-length', range.end - range.start + 1)
  } else if (size !== null) {
    reply.header('content-length', size)
  }
  return reply.send(body)
}

/** The error handler of routes that answer with content: nothing of what was said of it stays. */
export function answerWithoutContent(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  forgetContent(reply)
  return answerProblem(error, request, reply)
}

/** Whether there is something to send: some providers tell of shortcuts to files that they can be had, and can. */
export function hasContent({ kind, can }: Entry): boolean {
  return kind === 'file' || can.download === true
}

/** The bytes that are asked for, or all of them where a part would be of no use. */
async function open(request: FastifyRequest, content: Content, signal: AbortSignal): Promise<Download> {
  const range = canRange(content) ? parseRange(request.headers.range) : undefined
  if (range === undefined) return download(content, signal)

  const part = await openPart(request, content, range, signal)
  if (part !== null && mayResume(ifRangeOf(request), validatorsOf(part))) return part
  part?.body.destroy()
  return download(content, signal)
}

/**
 * @returns `null` where there is no such part, of content that the client does not know
 * @throws StorageError `RANGE_NOT_SATISFIABLE`, with the size that the content has
 */
async function openPart(
  request: FastifyRequest,
  content: Content,
  range: ByteRange,
  signal: AbortSignal
): Promise<Download | null> {
  try {
    return await download(content, signal, range)
  } catch (error) {
    if (!isStorageError(error, 'RANGE_NOT_SATISFIABLE')) throw error
    // As it is now: what was looked at before may have had such bytes.
    const { entry, validators } = await look({ ...content, entry: undefined }, signal)
    if (!mayResume(ifRangeOf(request), validators)) return null
    const refusal: HttpStorageError = error as HttpStorageError
    refusal.headers = { 'content-range': `bytes */${entry.size ?? '*'}` }
    throw refusal
  }
}

async function download({ backend, id, exportAs }: Content, signal: AbortSignal, range?: ByteRange): Promise<Download> {
  return backend.download(id, { signal, ...(range && { range }), ...(exportAs !== undefined && { exportAs }) })
}

/** @throws StorageError `OBJECT_NOT_FOUND`, also for what has no content */
async function look(content: LookedAt, signal: AbortSignal): Promise<{ entry: Entry; validators: Validators }> {
  const { backend, id, exportAs } = content
  const entry = content.entry ?? (await backend.stat(id, { signal }))
  if (!hasContent(entry)) throw new StorageError('OBJECT_NOT_FOUND', 'There is no such object.')
  const etag = exportAs === undefined ? entry.version : null
  return { entry, validators: validatorsOf({ etag, modifiedAt: entry.modifiedAt }) }
}

type LookedAt = Pick<Content, 'backend' | 'id' | 'exportAs'> & { readonly entry?: Entry | undefined }

function describe(reply: FastifyReply, content: Content, validators: Validators): void {
  describeContent(reply, content, validators)
  reply.header('accept-ranges', canRange(content) ? 'bytes' : 'none')
}

function canRange({ backend, exportAs }: Content): boolean {
  return backend.capabilities.rangeDownload !== 'unsupported' && exportAs === undefined
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
