import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'

/**
 * So much is scanned in one turn of the event loop: a few milliseconds of CPU, also when many documents are read at
 * once. Less is collected first, or a body of one-byte chunks would be scanned again and again.
 */
const PIECE_BYTES = 16 * 1024
/** The longest tag (with its attributes), text, comment, CDATA section or processing instruction, in UTF-16 units. */
const MAX_TOKEN_LENGTH = 64 * 1024

// The lookahead keeps the name from matching shorter, which would cost quadratic time for a tag without an end.
const OPEN_TAG = /<([^\s<>/="'&!?]+)(?=[\s/>])([^"'<>]*(?:"[^"<]*"[^"'<>]*|'[^'<]*'[^"'<>]*)*)>/y
const CLOSE_TAG = /<\/([^\s<>/="'&!?]+)\s*>/y
const REFERENCE = /&(?:#x([0-9a-fA-F]{1,6});|#([0-9]{1,7});|(amp|lt|gt|quot|apos);)?/g
const HTML_DOCTYPE = /<!doctype\s+html\b/iy
const NOT_BLANK = /[^\t\n\r ]/
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Markup whose end is another text than `>`. */
const SECTIONS = [
  { start: '<!--', end: '-->', isText: false },
  { start: '<![CDATA[', end: ']]>', isText: true },
  { start: '<?', end: '?>', isText: false }
] as const
const LONGEST_START = '<!doctype html '.length

export interface XmlLimits {
  readonly maxBytes: number
  readonly maxDepth: number
  /** Tags, texts, comments, CDATA sections and processing instructions together. Bounds the CPU time of a document. */
  readonly maxTokens: number
}

export interface XmlHandler {
  /**
   * Called at the end of each element.
   *
   * @param path the names of the element and its ancestors, from the root; reused, so copy what you keep
   * @param text the element's own text, without that of its children
   */
  onElement(path: readonly string[], text: string): void
}

/** Why a document was not read. The message contains nothing of the document. */
export class XmlError extends Error {
  /**
   * `malformed`: it is not XML, or is cut short. `prohibited`: it exceeds a limit, or declares a document type, which
   * no storage protocol uses.
   */
  readonly kind: 'malformed' | 'prohibited'

  constructor(kind: 'malformed' | 'prohibited', why: string) {
    super(`The document ${why}`)
    this.kind = kind
  }
}

/**
 * Reads an XML document of a protocol (UTF-8, without document type) from a server that may be hostile: CPU time is
 * linear in the bytes received, limited in total, and spent in small turns; memory is limited by the longest token.
 * Attributes are skipped and names keep their prefixes. The body is destroyed when reading fails.
 *
 * @returns false for an empty body
 * @throws XmlError; what the body fails with, and what the handler throws, as it is
 */
export async function readXml(body: Readable, limits: XmlLimits, handler: XmlHandler): Promise<boolean> {
  const scanner = new XmlScanner(limits, handler)
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (piece: Buffer, isLast: boolean): string => {
    try {
      return decoder.decode(piece, { stream: !isLast })
    } catch {
      throw new XmlError('malformed', 'is not UTF-8')
    }
  }
  let received = 0
  let waiting: Buffer[] = []
  let waitingBytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    received += chunk.length
    if (received > limits.maxBytes) throw new XmlError('prohibited', 'is too large')
    waiting.push(chunk)
    waitingBytes += chunk.length
    if (waitingBytes < PIECE_BYTES) continue
    const pieces = Buffer.concat(waiting)
    waiting = []
    waitingBytes = 0
    for (let at = 0; at < pieces.length; at += PIECE_BYTES) {
      scanner.scan(decode(pieces.subarray(at, at + PIECE_BYTES), false), false)
      await setImmediate()
    }
  }
  scanner.scan(decode(Buffer.concat(waiting), true), true)
  if (received > 0) scanner.end()
  return received > 0
}

/** Scans a document piece by piece. A token that is not complete stays until the next piece. */
class XmlScanner {
  readonly #limits: XmlLimits
  readonly #handler: XmlHandler
  /** The open elements, and the text of each so far. */
  readonly #path: string[] = []
  readonly #texts: string[] = []
  #rest = ''
  #tokens = 0
  #hasRoot = false

  constructor(limits: XmlLimits, handler: XmlHandler) {
    this.#limits = limits
    this.#handler = handler
  }

  scan(piece: string, isLast: boolean): void {
    const text = this.#rest + piece
    let at = 0
    while (at < text.length) {
      const end = this.#token(text, at, isLast)
      if (end === null) break
      if (++this.#tokens > this.#limits.maxTokens) throw new XmlError('prohibited', 'has too many elements')
      if (end - at > MAX_TOKEN_LENGTH) throw new XmlError('prohibited', 'has a part that is too long')
      at = end
    }
    this.#rest = text.slice(at)
    if (this.#rest.length > MAX_TOKEN_LENGTH) throw new XmlError('prohibited', 'has a part that is too long')
  }

  end(): void {
    if (this.#rest !== '' || this.#path.length > 0 || !this.#hasRoot) throw new XmlError('malformed', 'is cut short')
  }

  /** Reads one token. Returns where it ends, or `null` if it needs more text. */
  #token(text: string, at: number, isLast: boolean): number | null {
    if (text[at] !== '<') {
      const next = text.indexOf('<', at)
      if (next === -1 && !isLast) return null
      const end = next === -1 ? text.length : next
      this.#addText(decodeText(text.slice(at, end)))
      return end
    }
    const second = text[at + 1]
    if (second === '!' || second === '?') return this.#section(text, at, isLast)
    const match = matchAt(second === '/' ? CLOSE_TAG : OPEN_TAG, text, at)
    if (match === null) {
      // An unfinished tag can contain any character in its attributes except `<`.
      if (text.includes('<', at + 1)) throw new XmlError('malformed', 'has a tag without an end')
      return null
    }
    const [tag, name = '', attributes = ''] = match
    if (second === '/') this.#close(name)
    else this.#open(name, attributes.endsWith('/'))
    return at + tag.length
  }

  #section(text: string, at: number, isLast: boolean): number | null {
    if (text.length - at < LONGEST_START && !text.includes('>', at) && !isLast) return null
    const section = SECTIONS.find(({ start }) => text.startsWith(start, at))
    if (section === undefined) {
      const isPage = matchAt(HTML_DOCTYPE, text, at) !== null
      throw new XmlError(isPage ? 'malformed' : 'prohibited', isPage ? 'is HTML' : 'has a declaration')
    }
    const end = text.indexOf(section.end, at + section.start.length)
    if (end === -1) return null
    if (section.isText) this.#addText(text.slice(at + section.start.length, end))
    return end + section.end.length
  }

  #open(name: string, isEmpty: boolean): void {
    if (this.#path.length === 0) {
      if (this.#hasRoot) throw new XmlError('malformed', 'has two roots')
      this.#hasRoot = true
    }
    if (this.#path.push(name) > this.#limits.maxDepth) throw new XmlError('prohibited', 'is nested too deeply')
    this.#texts.push('')
    if (isEmpty) this.#close(name)
  }

  #close(name: string): void {
    if (this.#path.at(-1) !== name) throw new XmlError('malformed', 'has a closing tag without its opening tag')
    this.#handler.onElement(this.#path, this.#texts.pop() ?? '')
    this.#path.pop()
  }

  #addText(text: string): void {
    const last = this.#texts.length - 1
    if (last >= 0) this.#texts[last] = (this.#texts[last] ?? '') + text
    else if (NOT_BLANK.test(text)) throw new XmlError('malformed', 'has text outside of its root')
  }
}

function matchAt(pattern: RegExp, text: string, index: number): RegExpExecArray | null {
  pattern.lastIndex = index
  return pattern.exec(text)
}

/** Resolves character references, and line ends as XML 1.0 (2.11) asks. */
function decodeText(text: string): string {
  const lines = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text
  if (!lines.includes('&')) return lines
  return lines.replace(REFERENCE, (_match, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return ENTITIES[name] ?? ''
    const code = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal ?? NaN)
    // Also false for NaN: an ampersand without a reference, or with one that only a document type could define.
    if (!(code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff))) {
      throw new XmlError('malformed', 'has an unknown reference')
    }
    return String.fromCodePoint(code)
  })
}
