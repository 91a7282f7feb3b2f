import { LANDING_CHANNEL } from '../popup.ts'

/** So long a message may take to leave a window that is about to close. */
const CLOSE_AFTER_MS = 200

// The page that a login in a window of its own ends on: it tells the picker, and goes.
const query = new URLSearchParams(location.search)
new BroadcastChannel(LANDING_CHANNEL).postMessage({ flow: query.get('flow'), error: query.get('error') })
setTimeout(() => {
  window.close()
}, CLOSE_AFTER_MS)
