import { parseCookie, type SetCookie } from 'cookie'
import type { BrowserNonce } from '../connections/oauth-flow.ts'

/** Returns the cookie's name. Each flow has its own, so that concurrent flows do not overwrite each other's nonce. */
function nameOf(id: string): string {
  return `cloud_oauth_${id}`
}

/**
 * Returns the cookie that the browser sends to the callback only. It is `Lax`, not `Strict`, since the user returns
 * from another site.
 *
 * @param isFromOtherSite true if a front end on another site began the login: browsers store only `None` from there
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

/** Returns the cookie that deletes the nonce of a finished flow. */
export function forgottenNonce(id: string, callback: URL): SetCookie {
  return nonceCookie({ id, value: '', lifetimeMs: 0 }, callback, false)
}

export function readNonce(cookieHeader: string | undefined, id: string): string | undefined {
  return cookieHeader === undefined ? undefined : parseCookie(cookieHeader)[nameOf(id)]
}
