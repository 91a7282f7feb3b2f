// The providers with checks for changes, and by how much the feed of each is late in the second series of delays.

/** Microsoft's notifications take less than a minute on average. Google documents nothing; Dropbox and Box are quick. */
export const PROVIDERS = [
  { id: 'google_drive', lagMs: 60_000 },
  { id: 'onedrive', lagMs: 60_000 },
  { id: 'dropbox', lagMs: 5000 },
  { id: 'box', lagMs: 5000 },
  { id: 'nextcloud', lagMs: 0 }
]
