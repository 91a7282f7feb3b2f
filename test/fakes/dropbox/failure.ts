import { randomInt } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { auth, files } from 'dropbox'
import { CloudFailure } from '../fake-cloud.ts'
import { sendJson } from '../fake-server.ts'

/** The fields of an error. */
export interface DropboxError {
  readonly status: number
  /** The union in the body's `error`; or the whole body if it is a string. */
  readonly error: object | string
  /** In seconds. */
  readonly retryAfter?: number
}

/** An error response. */
export class DropboxFailure extends CloudFailure<DropboxError> {}

/** A request that no client should send: it is recorded, and fails the test. */
export class DropboxMistake extends DropboxFailure {
  /** @param error replaces the 400 with a text that Dropbox sends for most mistakes */
  constructor(call: string, mistake: string, error?: DropboxError) {
    super(error ?? { status: 400, error: `Error in call to API function "${call}": ${mistake}` }, mistake)
  }
}

/** An endpoint-specific error. */
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

/** The types require a value that Dropbox does not send. */
export const MALFORMED_PATH = { '.tag': 'malformed_path' } as files.LookupErrorMalformedPath &
  files.WriteErrorMalformedPath

/** The error of read operations for an invalid path. */
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

/** Returns the tags from the outside in. The trailing dots prevent clients from comparing the whole string. */
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
