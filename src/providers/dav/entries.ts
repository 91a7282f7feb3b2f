import type { Entry } from '../../core/entry.ts'
import { type ETag, formatTime, pathMetadata, readCount, readETag, readMediaType, textOf } from '../shared/entries.ts'
import type { DavResource } from './multistatus.ts'
import type { DavPaths } from './paths.ts'

/** Converts a resource. @param id ends with `/` for a collection */
export function davEntry(paths: DavPaths, id: string, metadata: DavMetadata): Entry {
  const isUsable = paths.isUsable(id)
  return {
    ...pathMetadata(id, metadata.isCollection ? 'folder' : 'file'),
    mimeType: metadata.mimeType,
    size: metadata.size,
    createdAt: metadata.createdAt,
    modifiedAt: metadata.modifiedAt,
    // Without the weakness flag: an ETag that becomes strong is not a change.
    version: metadata.isCollection ? null : (metadata.etag?.opaque ?? null),
    can: { list: metadata.isCollection && isUsable, download: !metadata.isCollection && isUsable, write: null }
  }
}

/** The metadata of a resource; `null` for missing or invalid values. */
export interface DavMetadata {
  readonly isCollection: boolean
  readonly mimeType: string | null
  readonly size: number | null
  readonly createdAt: string | null
  readonly modifiedAt: string | null
  readonly etag: ETag | null
}

/** RFC 3339, and the formats of RFC 9110, 5.6.7. `Date.parse` accepts many more, some of them in local time. */
const TIMES = [
  /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/,
  /^[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{4})$/,
  /^[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$/
]

/** Returns the XML of a PROPFIND for the common properties. @param extraElements further elements, with their namespaces */
export function propfindBody(extraElements = ''): string {
  const commonProperties = [
    'resourcetype',
    'getcontenttype',
    'getcontentlength',
    'creationdate',
    'getlastmodified',
    'getetag'
  ]
  const elements = commonProperties.map((name) => `<d:${name}/>`).join('')
  return `<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:"><d:prop>${elements}${extraElements}</d:prop></d:propfind>`
}

export function readMetadata({ properties }: DavResource): DavMetadata {
  const isCollection = isElement(properties['resourcetype'], 'collection')
  return {
    isCollection,
    mimeType: isCollection ? null : readMediaType(properties['getcontenttype']),
    size: isCollection ? null : readCount(properties['getcontentlength']),
    createdAt: readTime(properties['creationdate']),
    modifiedAt: readTime(properties['getlastmodified']),
    etag: readETag(textOf(properties['getetag']))
  }
}

/** Returns whether the server found any property. Without one, the response says nothing about the resource. */
export function hasProperties({ properties }: DavResource): boolean {
  return Object.keys(properties).length > 0
}

/** Parses ISO 8601 (`creationdate`) or an HTTP date, which has whole seconds. Returns `null` for unknown times. */
export function readTime(value: unknown): string | null {
  if (typeof value !== 'string' || !TIMES.some((pattern) => pattern.test(value))) return null
  return formatTime(Date.parse(value))
}

function isElement(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
}
