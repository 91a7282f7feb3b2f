import { createHash, timingSafeEqual } from 'node:crypto'
import type { CredentialBinding, PendingFlow } from '../domain/ports.ts'

/** How long a user may take at the provider's own pages, in milliseconds. */
export const FLOW_MS = 600_000
/** Flows that one user may have begun; the oldest gives way. */
export const MAX_FLOWS_PER_USER = 5

/** 32 random bytes in base64url: what names a flow, or proves that it is the same browser. */
export const FLOW_SECRET = /^[\w-]{43}$/

/** What the table knows of a secret: who reads it cannot go on with the flow. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** Whether a secret is the one of this hash, in a time that tells nothing of either. */
export function isHashOf(secret: string, hash: string): boolean {
  const expected = Buffer.from(hash)
  const actual = Buffer.from(hashOf(secret))
  return actual.byteLength === expected.byteLength && timingSafeEqual(actual, expected)
}

/** A flow stands where a connection's id would: no connection has an id like this. */
export function bindingOf(
  kind: 'login-flow' | 'oauth-flow',
  { stateHash, userId, provider }: Pick<PendingFlow, 'stateHash' | 'userId' | 'provider'>
): CredentialBinding {
  return { userId, provider, connectionId: `${kind}:${stateHash}` }
}
