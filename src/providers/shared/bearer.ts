import { Readable } from 'node:stream'
import type { Egress, HttpResponse, HttpRequest } from '../../core/egress.ts'
import type { AccessTokens } from '../../core/oauth.ts'
import type { Secret } from '../../core/secret.ts'
import { describeExchange } from '../../net/errors.ts'
import { isAtDeclaredHost } from '../../net/redirects.ts'
import { failure, transientFailure } from './errors.ts'

export interface ReplayableRequest extends Omit<HttpRequest, 'body'> {
  /** A function creates a new stream each time the request is sent. */
  readonly body?: HttpRequest['body'] | (() => Readable)
}

export type Send = (request: ReplayableRequest) => Promise<HttpResponse>

/**
 * Returns a function that sends requests with a connection's access token. After a 401 it refreshes the token and
 * sends the request once more, unless the body is a stream that was already used.
 *
 * @param origins the only origins that receive the token
 * @returns a function that throws StorageError `ACCESS_DENIED` after a second 401, and the errors of the token source
 */
export function withBearer(egress: Egress, tokens: AccessTokens, origins: readonly string[]): Send {
  const send = ({ body, ...request }: ReplayableRequest, token: Secret<string>): Promise<HttpResponse> => {
    const headers = { ...request.headers, authorization: `Bearer ${token.reveal()}` }
    const requestBody = typeof body === 'function' ? body() : body
    return egress.request({ ...request, headers, ...(requestBody !== undefined && { body: requestBody }) })
  }
  return async (request) => {
    const { url, signal, body } = request
    if (!origins.includes(url.origin)) {
      throw failure('PROVIDER_ERROR', `The provider refers to ${url.origin}, which must not receive its tokens`)
    }
    const token = await tokens.current(signal)
    const response = await send(request, token)
    if (response.status !== 401) return response
    await response.discard()
    const renewed = await tokens.renewed(token, signal)
    if (body instanceof Readable)
      throw transientFailure('The access token was rejected, and the upload cannot be sent again')
    const retryResponse = await send(request, renewed)
    if (retryResponse.status !== 401) return retryResponse
    await retryResponse.discard()
    // Only the token endpoint can report the end of the grant, and it has just issued a token.
    throw failure('ACCESS_DENIED', describeExchange(request.method, url, retryResponse))
  }
}

/**
 * Validates a URL from a response: it must lead to an origin or host that the provider uses.
 *
 * @param hosts origins (`https://upload.example.org`), and hosts over https (`content.example.org`, `*.example.org`)
 * @param subject describes the URL, for the log
 * @throws StorageError `PROVIDER_ERROR`
 */
export function parseProviderUrl(value: unknown, hosts: readonly string[], subject: string): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url === null) throw failure('PROVIDER_ERROR', `${subject} is not a valid URL`)
  const hasNoUserInfo = url.username === '' && url.password === ''
  if (hasNoUserInfo && (hosts.includes(url.origin) || isAtDeclaredHost(url, hosts))) return url
  throw failure('PROVIDER_ERROR', `${subject} points to ${url.origin}, which the provider does not use`)
}
