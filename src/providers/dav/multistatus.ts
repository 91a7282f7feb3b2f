import type { Readable } from 'node:stream'
import type { Clock } from '../../domain/clock.ts'
import { Diagnosis, type StorageError } from '../../domain/errors.ts'
import { providerFailure } from '../../domain/provider-failure.ts'
import { nextTurn } from '../shared/next-turn.ts'

/** One resource of a multistatus (RFC 4918, 13). */
export interface DavResource {
  /** As the server wrote it. */
  readonly href: string
  /** The status of the resource as a whole: 200 unless the server gives one. */
  readonly status: number
  /**
   * The properties that were found, by local name. A value is the property's text, or an object of its child elements'
   * texts by local name.
   */
  readonly properties: Readonly<Record<string, unknown>>
}

/** Bytes parsed in one turn of the event loop: about a millisecond of CPU, also for hostile XML. */
const BLOCK_BYTES = 16 * 1024
/** The longest text before the root, between the ends of two resources, and after the root, in UTF-16 units. */
const MAX_UNFINISHED_LENGTH = 256 * 1024
/** Open elements at a time. Servers use six. */
const MAX_DEPTH = 64
/** Properties of one resource, with the elements in them. */
const MAX_PROPERTIES = 1000
/**
 * Time spent on one response without the waits between blocks. 50,000 resources take about a second; the limit leaves
 * room for a busy machine.
 */
const MAX_PARSE_MS = 15_000

/**
 * Reads a multistatus as it arrives. The CPU time is linear in the bytes received, however they are cut into chunks,
 * and other requests have their turn after every {@link BLOCK_BYTES}. Memory is bounded by one resource. A caller that
 * has enough stops iterating, which destroys the body.
 *
 * @param body text in UTF-8
 * @param clock measures the time spent on the response
 * @throws StorageError `PROVIDER_ERROR` for anything but one complete multistatus, and beyond the limits above
 */
export async function* readMultistatus(body: Readable, clock: Pick<Clock, 'now'>): AsyncGenerator<DavResource> {
  const reader = new MultistatusReader()
  const decoder = new TextDecoder()
  let spentMs = 0
  for await (const block of blocksOf(body)) {
    const startedAt = clock.now()
    yield* reader.read(decoder.decode(block, { stream: true }))
    spentMs += clock.now() - startedAt
    if (spentMs > MAX_PARSE_MS) throw nonsense('a multistatus that takes too long to parse')
    await nextTurn()
  }
  yield* reader.read(decoder.decode())
  reader.end()
}

/** The bytes of a body in blocks of one size, in one buffer that is used again: tiny chunks cost no more than others. */
async function* blocksOf(body: Readable): AsyncGenerator<Buffer> {
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  let used = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length;) {
      const copied = chunk.copy(block, used, at)
      at += copied
      used += copied
      if (used < BLOCK_BYTES) continue
      yield block
      used = 0
    }
  }
  if (used > 0) yield block.subarray(0, used)
}

/** Where an element stands, as far as it matters. */
type Role = 'root' | 'response' | 'href' | 'status' | 'propstat' | 'prop' | 'property' | 'part' | 'other'

interface Element {
  /** With its prefix, as the end tag repeats it. */
  readonly tag: string
  readonly name: string
  readonly role: Role
  text: string
  /** Of a property: the texts of its child elements. */
  parts: Map<string, string> | undefined
}

/** Which roles an element's children have by their names; `*` stands for any name. */
const CHILDREN: Readonly<Partial<Record<Role, Readonly<Record<string, Role>>>>> = {
  root: { response: 'response' },
  response: { href: 'href', status: 'status', propstat: 'propstat' },
  propstat: { prop: 'prop', status: 'status' },
  prop: { '*': 'property' },
  property: { '*': 'part' }
}
const HAS_TEXT: ReadonlySet<Role> = new Set<Role>(['href', 'status', 'property', 'part'])

/** What the scanner is inside of; `open` is behind a `<` that may begin any of the others. */
type Scanning = 'text' | 'open' | 'tag' | 'comment' | 'cdata' | 'instruction'

const COMMENT = '!--'
const CDATA = '![CDATA['
const TERMINATORS = { comment: '-->', cdata: ']]>', instruction: '?>' } as const
const NAME = /^[^\s"'=<>&/!?]+/
/** With `&` and `;`. */
const MAX_REFERENCE_LENGTH = 14
const REFERENCE = /&([^\s&;<]{0,12});?/g
const NAMED: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"]
])
const CODE_POINT = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i
const STATUS = /^HTTP\/\d(?:\.\d)? (\d{3})\b/

const QUOTE = 0x22
const APOSTROPHE = 0x27
const LESS = 0x3c
const GREATER = 0x3e

/**
 * A scanner of the XML that a multistatus needs: elements, text, references, CDATA, comments and instructions. Document
 * types and entities are refused. It keeps its place between pieces of text, so no character is looked at twice.
 */
class MultistatusReader {
  #scanning: Scanning = 'text'
  /** The text, tag, or other item that is being read, as far as it has come. */
  #run = ''
  /** The quote that an attribute's value ends with, while a tag is read inside of one. */
  #quote = 0
  readonly #open: Element[] = []
  #hasRoot = false
  /** Characters received, and how many of them up to the last resource. */
  #received = 0
  #resourceEnd = 0

  #hrefs: string[] = []
  #status = 200
  #properties = new Map<string, unknown>()
  #foundStatus = 0
  #found = new Map<string, unknown>()
  #propertyCount = 0
  #resources: DavResource[] = []

  /** @returns the resources that end in this piece */
  read(text: string): readonly DavResource[] {
    for (let at = 0; at < text.length;) at = this.#advance(text, at)
    this.#received += text.length
    if (this.#received - this.#resourceEnd > MAX_UNFINISHED_LENGTH) throw nonsense('a multistatus without an end')
    const resources = this.#resources
    this.#resources = []
    return resources
  }

  /** @throws StorageError unless the document is complete */
  end(): void {
    if (this.#scanning === 'text') this.#endText()
    if (!this.#hasRoot) throw nonsense('a body that is no multistatus')
    if (this.#open.length > 0 || this.#scanning !== 'text') throw nonsense('a multistatus that was cut short')
  }

  /** Reads on from `at`. @returns where to go on, beyond `at` unless only the kind of item was decided */
  #advance(text: string, at: number): number {
    const scanning = this.#scanning
    if (scanning === 'text') return this.#readText(text, at)
    if (scanning === 'open') return this.#readOpen(text, at)
    if (scanning === 'tag') return this.#readTag(text, at)
    return this.#readTo(scanning, text, at)
  }

  #readText(text: string, at: number): number {
    const end = text.indexOf('<', at)
    this.#run += text.slice(at, end === -1 ? text.length : end)
    if (end === -1) {
      // At once, since many references take as long as many elements. The last one may be cut in two.
      const cut = this.#run.lastIndexOf('&')
      this.#endText(cut !== -1 && this.#run.length - cut < MAX_REFERENCE_LENGTH ? cut : undefined)
      return text.length
    }
    this.#endText()
    this.#scanning = 'open'
    return end + 1
  }

  #endText(end = this.#run.length): void {
    const text = this.#run.slice(0, end)
    this.#run = this.#run.slice(end)
    const element = this.#open.at(-1)
    if (element === undefined) {
      if (/[^ \t\r\n]/.test(text)) throw nonsense(this.#hasRoot ? 'more than a multistatus' : 'no multistatus')
    } else if (HAS_TEXT.has(element.role)) {
      element.text += text.includes('&') ? resolveReferences(text) : text
    }
  }

  #readOpen(text: string, at: number): number {
    const char = text.charAt(at)
    if (this.#run === '' && char !== '!' && char !== '?') {
      this.#scanning = 'tag'
      return at
    }
    const start = this.#run + char
    this.#run = start
    if (start === '?') this.#begin('instruction')
    else if (start === COMMENT) this.#begin('comment')
    else if (start === CDATA && this.#open.length > 0) this.#begin('cdata')
    else if (!COMMENT.startsWith(start) && !CDATA.startsWith(start)) throw nonsense('an XML declaration')
    return at + 1
  }

  #begin(scanning: Scanning): void {
    this.#scanning = scanning
    this.#run = ''
  }

  /** A comment, CDATA or instruction, whose terminator may be cut in two. */
  #readTo(item: keyof typeof TERMINATORS, text: string, at: number): number {
    const terminator = TERMINATORS[item]
    const joint = this.#run.slice(1 - terminator.length)
    const inJoint = joint === '' ? -1 : (joint + text.slice(at, at + terminator.length - 1)).indexOf(terminator)
    const found = inJoint === -1 ? text.indexOf(terminator, at) : at + inJoint - joint.length
    if (inJoint === -1 && found === -1) {
      this.#run += text.slice(at)
      return text.length
    }
    const content = found < at ? this.#run.slice(0, found - at) : this.#run + text.slice(at, found)
    const element = this.#open.at(-1)
    if (item === 'cdata' && element !== undefined && HAS_TEXT.has(element.role)) element.text += content
    this.#begin('text')
    return found + terminator.length
  }

  #readTag(text: string, at: number): number {
    for (let index = at; index < text.length; index++) {
      const char = text.charCodeAt(index)
      if (char === LESS) throw nonsense('XML that is not well-formed')
      if (this.#quote !== 0) {
        if (char === this.#quote) this.#quote = 0
      } else if (char === QUOTE || char === APOSTROPHE) {
        this.#quote = char
      } else if (char === GREATER) {
        const tag = this.#run + text.slice(at, index)
        this.#begin('text')
        this.#endTag(tag, this.#received + index + 1)
        return index + 1
      }
    }
    this.#run += text.slice(at)
    return text.length
  }

  /** @param end where the tag ends in the whole text */
  #endTag(tag: string, end: number): void {
    const isEnd = tag.startsWith('/')
    const [name = ''] = NAME.exec(isEnd ? tag.slice(1) : tag) ?? []
    const behind = tag.charAt(name.length + (isEnd ? 1 : 0))
    if (name === '' || !/^[\s/]?$/.test(behind)) throw nonsense('XML that is not well-formed')
    if (!isEnd) this.#startElement(name)
    if (isEnd || tag.endsWith('/')) this.#endElement(name, end)
  }

  #startElement(tag: string): void {
    const name = tag.slice(tag.indexOf(':') + 1)
    const parent = this.#open.at(-1)
    if (parent === undefined) {
      if (this.#hasRoot || name !== 'multistatus') throw nonsense('a body that is no multistatus')
      this.#hasRoot = true
    }
    if (this.#open.length === MAX_DEPTH) throw nonsense('XML that is nested too deep')
    const role = parent === undefined ? 'root' : roleOf(parent.role, name)
    if (role === 'property' || role === 'part') {
      if (++this.#propertyCount > MAX_PROPERTIES) throw nonsense('a resource with too many properties')
    }
    this.#open.push({ tag, name, role, text: '', parts: undefined })
  }

  #endElement(tag: string, end: number): void {
    const element = this.#open.pop()
    if (element?.tag !== tag) throw nonsense('XML that is not well-formed')
    const { name, role, parts } = element
    const parent = this.#open.at(-1)
    if (parent === undefined) return
    if (role === 'href') this.#hrefs.push(trimSpace(element.text))
    else if (role === 'status') {
      const status = readStatus(element.text)
      if (parent.role === 'propstat') this.#foundStatus = status ?? 0
      else this.#status = status ?? 200
    } else if (role === 'part') {
      parent.parts ??= new Map()
      parent.parts.set(name, trimSpace(element.text))
    } else if (role === 'property') {
      this.#found.set(name, parts === undefined ? trimSpace(element.text) : Object.fromEntries(parts))
    } else if (role === 'propstat') this.#endPropstat()
    else if (role === 'response') this.#endResponse(end)
  }

  /** A property can come in several propstats, found in one of them: all that succeeded count. */
  #endPropstat(): void {
    if (this.#foundStatus >= 200 && this.#foundStatus < 300) {
      for (const [name, value] of this.#found) this.#properties.set(name, value)
    }
    this.#found = new Map()
    this.#foundStatus = 0
  }

  #endResponse(end: number): void {
    const status = this.#status
    const properties = Object.fromEntries(this.#properties)
    // Several where they share one status (RFC 4918, 14.24).
    for (const href of this.#hrefs.length === 0 ? [''] : this.#hrefs) this.#resources.push({ href, status, properties })
    this.#hrefs = []
    this.#status = 200
    this.#properties = new Map()
    this.#propertyCount = 0
    this.#resourceEnd = end
  }
}

function roleOf(parent: Role, name: string): Role {
  const roles = CHILDREN[parent]
  if (roles === undefined) return 'other'
  return (Object.hasOwn(roles, name) ? roles[name] : roles['*']) ?? 'other'
}

function resolveReferences(text: string): string {
  return text.replace(REFERENCE, (whole, reference: string) => {
    const named = NAMED.get(reference)
    const [, hex, decimal] = named === undefined ? (CODE_POINT.exec(reference) ?? []) : []
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
    const isChar = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)
    if (!whole.endsWith(';') || (named === undefined && !isChar)) throw nonsense('XML that is not well-formed')
    return named ?? String.fromCodePoint(code)
  })
}

/** Without the white space of XML at both ends. `trim` takes characters that may belong to a name. */
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

function nonsense(why: string): StorageError {
  return providerFailure('PROVIDER_ERROR', { cause: new Diagnosis(`The server answered with ${why}`) })
}
