import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { errorAnswer, sendAnswer, type OAuthAnswer } from './answer.ts'
import type { OAuthEndpoint } from './request.ts'

/** An error of the server's own, or of RFC 6749. */
export interface OAuthErrorAnswer {
  readonly status: number
  readonly error: string
  readonly error_description?: string
  readonly headers?: OutgoingHttpHeaders
  /** What a provider says beside what RFC 6749 knows. */
  readonly more?: Readonly<Record<string, unknown>>
}

/** Strikes instead of what was asked. */
interface EarlyFault {
  readonly isPerformed: false
  readonly strike: (response: ServerResponse) => void
}

/** Strikes after it: a code is used up, a token rotated, and the answer to that goes wrong. */
interface LateFault {
  readonly isPerformed: true
  readonly strike: (response: ServerResponse, answer: OAuthAnswer) => void
}

export type OAuthFault = EarlyFault | LateFault

const early = (strike: EarlyFault['strike']): EarlyFault => ({ isPerformed: false, strike })
const late = (strike: LateFault['strike']): LateFault => ({ isPerformed: true, strike })

/** The same, but after what was asked is performed. */
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

/** A page for people, as a proxy in front of the server sends it. */
export function answersHtml(status: number, headers: OutgoingHttpHeaders = {}) {
  return early((response) => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', ...headers })
    response.end('<!doctype html><title>Sorry</title><p>Bearer SECRET</p>')
  })
}

/** 307 asks for the same POST elsewhere, with all of its secrets. */
export function redirects(location: string, status = 307) {
  return early((response) => response.writeHead(status, { location }).end())
}

/** Never answers; ends when the client leaves. */
export function hangs() {
  return early(() => {})
}

export function resets() {
  return early((response) => response.socket?.resetAndDestroy())
}

/** The answer with other values; undefined leaves one out. Only successes lie. */
export function lies(patch: Readonly<Record<string, unknown>>): OAuthFault {
  return late((response, answer) => {
    sendAnswer(response, answer.status === 200 ? { ...answer, json: { ...answer.json, ...patch } } : answer)
  })
}

/** Half of the answer, which says that it is all. */
export function cutsJson(): OAuthFault {
  return late((response, { status, json }) => {
    const half = halfOf(json)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': half.length }).end(half)
  })
}

/** Half of the answer, which says that there is more, and the end of the connection. */
export function breaksOff(): OAuthFault {
  return late((response, { status, json }) => {
    const half = halfOf(json)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': half.length * 2 })
    response.write(half, () => response.socket?.destroy())
  })
}

/** The answer behind so much white space: right for whoever reads it all. */
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

/** What is to go wrong with the next requests, in the order in which it was said. */
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
