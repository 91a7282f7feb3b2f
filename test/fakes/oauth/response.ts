import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

export interface OAuthResponse {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  /** Undefined for a response without a body. */
  readonly json: Readonly<Record<string, unknown>> | undefined
}

/** Error codes of RFC 6749 (4.1.2.1 and 5.2). */
export type OAuthErrorCode =
  | 'access_denied'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_request'
  | 'invalid_scope'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'

/** An error response. */
export class OAuthFailure extends Error {
  readonly response: OAuthResponse

  constructor(error: OAuthErrorCode, description: string, response: Partial<OAuthResponse> = {}) {
    super(description)
    this.response = { ...errorResponse(error === 'invalid_client' ? 401 : 400, error, description), ...response }
  }
}

/** A request that no client should send: it is recorded, and fails the test. */
export class OAuthMistake extends OAuthFailure {}

/** The description contains a secret, which the plugin must not pass on. */
export function errorResponse(
  status: number,
  error: string,
  description: string,
  headers: OutgoingHttpHeaders = {}
): OAuthResponse {
  return { status, headers, json: { error, error_description: `${description} Bearer SECRET` } }
}

export function sendResponse(response: ServerResponse, { status, headers, json }: OAuthResponse): void {
  if (json === undefined) {
    response.writeHead(status, { 'cache-control': 'no-store', ...headers }).end()
    return
  }
  const body = JSON.stringify(json)
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    pragma: 'no-cache',
    ...headers
  })
  response.end(body)
}
