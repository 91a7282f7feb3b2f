import type { Readable } from 'node:stream'
import { TextDecoder } from 'node:util'
import type { SaxesParser } from 'saxes'
import type { Clock } from '../../core/time.ts'
import { nextTurn } from './paging.ts'

/**
 * Bytes parsed in one turn of the event loop: one or two milliseconds of CPU time for any XML. Smaller chunks are
 * collected first, so that a body of one-byte chunks needs no more turns than others.
 */
const BLOCK_BYTES = 16 * 1024
/** Maximum attributes of one element. Servers use them for the namespaces of the root, and send about ten. */
const MAX_ATTRIBUTES = 256

/** XML 1.0 whitespace, and byte order marks after the one that the decoder removes. */
const LEADING_WHITESPACE = /^[\t\n\r \ufeff]+/
const HTML = /^\s*html\b/i

export interface XmlOptions {
  readonly maxBytes: number
  /** Maximum number of open elements. */
  readonly maxDepth: number
  /**
   * Maximum length of a tag with its attributes, text, comment, CDATA section or processing instruction, in UTF-16
   * units. An unfinished token stays in memory.
   */
  readonly maxTokenLength: number
  /** Maximum number of start tags, end tags, texts, comments, CDATA sections and processing instructions together. */
  readonly maxTokens: number
  /** How bytes that are not UTF-8 are handled: as a malformed document, or replaced by U+FFFD. */
  readonly invalidUtf8: 'refuse' | 'replace'
  /** Limits the time spent on the document, including the consumer's time between two blocks. */
  readonly parseTime?: { readonly clock: Pick<Clock, 'now'>; readonly maxMs: number }
}

/** Receives the document while it is parsed. Names include their prefixes. Attributes are not reported. */
export interface XmlHandler {
  onStart(name: string): void
  /** Text or a CDATA section within the root. The text of one element can come in several parts. */
  onText(text: string): void
  /**
   * Called for each element that was started. Before an error, the last call can be for an element without an end
   * tag.
   */
  onEnd(name: string): void
}

/** The reason why a document was not read. The message contains no part of the document. */
export class XmlError extends Error {
  /**
   * `malformed`: it is not XML, or is cut short. `prohibited`: it exceeds a limit, or declares a document type, which
   * no storage protocol uses.
   */
  readonly kind: 'malformed' | 'prohibited'

  constructor(kind: 'malformed' | 'prohibited', reason: string) {
    super(`The document ${reason}`)
    this.kind = kind
  }
}

/**
 * Parses an XML document of a storage protocol from a potentially hostile server: UTF-8, without a document type. CPU
 * time is linear in the bytes received, however they are cut into chunks, and other work can run after every
 * {@link BLOCK_BYTES}. Memory is bounded by the longest token and by the data that the handler stores. The body is
 * destroyed when parsing fails or the consumer stops. An empty body is not an error; the handler receives nothing.
 *
 * @returns yields the size of each block, in bytes, once the handler has received it
 * @throws XmlError; errors of the body and of the handler, unchanged
 */
export async function* readXml(body: Readable, options: XmlOptions, handler: XmlHandler): AsyncGenerator<number> {
  const { parseTime } = options
  const now = () => parseTime?.clock.now() ?? 0
  let document: XmlDocument | undefined
  let spentMs = 0
  for await (const block of blocksOf(body, options.maxBytes)) {
    // Import only now, when the iteration listens for errors of the body.
    document ??= await openDocument(options, handler)
    const startedAt = now()
    document.write(block)
    yield block.length
    spentMs += now() - startedAt
    if (spentMs > (parseTime?.maxMs ?? Infinity)) throw new XmlError('prohibited', 'takes too long to parse')
    await nextTurn()
  }
  document?.end()
}

async function openDocument(options: XmlOptions, handler: XmlHandler): Promise<XmlDocument> {
  const { SaxesParser } = await import('saxes')
  const parser = new SaxesParser({ position: false, defaultXMLVersion: '1.0', forceXMLVersion: true })
  return new XmlDocument(parser, options, handler)
}

/** Collects the bytes of a body into blocks of one size. All blocks share one buffer. */
async function* blocksOf(body: Readable, maxBytes: number): AsyncGenerator<Buffer> {
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  let received = 0
  let used = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    received += chunk.length
    if (received > maxBytes) throw new XmlError('prohibited', 'is too large')
    for (let offset = 0; offset < chunk.length;) {
      const copied = chunk.copy(block, used, offset)
      offset += copied
      used += copied
      if (used < BLOCK_BYTES) continue
      yield block
      used = 0
    }
  }
  if (used > 0) yield block.subarray(0, used)
}

/**
 * Adds limits to `saxes`. Its CPU time is linear: it reads each character once, and neither interprets document types
 * nor expands entities. It has no limits of its own on length, depth or number of attributes.
 */
class XmlDocument {
  readonly #options: XmlOptions
  readonly #decoder: TextDecoder
  readonly #parser: SaxesParser
  /** UTF-16 units skipped before the document, written to the parser, and written up to the end of the last token. */
  #skipped = 0
  #written = 0
  #tokenEnd = 0
  #tokens = 0
  #attributes = 0
  #depth = 0
  #isAtEnd = false

  constructor(parser: SaxesParser, options: XmlOptions, handler: XmlHandler) {
    this.#parser = parser
    this.#options = options
    this.#decoder = new TextDecoder('utf-8', { fatal: options.invalidUtf8 === 'refuse' })
    // XML 1.0 has no control characters, but S3 servers refer to them: Ceph does in continuation tokens.
    Object.assign(parser, { isChar: isScalarValue })
    parser.on('error', ({ message }) => {
      if (message.includes('doctype')) throw new XmlError('prohibited', 'declares a document type')
      throw new XmlError('malformed', this.#isAtEnd ? 'is truncated' : 'is not well-formed')
    })
    parser.on('doctype', (text) => {
      if (HTML.test(text)) throw new XmlError('malformed', 'is HTML')
      throw new XmlError('prohibited', 'declares a document type')
    })
    parser.on('attribute', () => {
      if (++this.#attributes > MAX_ATTRIBUTES) throw new XmlError('prohibited', 'has too many attributes')
    })
    parser.on('opentag', ({ name }) => {
      this.#endToken()
      this.#attributes = 0
      if (++this.#depth > options.maxDepth) throw new XmlError('prohibited', 'is nested too deeply')
      handler.onStart(name)
    })
    parser.on('closetag', ({ name }) => {
      this.#endToken()
      this.#depth--
      handler.onEnd(name)
    })
    const onText = (text: string) => {
      this.#endToken()
      if (this.#depth > 0) handler.onText(text)
    }
    parser.on('text', onText)
    parser.on('cdata', onText)
    parser.on('comment', () => {
      this.#endToken()
    })
    parser.on('processinginstruction', () => {
      this.#endToken()
    })
  }

  write(block: Buffer): void {
    this.#parse(this.#decode(block))
    if (this.#written - this.#tokenEnd > this.#options.maxTokenLength) throw tokenTooLong()
  }

  /** Finishes the document. @throws XmlError if it is incomplete */
  end(): void {
    this.#parse(this.#decode())
    this.#isAtEnd = true
    this.#parser.close()
  }

  #decode(block?: Buffer): string {
    try {
      return this.#decoder.decode(block, { stream: block !== undefined })
    } catch {
      throw new XmlError('malformed', 'is not UTF-8')
    }
  }

  #parse(decoded: string): void {
    let text = decoded
    if (this.#written === 0) {
      // Servers in PHP send the blank lines of a configuration file ahead of the XML declaration.
      text = text.replace(LEADING_WHITESPACE, '')
      this.#skipped += decoded.length - text.length
      if (this.#skipped > this.#options.maxTokenLength) throw tokenTooLong()
    }
    this.#written += text.length
    this.#parser.write(text)
  }

  #endToken(): void {
    if (++this.#tokens > this.#options.maxTokens) throw new XmlError('prohibited', 'has too many elements')
    const { position } = this.#parser
    if (position - this.#tokenEnd > this.#options.maxTokenLength) throw tokenTooLong()
    this.#tokenEnd = position
  }
}

function tokenTooLong(): XmlError {
  return new XmlError('prohibited', 'has a token that is too long')
}

/** Returns whether a number is a Unicode character other than NUL. False for `NaN`. */
function isScalarValue(code: number): boolean {
  return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
}
