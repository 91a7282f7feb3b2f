import { createHash, randomBytes } from 'node:crypto'
import { OAuthRefusal } from './answer.ts'
import type { FakeGrant } from './grants.ts'
import type { FakeOAuthUser } from './rules.ts'

/** The longest that RFC 6749 (4.1.2) recommends. */
const CODE_MS = 600_000

export interface FakeAuthorization {
  readonly redirectUri: string
  /** S256. */
  readonly challenge: string | undefined
  readonly user: FakeOAuthUser
  readonly scopes: readonly string[]
  /** Whether the user was asked anew, and whether a refresh token was asked for. */
  readonly isConsented: boolean
  readonly isOffline: boolean
}

interface Code extends FakeAuthorization {
  readonly expiresAt: number
  isUsed: boolean
  grant: FakeGrant | undefined
}

/** What the user's browser carries to the application, good for one use. */
export class FakeCodes {
  readonly #codes = new Map<string, Code>()

  issue(authorization: FakeAuthorization, now: number): string {
    // With what has to be encoded in a URL and in a form, as Google's have.
    const code = `4/${randomBytes(24).toString('base64')}+=`
    this.#codes.set(code, { ...authorization, expiresAt: now + CODE_MS, isUsed: false, grant: undefined })
    return code
  }

  /** Gives what was authorized; `grant` has to be set, for a second use ends it (RFC 6749, 4.1.2). */
  use(code: string, redirectUri: string, verifier: string | null, now: number): Code {
    const found = this.#codes.get(code)
    if (found === undefined) throw new OAuthRefusal('invalid_grant', 'The code is unknown.')
    if (found.isUsed) {
      found.grant?.end('code reuse')
      throw new OAuthRefusal('invalid_grant', 'The code was used before.')
    }
    // Whatever comes of it: nobody tries one verifier after another.
    found.isUsed = true
    if (now >= found.expiresAt) throw new OAuthRefusal('invalid_grant', 'The code has expired.')
    if (redirectUri !== found.redirectUri) throw new OAuthRefusal('invalid_grant', 'The redirect URI is another.')
    // Also a verifier for a code without a challenge: somebody took that out of the authorization request.
    const challenge = verifier === null ? undefined : createHash('sha256').update(verifier).digest('base64url')
    if (challenge !== found.challenge) throw new OAuthRefusal('invalid_grant', 'The verifier is wrong.')
    return found
  }
}
