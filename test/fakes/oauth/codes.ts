import { createHash, randomBytes } from 'node:crypto'
import { OAuthFailure } from './response.ts'
import type { FakeGrant } from './grants.ts'
import type { FakeOAuthUser } from './rules.ts'

/** The maximum that RFC 6749 (4.1.2) recommends. */
const CODE_LIFETIME_MS = 600_000

export interface FakeAuthorization {
  readonly redirectUri: string
  /** An S256 challenge. */
  readonly challenge: string | undefined
  readonly user: FakeOAuthUser
  readonly scopes: readonly string[]
  /** Whether the user was prompted, and whether a refresh token was requested. */
  readonly isConsented: boolean
  readonly isOffline: boolean
}

interface Code extends FakeAuthorization {
  readonly expiresAt: number
  isUsed: boolean
  grant: FakeGrant | undefined
}

/** Authorization codes, which the user's browser passes to the application. Each can be used once. */
export class FakeCodes {
  readonly #codes = new Map<string, Code>()

  issue(authorization: FakeAuthorization, now: number): string {
    // Contains characters that must be encoded in a URL and in a form, like Google's codes.
    const code = `4/${randomBytes(24).toString('base64')}+=`
    this.#codes.set(code, { ...authorization, expiresAt: now + CODE_LIFETIME_MS, isUsed: false, grant: undefined })
    return code
  }

  /** Returns the authorization of a code. The caller must set `grant`: a second use revokes it (RFC 6749, 4.1.2). */
  use(code: string, redirectUri: string, verifier: string | null, now: number): Code {
    const stored = this.#codes.get(code)
    if (stored === undefined) throw new OAuthFailure('invalid_grant', 'The code is unknown.')
    if (stored.isUsed) {
      stored.grant?.end('code reuse')
      throw new OAuthFailure('invalid_grant', 'The code was used before.')
    }
    // Even if the request fails, so that no client can try several verifiers.
    stored.isUsed = true
    if (now >= stored.expiresAt) throw new OAuthFailure('invalid_grant', 'The code has expired.')
    if (redirectUri !== stored.redirectUri) throw new OAuthFailure('invalid_grant', 'The redirect URI is another.')
    // Also rejects a verifier without a challenge: an attacker has removed it from the authorization request.
    const challenge = verifier === null ? undefined : createHash('sha256').update(verifier).digest('base64url')
    if (challenge !== stored.challenge) throw new OAuthFailure('invalid_grant', 'The verifier is wrong.')
    return stored
  }
}
