import type { IncomingHttpHeaders } from 'node:http'
import { OAuthMistake, OAuthFailure } from './response.ts'
import type { ClientAuthentication, FakeOAuthRules } from './rules.ts'

export type OAuthEndpoint = 'authorize' | 'token' | 'revoke'

/** A received request, including mistakes and faulty ones. */
export interface FakeOAuthCall {
  readonly endpoint: OAuthEndpoint
  /** From the form, or from the query of an authorization request. */
  readonly params: Readonly<Record<string, string>>
  /** `several` methods at once are as wrong as an unknown one. */
  readonly authentication: ClientAuthentication | 'several' | 'other'
  readonly headers: IncomingHttpHeaders
  /** Undefined until the response is sent. */
  status: number | undefined
  /** Whether the connection closed before the response ended. */
  isBroken: boolean
}

export interface OAuthRequest {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly query: URLSearchParams
  readonly body: string
}

export function toCall(endpoint: OAuthEndpoint, request: OAuthRequest): FakeOAuthCall {
  const params = endpoint === 'authorize' ? request.query : new URLSearchParams(request.body)
  return {
    endpoint,
    params: Object.fromEntries(params),
    authentication: authenticationMethodOf(request.headers.authorization, params.has('client_secret')),
    headers: request.headers,
    status: undefined,
    isBroken: false
  }
}

function authenticationMethodOf(
  authorization: string | undefined,
  hasSecret: boolean
): FakeOAuthCall['authentication'] {
  if (authorization === undefined) return hasSecret ? 'client_secret_post' : 'none'
  if (hasSecret) return 'several'
  return authorization.startsWith('Basic ') ? 'client_secret_basic' : 'other'
}

/** Checks that each parameter occurs once and has a value (RFC 6749, 3.1 and 3.2). */
export function checkParams(params: URLSearchParams, allowed: readonly string[]): void {
  const names = [...params.keys()]
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  if (repeated !== undefined) throw new OAuthMistake('invalid_request', `the parameter ${repeated} twice`)
  const unknown = names.find((name) => !allowed.includes(name))
  if (unknown !== undefined) throw new OAuthMistake('invalid_request', `the parameter ${unknown}`)
  const empty = names.find((name) => params.get(name) === '')
  if (empty !== undefined) throw new OAuthMistake('invalid_request', `the parameter ${empty} without a value`)
}

/** Parses a form POST. Secrets may only be in its body. */
export function parseForm({ method, headers, query, body }: OAuthRequest): URLSearchParams {
  const type = headers['content-type']
  if (method !== 'POST') throw new OAuthMistake('invalid_request', `the method ${method}`, { status: 405 })
  if (query.size > 0) throw new OAuthMistake('invalid_request', 'a query besides the form')
  if (!/^application\/x-www-form-urlencoded(?:;\s*charset=utf-8)?$/i.test(type ?? '')) {
    throw new OAuthMistake('invalid_request', `the content type ${type}`)
  }
  return new URLSearchParams(body)
}

export function requireParam(form: URLSearchParams, name: string): string {
  const value = form.get(name)
  if (value === null) throw new OAuthMistake('invalid_request', `no ${name}`)
  return value
}

/** Checks that the client is the registered one and uses the registered authentication method. */
export function checkClient(rules: FakeOAuthRules, { headers }: OAuthRequest, form: URLSearchParams): void {
  const { authorization } = headers
  const method = authenticationMethodOf(authorization, form.has('client_secret'))
  if (method === 'several') throw new OAuthMistake('invalid_request', 'several ways to authenticate')
  // A challenge is only for clients that sent the header (RFC 6749, 5.2).
  const challenge = authorization === undefined ? {} : { headers: { 'www-authenticate': 'Basic realm="fake"' } }
  if (method !== rules.clientAuthentication)
    throw new OAuthMistake('invalid_client', `authentication by ${method}`, challenge)

  const { id, secret } =
    method === 'client_secret_basic'
      ? parseBasic(authorization ?? '')
      : { id: form.get('client_id'), secret: form.get('client_secret') }
  const isDifferentClient = (form.get('client_id') ?? id) !== id
  if (isDifferentClient) throw new OAuthMistake('invalid_request', 'another client in the form than in the header')
  const isValid = id === rules.clientId && (method === 'none' || secret === rules.clientSecret)
  if (!isValid) throw new OAuthFailure('invalid_client', 'The client or its secret is wrong.', challenge)
}

function parseBasic(authorization: string): { id: string; secret: string } {
  const pair = Buffer.from(authorization.slice('Basic '.length), 'base64').toString()
  const colon = pair.indexOf(':')
  // Text that is not form-encoded identifies no client.
  if (colon < 0 || /%(?![0-9A-Fa-f]{2})/.test(pair)) return { id: '', secret: '' }
  const [id, secret] = [pair.slice(0, colon), pair.slice(colon + 1)].map((part) =>
    new URLSearchParams(`a=${part}`).get('a')
  )
  return { id: id ?? '', secret: secret ?? '' }
}
