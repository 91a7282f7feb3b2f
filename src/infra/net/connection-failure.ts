import { Diagnosis, isStorageError, type StorageError } from '../../domain/errors.ts'
import { providerFailure, type ProviderFailureCode } from '../../domain/provider-failure.ts'

/** By what a connection failed with: the system's codes, and those of undici 7. */
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
  /** A body in chunks that ended before its last one. */
  HPE_INVALID_EOF_STATE: 'PROVIDER_UNAVAILABLE',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'PROVIDER_UNAVAILABLE'
}
const BY_CODE: ReadonlyMap<string, ProviderFailureCode> = new Map(Object.entries(CODES))

/** What may be repeated of a failure. */
const WORD = /^[\w-]{1,64}$/
/** How many causes deep an SDK may have put what was refused here. */
const MAX_DEPTH = 5

/**
 * What a call without an answer comes out as. The cause tells a code; the text of the failure, which may hold
 * anything, stays in the cause of the cause, which no log prints.
 *
 * @param service whom we called, for the log
 */
export function connectionFailure(error: unknown, service: string): StorageError {
  const ours = findStorageError(error)
  if (ours !== undefined) return ours
  const { name, code } = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: unknown
    code?: unknown
  }
  const word = typeof code === 'string' && WORD.test(code) ? code : ''
  const cause = new Diagnosis(`${service} gave no answer ${word}`.trimEnd(), { cause: error })
  // The AWS SDK's own time-outs, of connecting and of a silent socket, have a name and no code.
  const known = BY_CODE.get(word) ?? (name === 'TimeoutError' ? 'PROVIDER_TIMEOUT' : 'PROVIDER_ERROR')
  return providerFailure(known, { cause })
}

/** A refusal of ours that came back through somebody else's client. */
function findStorageError(error: unknown): StorageError | undefined {
  let each: unknown = error
  for (let depth = 0; depth < MAX_DEPTH && each instanceof Error; depth++) {
    if (isStorageError(each)) return each
    each = each.cause
  }
  return undefined
}
