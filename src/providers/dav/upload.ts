import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Call, UploadCall } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import { sleep, withTimeout } from '../../core/time.ts'
import { isStorageError, type StorageError } from '../../errors.ts'
import { failure, httpFailure, transientFailure } from '../shared/errors.ts'
import { parentOf } from '../shared/names.ts'
import type { UploadSource } from '../shared/upload.ts'
import { checkTarget, ifHeader, preconditionError, requireParent, targetIsFolder } from './precondition.ts'
import { type DavSession, findResource, getResource, toListedEntry } from './session.ts'

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
const CLEANUP_DELAYS_MS = [50, 100, 200, 400, 800, 1600, 3200]
/** Deadline of a MOVE: a server may have to assemble chunks, or to copy the file to another file system. */
const MOVE_MS = 300_000
/** Other clients may create or remove the target between the last check and the MOVE. */
const MAX_MOVES = 3
const TEMPORARY_PREFIX = 'fastify-cloud-storage-upload-'
const TEMPORARY_NAME = /^fastify-cloud-storage-upload-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/

/**
 * Returns a name for a temporary file, which no user and no other program would choose: old files with such names are
 * removed. It does not start with a dot, because nginx hides such files, and does not end with `.part`, which
 * Nextcloud forbids.
 */
export function temporaryName(): string {
  return `${TEMPORARY_PREFIX}${randomUUID()}.tmp`
}

/** Returns whether a name was created by {@link temporaryName}. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY_NAME.test(name)
}

/**
 * Stores a stream in a temporary file beside the target and moves that into place. An interrupted upload leaves the
 * old content of the target unchanged, and no new file.
 */
export async function uploadByMove(
  session: DavSession,
  moves: MoveSupport,
  target: DavTarget,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  if ((await checkTarget(session, target.url, call)) === null) await requireParent(session, target.id, call)
  const url = session.paths.urlOf((parentOf(target.id) ?? '') + temporaryName())
  let isNew: boolean
  try {
    const response = await put(session, { ...target, url }, source.stream, call.size, call)
    if (!isStored(response)) throw await writeFailure(session, 'PUT', target.id, response, call)
    const { metadata } = await getResource(session, url, call, 'OBJECT_NOT_FOUND')
    requireSize(metadata.size, source.receivedBytes)
    isNew = await moveIntoPlace(session, moves, url, target, call)
  } catch (error) {
    await discardFile(session, url)
    throw error
  }
  const entry = await getStoredEntry(session, target, source.receivedBytes, call)
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
  session: DavSession,
  { checksIf }: MoveSupport,
  from: URL,
  { id, url }: DavTarget,
  call: UploadCall
): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    const existing = await checkTarget(session, url, call)
    const response = await move(session, from, url, call, {
      overwrite: existing === null ? 'F' : 'T',
      ...(checksIf && ifHeader(url, existing))
    })
    if (isStored(response)) return existing === null
    if (response.status !== 412) throw await writeFailure(session, 'MOVE', id, response, call)
    if (attempt === MAX_MOVES) throw transientFailure('The server repeatedly refused to replace the file')
  }
}

/** Sends a MOVE. Apache refuses a `Destination` without a host. @returns the response without its body */
export async function move(
  { client }: DavSession,
  from: URL,
  to: URL,
  { signal }: Call,
  headers: Readonly<Record<string, string>>
): Promise<HttpResponse> {
  const response = await client.send({
    method: 'MOVE',
    url: from,
    signal,
    purpose: 'transfer',
    workMs: MOVE_MS,
    headers: { destination: to.href, ...headers }
  })
  await response.discard()
  return response
}

/**
 * Stores a stream in one PUT to the target. Servers that write in place retain a part of an interrupted upload: a new
 * file is then removed, but the old content of an existing one is lost.
 */
export async function uploadInPlace(
  session: DavSession,
  target: DavTarget,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const { url } = target
  const existing = await checkTarget(session, url, call)
  if (existing === null) await requireParent(session, target.id, call)
  const etag = existing?.etag ?? null
  const conditions: Record<string, string> = {}
  if (call.ifNoneMatch === '*') conditions['if-none-match'] = '*'
  if (etag !== null && !etag.isWeak) conditions['if-match'] = `"${etag.opaque}"`
  try {
    const response = await put(session, target, source.stream, call.size, call, conditions)
    if (!isStored(response)) throw await writeFailure(session, 'PUT', target.id, response, call)
    const entry = await getStoredEntry(session, target, source.receivedBytes, call)
    call.onStored?.(existing === null)
    return entry
  } catch (error) {
    const isRejected = isStorageError(error, 'ALREADY_EXISTS', 'PRECONDITION_FAILED', 'FOLDER_NOT_FOUND', 'LOCKED')
    if (existing === null && !isRejected) await discardFile(session, url, source.receivedBytes)
    throw error
  }
}

/** Sends content in one PUT. @returns the response, whatever its status, without its body */
export async function put(
  { client }: DavSession,
  { url, mimeType }: Pick<DavTarget, 'url' | 'mimeType'>,
  body: Readable | Buffer,
  size: number | undefined,
  { signal }: Call,
  headers: Readonly<Record<string, string>> = {}
): Promise<HttpResponse> {
  const response = await client.send({
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
  await response.discard()
  return response
}

export function isStored({ status }: Pick<HttpResponse, 'status'>): boolean {
  return status === 200 || status === 201 || status === 204
}

/** Gets a file that was just stored. @throws StorageError `PROVIDER_ERROR` if the server lost a part of it */
export async function getStoredEntry(
  session: DavSession,
  { id, url }: DavTarget,
  size: number,
  call: Call
): Promise<Entry> {
  const item = await getResource(session, url, call, 'OBJECT_NOT_FOUND')
  requireSize(item.metadata.size, size)
  return toListedEntry(session, id, item, call)
}

/** Some proxies and gateways discard bodies of unknown length and answer 201 (seen). */
function requireSize(storedSize: number | null, sentSize: number): void {
  if (storedSize !== null && storedSize !== sentSize) {
    throw failure('PROVIDER_ERROR', `The server stored ${storedSize} of ${sentSize} bytes`)
  }
}

/** Statuses of a write that may also mean a missing folder, or a folder with the file's name. */
const AMBIGUOUS_STATUSES: ReadonlySet<number> = new Set([400, 403, 404, 405, 409, 500])

/** Returns the error of a refused write. RFC 4918 has one status for a missing folder; servers use several. */
export async function writeFailure(
  session: DavSession,
  method: 'PUT' | 'MOVE',
  id: string,
  response: HttpResponse,
  call: UploadCall
): Promise<StorageError> {
  const { status } = response
  if (status === 412) return preconditionError(call)
  if (AMBIGUOUS_STATUSES.has(status)) {
    const existing = await findResource(session, session.paths.urlOf(id), call)
    if (existing?.metadata.isCollection === true) return targetIsFolder()
    const parent = await findResource(session, session.paths.urlOf(parentOf(id)), call)
    if (parent?.metadata.isCollection !== true) return failure('FOLDER_NOT_FOUND')
  }
  return httpFailure(method, response, 'FOLDER_NOT_FOUND')
}

/**
 * Removes the remains of a failed upload, with its own deadline, also after its caller has left. Ignores failures.
 *
 * @param maxSize excludes larger files, which another client has stored meanwhile
 */
export async function discardFile(session: DavSession, url: URL, maxSize?: number): Promise<void> {
  const toError = (): Error => failure('PROVIDER_TIMEOUT')
  await withTimeout(CLEANUP_MS, null, toError, async (signal) => {
    for (const delayMs of CLEANUP_DELAYS_MS) {
      if (await tryDiscard(session, url, maxSize, signal)) return
      await sleep(delayMs, signal)
    }
  }).catch(() => {
    // The deadline has passed. The upload has failed already, and its own error is reported.
  })
}

/** Attempts to remove a file once. @returns whether further attempts are pointless */
async function tryDiscard(
  session: DavSession,
  url: URL,
  maxSize: number | undefined,
  signal: AbortSignal
): Promise<boolean> {
  try {
    if (maxSize !== undefined) {
      const found = await findResource(session, url, { signal })
      if (found === null || found.metadata.isCollection || (found.metadata.size ?? 0) > maxSize) return true
    }
    const response = await session.client.send({ method: 'DELETE', url, signal })
    await response.discard()
    const { status } = response
    // A lock, or a server that is still processing the aborted request.
    const isTransient = status === 409 || status === 423 || (status >= 500 && status !== 501)
    return !isTransient
  } catch (error) {
    signal.throwIfAborted()
    return !isStorageError(error, 'PROVIDER_UNAVAILABLE', 'PROVIDER_TIMEOUT', 'PROVIDER_THROTTLED')
  }
}
