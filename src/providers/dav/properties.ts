import { knownTime } from '../shared/iso-time.ts'
import type { DavResource } from './multistatus.ts'

/** What we read of a resource's properties; `null` where the server does not tell, or tells nonsense. */
export interface DavFacts {
  readonly isCollection: boolean
  readonly mimeType: string | null
  readonly size: number | null
  readonly createdAt: string | null
  readonly modifiedAt: string | null
  readonly etag: ETag | null
}

export interface ETag {
  /** What stands between the quotes. */
  readonly opaque: string
  /** A weak one cannot be a precondition of a write (RFC 9110, 13.1.1). Apache's are weak for a second. */
  readonly isWeak: boolean
}

/** RFC 9110, 8.8.3, and without quotes, as some servers write them. */
const ETAG = /^(W\/)?"?([\x21\x23-\x7e]{1,1024}?)"?$/
const COUNT = /^\d{1,15}$/
/** RFC 6838 with parameters: what may stand in a header again. */
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?:\s?;[\x20-\x7e]{0,255})?$/
/** RFC 3339, and the forms of RFC 9110, 5.6.7: `Date.parse` takes much more, and some of it in the local zone. */
const TIMES = [
  /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/,
  /^[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{4})$/,
  /^[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$/
]

/** The XML of a request for these properties, besides the common ones. @param more elements, with their namespaces */
export function propfindBody(more = ''): string {
  const common = ['resourcetype', 'getcontenttype', 'getcontentlength', 'creationdate', 'getlastmodified', 'getetag']
  const elements = common.map((name) => `<d:${name}/>`).join('')
  return `<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:"><d:prop>${elements}${more}</d:prop></d:propfind>`
}

export function readFacts({ properties }: DavResource): DavFacts {
  const isCollection = isElement(properties['resourcetype'], 'collection')
  return {
    isCollection,
    mimeType: isCollection ? null : readMediaType(properties['getcontenttype']),
    size: isCollection ? null : readCount(properties['getcontentlength']),
    createdAt: readTime(properties['creationdate']),
    modifiedAt: readTime(properties['getlastmodified']),
    etag: readETag(readText(properties['getetag']))
  }
}

/** Whether a server found any property: of a resource without one it says nothing at all. */
export function isTold({ properties }: DavResource): boolean {
  return Object.keys(properties).length > 0
}

/** The text of a property; `null` for none, and for one that holds elements. */
export function readText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

export function readCount(value: unknown): number | null {
  return typeof value === 'string' && COUNT.test(value) ? Number(value) : null
}

export function readETag(text: string | null | undefined): ETag | null {
  const [, weak, opaque] = ETAG.exec(text?.trim() ?? '') ?? []
  return opaque === undefined ? null : { opaque, isWeak: weak !== undefined }
}

export function readMediaType(value: unknown): string | null {
  return typeof value === 'string' && MEDIA_TYPE.test(value) ? value : null
}

/** ISO 8601 (`creationdate`) or a date of HTTP, which are whole seconds. `null` where the server does not know it. */
export function readTime(value: unknown): string | null {
  if (typeof value !== 'string' || !TIMES.some((form) => form.test(value))) return null
  return knownTime(Date.parse(value))
}

function isElement(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
}
