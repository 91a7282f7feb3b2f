import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { errorAnswer, sendAnswer, type OAuthAnswer } from './answer.ts'
import type { OAuthEndpoint } from './request.ts'

/** An error of the server or of RFC 6749. */
export interface OAuthErrorAnswer {
  readonly status: number
  readonly error: string
  readonly error_description?: string
  readonly headers?: OutgoingHttpHeaders
  /** Members that a provider adds to those of RFC 6749. */
  readonly more?: Readonly<Record<string, unknown>>
}

/** Applies instead of performing the request. */
interface EarlyFault {
  readonly isPerformed: false
  readonly strike: (response: ServerResponse) => void
}

/** Applies after the request was performed: a code is used or a token rotated, but the response is faulty. */
interface LateFault {
  readonly isPerformed: true
  readonly strike: (response: ServerResponse, answer: OAuthAnswer) => void
}

export type OAuthFault = EarlyFault | LateFault

const early = (strike: EarlyFault['strike']): EarlyFault => ({ isPerformed: false, strike })
const late = (strike: LateFault['strike']): LateFault => ({ isPerformed: true, strike })

/** Applies the same fault after the request was performed. */
export function performed({ strike }: EarlyFault): OAuthFault {
  return late((response) => {
    strike(response)
  })
}

export function answers({ status, error, error_description = 'Scripted.', headers = {}, more = {} }: OAuthErrorAnswer) {
  const answer = errorAnswer(status, error, error_description, headers)
  return early((response) => {
    sendAnswer(response, { ...answer, json: { ...answer.json, ...more } })
  })
}

/** Responds with HTML, like a proxy in front of the server. */
export function answersHtml(status: number, headers: OutgoingHttpHeaders = {}) {
  return early((response) => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', ...headers })
    response.end('<!doctype html><title>Sorry</title><p>Bearer SECRET</p>')
  })
}

/** A 307 requests the same POST elsewhere, with all of its secrets. */
export function redirects(location: string, status = 307) {
  return early((response) => response.writeHead(status, { location }).end())
}

/** Never responds; ends when the client disconnects. */
export function hangs() {
  return early(() => {})
}

export function resets() {
  return early((response) => response.socket?.resetAndDestroy())
}

/** Replaces members of the response; undefined removes one. Applies to successful responses only. */
export function lies(patch: Readonly<Record<string, unknown>>): OAuthFault {
  return late((response, answer) => {
    sendAnswer(response, answer.status === 200 ? { ...answer, json: { ...answer.json, ...patch } } : answer)
  })
}

/** Sends half of the response with a matching length. */
export function cutsJson(): OAuthFault {
  return late((response, { status, json }) => {
    const half = halfOf(json)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': half.length }).end(half)
  })
}

/** Sends half of the response with the full length, then closes the connection. */
export function breaksOff(): OAuthFault {
  return late((response, { status, json }) => {
    const half = halfOf(json)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': half.length * 2 })
    response.write(half, () => response.socket?.destroy())
  })
}

/** Prepends white space to the response, which remains valid JSON. */
export function pads(bytes: number): OAuthFault {
  return late((response, { status, json }) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.write(Buffer.alloc(bytes, ' '))
    response.end(JSON.stringify(json))
  })
}

function halfOf(json: OAuthAnswer['json']): Buffer {
  const whole = Buffer.from(JSON.stringify(json ?? {}))
  return whole.subarray(0, Math.floor(whole.length / 2))
}

/** Planned faults of the next requests, in the order of planning. */
export class OAuthFaults {
  #planned: { readonly endpoint: OAuthEndpoint; readonly fault: OAuthFault; left: number }[] = []

  plan(endpoint: OAuthEndpoint, times: number, failure: OAuthErrorAnswer | OAuthFault): void {
    const fault = 'strike' in failure ? failure : answers(failure)
    this.#planned.push({ endpoint, fault, left: times })
  }

  take(endpoint: OAuthEndpoint): OAuthFault | undefined {
    const next = this.#planned.find((planned) => planned.endpoint === endpoint && planned.left > 0)
    if (next !== undefined) next.left--
    return next?.fault
  }

  clear(): void {
    this.#planned = []
  }
}
