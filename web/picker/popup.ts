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
export function isHttpUrl(url: string | null): boolean {
  return url !== null && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}

/** Returns the landing page URL with the flow in its query, so that its message identifies the login. */
export function landingUrl(returnTo: string, flow: string): string {
  const [path = '', hash] = returnTo.split('#', 2)
  const urlWithFlow = `${path}${path.includes('?') ? '&' : '?'}flow=${flow}`
  return hash === undefined ? urlWithFlow : `${urlWithFlow}#${hash}`
}

/** Opens windows of the browser that displays the picker. */
export const browserWindows: Windows = {
  open() {
    const opened = window.open('about:blank', '_blank', 'popup,width=560,height=720')
    if (opened === null) return null
    // The login page must have no reference to this page.
    opened.opener = null
    return {
      get isClosed() {
        return opened.closed
      },
      go(url) {
        opened.location.replace(url)
      },
      close() {
        // Without an opener, a page of another origin cannot be closed from here; it tells the user when it has
        // finished. A landing page, and a window that never navigated, are of this origin.
        if (isSameOrigin(opened)) opened.close()
      }
    }
  },
  listen(flow, onLanding) {
    const channel = new BroadcastChannel(LANDING_CHANNEL)
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      const { flow: receivedFlow, error } = (data ?? {}) as { flow?: unknown; error?: unknown }
      if (receivedFlow === flow) onLanding({ error: typeof error === 'string' && error !== '' ? error : null })
    }
    return () => {
      channel.close()
    }
  },
  newFlowId: () => [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(36)).join('')
}

function isSameOrigin(opened: Window): boolean {
  try {
    return opened.location.href !== ''
  } catch {
    return false
  }
}
