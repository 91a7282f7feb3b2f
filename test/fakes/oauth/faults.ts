import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { errorResponse, sendResponse, type OAuthResponse } from './response.ts'
import type { OAuthEndpoint } from './request.ts'

/** An error of the server or of RFC 6749. */
export interface OAuthErrorResponse {
  readonly status: number
  readonly error: string
  readonly error_description?: string
  readonly headers?: OutgoingHttpHeaders
  /** Members that a provider adds to those of RFC 6749. */
  readonly extraFields?: Readonly<Record<string, unknown>>
}

/** Applies instead of performing the request. */
interface EarlyFault {
  readonly isPerformed: false
  readonly apply: (response: ServerResponse) => void
}

/** Applies after the request was performed: a code is used or a token rotated, but the response is faulty. */
interface LateFault {
  readonly isPerformed: true
  readonly apply: (response: ServerResponse, result: OAuthResponse) => void
}

export type OAuthFault = EarlyFault | LateFault

const beforePerforming = (apply: EarlyFault['apply']): EarlyFault => ({ isPerformed: false, apply })
const afterwards = (apply: LateFault['apply']): LateFault => ({ isPerformed: true, apply })

/** Applies the same fault after the request was performed. */
export function afterPerforming({ apply }: EarlyFault): OAuthFault {
  return afterwards((response) => {
    apply(response)
  })
}

export function respondsWith({
  status,
  error,
  error_description = 'Scripted.',
  headers = {},
  extraFields = {}
}: OAuthErrorResponse) {
  const errorBody = errorResponse(status, error, error_description, headers)
  return beforePerforming((response) => {
    sendResponse(response, { ...errorBody, json: { ...errorBody.json, ...extraFields } })
  })
}

/** Responds with HTML, like a proxy in front of the server. */
export function respondsWithHtml(status: number, headers: OutgoingHttpHeaders = {}) {
  return beforePerforming((response) => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', ...headers })
    response.end('<!doctype html><title>Sorry</title><p>Bearer SECRET</p>')
  })
}

/** A 307 requests the same POST elsewhere, with all of its secrets. */
export function redirects(location: string, status = 307) {
  return beforePerforming((response) => response.writeHead(status, { location }).end())
}

/** Never responds; ends when the client disconnects. */
export function hangs() {
  return beforePerforming(() => {})
}

export function resets() {
  return beforePerforming((response) => response.socket?.resetAndDestroy())
}

/** Replaces members of the response; undefined removes one. Applies to successful responses only. */
export function patchesResponse(patch: Readonly<Record<string, unknown>>): OAuthFault {
  return afterwards((response, result) => {
    sendResponse(response, result.status === 200 ? { ...result, json: { ...result.json, ...patch } } : result)
  })
}

/** Sends half of the response with a matching length. */
export function truncatesJson(): OAuthFault {
  return afterwards((response, { status, json }) => {
    const half = firstHalfOf(json)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': half.length }).end(half)
  })
}

/** Sends half of the response with the full length, then closes the connection. */
export function disconnectsMidBody(): OAuthFault {
  return afterwards((response, { status, json }) => {
    const half = firstHalfOf(json)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': half.length * 2 })
    response.write(half, () => response.socket?.destroy())
  })
}

/** Prepends white space to the response, which remains valid JSON. */
export function padsResponse(bytes: number): OAuthFault {
  return afterwards((response, { status, json }) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.write(Buffer.alloc(bytes, ' '))
    response.end(JSON.stringify(json))
  })
}

function firstHalfOf(json: OAuthResponse['json']): Buffer {
  const full = Buffer.from(JSON.stringify(json ?? {}))
  return full.subarray(0, Math.floor(full.length / 2))
}

/** Planned faults of the next requests, in the order of planning. */
export class OAuthFaults {
  #plan: { readonly endpoint: OAuthEndpoint; readonly fault: OAuthFault; remaining: number }[] = []

  plan(endpoint: OAuthEndpoint, times: number, failure: OAuthErrorResponse | OAuthFault): void {
    const fault = 'apply' in failure ? failure : respondsWith(failure)
    this.#plan.push({ endpoint, fault, remaining: times })
  }

  take(endpoint: OAuthEndpoint): OAuthFault | undefined {
    const next = this.#plan.find((planned) => planned.endpoint === endpoint && planned.remaining > 0)
    if (next !== undefined) next.remaining--
    return next?.fault
  }

  clear(): void {
    this.#plan = []
  }
}
