import { LANDING_CHANNEL, type Windows } from './popup.ts'

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
        if (isOurs(opened)) opened.close()
      }
    }
  },
  listen(flow, onLanding) {
    const channel = new BroadcastChannel(LANDING_CHANNEL)
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      const { flow: told, error } = (data ?? {}) as { flow?: unknown; error?: unknown }
      if (told === flow) onLanding({ error: typeof error === 'string' && error !== '' ? error : null })
    }
    return () => {
      channel.close()
    }
  },
  newFlowId: () => [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(36)).join('')
}

function isOurs(opened: Window): boolean {
  try {
    return opened.location.href !== ''
  } catch {
    return false
  }
}
