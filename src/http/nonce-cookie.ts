import { parseCookie, type SetCookie } from 'cookie'
import type { BrowserNonce } from '../connections/oauth-flow.ts'

/** One per flow, so that two that are begun side by side do not take each other's proof. */
function nameOf(id: string): string {
  return `cloud_oauth_${id}`
}

/**
 * What a browser keeps while its user is at the provider, and shows at the callback alone. `Lax` and not `Strict`: it
 * comes back from another site.
 */
export function nonceCookie({ id, value, lifetimeMs }: BrowserNonce, callback: URL): SetCookie {
  return {
    name: nameOf(id),
    value,
    path: callback.pathname,
    maxAge: Math.floor(lifetimeMs / 1000),
    httpOnly: true,
    secure: true,
    sameSite: 'lax'
  }
}

/** The flow is over. */
export function forgottenNonce(id: string, callback: URL): SetCookie {
  return nonceCookie({ id, value: '', lifetimeMs: 0 }, callback)
}

export function readNonce(cookieHeader: string | undefined, id: string): string | undefined {
  return cookieHeader === undefined ? undefined : parseCookie(cookieHeader)[nameOf(id)]
}
