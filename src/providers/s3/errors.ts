import { Diagnosis, isStorageError, StorageError, type StorageErrorCode } from '../../errors.ts'
import { connectionFailure, readRetryAfter } from '../../net/errors.ts'
import { type NotFoundCode, responseFailure } from '../shared/errors.ts'

/** The used fields of the SDK's errors. They contain no request body; `$response` is not enumerable. */
interface SdkError {
  readonly name?: unknown
  readonly $fault?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: unknown }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

/** Codes by the error's name, if the response has a body with one. A map: servers choose the names. */
const CODE_BY_NAME: ReadonlyMap<string, StorageErrorCode> = new Map<string, StorageErrorCode>([
  ['AccessDenied', 'ACCESS_DENIED'],
  ['AllAccessDisabled', 'ACCESS_DENIED'],
  ['InvalidAccessKeyId', 'ACCESS_DENIED'],
  ['SignatureDoesNotMatch', 'ACCESS_DENIED'],
  ['InvalidObjectState', 'ACCESS_DENIED'],
  ['ExpiredToken', 'ACCESS_DENIED'],
  ['InvalidToken', 'ACCESS_DENIED'],
  ['PreconditionFailed', 'PRECONDITION_FAILED'],
  ['ConditionalRequestConflict', 'LOCKED'],
  ['OperationAborted', 'LOCKED'],
  ['InvalidRange', 'RANGE_NOT_SATISFIABLE'],
  ['KeyTooLongError', 'INVALID_REQUEST'],
  ['XMinioInvalidObjectName', 'INVALID_REQUEST'],
  ['EntityTooLarge', 'PAYLOAD_TOO_LARGE'],
  ['QuotaExceeded', 'QUOTA_EXCEEDED'],
  ['XMinioStorageFull', 'QUOTA_EXCEEDED'],
  ['XMinioAdminBucketQuotaExceeded', 'QUOTA_EXCEEDED'],
  ['SlowDown', 'PROVIDER_THROTTLED'],
  ['SlowDownRead', 'PROVIDER_THROTTLED'],
  ['SlowDownWrite', 'PROVIDER_THROTTLED'],
  ['TooManyRequests', 'PROVIDER_THROTTLED'],
  ['RequestTimeout', 'PROVIDER_TIMEOUT'],
  ['InternalError', 'PROVIDER_UNAVAILABLE'],
  // The SDK has set its clock from the error response (3.1169), so the next call succeeds.
  ['RequestTimeTooSkewed', 'PROVIDER_UNAVAILABLE'],
  ['NotImplemented', 'UNSUPPORTED']
])

/** The bucket is in another region. Not followed, since the request would go to a host that the response chose. */
const WRONG_REGION = new Set([
  'PermanentRedirect',
  'TemporaryRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException'
])

/** The format of values of a response that may be logged: a code, a request id. */
const LOGGABLE = /^[\w-]{1,64}$/

/**
 * Maps the error of a failed call. HTTP statuses decide if there is no name: the response to a HEAD has no body. The
 * cause contains status, code and request id, never the text of the response, which may contain anything.
 */
export function toStorageError(error: unknown, missing: NotFoundCode): StorageError {
  if (isStorageError(error)) return error
  const sdkError = (typeof error === 'object' && error !== null ? error : {}) as SdkError
  const status = sdkError.$metadata?.httpStatusCode
  if (status === undefined) return connectionFailure(error, 'S3')

  const name = typeof sdkError.name === 'string' && sdkError.$fault !== undefined ? sdkError.name : ''
  const cause = describeError(status, name, sdkError)
  if (WRONG_REGION.has(name) || (status >= 300 && status < 400)) {
    return new StorageError('PROVIDER_ERROR', 'The bucket is in another region. Set the correct region.', { cause })
  }
  const retryAfterHeaderMs = readRetryAfter(sdkError.$response?.headers)
  const isS3Response = sdkError.$fault !== undefined
  // A gateway in front of an unavailable server sends a page of its own.
  const isGatewayPage = status === 503 && !isS3Response && retryAfterHeaderMs === undefined
  const codeOfName = CODE_BY_NAME.get(name)
  const code = isGatewayPage ? 'PROVIDER_UNAVAILABLE' : (codeOfName ?? codeOfStatus(status, isS3Response, missing))
  const throttleDelayMs = code === 'PROVIDER_THROTTLED' ? retryAfterHeaderMs : undefined
  // S3 throttles with a 503 without a delay, which means: back off and try again (AWS's documentation).
  const retryAfterMs = throttleDelayMs ?? (code === 'PROVIDER_THROTTLED' && status === 503 ? 0 : undefined)
  return responseFailure(code, status, {
    cause,
    // The SDK reports an error in a response of status 200 as 503.
    ...(codeOfName !== undefined && { responded: true }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    // Invalid keys are a 403 too. An unknown access key says nothing about the object.
    ...((status === 401 || name === 'InvalidAccessKeyId') && { credentialsRefused: true })
  })
}

/** Returns whether the server, not the connection, refused, with one of these names or statuses. */
export function isServiceException(error: unknown, ...namesOrStatuses: (string | number)[]): boolean {
  const sdkError = (typeof error === 'object' && error !== null ? error : {}) as SdkError
  const status = sdkError.$metadata?.httpStatusCode
  if (status === undefined) return false
  return (
    namesOrStatuses.includes(status) || (typeof sdkError.name === 'string' && namesOrStatuses.includes(sdkError.name))
  )
}

/** @param isS3Response whether the body, if there is one, was an S3 error */
function codeOfStatus(status: number, isS3Response: boolean, missing: NotFoundCode): StorageErrorCode {
  if (status === 503 || status === 429) return 'PROVIDER_THROTTLED'
  if (status === 501) return 'UNSUPPORTED'
  if (status === 507) return 'QUOTA_EXCEEDED'
  if (status >= 500) return 'PROVIDER_UNAVAILABLE'
  if (status === 401 || status === 403) return 'ACCESS_DENIED'
  // A 404 with an HTML page comes from another server, so it does not show that the object is gone.
  if (!isS3Response) return 'PROVIDER_ERROR'
  if (status === 404) return missing
  if (status === 409) return 'LOCKED'
  if (status === 412) return 'PRECONDITION_FAILED'
  if (status === 413) return 'PAYLOAD_TOO_LARGE'
  if (status === 416) return 'RANGE_NOT_SATISFIABLE'
  return 'PROVIDER_ERROR'
}

function describeError(status: number, name: string, { $fault, $metadata }: SdkError): Diagnosis {
  const detail =
    $fault === undefined ? ' with a body that is not an S3 response' : LOGGABLE.test(name) ? ` ${name}` : ''
  const id = $metadata?.requestId
  const request = typeof id === 'string' && LOGGABLE.test(id) ? `, request ${id}` : ''
  return new Diagnosis(`S3 returned ${status}${detail}${request}`)
}
