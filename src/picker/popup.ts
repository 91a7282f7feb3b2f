/** A window of the browser in which the user logs in somewhere else. */
export interface Popup {
  /** A provider's page may cut itself off from who opened it: then this is true although the window is there. */
  readonly isClosed: boolean
  go(url: string): void
  /** As far as the browser lets us. */
  close(): void
}

/** What the page that a login lands on tells, once. */
export interface Landing {
  /** The code of a refusal, or `null`. */
  readonly error: string | null
}

/** What a login needs of the browser. */
export interface Windows {
  /** Only within a click. `null`: the browser does not let us. */
  open(): Popup | null
  /** @returns what stops listening */
  listen(flow: string, onLanding: (landing: Landing) => void): () => void
  newFlowId(): string
}

/** The name of the channel on which the landing page speaks: `{ flow, error }`. */
export const LANDING_CHANNEL = 'cloud-folder-picker'

/** Whether a link of a server can be opened: neither `javascript:`, which would run in this page, nor `data:`, `blob:` or others. */
export function isWebAddress(url: string | null): boolean {
  return url !== null && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}

/** The landing page with the flow in its query, so that it can say which login it ends. */
export function landingFor(returnTo: string, flow: string): string {
  const [path = '', hash] = returnTo.split('#', 2)
  const marked = `${path}${path.includes('?') ? '&' : '?'}flow=${flow}`
  return hash === undefined ? marked : `${marked}#${hash}`
}
