import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { XMLParser } from 'fast-xml-parser'
import type { StorageError } from '../../domain/errors.ts'
import { Diagnosis } from '../../domain/errors.ts'
import { providerFailure } from '../../domain/provider-failure.ts'

/** What a multistatus (RFC 4918, 13) tells of one resource. */
export interface DavResource {
  /** As the server wrote it. */
  readonly href: string
  /** What it answers of this resource as a whole, where it does: 200 otherwise. */
  readonly status: number
  /** The properties that were found, by local name; one that holds elements is an object. */
  readonly properties: Readonly<Record<string, unknown>>
}

/** So much text is parsed at once: about a hundred resources, 20 ms of work between which others have their turn. */
const PIECE_LENGTH = 64 * 1024
/** The longest that may stand in front of the root, or between two ends of resources: it is parsed in one go. */
const MAX_UNFINISHED_LENGTH = 256 * 1024

/** What may stand in front of the root: an XML declaration and other instructions, comments. */
const MISC = /(?:\s+|<\?.*?\?>|<!--.*?-->)/sy
const ROOT = /<((?:[A-Za-z_][\w.-]*:)?multistatus)(?:\s[^<>]*?)?(\/?)>/y
/** What can still become one of the two, once there is more of it. */
const BEGINNING = /(?:<\?.*|<!(?:-|--.*)?|<[A-Za-z_][^<>]*|<|)$/sy
/** What may stand behind its end. */
const BEHIND = /^\s*(?:<!--.*-->\s*)?$/s
const RESPONSE_END = /<\/(?:[A-Za-z_][\w.-]*:)?response\s*>/g
/** Document types and entities, the stuff of bombs, that no multistatus needs. */
const DECLARATION = /<!(?!--|\[CDATA\[)/
const STATUS = /^HTTP\/\d(?:\.\d)? (\d{3})\b/

/**
 * Reads a multistatus while it comes. It is cut behind each resource and parsed piece by piece, so that neither its
 * size nor the time to parse it is ever held at once; whoever has enough stops reading.
 *
 * @param body text in UTF-8
 * @throws StorageError `PROVIDER_ERROR` for what is no multistatus, or only the beginning of one
 */
export async function* readMultistatus(body: Readable): AsyncGenerator<DavResource> {
  // Deprecated for the sake of another package, which this one use does not need.
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const { XMLParser, XMLValidator } = await import('fast-xml-parser')
  const parser = new XMLParser({
    ignoreAttributes: true,
    removeNSPrefix: true,
    parseTagValue: false,
    // Numeric character references are among what it takes for HTML's.
    htmlEntities: true,
    isArray: (name) => name === 'response' || name === 'propstat'
  })
  const parse = (root: Root, content: string): DavResource[] => {
    const xml = `${root.start}${content}</${root.name}>`
    if (DECLARATION.test(content) || XMLValidator.validate(xml) !== true) throw nonsense('XML that is not well-formed')
    return readResponses(parser, xml)
  }

  const decoder = new TextDecoder()
  let text = ''
  let root: Root | undefined
  for await (const chunk of body as AsyncIterable<Buffer>) {
    text += decoder.decode(chunk, { stream: true })
    if (root === undefined) {
      root = findRoot(text)
      if (root !== undefined) text = text.slice(root.end)
    }
    if (root !== undefined && text.length >= PIECE_LENGTH) {
      const end = lastEnd(text)
      if (end > 0) {
        const piece = text.slice(0, end)
        text = text.slice(end)
        yield* parse(root, piece)
        await setImmediate()
      }
    }
    if (text.length > MAX_UNFINISHED_LENGTH) throw nonsense('a multistatus without an end')
  }
  text += decoder.decode()

  if (root === undefined) throw nonsense('a body that is no multistatus')
  const end = root.isEmpty ? 0 : text.lastIndexOf(`</${root.name}`)
  const behind = root.isEmpty ? text : /^\s*>(.*)$/s.exec(text.slice(end + 2 + root.name.length))?.[1]
  if (end === -1 || behind === undefined || !BEHIND.test(behind)) throw nonsense('a multistatus that was cut short')
  yield* parse(root, text.slice(0, end))
}

interface Root {
  readonly name: string
  /** The start tag, with the namespaces that it declares. */
  readonly start: string
  /** Where its content begins. */
  readonly end: number
  readonly isEmpty: boolean
}

/** `undefined` where the text ends before it. */
function findRoot(text: string): Root | undefined {
  let at = 0
  for (let match = matchAt(MISC, text, at); match !== null; match = matchAt(MISC, text, at)) at += match[0].length
  const match = matchAt(ROOT, text, at)
  if (match === null) {
    if (matchAt(BEGINNING, text, at) === null) throw nonsense('a body that is no multistatus')
    return undefined
  }
  const [start, name = '', slash] = match
  const isEmpty = slash === '/'
  return { name, start: isEmpty ? `${start.slice(0, -2)}>` : start, end: at + start.length, isEmpty }
}

function matchAt(pattern: RegExp, text: string, index: number): RegExpExecArray | null {
  pattern.lastIndex = index
  return pattern.exec(text)
}

function lastEnd(text: string): number {
  let end = -1
  for (const match of text.matchAll(RESPONSE_END)) end = match.index + match[0].length
  return end
}

function readResponses(parser: XMLParser, xml: string): DavResource[] {
  let parsed: { multistatus?: unknown }
  try {
    parsed = parser.parse(xml) as typeof parsed
  } catch (error) {
    throw nonsense('XML that cannot be parsed', error)
  }
  const { response } = asRecord(parsed.multistatus)
  return (Array.isArray(response) ? response : []).map((each) => readResponse(asRecord(each)))
}

/** A property can come in several propstats, found in one of them: all that succeeded count. */
function readResponse({ href, status, propstat }: Readonly<Record<string, unknown>>): DavResource {
  const properties: Record<string, unknown> = {}
  for (const each of Array.isArray(propstat) ? propstat : []) {
    const { prop, status: found } = asRecord(each)
    const code = readStatus(found) ?? 0
    if (code >= 200 && code < 300) Object.assign(properties, asRecord(prop))
  }
  return { href: typeof href === 'string' ? href : '', status: readStatus(status) ?? 200, properties }
}

function readStatus(line: unknown): number | undefined {
  const [, code] = typeof line === 'string' ? (STATUS.exec(line) ?? []) : []
  return code === undefined ? undefined : Number(code)
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function nonsense(why: string, cause?: unknown): StorageError {
  return providerFailure('PROVIDER_ERROR', {
    cause: new Diagnosis(`The server answered with ${why}`, { cause })
  })
}
