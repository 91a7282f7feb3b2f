import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Call, UploadCall } from '../../core/backend.ts'
import type { HttpAnswer } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import { sleep } from '../../core/time.ts'
import { isStorageError, providerFailure, StorageError } from '../../errors.ts'
import { failure, httpFailure, incomplete } from '../shared/errors.ts'
import { parentOf } from '../shared/names.ts'
import type { UploadSource } from '../shared/upload.ts'
import { type ETag, readETag } from './entries.ts'
import { type DavServer, type Found, look } from './session.ts'

/** The features of MOVE that a server supports, as measured. */
export interface MoveSupport {
  /** `Overwrite: F` never overwrites. */
  readonly checksOverwrite: boolean
  /** An `If` header with the ETag of the destination (RFC 4918, 10.4) is checked. */
  readonly checksIf: boolean
}

/** The target of an upload. */
export interface DavTarget {
  /** The id of a file. */
  readonly id: string
  readonly url: URL
  readonly mimeType: string | undefined
}

/** Deadline for removing a temporary file. The caller of a failed upload waits for it. */
const CLEANUP_MS = 10_000
/** Delays between attempts to remove it: a server may lock a file until it notices that its upload was aborted. */
const CLEANUP_PAUSES_MS = [50, 100, 200, 400, 800, 1600, 3200]
/** Deadline of a MOVE: a server may have to assemble chunks, or to copy the file to another file system. */
const MOVE_MS = 300_000
/** Other clients may create or remove the target between the last check and the MOVE. */
const MAX_MOVES = 3
const PREFIX = 'fastify-cloud-storage-upload-'
const TEMPORARY = /^fastify-cloud-storage-upload-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/

/**
 * Returns a name for a temporary file, which no user and no other program would choose: old files with such names are
 * removed. It does not start with a dot, because nginx hides such files, and does not end with `.part`, which
 * Nextcloud forbids.
 */
export function temporaryName(): string {
  return `${PREFIX}${randomUUID()}.tmp`
}

/** Returns whether a name was created by {@link temporaryName}. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name)
}

/**
 * Stores a stream in a temporary file beside the target and moves that into place. An interrupted upload leaves the
 * old content of the target unchanged, and no new file.
 */
export async function uploadByMove(
  server: DavServer,
  moves: MoveSupport,
  target: DavTarget,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  if ((await checkTarget(server, target.url, call)) === null) await requireParent(server, target.id, call)
  const url = server.paths.urlOf((parentOf(target.id) ?? '') + temporaryName())
  let isNew: boolean
  try {
    const answer = await put(server, { ...target, url }, source.stream, call.size, call)
    if (!isStored(answer)) throw await writeFailure(server, 'PUT', target.id, answer, call)
    const { facts } = await look(server, url, call, 'OBJECT_NOT_FOUND')
    requireSize(facts.size, source.count)
    isNew = await moveIntoPlace(server, moves, url, target, call)
  } catch (error) {
    await discardFile(server, url)
    throw error
  }
  const entry = await storedEntry(server, target, source.count, call)
  call.onStored?.(isNew)
  return entry
}

/**
 * Moves a file to the target. Checks the target right before: a MOVE over a folder removes the folder with its
 * content. `Overwrite` is always sent, since rclone's server assumes `F` without it (1.60).
 *
 * @returns whether the name was unused before
 */
async function moveIntoPlace(
  server: DavServer,
  { checksIf }: MoveSupport,
  from: URL,
  { id, url }: DavTarget,
  call: UploadCall
): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    const existing = await checkTarget(server, url, call)
    const answer = await move(server, from, url, call, {
      overwrite: existing === null ? 'F' : 'T',
      ...(checksIf && ifHeader(url, existing))
    })
    if (isStored(answer)) return existing === null
    if (answer.status !== 412) throw await writeFailure(server, 'MOVE', id, answer, call)
    if (attempt === MAX_MOVES) throw incomplete('The server repeatedly refused to replace the file')
  }
}

/** Sends a MOVE. Apache refuses a `Destination` without a host. @returns the response without its body */
export async function move(
  { client }: DavServer,
  from: URL,
  to: URL,
  { signal }: Call,
  headers: Readonly<Record<string, string>>
): Promise<HttpAnswer> {
  const answer = await client.send({
    method: 'MOVE',
    url: from,
    signal,
    purpose: 'transfer',
    workMs: MOVE_MS,
    headers: { destination: to.href, ...headers }
  })
  await answer.discard()
  return answer
}

/** Returns a header with which a MOVE replaces only the checked version (RFC 4918, 10.4.2). */
export function ifHeader(url: URL, existing: ExistingFile | null): Record<string, string> {
  const etag = existing?.etag ?? null
  return etag === null || etag.isWeak ? {} : { if: `<${url.href}> (["${etag.opaque}"])` }
}

/**
 * Stores a stream in one PUT to the target. Servers that write in place retain a part of an interrupted upload: a new
 * file is then removed, but the old content of an existing one is lost.
 */
export async function uploadInPlace(
  server: DavServer,
  target: DavTarget,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const { url } = target
  const existing = await checkTarget(server, url, call)
  if (existing === null) await requireParent(server, target.id, call)
  const etag = existing?.etag ?? null
  const conditions: Record<string, string> = {}
  if (call.ifNoneMatch === '*') conditions['if-none-match'] = '*'
  if (etag !== null && !etag.isWeak) conditions['if-match'] = `"${etag.opaque}"`
  try {
    const answer = await put(server, target, source.stream, call.size, call, conditions)
    if (!isStored(answer)) throw await writeFailure(server, 'PUT', target.id, answer, call)
    const entry = await storedEntry(server, target, source.count, call)
    call.onStored?.(existing === null)
    return entry
  } catch (error) {
    const isRefused = isStorageError(error, 'ALREADY_EXISTS', 'PRECONDITION_FAILED', 'FOLDER_NOT_FOUND', 'LOCKED')
    if (existing === null && !isRefused) await discardFile(server, url, source.count)
    throw error
  }
}

/** Sends content in one PUT. @returns the response, whatever its status, without its body */
export async function put(
  { client }: DavServer,
  { url, mimeType }: Pick<DavTarget, 'url' | 'mimeType'>,
  body: Readable | Buffer,
  size: number | undefined,
  { signal }: Call,
  headers: Readonly<Record<string, string>> = {}
): Promise<HttpAnswer> {
  const answer = await client.send({
    method: 'PUT',
    url,
    signal,
    purpose: 'transfer',
    body,
    headers: {
      'content-type': mimeType ?? 'application/octet-stream',
      ...(size !== undefined && { 'content-length': String(size) }),
      ...headers
    }
  })
  await answer.discard()
  return answer
}

export function isStored({ status }: Pick<HttpAnswer, 'status'>): boolean {
  return status === 200 || status === 201 || status === 204
}

/** Gets a file that was just stored. @throws StorageError `PROVIDER_ERROR` if the server lost a part of it */
export async function storedEntry(server: DavServer, { id, url }: DavTarget, size: number, call: Call): Promise<Entry> {
  const { resource, facts } = await look(server, url, call, 'OBJECT_NOT_FOUND')
  requireSize(facts.size, size)
  return server.toEntry(await server.listedId(id, call), resource, facts)
}

/** Some proxies and gateways discard bodies of unknown length and answer 201 (seen). */
function requireSize(stored: number | null, sent: number): void {
  if (stored !== null && stored !== sent) {
    throw failure('PROVIDER_ERROR', `The server stored ${stored} of ${sent} bytes`)
  }
}

/** Statuses of a write that may also mean a missing folder, or a folder with the file's name. */
const AMBIGUOUS: ReadonlySet<number> = new Set([400, 403, 404, 405, 409, 500])

/** Returns the error of a refused write. RFC 4918 has one status for a missing folder; servers use several. */
export async function writeFailure(
  server: DavServer,
  method: 'PUT' | 'MOVE',
  id: string,
  answer: HttpAnswer,
  call: UploadCall
): Promise<StorageError> {
  const { status } = answer
  if (status === 412) return failedPrecondition(call)
  if (AMBIGUOUS.has(status)) {
    const inTheWay = await find(server, server.paths.urlOf(id), call)
    if (inTheWay?.facts.isCollection === true) return isAFolder()
    const parent = await find(server, server.paths.urlOf(parentOf(id)), call)
    if (parent?.facts.isCollection !== true) return failure('FOLDER_NOT_FOUND')
  }
  return httpFailure(method, answer, 'FOLDER_NOT_FOUND')
}

/**
 * Removes the remains of a failed upload, with its own deadline, also after its caller has left. Ignores failures.
 *
 * @param maxSize excludes larger files, which another client has stored meanwhile
 */
export async function discardFile(server: DavServer, url: URL, maxSize?: number): Promise<void> {
  const controller = new AbortController()
  const { signal } = controller
  const timer = setTimeout(() => {
    controller.abort(failure('PROVIDER_TIMEOUT'))
  }, CLEANUP_MS)
  try {
    for (const pauseMs of CLEANUP_PAUSES_MS) {
      if (await isDiscarded(server, url, maxSize, signal)) return
      await sleep(pauseMs, signal)
    }
  } catch {
    // The deadline has passed. The upload has failed already, and its own error is reported.
  } finally {
    clearTimeout(timer)
  }
}

/** Attempts to remove a file once. @returns whether further attempts are pointless */
async function isDiscarded(
  server: DavServer,
  url: URL,
  maxSize: number | undefined,
  signal: AbortSignal
): Promise<boolean> {
  try {
    if (maxSize !== undefined) {
      const found = await find(server, url, { signal })
      if (found === null || found.facts.isCollection || (found.facts.size ?? 0) > maxSize) return true
    }
    const answer = await server.client.send({ method: 'DELETE', url, signal })
    await answer.discard()
    const { status } = answer
    // A lock, or a server that is still processing the aborted request.
    const mayPass = status === 409 || status === 423 || (status >= 500 && status !== 501)
    return !mayPass
  } catch (error) {
    signal.throwIfAborted()
    return !isStorageError(error, 'PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT', 'PROVIDER_THROTTLED')
  }
}

/** Returns whether a DELETE removed the resource, or found none. */
export function isGone(status: number): boolean {
  return (status >= 200 && status < 207) || status === 404 || status === 410
}

/** The file that an upload replaces. */
export interface ExistingFile {
  /** The file's ETag, set only for an upload with `ifMatch`. */
  readonly etag: ETag | null
}

/**
 * Gets the target of an upload and checks the conditions of the call on it. Servers differ in which conditions of a
 * PUT and of a MOVE they check themselves, and none of them may accept a weak ETag (RFC 9110, 13.1.1).
 *
 * @returns `null` if the name is unused
 * @throws StorageError `ALREADY_EXISTS` for a folder, and for any file if `ifNoneMatch` is set;
 * `PRECONDITION_FAILED`; `UNSUPPORTED` for `ifMatch` on a server without ETags
 */
export async function checkTarget(server: DavServer, url: URL, call: UploadCall): Promise<ExistingFile | null> {
  const { ifMatch, ifNoneMatch } = call
  if (ifMatch !== undefined && !server.hasVersions) {
    throw new StorageError('UNSUPPORTED', 'The server does not report file versions. Upload without If-Match.')
  }
  const found = await find(server, url, call)
  if (found?.facts.isCollection === true) throw isAFolder()
  if (ifNoneMatch === '*' && found !== null) throw failedPrecondition(call)
  if (ifMatch === undefined) return found === null ? null : { etag: null }
  const etag = found === null ? null : (found.facts.etag ?? (await etagOfHead(server, url, call)))
  if (etag?.opaque !== ifMatch) throw failedPrecondition(call)
  return { etag }
}

/** Returns a file's ETag from its headers, for servers without ETags among the properties, such as nginx 1.22. */
export async function etagOfHead({ client }: DavServer, url: URL, { signal }: Call): Promise<ETag | null> {
  const answer = await client.send({ method: 'HEAD', url, signal })
  await answer.discard()
  return answer.status === 200 ? readETag(answer.headers['etag']) : null
}

/**
 * Checks the folder of a new file before its content is sent. For a PUT into a missing folder, servers answer 403,
 * 404, 409 or 500, and nginx with `create_full_put_path` creates the folder.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`
 */
export async function requireParent(server: DavServer, id: string, call: Call): Promise<void> {
  const found = await look(server, server.paths.urlOf(parentOf(id)), call, 'FOLDER_NOT_FOUND')
  if (!found.facts.isCollection) throw failure('FOLDER_NOT_FOUND')
}

/** Returns the error of a write after a failed condition. */
export function failedPrecondition({ ifNoneMatch }: UploadCall): StorageError {
  if (ifNoneMatch === '*') return providerFailure('ALREADY_EXISTS')
  return providerFailure('PRECONDITION_FAILED')
}

export function isAFolder(): StorageError {
  return new StorageError('ALREADY_EXISTS', 'A folder with this name already exists.')
}

/** Returns the resource at `url`, or `null`. */
export async function find(server: DavServer, url: URL, call: Call): Promise<Found | null> {
  try {
    return await look(server, url, call, 'OBJECT_NOT_FOUND')
  } catch (error) {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  }
}
