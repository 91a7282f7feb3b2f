import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Call } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import { sleep } from '../../core/time.ts'
import { Diagnosis, isStorageError, providerFailure, StorageError, type StorageErrorCode } from '../../errors.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import { destroyBody } from '../shared/download.ts'
import { failure } from '../shared/errors.ts'
import type { ItemId } from './entries.ts'
import { type DriveSession, resourceKeyHeader } from './session.ts'

/** The file and format that Google renders. */
interface OperationRequest {
  readonly mimeType: string
  /** The version of the file; each version is rendered separately. */
  readonly version: string
}

/** The delay before the first poll. It doubles with each poll, up to the delay that Google recommends. */
const INITIAL_DELAY_MS = 1000
const MAX_DELAY_MS = 10_000
/** The share of the total deadline spent waiting; the rest is for the requests before and after. */
const WAIT_TIME_SHARE = 0.5
/** The retry delay for a video that was not ready in time. */
const RETRY_AFTER_MS = 60_000
/** An operation name, used as a path segment. `.` and `..` would be resolved. */
const OPERATION_NAME = /^(?!\.{1,2}$)[\x21-\x7e]{1,1024}$/

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
export async function downloadViaOperation(
  session: DriveSession,
  itemId: ItemId,
  operationRequest: OperationRequest,
  call: Call
): Promise<HttpResponse> {
  const { origin, contentOrigins, contentHosts, egress, send } = session
  const tokenOrigins = [origin, ...contentOrigins]
  const downloadUri = await waitForDownloadUri(session, itemId, operationRequest, call)
  const url = parseProviderUrl(downloadUri, [...tokenOrigins, ...contentHosts], 'The URL of a rendered document')
  const request = {
    method: 'GET',
    url,
    signal: call.signal,
    purpose: 'transfer',
    redirectHosts: contentHosts
  } as const
  const response = tokenOrigins.includes(url.origin)
    ? await send({ ...request, headers: resourceKeyHeader(itemId) })
    : await egress.request(request)
  // A login page, or a warning for a human reader.
  const isHtml = response.status === 200 && /^text\/html\b/i.test(response.headers['content-type'] ?? '')
  if (!isHtml || operationRequest.mimeType === 'text/html') return response
  destroyBody(response)
  throw failure('PROVIDER_ERROR', 'Google Drive returned an HTML page instead of a rendered document')
}

/** @returns `downloadUri` of the completed operation */
async function waitForDownloadUri(
  session: DriveSession,
  itemId: ItemId,
  { mimeType, version }: OperationRequest,
  call: Call
): Promise<unknown> {
  const { egress, downloadOperations, timeouts } = session
  const key = [itemId.id, version, mimeType].join(' ')
  const deadline = egress.clock.now() + timeouts.totalMs * WAIT_TIME_SHARE
  const cachedName = downloadOperations.get(key)
  // Starts again if Google no longer knows the operation.
  let operation =
    cachedName === undefined ? null : await getOperation(session, itemId, cachedName, call).catch(nullIfMissing)
  operation ??= await startOperation(session, itemId, mimeType, call)
  for (let delayMs = INITIAL_DELAY_MS; operation.done !== true; delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)) {
    const name = readOperationName(operation)
    downloadOperations.set(key, name)
    if (egress.clock.now() + delayMs > deadline) throw notReady()
    await sleep(delayMs, call.signal)
    operation = await getOperation(session, itemId, name, call)
  }
  // The URL expires. After a failed transfer, a new operation starts.
  downloadOperations.delete(key)
  if (operation.error) throw operationFailure(operation.error)
  return operation.response?.['downloadUri']
}

function startOperation(
  { client }: DriveSession,
  itemId: ItemId,
  mimeType: string,
  { signal }: Call
): Promise<drive_v3.Schema$Operation> {
  return client.call({ signal, missing: 'OBJECT_NOT_FOUND', itemId }, (drive, options) =>
    drive.files.download({ fileId: itemId.id, mimeType }, options)
  )
}

function getOperation(
  { client }: DriveSession,
  itemId: ItemId,
  name: string,
  { signal }: Call
): Promise<drive_v3.Schema$Operation> {
  return client.call({ signal, missing: 'OBJECT_NOT_FOUND', itemId }, (drive, options) =>
    drive.operations.get({ name }, options)
  )
}

function nullIfMissing(error: unknown): null {
  if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
  throw error
}

/** Returns the name below `/operations/`. Other Google APIs include that prefix. */
function readOperationName({ name }: drive_v3.Schema$Operation): string {
  const segment = name?.replace(/^operations\//, '') ?? ''
  if (OPERATION_NAME.test(segment)) return segment
  throw failure('PROVIDER_ERROR', 'Google Drive started an operation without a name')
}

function notReady(): StorageError {
  return new StorageError('PROVIDER_UNAVAILABLE', 'Google is still preparing this video. Try again in a minute.', {
    responded: true,
    retryAfterMs: RETRY_AFTER_MS,
    cause: new Diagnosis('The download operation is still running')
  })
}

function operationFailure({ code }: drive_v3.Schema$Status): StorageError {
  return providerFailure(BY_CODE[code ?? 0] ?? 'PROVIDER_ERROR', {
    responded: true,
    cause: new Diagnosis(`The download operation failed with code ${Number(code)}`)
  })
}
