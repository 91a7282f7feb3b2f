import { LANDING_CHANNEL } from '../popup.ts'

/** Delay that lets the message leave before the window closes. */
const CLOSE_AFTER_MS = 200

// The last page of a login window. It notifies the picker and closes.
const query = new URLSearchParams(location.search)
new BroadcastChannel(LANDING_CHANNEL).postMessage({ flow: query.get('flow'), error: query.get('error') })
setTimeout(() => {
  window.close()
}, CLOSE_AFTER_MS)
