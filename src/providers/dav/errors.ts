import type { HttpResponse } from '../../core/egress.ts'
import {
  Diagnosis,
  providerFailure,
  StorageError,
  type StorageErrorCode,
  type StorageErrorOptions
} from '../../errors.ts'
import { describeExchange, readRetryAfter } from '../../net/errors.ts'
import { readErrorText } from '../shared/rest-client.ts'

/** The exception of sabre/dav in the body of a failure, which is more specific than the status. */
export interface DavException {
  /** A PHP class with its namespace. */
  readonly name: string
  /** In the language of the server. */
  readonly message: string
}

const NAME = /<(?:[\w-]{1,32}:)?exception>\s{0,32}([\w\\]{1,200})\s{0,32}</
const MESSAGE = /<(?:[\w-]{1,32}:)?message>([^<]{0,500})/
/** Statuses that servers use for several causes. */
const AMBIGUOUS_STATUSES: ReadonlySet<number> = new Set([413, 500, 503])
/** Methods that give a resource a name. */
const NAMING_METHODS: ReadonlySet<string> = new Set(['PUT', 'MKCOL', 'MOVE', 'COPY'])
/** Thrown for disabled accounts. Nextcloud's message contains the caught exception's class (Auth.php, 29 and 34). */
const LOGIN_EXCEPTION = /\b(?:LoginException|DisabledUserException)\b/
/** The delay of Nextcloud's other responses in maintenance mode; its OCS API sends no `Retry-After` (34). */
const MAINTENANCE_MS = 120_000

/** @param timeoutMs the deadline for reading the body */
export async function readException(
  response: Pick<HttpResponse, 'body'>,
  timeoutMs: number
): Promise<DavException | null> {
  const text = await readErrorText(response, timeoutMs)
  const [, name] = NAME.exec(text ?? '') ?? []
  const [, message = ''] = MESSAGE.exec(text ?? '') ?? []
  return name === undefined ? null : { name, message }
}

/**
 * Returns the error for a response with a misleading status: a forbidden name, a full quota, a disabled account,
 * maintenance. Reads the body of a response with such a status.
 *
 * @returns `null` if the status is sufficient
 */
export async function findSpecificError(
  { method, headers = {} }: { readonly method: string; readonly headers?: Readonly<Record<string, string>> },
  response: HttpResponse,
  timeoutMs: number
): Promise<StorageError | null> {
  const { status } = response
  if (!AMBIGUOUS_STATUSES.has(status)) return null
  const exception = await readException(response, timeoutMs)
  const exchange = describeExchange(method, response.url, response)
  const fail = (code: StorageErrorCode, options: StorageErrorOptions = {}): StorageError => {
    const suffix = exception === null ? '' : `, ${exception.name}`
    return providerFailure(code, { cause: new Diagnosis(exchange + suffix), responded: true, ...options })
  }
  if (status === 503 && isMaintenance(response, exception)) {
    const retryAfterMs = readRetryAfter(response.headers) ?? MAINTENANCE_MS
    const options = { cause: new Diagnosis(exchange), responded: true, retryAfterMs }
    return new StorageError('PROVIDER_THROTTLED', 'The server is in maintenance mode. Try again later.', options)
  }
  if (exception === null) return null
  // With a body of known length, an exceeded quota is a 507 instead.
  if (status === 413) return headers['content-length'] === undefined ? fail('QUOTA_EXCEEDED') : null
  if (status === 500 && /\\(?:Forbidden|InvalidPath)$/.test(exception.name)) {
    return fail(NAMING_METHODS.has(method) ? 'INVALID_REQUEST' : 'ACCESS_DENIED')
  }
  if (status === 503 && LOGIN_EXCEPTION.test(exception.message)) return fail('ACCOUNT_DISABLED')
  const retryAfterMs = readRetryAfter(response.headers)
  if (status === 503 && retryAfterMs !== undefined) return fail('PROVIDER_THROTTLED', { retryAfterMs })
  return fail('PROVIDER_UNAVAILABLE')
}

function isMaintenance({ headers }: HttpResponse, exception: DavException | null): boolean {
  return headers['x-nextcloud-maintenance-mode'] === '1' || /\bmaintenance mode\b/i.test(exception?.message ?? '')
}
