import type { Readable } from 'node:stream'
import type { Clock } from '../../core/time.ts'
import { failure } from '../shared/errors.ts'
import { readXml, XmlError, type XmlHandler } from '../shared/xml-reader.ts'

/** One resource of a multistatus (RFC 4918, 13). */
export interface DavResource {
  /** As the server sent it. */
  readonly href: string
  /** The status of the resource as a whole: 200 unless the server reports one. */
  readonly status: number
  /**
   * The properties found, by local name. A value is the property's text, or an object of its child elements' texts by
   * local name.
   */
  readonly properties: Readonly<Record<string, unknown>>
}

/** Maximum number of open elements. Servers use six. */
const MAX_DEPTH = 64
/** Maximum bytes of one resource, or between two. */
const MAX_RESOURCE_BYTES = 256 * 1024
/** Maximum properties of one resource, including the elements in them. */
const MAX_PROPERTIES = 1000
/**
 * Limit of the time spent on one response without the waits between blocks. 50,000 resources take about a second; the
 * limit allows for a busy machine.
 */
const MAX_PARSE_MS = 15_000

/**
 * Reads a multistatus as it arrives, with the CPU cost and the turns of {@link readXml}. Memory is bounded by one
 * resource and one block. A caller that needs no more stops iterating, which destroys the body.
 *
 * @param body text in UTF-8; its size is limited by the request
 * @param clock measures the time spent on the response
 * @throws StorageError `PROVIDER_ERROR` for anything but one complete multistatus, and beyond the limits above
 */
export async function* readMultistatus(body: Readable, clock: Pick<Clock, 'now'>): AsyncGenerator<DavResource> {
  const multistatus = new Multistatus()
  const options = {
    maxBytes: Infinity,
    maxDepth: MAX_DEPTH,
    maxTokenLength: MAX_RESOURCE_BYTES,
    maxTokens: Infinity,
    // A file name in another encoding must not hide the other files of its folder.
    invalidUtf8: 'replace',
    parseTime: { clock, maxMs: MAX_PARSE_MS }
  } as const
  let unfinishedBytes = 0
  try {
    for await (const bytes of readXml(body, options, multistatus)) {
      const resources = multistatus.take()
      unfinishedBytes = resources.length > 0 ? 0 : unfinishedBytes + bytes
      if (unfinishedBytes > MAX_RESOURCE_BYTES)
        throw failure('PROVIDER_ERROR', 'The server returned a multistatus with a resource that is too large')
      yield* resources
    }
  } catch (error) {
    throw error instanceof XmlError
      ? failure('PROVIDER_ERROR', `The server returned XML that was rejected. ${error.message}`)
      : error
  }
  if (!multistatus.hasRoot) throw failure('PROVIDER_ERROR', 'The server returned an empty body')
}

/** The meaning of an element, by its position in the document. */
type Role = 'root' | 'response' | 'href' | 'status' | 'propstat' | 'prop' | 'property' | 'part' | 'other'

interface Element {
  /** Without its prefix. */
  readonly name: string
  readonly role: Role
  text: string
  /** The texts of a property's child elements. */
  parts: Map<string, string> | undefined
}

/** The roles of an element's children by name; `*` is any name. */
const CHILDREN: Readonly<Partial<Record<Role, Readonly<Record<string, Role>>>>> = {
  root: { response: 'response' },
  response: { href: 'href', status: 'status', propstat: 'propstat' },
  propstat: { prop: 'prop', status: 'status' },
  prop: { '*': 'property' },
  property: { '*': 'part' }
}
const HAS_TEXT: ReadonlySet<Role> = new Set<Role>(['href', 'status', 'property', 'part'])

const STATUS = /^HTTP\/\d(?:\.\d)? (\d{3})\b/

/** Collects the resources of a multistatus from the elements of the document. */
class Multistatus implements XmlHandler {
  hasRoot = false
  readonly #openElements: Element[] = []

  #hrefs: string[] = []
  #status = 200
  #properties = new Map<string, unknown>()
  #propstatStatus = 0
  #propstatProperties = new Map<string, unknown>()
  #propertyCount = 0
  #resources: DavResource[] = []

  /** Returns the resources that have ended since the last call. */
  take(): readonly DavResource[] {
    const resources = this.#resources
    this.#resources = []
    return resources
  }

  onStart(tag: string): void {
    const name = tag.slice(tag.indexOf(':') + 1)
    const parent = this.#openElements.at(-1)
    if (parent === undefined) {
      if (name !== 'multistatus')
        throw failure('PROVIDER_ERROR', 'The server returned a body that is not a multistatus')
      this.hasRoot = true
    }
    const role = parent === undefined ? 'root' : roleOf(parent.role, name)
    if (role === 'property' || role === 'part') {
      if (++this.#propertyCount > MAX_PROPERTIES)
        throw failure('PROVIDER_ERROR', 'The server returned a resource with too many properties')
    }
    this.#openElements.push({ name, role, text: '', parts: undefined })
  }

  onText(text: string): void {
    const element = this.#openElements.at(-1)
    if (element !== undefined && HAS_TEXT.has(element.role)) element.text += text
  }

  onEnd(): void {
    const element = this.#openElements.pop()
    const parent = this.#openElements.at(-1)
    if (element === undefined || parent === undefined) return
    const { name, role, parts } = element
    if (role === 'href') this.#hrefs.push(trimSpace(element.text))
    else if (role === 'status') {
      const status = readStatus(element.text)
      if (parent.role === 'propstat') this.#propstatStatus = status ?? 0
      else this.#status = status ?? 200
    } else if (role === 'part') {
      parent.parts ??= new Map()
      parent.parts.set(name, trimSpace(element.text))
    } else if (role === 'property') {
      this.#propstatProperties.set(name, parts === undefined ? trimSpace(element.text) : Object.fromEntries(parts))
    } else if (role === 'propstat') this.#endPropstat()
    else if (role === 'response') this.#endResponse()
  }

  /** A property can occur in several propstats and be found in one of them: all successful ones count. */
  #endPropstat(): void {
    if (this.#propstatStatus >= 200 && this.#propstatStatus < 300) {
      for (const [name, value] of this.#propstatProperties) this.#properties.set(name, value)
    }
    this.#propstatProperties = new Map()
    this.#propstatStatus = 0
  }

  #endResponse(): void {
    const status = this.#status
    const properties = Object.fromEntries(this.#properties)
    // Several hrefs share one status (RFC 4918, 14.24).
    for (const href of this.#hrefs.length === 0 ? [''] : this.#hrefs) this.#resources.push({ href, status, properties })
    this.#hrefs = []
    this.#status = 200
    this.#properties = new Map()
    this.#propertyCount = 0
  }
}

function roleOf(parent: Role, name: string): Role {
  const roles = CHILDREN[parent]
  if (roles === undefined) return 'other'
  return (Object.hasOwn(roles, name) ? roles[name] : roles['*']) ?? 'other'
}

/** Removes XML whitespace at both ends. `trim` would remove characters that may belong to a name. */
function trimSpace(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (start < end && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}

function readStatus(line: string): number | undefined {
  const [, code] = STATUS.exec(trimSpace(line)) ?? []
  return code === undefined ? undefined : Number(code)
}
