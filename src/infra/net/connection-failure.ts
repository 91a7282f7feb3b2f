import { Diagnosis, isStorageError, type StorageError } from '../../domain/errors.ts'
import { providerFailure, type ProviderFailureCode } from '../../domain/provider-failure.ts'

/** Error codes by the code of a connection failure: the system's, and those of undici 7. */
const CODES: Readonly<Record<string, ProviderFailureCode>> = {
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
const BY_CODE: ReadonlyMap<string, ProviderFailureCode> = new Map(Object.entries(CODES))

/** Codes that may be logged. */
const WORD = /^[\w-]{1,64}$/
/** Depth to which SDKs nest our own errors as causes. */
const MAX_DEPTH = 5

/**
 * Converts the failure of a call without a response. The cause names a code. The message of the original error may
 * contain anything; it is only in the cause of the cause, which is not logged.
 *
 * @param service the called service, for the log
 */
export function connectionFailure(error: unknown, service: string): StorageError {
  const ours = findStorageError(error)
  if (ours !== undefined) return ours
  const { name, code } = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: unknown
    code?: unknown
  }
  const word = typeof code === 'string' && WORD.test(code) ? code : ''
  const cause = new Diagnosis(`${service} sent no response ${word}`.trimEnd(), { cause: error })
  // The AWS SDK's own timeouts, of connecting and of a silent socket, have a name and no code.
  const known = BY_CODE.get(word) ?? (name === 'TimeoutError' ? 'PROVIDER_TIMEOUT' : 'PROVIDER_ERROR')
  return providerFailure(known, { cause })
}

/** Finds our own error inside an error of a third-party client. */
function findStorageError(error: unknown): StorageError | undefined {
  let each: unknown = error
  for (let depth = 0; depth < MAX_DEPTH && each instanceof Error; depth++) {
    if (isStorageError(each)) return each
    each = each.cause
  }
  return undefined
}
