import type { StorageError, StorageErrorCode } from '../../errors.ts'
import { asObject } from '../shared/entries.ts'
import { type ErrorResponse, exchangeFailure, httpFailure, type NotFoundCode } from '../shared/errors.ts'

/** Error codes by `code` (Box's "Common errors" and the reference of each call). */
const CODES: Readonly<Record<string, StorageErrorCode | 'missing'>> = {
  insufficient_scope: 'INSUFFICIENT_SCOPE',
  access_denied_item_locked: 'LOCKED',
  storage_limit_exceeded: 'QUOTA_EXCEEDED',
  file_size_limit_exceeded: 'PAYLOAD_TOO_LARGE',
  item_name_invalid: 'INVALID_REQUEST',
  item_name_too_long: 'INVALID_REQUEST',
  not_found: 'missing',
  trashed: 'missing',
  conflict: 'ALREADY_EXISTS',
  item_name_in_use: 'ALREADY_EXISTS',
  range_overlaps_existing_part: 'ALREADY_EXISTS',
  name_temporarily_reserved: 'LOCKED',
  operation_blocked_temporary: 'LOCKED',
  rate_limit_exceeded: 'PROVIDER_THROTTLED',
  // The received bytes differ from those sent, or have not all been counted yet.
  bad_digest: 'PROVIDER_UNAVAILABLE',
  digest_mismatch: 'PROVIDER_UNAVAILABLE',
  parts_mismatch: 'PROVIDER_UNAVAILABLE',
  session_expired: 'PROVIDER_UNAVAILABLE',
  upload_failed: 'PROVIDER_UNAVAILABLE'
}
const BY_CODE: ReadonlyMap<unknown, StorageErrorCode | 'missing'> = new Map(Object.entries(CODES))
const SCOPE = /\berror="insufficient_scope"/

/** Maps an error response of Box by its code, never by its message. */
export function boxFailure(
  method: string,
  response: ErrorResponse,
  problem: unknown,
  missing: NotFoundCode
): StorageError {
  const { status, headers } = response
  const { type, code } = asObject(problem)
  const mapped = type === 'error' ? BY_CODE.get(code) : undefined
  if (mapped !== undefined && status >= 400 && status < 500) {
    return exchangeFailure(mapped === 'missing' ? missing : mapped, method, response, { reason: String(code) })
  }
  const fail = (code: StorageErrorCode): StorageError => exchangeFailure(code, method, response)
  // Box reports a downscoped token in this header, without a body.
  if (status === 403 && SCOPE.test(headers['www-authenticate'] ?? '')) return fail('INSUFFICIENT_SCOPE')
  if (status === 400) return fail(isAboutPosition(problem) ? 'CURSOR_EXPIRED' : 'PROVIDER_ERROR')
  // A response of the content host, which receives no token of ours: it says nothing about the grant.
  if (status === 401) return fail('ACCESS_DENIED')
  // A 404 in another format than Box's comes from another server, so it does not show that the item is gone.
  if (status === 404) return fail(type === 'error' && typeof code === 'string' ? missing : 'PROVIDER_ERROR')
  return httpFailure(method, response, missing)
}

const POSITION_PARAMETERS: ReadonlySet<unknown> = new Set(['marker', 'stream_position'])

/** Returns whether the invalid parameter is a position in a list. Box issued it, so it must have expired. */
function isAboutPosition(problem: unknown): boolean {
  const { errors } = asObject(asObject(problem)['context_info'])
  return Array.isArray(errors) && errors.some((error) => POSITION_PARAMETERS.has(asObject(error)['name']))
}
