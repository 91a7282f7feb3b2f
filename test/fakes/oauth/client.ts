import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { sendRequest } from '../../support/dav/requests.ts'
import type { FakeTokenResponse } from './grants.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET, FAKE_SCOPES, type FakeOAuthOptions } from './rules.ts'
import { FakeOAuth } from './fake-oauth.ts'

export const REDIRECT_URI = 'http://127.0.0.1:1/callback'
/** All scopes of the fake. */
export const SCOPE = FAKE_SCOPES.join(' ')
export const CLIENT = { client_id: FAKE_CLIENT_ID, client_secret: FAKE_CLIENT_SECRET }
const VERIFIER = 'v'.repeat(43)
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url')

export type Params = Readonly<Record<string, string | undefined>>

/** Encodes parameters as a form, without undefined ones. */
export const encodeForm = (params: Params) =>
  new URLSearchParams(Object.entries(params).filter((entry): entry is [string, string] => entry[1] !== undefined))

/** Starts the fake, with functions that send requests to it. */
export async function startFakeOAuth(t: Test, options: FakeOAuthOptions = {}) {
  const oauth = await FakeOAuth.start(t, { redirectUris: [REDIRECT_URI], ...options })
  const post = async (path: string, params: Params, headers: Readonly<Record<string, string>> = {}) => {
    const response = await sendRequest(`${oauth.url}/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: encodeForm(params).toString()
    })
    const json = (response.text.startsWith('{') ? JSON.parse(response.text) : {}) as FakeTokenResponse & {
      error?: string
    }
    return { ...response, json }
  }
  const authorizationUrl = (overrides: Params = {}) => {
    const params = {
      response_type: 'code',
      client_id: FAKE_CLIENT_ID,
      redirect_uri: REDIRECT_URI,
      scope: SCOPE,
      state: 'state-1',
      code_challenge: CHALLENGE,
      code_challenge_method: 'S256',
      ...overrides
    }
    return `${oauth.url}/authorize?${encodeForm(params).toString()}`
  }
  const exchange = (code: string, overrides: Params = {}) =>
    post('token', {
      grant_type: 'authorization_code',
      code,
      redirect_uri: REDIRECT_URI,
      code_verifier: VERIFIER,
      ...CLIENT,
      ...overrides
    })
  const code = async (overrides: Params = {}) =>
    (await oauth.consent(authorizationUrl(overrides))).searchParams.get('code') ?? 'no code'
  const refresh = (token: string | undefined, overrides: Params = {}) =>
    post('token', { grant_type: 'refresh_token', refresh_token: token, ...CLIENT, ...overrides })
  const revoke = (token: string, overrides: Params = CLIENT) => post('revoke', { token, ...overrides })
  return { oauth, post, authorizationUrl, code, exchange, refresh, revoke }
}
