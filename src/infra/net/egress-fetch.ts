import { Buffer } from 'node:buffer'
import type { HttpAnswer, HttpRequest } from '../../domain/egress.ts'
import { userAgentWith } from './user-agent.ts'

/** The part of `fetch` that client libraries use. */
export type EgressFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

export interface EgressFetchOptions {
  /** Largest response after decompression, in bytes. */
  readonly maxBytes?: number
  /** For calls without a signal of their own. */
  readonly signal?: AbortSignal
}

/** Statuses for which `Response` does not accept a body. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304])

/**
 * Creates a `fetch` for client libraries. Their requests go through `send` like all others. Request bodies are
 * strings, and responses are read completely.
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
    // The body is already decompressed, so the original coding and length do not apply.
    const { 'content-encoding': _coding, 'content-length': _length, ...told } = answer.headers
    return new Response(BODILESS.has(status) ? null : Buffer.concat(chunks), { status, headers: told })
  }
}

function textOf(body: RequestInit['body']): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString()
  throw new TypeError('Only text bodies are supported')
}
