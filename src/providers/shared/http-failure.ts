import type { HttpAnswer } from '../../domain/egress.ts'
import { Diagnosis, StorageError, type StorageErrorCode } from '../../domain/errors.ts'
import { describeExchange } from '../../infra/net/redact.ts'
import { readRetryAfter } from '../../infra/net/retry-after.ts'

/** What a 404 means: the listed folder is gone, or the object is. */
export type Missing = 'FOLDER_NOT_FOUND' | 'OBJECT_NOT_FOUND'

const MESSAGES: Readonly<Partial<Record<StorageErrorCode, string>>> = {
  FOLDER_NOT_FOUND: 'There is no such folder.',
  OBJECT_NOT_FOUND: 'There is no such object.',
  ACCESS_DENIED: 'The provider denies access.',
  PRECONDITION_FAILED: 'The object is not the version that was expected.',
  RANGE_NOT_SATISFIABLE: 'The object has no such bytes.',
  INVALID_REQUEST: 'The provider does not accept this name.',
  PAYLOAD_TOO_LARGE: 'The object is larger than the provider accepts.',
  QUOTA_EXCEEDED: 'There is no space left at the provider.',
  LOCKED: 'Someone else is using the object.',
  UNSUPPORTED: 'The provider does not support this.',
  PROVIDER_ERROR: 'The answer of the provider makes no sense.',
  PROVIDER_THROTTLED: 'The provider asks for fewer calls.',
  PROVIDER_TIMEOUT: 'The provider did not answer in time.',
  PROVIDER_UNAVAILABLE: 'The provider cannot be reached.'
}

const BY_STATUS: Readonly<Record<number, StorageErrorCode>> = {
  400: 'INVALID_REQUEST',
  401: 'ACCESS_DENIED',
  403: 'ACCESS_DENIED',
  405: 'UNSUPPORTED',
  408: 'PROVIDER_TIMEOUT',
  412: 'PRECONDITION_FAILED',
  413: 'PAYLOAD_TOO_LARGE',
  414: 'INVALID_REQUEST',
  416: 'RANGE_NOT_SATISFIABLE',
  423: 'LOCKED',
  429: 'PROVIDER_THROTTLED',
  501: 'UNSUPPORTED',
  504: 'PROVIDER_TIMEOUT',
  507: 'QUOTA_EXCEEDED'
}

/** What an answer that says no comes out as. The cause tells the exchange, never the text of the answer. */
export function httpFailure(
  method: string,
  answer: Omit<HttpAnswer, 'body' | 'discard'>,
  missing: Missing
): StorageError {
  const { status, headers, url } = answer
  const cause = new Diagnosis(describeExchange(method, url, answer))
  const retryAfterMs = readRetryAfter(headers)
  const code = codeOf(status, missing, retryAfterMs !== undefined)
  return new StorageError(code, messageOf(code), {
    cause,
    ...(status === 401 && { credentialsRefused: true }),
    ...(code === 'PROVIDER_THROTTLED' && retryAfterMs !== undefined && { retryAfterMs })
  })
}

/** An error of a backend in the words that all of them use. */
export function failure(code: StorageErrorCode, why?: string): StorageError {
  return new StorageError(code, messageOf(code), why === undefined ? {} : { cause: new Diagnosis(why) })
}

function messageOf(code: StorageErrorCode): string {
  return MESSAGES[code] ?? 'The provider failed.'
}

/** A 503 that says when to come back is a throttle, whatever it is called; one that does not is an outage. */
function codeOf(status: number, missing: Missing, saysWhen: boolean): StorageErrorCode {
  if (status === 404 || status === 410) return missing
  if (status === 503) return saysWhen ? 'PROVIDER_THROTTLED' : 'PROVIDER_UNAVAILABLE'
  return BY_STATUS[status] ?? (status >= 500 ? 'PROVIDER_UNAVAILABLE' : 'PROVIDER_ERROR')
}
