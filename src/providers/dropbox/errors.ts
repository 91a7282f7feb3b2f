import { isStorageError, type StorageError, type StorageErrorCode } from '../../errors.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { asObject } from '../shared/entries.ts'
import { type ErrorResponse, exchangeFailure, httpFailure, type NotFoundCode } from '../shared/errors.ts'

type Codes = ReadonlyMap<string, StorageErrorCode>

/** Path errors: `LookupError` and `WriteError` in Dropbox's specification. */
const PATH_CODES: Codes = new Map([
  ['not_folder', 'FOLDER_NOT_FOUND'],
  ['not_file', 'OBJECT_NOT_FOUND'],
  ['disallowed_name', 'INVALID_REQUEST'],
  ['conflict', 'ALREADY_EXISTS'],
  ['no_write_permission', 'ACCESS_DENIED'],
  ['restricted_content', 'ACCESS_DENIED'],
  ['access_restricted', 'ACCESS_DENIED'],
  ['operation_suppressed', 'ACCESS_DENIED'],
  ['team_folder', 'ACCESS_DENIED'],
  ['insufficient_space', 'QUOTA_EXCEEDED'],
  ['team_folder_insufficient_space', 'QUOTA_EXCEEDED'],
  ['member_folder_insufficient_space', 'QUOTA_EXCEEDED'],
  ['upload_traffic_limit_reached', 'QUOTA_EXCEEDED'],
  ['locked', 'LOCKED'],
  ['unsupported_content_type', 'UNSUPPORTED'],
  ['too_many_write_operations', 'PROVIDER_THROTTLED']
])

/** Other errors of operations. An upload session that Dropbox no longer knows must be started again. */
const OPERATION_CODES: Codes = new Map([
  ['reset', 'CURSOR_EXPIRED'],
  ['unsupported_file', 'UNSUPPORTED'],
  ['non_exportable', 'UNSUPPORTED'],
  ['invalid_export_format', 'INVALID_REQUEST'],
  ['retry_error', 'PROVIDER_UNAVAILABLE'],
  ['not_allowed', 'ACCESS_DENIED'],
  ['email_not_verified', 'ACCESS_DENIED'],
  ['no_permission', 'ACCESS_DENIED'],
  ['too_many_write_operations', 'PROVIDER_THROTTLED'],
  // The content arrived damaged, and can be sent again.
  ['content_hash_mismatch', 'PROVIDER_UNAVAILABLE'],
  ['payload_too_large', 'PAYLOAD_TOO_LARGE'],
  ['too_large', 'PAYLOAD_TOO_LARGE'],
  ['lookup_failed', 'PROVIDER_UNAVAILABLE'],
  ['not_found', 'PROVIDER_UNAVAILABLE'],
  ['closed', 'PROVIDER_UNAVAILABLE']
])

/** The tags that precede a path error. */
const PATH_TAGS: ReadonlySet<string> = new Set(['path', 'path_lookup', 'path_write'])

/** Statuses with an error tag in the body. */
const STATUSES_WITH_TAG: ReadonlySet<number> = new Set([403, 409, 422])

/**
 * Statuses that say nothing about the requested object. Dropbox does not use 404 for objects, and a 400 means that
 * our request is malformed.
 */
const UNEXPECTED_STATUSES: ReadonlySet<number> = new Set([400, 404, 405, 409, 410, 412, 422])

/** Maps an error response by the tags of its `error_summary`; the end of the summary is random. */
export function dropboxFailure(
  method: string,
  response: ErrorResponse,
  problem: unknown,
  missing: NotFoundCode
): StorageError {
  const { status, headers } = response
  const { code, tag } = parseErrorBody(status, problem, missing)
  if (code === undefined) return httpFailure(method, response, missing)
  // Concurrent writes in one namespace cause a 409 without a delay: Dropbox asks to back off and try again.
  const retryAfterMs = readRetryAfter(headers) ?? readBodyRetryAfter(problem) ?? (status === 409 ? 0 : undefined)
  return exchangeFailure(code, method, response, { reason: tag, retryAfterMs })
}

/** Returns the offset at which an upload session must continue; `null` if the error is another one. */
export function correctOffsetOf(problem: unknown): number | null {
  const error = asObject(asObject(problem)['error'])
  const inner = error['.tag'] === 'lookup_failed' ? asObject(error['lookup_failed']) : error
  const offset = inner['correct_offset']
  return inner['.tag'] === 'incorrect_offset' && typeof offset === 'number' && Number.isSafeInteger(offset)
    ? offset
    : null
}

function parseErrorBody(
  status: number,
  problem: unknown,
  missing: NotFoundCode
): { readonly code: StorageErrorCode | undefined; readonly tag?: string } {
  if (status === 429) return { code: 'PROVIDER_THROTTLED' }
  const summary = asObject(problem)['error_summary']
  const [first = '', second = ''] = typeof summary === 'string' ? summary.split('/') : []
  const tag = PATH_TAGS.has(first) ? second : first
  const codes = PATH_TAGS.has(first) ? PATH_CODES : OPERATION_CODES
  if (STATUSES_WITH_TAG.has(status)) {
    const code = PATH_TAGS.has(first) ? (missingPathCode(tag, missing) ?? codes.get(tag)) : codes.get(tag)
    if (code !== undefined) return { code, tag }
  }
  return { code: UNEXPECTED_STATUSES.has(status) ? 'PROVIDER_ERROR' : undefined }
}

/** For an object (an id), `malformed_path` means that it is missing; in a folder, the name is invalid. */
function missingPathCode(tag: string, missing: NotFoundCode): StorageErrorCode | undefined {
  if (tag === 'malformed_path') return missing === 'OBJECT_NOT_FOUND' ? missing : 'INVALID_REQUEST'
  return tag === 'not_found' ? missing : undefined
}

function readBodyRetryAfter(problem: unknown): number | undefined {
  const seconds = asObject(asObject(problem)['error'])['retry_after']
  return typeof seconds === 'number' && seconds >= 0 && seconds < 1e9 ? seconds * 1000 : undefined
}

const NOT_APPLIED = new WeakSet<StorageError>()

/** Marks an error after which Dropbox has certainly changed nothing. */
export function markNotApplied(error: StorageError): StorageError {
  NOT_APPLIED.add(error)
  return error
}

/** Returns whether Dropbox has certainly changed nothing. Otherwise, the response may have been lost. */
export function isNotApplied(error: unknown): boolean {
  return isStorageError(error) && (error.code === 'PROVIDER_THROTTLED' || NOT_APPLIED.has(error))
}
