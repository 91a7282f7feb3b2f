import type { AccessTokens } from '../../../src/core/oauth.ts'
import { Secret } from '../../../src/core/secret.ts'

/** Access tokens that are valid and never expire. */
export function validTokens(token: string): AccessTokens {
  return { current: async () => new Secret(token), renewed: async () => new Secret(token) }
}
