import type { Entry } from '../../domain/entry.ts'
import { knownTime } from '../shared/iso-time.ts'
import { nameOf, parentOf } from '../shared/object-path.ts'
import type { Keys } from './keys.ts'

/** Listed like other objects, but unavailable without a restore that takes hours. */
const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE'])

/** The metadata of an object, from a listing or from the object's headers. */
export interface ObjectFacts {
  readonly size?: number | undefined
  readonly modified?: Date | undefined
  readonly etag?: string | undefined
  readonly storageClass?: string | undefined
  /** `x-amz-restore`. */
  readonly restore?: string | undefined
  readonly mimeType?: string | undefined
}

export function fileEntry(keys: Keys, id: string, facts: ObjectFacts): Entry {
  const restored = facts.restore?.includes('ongoing-request="false"') ?? false
  const archived = ARCHIVED.has(facts.storageClass ?? '') && !restored
  return {
    ...common(id),
    kind: 'file',
    mimeType: facts.mimeType ?? null,
    size: Number.isSafeInteger(facts.size) ? (facts.size ?? null) : null,
    modifiedAt: toTime(facts.modified),
    version: unquote(facts.etag),
    can: { list: false, download: keys.isUsable(id) && !archived, write: null }
  }
}

/** Converts a common prefix of keys, with or without an object of its own. */
export function folderEntry(keys: Keys, id: string): Entry {
  return {
    ...common(id),
    kind: 'folder',
    mimeType: null,
    size: null,
    modifiedAt: null,
    version: null,
    can: { list: keys.isUsable(id), download: false, write: null }
  }
}

/** An ETag is opaque and no `hash`: it is the content's MD5 only for some servers, sizes and encryptions. */
export function unquote(etag: string | undefined): string | null {
  // Ceph 16 completes an upload with an empty one.
  return etag?.replace(/^"(.*)"$/, '$1') || null
}

/** Formats a time in whole seconds, like `Last-Modified`: listings of some servers are finer and never match. */
export function toTime(date: Date | undefined): string | null {
  return date === undefined ? null : knownTime(Math.floor(date.getTime() / 1000) * 1000)
}

function common(id: string) {
  return {
    id,
    parentId: parentOf(id),
    driveId: null,
    name: nameOf(id),
    createdAt: null,
    hash: null,
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: id
  }
}
