import { LANDING_CHANNEL, type Windows } from './popup.ts'

/** Windows of the browser that the picker stands in. */
export const browserWindows: Windows = {
  open() {
    const opened = window.open('about:blank', '_blank', 'popup,width=560,height=720')
    if (opened === null) return null
    // The page that the user logs in at must have no hold of this one.
    opened.opener = null
    return {
      get isClosed() {
        return opened.closed
      },
      go(url) {
        opened.location.replace(url)
      },
      close() {
        // On another origin's page there is no way to close it without the hold that was given up: it says itself that
        // it is done. A landing page, and a window that never got anywhere, are of this origin.
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
