import { Buffer } from 'node:buffer'
import type { HttpAnswer, HttpRequest } from '../../domain/egress.ts'
import { userAgentWith } from './user-agent.ts'

/** As much of `fetch` as client libraries call. */
export type EgressFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

export interface EgressFetchOptions {
  /** The largest answer, after decompression. */
  readonly maxBytes?: number
  /** For calls that bring no signal of their own. */
  readonly signal?: AbortSignal
}

/** Statuses whose answers `Response` refuses to give a body. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304])

/**
 * A `fetch` for client libraries that take one. What they ask for leaves through `send` like everything else; bodies
 * are texts, and answers are read whole.
 */
export function egressFetch(
  send: (request: HttpRequest) => Promise<HttpAnswer>,
  { maxBytes, signal: ours = new AbortController().signal }: EgressFetchOptions = {}
): EgressFetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const body = textOf(init.body)
    const headers = new Headers(init.headers)
    headers.set('user-agent', userAgentWith(headers.get('user-agent')))
    const answer = await send({
      method: init.method ?? 'GET',
      url,
      headers: Object.fromEntries(headers),
      signal: init.signal ?? ours,
      ...(body !== undefined && { body }),
      ...(maxBytes !== undefined && { maxBytes })
    })
    const chunks: Buffer[] = []
    for await (const chunk of answer.body as AsyncIterable<Buffer>) chunks.push(chunk)
    const { status } = answer
    // It comes decompressed, and how long it was before is nobody's business any more.
    const { 'content-encoding': _coding, 'content-length': _length, ...told } = answer.headers
    return new Response(BODILESS.has(status) ? null : Buffer.concat(chunks), { status, headers: told })
  }
}

function textOf(body: RequestInit['body']): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString()
  throw new TypeError('Only texts can be sent')
}
