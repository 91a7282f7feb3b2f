import type { Entry } from '../../domain/entry.ts'

/** Metadata of an entry with every optional field unknown. Frozen, because all entries share it. */
export const UNKNOWN_FACTS = Object.freeze({
  parentId: null,
  driveId: null,
  mimeType: null,
  size: null,
  createdAt: null,
  modifiedAt: null,
  version: null,
  hash: null,
  exportFormats: Object.freeze([]),
  target: null,
  webUrl: null,
  thumbnailUrl: null,
  path: null,
  can: Object.freeze({ list: null, download: null, write: null })
} as const satisfies Omit<Entry, 'id' | 'name' | 'kind'>)
