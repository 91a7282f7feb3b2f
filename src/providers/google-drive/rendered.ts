import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { HttpAnswer } from '../../core/egress.ts'
import { Diagnosis, isStorageError, StorageError } from '../../errors.ts'
import { providerFailure, type StorageErrorCode } from '../../errors.ts'
import { sleep } from '../../core/time.ts'
import type { Call } from '../../core/backend.ts'
import { dropBody } from '../shared/download.ts'
import { failure } from '../shared/errors.ts'
import { pinnedUrl } from '../shared/bearer.ts'
import { type DriveId, keyHeader } from './entries.ts'
import type { DriveServer } from './session.ts'

/** The file and format that Google renders. */
export interface Rendering {
  readonly mimeType: string
  /** The version of the file; each version is rendered separately. */
  readonly version: string
}

/** The delay before the first poll. It doubles with each poll, up to the delay that Google recommends. */
const FIRST_PAUSE_MS = 1000
const MAX_PAUSE_MS = 10_000
/** The share of the total deadline spent waiting; the rest is for the requests before and after. */
const SHARE_OF_TIME = 0.5
/** The retry delay for a video that was not ready in time. */
const RETRY_MS = 60_000
/** An operation name, used as a path segment. `.` and `..` would be resolved. */
const NAME = /^(?!\.{1,2}$)[\x21-\x7e]{1,1024}$/

/** The error codes of an operation, by `google.rpc.Code`. */
const BY_CODE: Readonly<Record<number, StorageErrorCode>> = {
  1: 'PROVIDER_UNAVAILABLE',
  2: 'PROVIDER_UNAVAILABLE',
  4: 'PROVIDER_UNAVAILABLE',
  5: 'OBJECT_NOT_FOUND',
  7: 'ACCESS_DENIED',
  8: 'PROVIDER_THROTTLED',
  9: 'UNSUPPORTED',
  10: 'PROVIDER_UNAVAILABLE',
  12: 'UNSUPPORTED',
  13: 'PROVIDER_UNAVAILABLE',
  14: 'PROVIDER_UNAVAILABLE',
  16: 'ACCESS_DENIED'
}

/**
 * Requests a document that Google must render first: a video of Google Vids ("Manage long-running operations").
 *
 * @returns the response with the content, or an error response
 * @throws StorageError `PROVIDER_UNAVAILABLE` with `retryAfterMs` while Google is still rendering
 */
export async function requestRendered(
  server: DriveServer,
  about: DriveId,
  rendering: Rendering,
  call: Call
): Promise<HttpAnswer> {
  const { origin, contentOrigins, contentHosts, egress, send } = server
  const tokenOrigins = [origin, ...contentOrigins]
  const address = await renderedAddress(server, about, rendering, call)
  const url = pinnedUrl(address, [...tokenOrigins, ...contentHosts], 'The URL of a rendered document')
  const request = {
    method: 'GET',
    url,
    signal: call.signal,
    purpose: 'transfer',
    redirectHosts: contentHosts
  } as const
  const answer = tokenOrigins.includes(url.origin)
    ? await send({ ...request, headers: keyHeader(about) })
    : await egress.request(request)
  // A login page, or a warning for a human reader.
  const isPage = answer.status === 200 && /^text\/html\b/i.test(answer.headers['content-type'] ?? '')
  if (!isPage || rendering.mimeType === 'text/html') return answer
  dropBody(answer)
  throw failure('PROVIDER_ERROR', 'Google Drive returned an HTML page instead of a rendered document')
}

/** @returns `downloadUri` of the completed operation */
async function renderedAddress(
  server: DriveServer,
  about: DriveId,
  { mimeType, version }: Rendering,
  call: Call
): Promise<unknown> {
  const { egress, renderings, timeouts } = server
  const key = [about.id, version, mimeType].join(' ')
  const endsAt = egress.clock.now() + timeouts.totalMs * SHARE_OF_TIME
  const known = renderings.get(key)
  // Starts again if Google no longer knows the operation.
  let operation = known === undefined ? null : await poll(server, about, known, call).catch(unlessMissing)
  operation ??= await begin(server, about, mimeType, call)
  for (let pauseMs = FIRST_PAUSE_MS; operation.done !== true; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    const name = nameOf(operation)
    renderings.set(key, name)
    if (egress.clock.now() + pauseMs > endsAt) throw notReady()
    await sleep(pauseMs, call.signal)
    operation = await poll(server, about, name, call)
  }
  // The URL expires. After a failed transfer, a new operation starts.
  renderings.delete(key)
  if (operation.error) throw operationFailure(operation.error)
  return operation.response?.['downloadUri']
}

function begin(
  { client }: DriveServer,
  about: DriveId,
  mimeType: string,
  { signal }: Call
): Promise<drive_v3.Schema$Operation> {
  return client.call({ signal, missing: 'OBJECT_NOT_FOUND', about }, (drive, options) =>
    drive.files.download({ fileId: about.id, mimeType }, options)
  )
}

function poll(
  { client }: DriveServer,
  about: DriveId,
  name: string,
  { signal }: Call
): Promise<drive_v3.Schema$Operation> {
  return client.call({ signal, missing: 'OBJECT_NOT_FOUND', about }, (drive, options) =>
    drive.operations.get({ name }, options)
  )
}

function unlessMissing(error: unknown): null {
  if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
  throw error
}

/** Returns the name below `/operations/`. Other Google APIs include that prefix. */
function nameOf({ name }: drive_v3.Schema$Operation): string {
  const segment = name?.replace(/^operations\//, '') ?? ''
  if (NAME.test(segment)) return segment
  throw failure('PROVIDER_ERROR', 'Google Drive started an operation without a name')
}

function notReady(): StorageError {
  return new StorageError('PROVIDER_UNAVAILABLE', 'Google is still preparing this video. Try again in a minute.', {
    responded: true,
    retryAfterMs: RETRY_MS,
    cause: new Diagnosis('The download operation is still running')
  })
}

function operationFailure({ code }: drive_v3.Schema$Status): StorageError {
  return providerFailure(BY_CODE[code ?? 0] ?? 'PROVIDER_ERROR', {
    responded: true,
    cause: new Diagnosis(`The download operation failed with code ${Number(code)}`)
  })
}
