import { Readable } from 'node:stream'
import type { Egress, HttpAnswer, HttpRequest } from '../../domain/egress.ts'
import type { AccessTokens } from '../../domain/oauth.ts'
import type { Secret } from '../../domain/secret.ts'
import { describeExchange } from '../../infra/net/redact.ts'
import { failure, incomplete } from './http-failure.ts'

export interface SentRequest extends Omit<HttpRequest, 'body'> {
  /** A function makes a stream anew, for each time that it is sent. */
  readonly body?: HttpRequest['body'] | (() => Readable)
}

export type Send = (request: SentRequest) => Promise<HttpAnswer>

/**
 * Sends requests with a connection's access token. After a 401 the token is renewed and the request is sent once more,
 * where its body can be.
 *
 * @param origins where the token may go
 * @returns a way to send, which throws StorageError `ACCESS_DENIED` after a second 401, and what the tokens fail with
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
      throw failure('PROVIDER_ERROR', `The provider names ${url.origin}, where its tokens do not belong`)
    }
    const token = await tokens.current(signal)
    const answer = await send(request, token)
    if (answer.status !== 401) return answer
    await answer.discard()
    const renewed = await tokens.renewed(token, signal)
    if (body instanceof Readable) throw incomplete('The access token ended before an upload')
    const again = await send(request, renewed)
    if (again.status !== 401) return again
    await again.discard()
    // Whether the grant has ended is for the token endpoint to say, and it has just said no.
    throw failure('ACCESS_DENIED', describeExchange(request.method, url, again))
  }
}
