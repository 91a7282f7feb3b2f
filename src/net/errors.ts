import { Diagnosis, isStorageError, providerFailure, type StorageErrorCode, type StorageError } from '../errors.ts'

/** Error codes by the code of a connection failure: the system's, and those of undici 7. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  ETIMEDOUT: 'PROVIDER_TIMEOUT',
  UND_ERR_CONNECT_TIMEOUT: 'PROVIDER_TIMEOUT',
  UND_ERR_HEADERS_TIMEOUT: 'PROVIDER_TIMEOUT',
  UND_ERR_BODY_TIMEOUT: 'PROVIDER_TIMEOUT',
  ECONNREFUSED: 'PROVIDER_UNAVAILABLE',
  ECONNRESET: 'PROVIDER_UNAVAILABLE',
  ECONNABORTED: 'PROVIDER_UNAVAILABLE',
  EPIPE: 'PROVIDER_UNAVAILABLE',
  ENOTFOUND: 'PROVIDER_UNAVAILABLE',
  EAI_AGAIN: 'PROVIDER_UNAVAILABLE',
  EHOSTUNREACH: 'PROVIDER_UNAVAILABLE',
  EHOSTDOWN: 'PROVIDER_UNAVAILABLE',
  ENETUNREACH: 'PROVIDER_UNAVAILABLE',
  EADDRNOTAVAIL: 'PROVIDER_UNAVAILABLE',
  EMFILE: 'PROVIDER_UNAVAILABLE',
  UND_ERR_SOCKET: 'PROVIDER_UNAVAILABLE',
  UND_ERR_CLOSED: 'PROVIDER_UNAVAILABLE',
  UND_ERR_DESTROYED: 'PROVIDER_UNAVAILABLE',
  /** A chunked body that ended before its last chunk. */
  HPE_INVALID_EOF_STATE: 'PROVIDER_UNAVAILABLE',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'PROVIDER_UNAVAILABLE'
}
const BY_CODE: ReadonlyMap<string, StorageErrorCode> = new Map(Object.entries(CODES))

/** Codes that may be logged. */
const LOGGABLE_CODE = /^[\w-]{1,64}$/
/** Depth to which SDKs nest our own errors as causes. */
const MAX_DEPTH = 5

/**
 * Converts the failure of a call without a response. The cause names a code. The message of the original error may
 * contain anything; it is only in the cause of the cause, which is not logged.
 *
 * @param service the called service, for the log
 */
export function connectionFailure(error: unknown, service: string): StorageError {
  const storageError = findStorageError(error)
  if (storageError !== undefined) return storageError
  const { name, code } = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: unknown
    code?: unknown
  }
  const loggedCode = typeof code === 'string' && LOGGABLE_CODE.test(code) ? code : ''
  const cause = new Diagnosis(`${service} sent no response ${loggedCode}`.trimEnd(), { cause: error })
  // The AWS SDK's own timeouts, of connecting and of a silent socket, have a name and no code.
  const failureCode = BY_CODE.get(loggedCode) ?? (name === 'TimeoutError' ? 'PROVIDER_TIMEOUT' : 'PROVIDER_ERROR')
  return providerFailure(failureCode, { cause })
}

/** Finds our own error inside an error of a third-party client. */
function findStorageError(error: unknown): StorageError | undefined {
  let current: unknown = error
  for (let depth = 0; depth < MAX_DEPTH && current instanceof Error; depth++) {
    if (isStorageError(current)) return current
    current = current.cause
  }
  return undefined
}

/**
 * Response headers that may be logged, and the values that may: numbers and well-known words. All other values may
 * contain a user's secret.
 */
const LOGGED_HEADERS: Readonly<Record<string, RegExp>> = {
  'content-type': /^(?:application\/(?:json|xml|problem\+json|octet-stream)|text\/(?:html|plain|xml))(?![^;\s])/i,
  'content-length': /^\d{1,15}$/,
  'content-encoding': /^(?:gzip|x-gzip|deflate|br|zstd|compress|identity)$/i,
  'retry-after': /^\d{1,9}$/
}

/**
 * Describes an exchange for the log: method, origin, status and a few headers. Omits the path, the query and the user
 * name, which contain file names, tokens and signatures.
 */
export function describeExchange(
  method: string,
  url: URL,
  response?: { readonly status: number; readonly headers: Readonly<Record<string, string>> }
): string {
  const requestLine = `${method} ${url.origin}`
  if (response === undefined) return requestLine
  const loggedHeaders = Object.entries(LOGGED_HEADERS).flatMap(([name, pattern]) => {
    const [value] = pattern.exec(response.headers[name] ?? '') ?? []
    return value === undefined ? [] : [`${name}: ${value}`]
  })
  return `${requestLine} answered ${response.status}${loggedHeaders.length === 0 ? '' : ` (${loggedHeaders.join(', ')})`}`
}

/**
 * Returns the delay that `Retry-After` requests, in milliseconds (RFC 9110, 10.2.3): seconds or a date. A date is
 * relative to the response's own `Date`, so our clocks do not matter. `undefined` if it is missing or invalid.
 *
 * @param headers by lower-case name
 */
export function readRetryAfter(headers: Readonly<Record<string, string | undefined>> | undefined): number | undefined {
  const value = headers?.['retry-after']?.trim()
  if (value === undefined || value === '') return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const waitMs = parseDate(value) - parseDate(headers?.['date'] ?? '')
  return Number.isNaN(waitMs) ? undefined : Math.max(0, waitMs)
}

/** Parses the three forms of RFC 9110, 5.6.7. All are in GMT; the oldest one, `asctime`, does not say so. */
function parseDate(text: string): number {
  // `Date.parse` also accepts values that are not HTTP dates, such as bare numbers and ISO 8601.
  const match = /^[A-Z][a-z]{2,8},? [\w -]{6,12} \d\d:\d\d:\d\d (?:GMT|(?<year>\d{4}))$/.exec(text.trim())
  if (match === null) return NaN
  return Date.parse(match.groups?.['year'] === undefined ? text : `${text} GMT`)
}
