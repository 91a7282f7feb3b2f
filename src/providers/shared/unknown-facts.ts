import type { Entry } from '../../domain/entry.ts'

/** An entry of which nothing is known but what it is. */
export const UNKNOWN_FACTS = {
  parentId: null,
  driveId: null,
  mimeType: null,
  size: null,
  createdAt: null,
  modifiedAt: null,
  version: null,
  hash: null,
  exportFormats: [],
  target: null,
  webUrl: null,
  thumbnailUrl: null,
  path: null,
  can: { list: null, download: null, write: null }
} as const satisfies Omit<Entry, 'id' | 'name' | 'kind'>
