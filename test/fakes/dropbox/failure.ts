import { randomInt } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { auth, files } from 'dropbox'
import { CloudFailure } from '../fake-cloud.ts'
import { sendJson } from '../nextcloud/login-flow.ts'

/** What an error says. */
export interface DropboxError {
  readonly status: number
  /** The union that is the body's `error`; or all of the body, where that is a text. */
  readonly error: object | string
  /** In seconds. */
  readonly retryAfter?: number
}

/** An answer that is no success. */
export class DropboxFailure extends CloudFailure<DropboxError> {}

/** What nobody should ask: it is recorded, and fails the test that caused it. */
export class DropboxMistake extends DropboxFailure {
  /** @param error instead of 400 with a text, which Dropbox has for most */
  constructor(call: string, what: string, error?: DropboxError) {
    super(error ?? { status: 400, error: `Error in call to API function "${call}": ${what}` }, what)
  }
}

/** What an operation itself refuses. */
export const endpointError = (error: object): DropboxError => ({ status: 409, error })

export const authError = (tag: Exclude<auth.AuthError['.tag'], 'missing_scope'>): DropboxError => ({
  status: 401,
  error: { '.tag': tag } satisfies auth.AuthError
})

export const missingScope = (scope: string): DropboxError => ({
  status: 401,
  error: { '.tag': 'missing_scope', required_scope: scope } satisfies auth.AuthError
})

export const accessError = (error: auth.AccessError): DropboxError => ({ status: 403, error })

export function rateLimited(seconds: number, tag: auth.RateLimitReason['.tag'] = 'too_many_requests'): DropboxError {
  const error: auth.RateLimitError = { reason: { '.tag': tag }, retry_after: seconds }
  return { status: 429, error, retryAfter: seconds }
}

/** The types want a value where Dropbox sends none. */
export const MALFORMED_PATH = { '.tag': 'malformed_path' } as files.LookupErrorMalformedPath &
  files.WriteErrorMalformedPath

/** How reads say that a path is no good. */
export const pathLookup = (path: files.LookupError) => new DropboxFailure(endpointError({ '.tag': 'path', path }))

export function sendError(response: ServerResponse, { status, error, retryAfter }: DropboxError): void {
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter)
  if (status === 401) response.setHeader('www-authenticate', 'Bearer realm="Dropbox-API"')
  if (typeof error === 'string') {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(error)
    return
  }
  sendJson(response, status, { error_summary: summaryOf(error), error })
}

/** The tags from the outside in; the dots at the end keep clients from comparing it as a whole. */
function summaryOf(error: object): string {
  return `${tagsOf(error).join('/')}/${'.'.repeat(randomInt(4))}`
}

function tagsOf(error: object): string[] {
  const union = error as Readonly<Record<string, unknown>>
  const { '.tag': tag } = union
  const inner = (typeof tag === 'string' ? union[tag] : undefined) ?? union['reason']
  const isUnion = typeof inner === 'object' && inner !== null && !('root_namespace_id' in inner)
  return [...(typeof tag === 'string' ? [tag] : []), ...(isUnion ? tagsOf(inner) : [])]
}
