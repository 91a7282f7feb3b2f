import { parseCookie, type SetCookie } from 'cookie'
import type { BrowserNonce } from '../connections/oauth-flow.ts'

/** One per flow, so that two that are begun side by side do not take each other's proof. */
function nameOf(id: string): string {
  return `cloud_oauth_${id}`
}

/**
 * The cookie that the browser sends to the callback, and nowhere else. `Lax` and not `Strict`: the user comes back from
 * another site.
 *
 * @param isFromOtherSite the login was begun by a front end on another site: browsers store nothing but `None` from there
 */
export function nonceCookie(
  { id, value, lifetimeMs }: BrowserNonce,
  callback: URL,
  isFromOtherSite: boolean
): SetCookie {
  return {
    name: nameOf(id),
    value,
    path: callback.pathname,
    maxAge: Math.floor(lifetimeMs / 1000),
    httpOnly: true,
    secure: true,
    sameSite: isFromOtherSite ? 'none' : 'lax'
  }
}

/** The flow is over. */
export function forgottenNonce(id: string, callback: URL): SetCookie {
  return nonceCookie({ id, value: '', lifetimeMs: 0 }, callback, false)
}

export function readNonce(cookieHeader: string | undefined, id: string): string | undefined {
  return cookieHeader === undefined ? undefined : parseCookie(cookieHeader)[nameOf(id)]
}
