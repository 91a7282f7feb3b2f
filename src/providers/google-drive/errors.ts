import type { StorageError, StorageErrorCode } from '../../errors.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { asObject } from '../shared/entries.ts'
import { type ErrorResponse, exchangeFailure, httpFailure, type NotFoundCode } from '../shared/errors.ts'

/** Retry delay after the daily limit. Google counts days in its own time zone, and does not say when one ends. */
const DAILY_LIMIT_MS = 15 * 60_000

/** Reasons in `error.errors[].reason` and `error.details[].reason` (Google's "Resolve errors" and AIP-193). */
const REASONS: Readonly<Record<string, StorageErrorCode>> = {
  rateLimitExceeded: 'PROVIDER_THROTTLED',
  userRateLimitExceeded: 'PROVIDER_THROTTLED',
  sharingRateLimitExceeded: 'PROVIDER_THROTTLED',
  dailyLimitExceeded: 'PROVIDER_THROTTLED',
  insufficientPermissions: 'INSUFFICIENT_SCOPE',
  ACCESS_TOKEN_SCOPE_INSUFFICIENT: 'INSUFFICIENT_SCOPE',
  appNotAuthorizedToFile: 'INSUFFICIENT_SCOPE',
  storageQuotaExceeded: 'QUOTA_EXCEEDED',
  teamDriveFileLimitExceeded: 'QUOTA_EXCEEDED',
  activeItemCreationLimitExceeded: 'QUOTA_EXCEEDED',
  numChildrenInNonRootLimitExceeded: 'QUOTA_EXCEEDED',
  exportSizeLimitExceeded: 'PAYLOAD_TOO_LARGE',
  fileNotDownloadable: 'UNSUPPORTED',
  fileNotExportable: 'UNSUPPORTED',
  accessNotConfigured: 'PROVIDER_ERROR',
  SERVICE_DISABLED: 'PROVIDER_ERROR',
  parentNotAFolder: 'FOLDER_NOT_FOUND'
}
const BY_REASON: ReadonlyMap<string, StorageErrorCode> = new Map(Object.entries(REASONS))
const API_DISABLED_REASONS: ReadonlySet<string> = new Set(['accessNotConfigured', 'SERVICE_DISABLED'])

/**
 * Maps an error response by its reason, never by its message. Most have status 403, including throttling.
 *
 * @param data the body as JSON; `undefined` if it is not JSON
 */
export function driveFailure(
  method: string,
  response: ErrorResponse,
  data: unknown,
  missing: NotFoundCode
): StorageError {
  const { status, headers } = response
  const { reasons, location } = parseErrorBody(data)
  const reason = reasons.find((each) => BY_REASON.has(each))
  const code = reason === undefined ? undefined : BY_REASON.get(reason)
  if (code !== undefined && reason !== undefined && status >= 400 && status < 500) {
    // A 403 contains no delay: Google's documentation asks to back off and try again.
    const statedDelayMs = readRetryAfter(headers) ?? (status === 403 ? 0 : undefined)
    const retryAfterMs = retryDelayOf(reason, statedDelayMs)
    const hint = API_DISABLED_REASONS.has(reason)
      ? ': enable the Drive API in the Google Cloud project of the OAuth client'
      : ''
    return exchangeFailure(code, method, response, { reason: `${reason}${hint}`, retryAfterMs })
  }
  if (status === 400 && reasons.includes('invalid') && location === 'pageToken') {
    return exchangeFailure('CURSOR_EXPIRED', method, response, { reason: 'page token not accepted' })
  }
  // A response of an upload session, which receives no token of ours: it says nothing about the grant.
  if (status === 401) return exchangeFailure('ACCESS_DENIED', method, response)
  // A 404 with an HTML page comes from another server, so it does not show that the object is gone. Requests contain
  // only ids of valid format, so a 400 is our error and not the caller's.
  if ((status === 404 && reasons.length === 0) || (status === 400 && method === 'GET')) {
    return exchangeFailure('PROVIDER_ERROR', method, response)
  }
  return httpFailure(method, response, missing)
}

function retryDelayOf(reason: string, retryAfterMs: number | undefined): number | undefined {
  return reason === 'dailyLimitExceeded' ? Math.max(DAILY_LIMIT_MS, retryAfterMs ?? 0) : retryAfterMs
}

function parseErrorBody(data: unknown): { readonly reasons: readonly string[]; readonly location: unknown } {
  const { errors, details } = asObject(asObject(data)['error'])
  const errorItems = [errors, details].flatMap((list): unknown[] => (Array.isArray(list) ? list : [])).map(asObject)
  return {
    reasons: errorItems.map(({ reason }) => reason).filter((reason) => typeof reason === 'string'),
    location: errorItems[0]?.['location']
  }
}
