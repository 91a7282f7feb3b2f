import { createHash, timingSafeEqual } from 'node:crypto'
import type { CredentialBinding, PendingFlow } from '../domain/ports.ts'

/** Time for the user at the provider's own pages, in milliseconds. */
export const FLOW_MS = 600_000
/** Pending flows per user; the oldest one is dropped first. */
export const MAX_FLOWS_PER_USER = 5

/** 32 random bytes in base64url: the secret that identifies a flow, or proves that the browser is the same. */
export const FLOW_SECRET = /^[\w-]{43}$/

/** Returns the hash that is stored: read access to the table does not suffice to continue the flow. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** Returns true if the hash belongs to the secret. The comparison takes constant time. */
export function isHashOf(secret: string, hash: string): boolean {
  const expected = Buffer.from(hash)
  const actual = Buffer.from(hashOf(secret))
  return actual.byteLength === expected.byteLength && timingSafeEqual(actual, expected)
}

/** Returns the binding of a flow's secrets. No connection has an id of this form. */
export function bindingOf(
  kind: 'login-flow' | 'oauth-flow',
  { stateHash, userId, provider }: Pick<PendingFlow, 'stateHash' | 'userId' | 'provider'>
): CredentialBinding {
  return { userId, provider, connectionId: `${kind}:${stateHash}` }
}
