import type { Entry } from '../../core/entry.ts'
import { formatTime, pathMetadata } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { invalidId, invalidName, isSegment, isUnambiguous } from '../shared/names.ts'

/** Listed like other objects, but unavailable without a restore that takes hours. */
const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE'])

/** The metadata of an object, from a listing or from the object's headers. */
export interface ObjectMetadata {
  readonly size?: number | undefined
  readonly modified?: Date | undefined
  readonly etag?: string | undefined
  readonly storageClass?: string | undefined
  /** `x-amz-restore`. */
  readonly restore?: string | undefined
  readonly mimeType?: string | undefined
}

export function fileEntry(keys: Keys, id: string, metadata: ObjectMetadata): Entry {
  const isRestored = metadata.restore?.includes('ongoing-request="false"') ?? false
  const isArchived = ARCHIVED.has(metadata.storageClass ?? '') && !isRestored
  return {
    ...pathMetadata(id, 'file'),
    mimeType: metadata.mimeType ?? null,
    size: Number.isSafeInteger(metadata.size) ? (metadata.size ?? null) : null,
    modifiedAt: formatLastModified(metadata.modified),
    version: unquote(metadata.etag),
    can: { list: false, download: keys.isUsable(id) && !isArchived, write: null }
  }
}

/** Converts a common prefix of keys, with or without an object of its own. */
export function folderEntry(keys: Keys, id: string): Entry {
  return {
    ...pathMetadata(id, 'folder'),
    can: { list: keys.isUsable(id), download: false, write: null }
  }
}

/** An ETag is opaque and no `hash`: it is the content's MD5 only for some servers, sizes and encryptions. */
export function unquote(etag: string | undefined): string | null {
  // Ceph 16 completes an upload with an empty one.
  return etag?.replace(/^"(.*)"$/, '$1') || null
}

/** Formats a time in whole seconds, like `Last-Modified`: listings of some servers are finer and never match. */
export function formatLastModified(date: Date | undefined): string | null {
  return date === undefined ? null : formatTime(Math.floor(date.getTime() / 1000) * 1000)
}

/** S3's own limit, in bytes of UTF-8. */
const MAX_KEY_BYTES = 1024

/**
 * Converts between ids and keys. An id is the key without the connection's prefix; a folder's id ends with `/`. The
 * root, which is the prefix itself, has no id.
 */
export class Keys {
  readonly prefix: string

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /**
   * Returns the key prefix of a folder's content.
   *
   * @throws StorageError `INVALID_REQUEST` for an id that must not be sent, `FOLDER_NOT_FOUND` for a file's
   */
  prefixOf(id: string | null): string {
    if (id === null) return this.prefix
    const key = this.keyOf(id)
    if (!id.endsWith('/')) throw failure('FOLDER_NOT_FOUND')
    return key
  }

  /** @throws StorageError `INVALID_REQUEST` for an id that must not be sent */
  keyOf(id: string): string {
    const key = this.prefix + id
    if (!isUsable(id, key)) throw invalidId()
    return key
  }

  /** Returns the id of `name` in a folder. @throws StorageError `INVALID_REQUEST` for an invalid name */
  childId(parentId: string | null, name: string): string {
    if (!isSegment(name)) throw invalidName()
    if (parentId !== null) this.prefixOf(parentId)
    return (parentId ?? '') + name
  }

  /** Returns the id of a key below the prefix. */
  idOf(key: string): string {
    return key.slice(this.prefix.length)
  }

  /** Returns whether a listed id can be used in requests. */
  isUsable(id: string): boolean {
    return isUsable(id, this.prefix + id)
  }
}

function isUsable(id: string, key: string): boolean {
  return id !== '' && isUnambiguous(id) && Buffer.byteLength(key) <= MAX_KEY_BYTES
}

/**
 * Decodes a key of `EncodingType: 'url'`, which the SDK does not decode (3.1169): `+` is a space, the rest is
 * percent-encoded. Returns `undefined` if it is not UTF-8.
 */
export function decodeKey(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
