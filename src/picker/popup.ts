/** A browser window for a login on another page. */
export interface Popup {
  /** May be true although the window is open, if a provider's page severs the opener relation. */
  readonly isClosed: boolean
  go(url: string): void
  /** Closes the window, as far as the browser allows it. */
  close(): void
}

/** The message that the landing page sends once. */
export interface Landing {
  /** The error code, or `null` if the login succeeded. */
  readonly error: string | null
}

/** The browser functions that a login needs. */
export interface Windows {
  /** Must be called from a click handler. Returns `null` if the browser blocks the window. */
  open(): Popup | null
  /** @returns a function that removes the listener */
  listen(flow: string, onLanding: (landing: Landing) => void): () => void
  newFlowId(): string
}

/** The broadcast channel of the landing page. Its messages are `{ flow, error }`. */
export const LANDING_CHANNEL = 'cloud-folder-picker'

/** Returns whether a link is HTTP(S): not `javascript:`, which would run in this page, nor `data:` or `blob:`. */
export function isWebAddress(url: string | null): boolean {
  return url !== null && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}

/** Returns the landing page URL with the flow in its query, so that its message identifies the login. */
export function landingFor(returnTo: string, flow: string): string {
  const [path = '', hash] = returnTo.split('#', 2)
  const marked = `${path}${path.includes('?') ? '&' : '?'}flow=${flow}`
  return hash === undefined ? marked : `${marked}#${hash}`
}
