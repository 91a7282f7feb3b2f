import type { Entry } from '../../domain/entry.ts'

/** An entry of which nothing is known but what it is. All entries share it: whoever changes one would change others. */
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
