import type { Entry, FolderInfo } from '../../core/entry.ts'
import { nameOf, parentOf } from './names.ts'

/** Metadata of an entry with every optional field unknown. Frozen, because all entries share it. */
export const UNKNOWN_METADATA = Object.freeze({
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

/** Returns the metadata of an entry with its path as the id: its name, parent and path. All else is unknown. */
export function pathMetadata(id: string, kind: 'file' | 'folder') {
  // This order is that of the JSON that people read.
  return { id, name: nameOf(id), kind, ...UNKNOWN_METADATA, parentId: parentOf(id), path: id }
}

/** Returns the listed folder, if ids are paths. @param id `null` for the root */
export function folderInfo(id: string | null): FolderInfo {
  return id === null ? { id, name: null, parentId: null } : { id, name: nameOf(id), parentId: parentOf(id) }
}

/** A JSON object of a response, unchecked. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Returns a non-empty string; `null` for any other value. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** Returns a size in bytes; `null` for an invalid or inexact value. */
export function sizeOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

/** Returns a value that should be an object; an empty object for any other value. */
export function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null ? (value as JsonObject) : {}
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/
/** Values that servers send for unknown times: the epochs of Unix, Windows and .NET. */
const UNKNOWN_TIMES: ReadonlySet<number> = new Set([0, Date.UTC(1601, 0, 1), Date.parse('0001-01-01T00:00:00Z')])

/** Formats a time in milliseconds since 1970 as ISO 8601. Returns `null` for invalid and unknown times. */
export function formatTime(time: number): string | null {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) || UNKNOWN_TIMES.has(time) ? null : date.toISOString()
}

/** Parses an RFC 3339 time of a JSON API into UTC with milliseconds. Returns `null` for invalid and unknown times. */
export function parseIsoTime(value: unknown): string | null {
  return typeof value === 'string' && RFC3339.test(value) ? formatTime(Date.parse(value)) : null
}

const COUNT = /^\d{1,15}$/
/** RFC 6838, 4.2, with parameters: values that can be sent as a header. */
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?:\s?;[\x20-\x7e]{0,255})?$/
/** RFC 9110, 8.8.3, also without quotes, as some servers send them. */
const ETAG = /^(W\/)?"?([\x21\x23-\x7e]{1,1024}?)"?$/

/** Parses a number of bytes, as headers and XML contain it. Returns `null` if it is missing or malformed. */
export function readCount(value: unknown): number | null {
  return typeof value === 'string' && COUNT.test(value) ? Number(value) : null
}

/** Returns a media type; `null` for any other value. */
export function readMediaType(value: unknown): string | null {
  return typeof value === 'string' && MEDIA_TYPE.test(value) ? value : null
}

export interface ETag {
  /** The text between the quotes. */
  readonly opaque: string
  /** A weak ETag cannot be a precondition of a write (RFC 9110, 13.1.1). Apache's are weak for a second. */
  readonly isWeak: boolean
}

export function readETag(text: string | null | undefined): ETag | null {
  const [, weak, opaque] = ETAG.exec(text?.trim() ?? '') ?? []
  return opaque === undefined ? null : { opaque, isWeak: weak !== undefined }
}
