import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import type { AuthorizationServer } from '../../../src/core/oauth.ts'
import { FakeServer } from '../fake-server.ts'
import { OAuthMistake, OAuthFailure, sendResponse, type OAuthResponse } from './response.ts'
import { FakeCodes } from './codes.ts'
import { FakeConsent, type CallbackPatch } from './consent.ts'
import { OAuthFaults, type OAuthErrorResponse, type OAuthFault } from './faults.ts'
import { OAuthGate } from './gate.ts'
import { FakeGrants, type FakeGrant, type FakeTokenResponse } from './grants.ts'
import { toCall, type FakeOAuthCall, type OAuthEndpoint, type OAuthRequest } from './request.ts'
import { withDefaults, type FakeOAuthOptions, type FakeOAuthRules, type FakeOAuthUser } from './rules.ts'
import { FakeTokens } from './tokens.ts'
import { readBody } from '../../support/app/read-body.ts'

const ENDPOINTS: readonly OAuthEndpoint[] = ['authorize', 'token', 'revoke']

export interface IssuedGrant {
  /** The signed-in user by default. */
  readonly user?: FakeOAuthUser
  /** All scopes by default. */
  readonly scopes?: readonly string[]
  readonly expiresInSeconds?: number
}

/**
 * An in-memory OAuth 2.0 authorization server on a real socket. It checks requests strictly and can fail as scripted.
 * It is based on the RFCs (6749, 7009, 7636, 9207) and on known differences of providers, not on the client under
 * test. It proves nothing about the providers themselves.
 */
export class FakeOAuth extends FakeServer {
  readonly rules: FakeOAuthRules
  /** All requests, in order of arrival. */
  readonly calls: Readonly<Record<OAuthEndpoint, FakeOAuthCall[]>> = { authorize: [], token: [], revoke: [] }
  readonly #grants: FakeGrants
  readonly #consent: FakeConsent
  readonly #tokens: FakeTokens
  readonly #faults = new OAuthFaults()
  readonly #gates = new Map<OAuthEndpoint, OAuthGate>()

  private constructor(options: FakeOAuthOptions) {
    super()
    const codes = new FakeCodes()
    this.rules = withDefaults(options)
    this.#grants = new FakeGrants(this.rules)
    this.#consent = new FakeConsent(this.rules, codes, () => this.url)
    this.#tokens = new FakeTokens(this.rules, codes, this.#grants)
  }

  static async start(t: Test, options: FakeOAuthOptions = {}): Promise<FakeOAuth> {
    const fake = new FakeOAuth(options)
    await fake.listen(t, 'OAuth')
    return fake
  }

  /** The issuer; the endpoints are `/authorize`, `/token` and `/revoke` below it. */
  get url(): string {
    return this.origin
  }

  /** The server's endpoints. */
  get server(): Required<AuthorizationServer> {
    return {
      issuer: this.url,
      authorizationEndpoint: `${this.url}/authorize`,
      tokenEndpoint: `${this.url}/token`,
      revocationEndpoint: `${this.url}/revoke`
    }
  }

  /** All grants, ended ones included. */
  get grants(): readonly FakeGrant[] {
    return this.#grants.all
  }

  /** Returns the number of requests to the token endpoint. */
  tokenCalls(grantType?: 'authorization_code' | 'refresh_token'): number {
    return this.calls.token.filter(({ params }) => (grantType ?? params['grant_type']) === params['grant_type']).length
  }

  /** Follows the URL as the user's browser. Returns the callback URL without following it. */
  async consent(authorizationUrl: string | URL): Promise<URL> {
    const url = new URL(authorizationUrl)
    if (url.origin !== this.url) throw new Error(`an authorization URL at ${url.origin}`)
    const response = await fetch(url, { redirect: 'manual' })
    const text = await response.text()
    const location = response.headers.get('location')
    if (response.status !== 302 || location === null) throw new Error(`the user sees ${response.status}: ${text}`)
    return new URL(location)
  }

  /** Sets the signed-in user from now on. */
  signIn(user: FakeOAuthUser): void {
    this.#consent.user = user
  }

  /** Makes the user deny the next authorization. */
  deny(): void {
    this.patchCallback({ error: 'access_denied', error_description: 'The user said no.' })
  }

  /** Makes the user grant only these scopes in the next authorization. */
  grantOnly(scopes: readonly string[]): void {
    this.#consent.grantedScopes = scopes
  }

  /** Overrides parameters of the next callback: an `error` (then without a code), another `iss`, or undefined. */
  patchCallback(patch: CallbackPatch): void {
    this.#consent.callbackPatch = { ...this.#consent.callbackPatch, ...patch }
  }

  /** Returns the user and the scopes of an access token if it is valid now. */
  check(bearer: string): { readonly user: string; readonly scopes: readonly string[] } | null {
    const found = this.#grants.check(bearer)
    return found === null ? null : { user: found.grant.user.id, scopes: found.scopes }
  }

  /** Returns the user of an access token, for account requests. */
  userOf(bearer: string): FakeOAuthUser | null {
    return this.#grants.check(bearer)?.grant.user ?? null
  }

  /** Issues a grant without a browser and a code, for tests that start with a connection. */
  issueGrant({ user, scopes, expiresInSeconds }: IssuedGrant = {}): FakeTokenResponse & {
    readonly refresh_token: string
  } {
    const response = this.#grants.create({
      user: user ?? this.#consent.user,
      scopes: scopes ?? this.rules.scopes,
      hasRefreshToken: true,
      expiresInSeconds: expiresInSeconds ?? this.rules.accessTokenSeconds
    })
    return { ...response, refresh_token: response.refresh_token ?? '' }
  }

  /** Simulates the user's removal of the application from the account. */
  revokeGrant(userId: string): void {
    const grants = this.#grants.ofUser(userId)
    if (grants.length === 0) throw new Error(`${userId} has no grant that lives`)
    for (const grant of grants) grant.end('user')
  }

  /** Expires all access tokens early, without notifying the application. */
  expireAccessTokens(): void {
    this.#grants.expireAccessTokens()
  }

  /** Makes the next `times` requests fail. Failures planned later begin after that. */
  failNext(
    times: number,
    failure: OAuthErrorResponse | OAuthFault,
    { endpoint = 'token' }: { readonly endpoint?: OAuthEndpoint } = {}
  ): void {
    this.#faults.plan(endpoint, times, failure)
  }

  stopFailing(): void {
    this.#faults.clear()
  }

  /** Holds and counts all requests from now on. With `isPerformed`, performs them before holding them. */
  hold(endpoint: OAuthEndpoint = 'token', { isPerformed = false }: { readonly isPerformed?: boolean } = {}): OAuthGate {
    const gate: OAuthGate = new OAuthGate(isPerformed, () => {
      if (this.#gates.get(endpoint) === gate) this.#gates.delete(endpoint)
    })
    this.#gates.set(endpoint, gate)
    return gate
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {})
    const { method = '', headers, url: target = '' } = message
    const [path = '', search = ''] = target.split('?')
    try {
      const body = (await readBody(message)).toString()
      const request = { method, headers, query: new URLSearchParams(search), body }
      const endpoint = ENDPOINTS.find((name) => path === `/${name}`)
      if (endpoint === undefined) {
        this.mistakes.push(`${method} ${path}: a route that there is not`)
        response.writeHead(404).end()
        return
      }
      await this.#handle(endpoint, request, response)
    } catch (error) {
      // After an interrupted body the socket is closed. Any other error is a bug of the fake.
      if (message.complete) this.mistakes.push(`${method} ${path}: ${String(error)}`)
      message.socket.destroy()
    }
  }

  async #handle(endpoint: OAuthEndpoint, request: OAuthRequest, response: ServerResponse): Promise<void> {
    const call = toCall(endpoint, request)
    this.calls[endpoint].push(call)
    response.once('close', () => (call.isBroken = !response.writableFinished))
    const fault = this.#faults.take(endpoint)
    const gate = this.#gates.get(endpoint)
    const withErrors = <T>(run: () => T): T | OAuthResponse => this.#catchFailure(`${request.method} /${endpoint}`, run)
    // Checks the request even if a fault determines the response.
    const operation = withErrors(() => this.#prepare(endpoint, request))
    const perform = () => (typeof operation === 'function' ? withErrors(operation) : operation)
    if (gate?.isPerformed === false) await gate.wait()
    const result = fault?.isPerformed === false ? undefined : perform()
    if (gate?.isPerformed === true) await gate.wait()
    if (fault?.isPerformed === false) fault.apply(response)
    else if (result !== undefined) (fault?.apply ?? sendResponse)(response, result)
    if (response.headersSent) call.status = response.statusCode
  }

  #prepare(endpoint: OAuthEndpoint, request: OAuthRequest): () => OAuthResponse {
    switch (endpoint) {
      case 'authorize':
        return this.#consent.prepare(request)
      case 'token':
        return this.#tokens.prepareToken(request)
      case 'revoke':
        return this.#tokens.prepareRevocation(request)
    }
  }

  #catchFailure<T>(description: string, run: () => T): T | OAuthResponse {
    try {
      return run()
    } catch (error) {
      if (!(error instanceof OAuthFailure)) throw error
      if (error instanceof OAuthMistake) this.mistakes.push(`${description}: ${error.message}`)
      return error.response
    }
  }
}
