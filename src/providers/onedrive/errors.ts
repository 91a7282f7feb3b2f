import type { StorageError, StorageErrorCode } from '../../errors.ts'
import { asObject } from '../shared/entries.ts'
import { type ErrorResponse, exchangeFailure, httpFailure, type NotFoundCode } from '../shared/errors.ts'

/** Codes of `error.code` and of `innererror` ("Microsoft Graph error responses and resource types"). */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  accessDenied: 'ACCESS_DENIED',
  accessRestricted: 'ACCESS_DENIED',
  notAllowed: 'ACCESS_DENIED',
  malwareDetected: 'ACCESS_DENIED',
  virusSuspicious: 'ACCESS_DENIED',
  Authorization_RequestDenied: 'INSUFFICIENT_SCOPE',
  nameAlreadyExists: 'ALREADY_EXISTS',
  resourceModified: 'PRECONDITION_FAILED',
  entityTagDoesNotMatch: 'PRECONDITION_FAILED',
  malformedEntityTag: 'PRECONDITION_FAILED',
  preconditionFailed: 'PRECONDITION_FAILED',
  resourceLocked: 'LOCKED',
  lockMismatch: 'LOCKED',
  activityLimitReached: 'PROVIDER_THROTTLED',
  throttledRequest: 'PROVIDER_THROTTLED',
  tooManyRequests: 'PROVIDER_THROTTLED',
  quotaLimitReached: 'QUOTA_EXCEEDED',
  childItemCountExceeded: 'QUOTA_EXCEEDED',
  maxDocumentCountExceeded: 'QUOTA_EXCEEDED',
  maxFolderCountExceeded: 'QUOTA_EXCEEDED',
  maxItemCountExceeded: 'QUOTA_EXCEEDED',
  maxFileSizeExceeded: 'PAYLOAD_TOO_LARGE',
  maxStreamSizeExceeded: 'PAYLOAD_TOO_LARGE',
  resyncRequired: 'CURSOR_EXPIRED',
  resyncApplyDifferences: 'CURSOR_EXPIRED',
  resyncUploadDifferences: 'CURSOR_EXPIRED',
  resyncChangesApplyDifferences: 'CURSOR_EXPIRED',
  resyncChangesUploadDifferences: 'CURSOR_EXPIRED',
  syncStateNotFound: 'CURSOR_EXPIRED',
  invalidRange: 'RANGE_NOT_SATISFIABLE',
  invalidQueryOption: 'PROVIDER_ERROR',
  invalidParameterFormat: 'PROVIDER_ERROR',
  notSupported: 'UNSUPPORTED'
}
const BY_CODE: ReadonlyMap<string, StorageErrorCode> = new Map(Object.entries(CODES))
/** Statuses that are more specific than any code: a 412 has the code `notAllowed`. */
const BY_STATUS: ReadonlyMap<number, StorageErrorCode> = new Map([
  [412, 'PRECONDITION_FAILED'],
  [423, 'LOCKED'],
  [429, 'PROVIDER_THROTTLED'],
  // "Bandwidth Limit Exceeded", a non-standard status.
  [509, 'PROVIDER_THROTTLED']
])
/** The format of codes that may be logged. */
const LOGGABLE_CODE = /^\w{1,64}$/
const MAX_DEPTH = 5
/** Graph answers `BadRequest` on these paths if the user's organisation has no SharePoint. */
const OWN_DRIVE = /^\/v1\.0\/me\/drive(?:\/|$)/

/** Maps an error response by the most specific known code, never by the message. */
export function graphFailure(
  method: string,
  response: ErrorResponse,
  problem: unknown,
  missing: NotFoundCode
): StorageError {
  const codes = codesOf(problem)
  const knownCode = codes.findLast((code) => BY_CODE.has(code))
  const code = codeOf(method, response, codes, knownCode, missing)
  if (code === null) return httpFailure(method, response, missing)
  const reason = [knownCode, codes.at(-1)].find((each) => each !== undefined && LOGGABLE_CODE.test(each))
  return exchangeFailure(code, method, response, { reason })
}

/** Returns `null` if only the status is significant. */
function codeOf(
  method: string,
  { status, url }: ErrorResponse,
  codes: readonly string[],
  knownCode: string | undefined,
  missing: NotFoundCode
): StorageErrorCode | null {
  const codeByStatus = BY_STATUS.get(status)
  if (codeByStatus !== undefined) return codeByStatus
  const code = knownCode === undefined ? undefined : BY_CODE.get(knownCode)
  if (code !== undefined && status >= 400 && (status < 500 || status === 507)) return code
  // A response of a URL that carries no token: it says nothing about the grant.
  if (status === 401) return 'ACCESS_DENIED'
  if (status === 409 && codes.length > 0) return 'ALREADY_EXISTS'
  // A 404 with an HTML page comes from another server, so it does not show that the object is gone.
  if (status === 404 && codes.length === 0) return 'PROVIDER_ERROR'
  if (status === 400 && method === 'GET') {
    if (url.searchParams.has('$skiptoken')) return 'CURSOR_EXPIRED'
    if (codes[0] === 'BadRequest' && OWN_DRIVE.test(url.pathname)) return missing
    // Graph's response to ids of another format and to removed drives. Any other bad request is our error.
    return codes.length === 1 && codes[0] === 'invalidRequest' ? missing : 'PROVIDER_ERROR'
  }
  return null
}

/** Returns the codes of an error, the most specific one last. */
function codesOf(problem: unknown): readonly string[] {
  const codes: string[] = []
  let error = asObject(asObject(problem)['error'])
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const { code, innererror, innerError } = error
    if (typeof code === 'string' && code !== '') codes.push(code)
    error = asObject(innererror ?? innerError)
  }
  return codes
}
