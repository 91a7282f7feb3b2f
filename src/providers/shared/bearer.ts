import { Readable } from 'node:stream'
import type { Egress, HttpAnswer, HttpRequest } from '../../core/egress.ts'
import type { AccessTokens } from '../../core/oauth.ts'
import type { Secret } from '../../core/secret.ts'
import { describeExchange } from '../../net/errors.ts'
import { isAtDeclaredHost } from '../../net/http-client.ts'
import { failure, incomplete } from './errors.ts'

export interface SentRequest extends Omit<HttpRequest, 'body'> {
  /** A function creates a new stream each time the request is sent. */
  readonly body?: HttpRequest['body'] | (() => Readable)
}

export type Send = (request: SentRequest) => Promise<HttpAnswer>

/**
 * Returns a function that sends requests with a connection's access token. After a 401 it refreshes the token and
 * sends the request once more, unless the body is a stream that was already used.
 *
 * @param origins the only origins that receive the token
 * @returns a function that throws StorageError `ACCESS_DENIED` after a second 401, and the errors of the token source
 */
export function withBearer(egress: Egress, tokens: AccessTokens, origins: readonly string[]): Send {
  const send = ({ body, ...request }: SentRequest, token: Secret<string>): Promise<HttpAnswer> => {
    const headers = { ...request.headers, authorization: `Bearer ${token.reveal()}` }
    const sent = typeof body === 'function' ? body() : body
    return egress.request({ ...request, headers, ...(sent !== undefined && { body: sent }) })
  }
  return async (request) => {
    const { url, signal, body } = request
    if (!origins.includes(url.origin)) {
      throw failure('PROVIDER_ERROR', `The provider refers to ${url.origin}, which must not receive its tokens`)
    }
    const token = await tokens.current(signal)
    const answer = await send(request, token)
    if (answer.status !== 401) return answer
    await answer.discard()
    const renewed = await tokens.renewed(token, signal)
    if (body instanceof Readable) throw incomplete('The access token was rejected, and the upload cannot be sent again')
    const again = await send(request, renewed)
    if (again.status !== 401) return again
    await again.discard()
    // Only the token endpoint can report the end of the grant, and it has just issued a token.
    throw failure('ACCESS_DENIED', describeExchange(request.method, url, again))
  }
}

/**
 * Validates a URL from a response: it must lead to an origin or host that the provider uses.
 *
 * @param places origins (`https://upload.example.org`), and hosts over https (`content.example.org`, `*.example.org`)
 * @param what describes the URL, for the log
 * @throws StorageError `PROVIDER_ERROR`
 */
export function pinnedUrl(value: unknown, places: readonly string[], what: string): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url === null) throw failure('PROVIDER_ERROR', `${what} is not a valid URL`)
  const isPlain = url.username === '' && url.password === ''
  if (isPlain && (places.includes(url.origin) || isAtDeclaredHost(url, places))) return url
  throw failure('PROVIDER_ERROR', `${what} points to ${url.origin}, which the provider does not use`)
}
