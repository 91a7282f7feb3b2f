import { createHash } from 'node:crypto'
import type { Listing } from '../domain/entry.ts'

/** How a body can be coded, the best first (RFC 9110 section 8.4.1). */
export const ENCODINGS = ['br', 'gzip'] as const
export type Encoding = (typeof ENCODINGS)[number]

/** One of the forms that a listing has on the wire. */
export interface Representation {
  /** Shared by all who read it: not to be written to. */
  readonly bytes: Buffer
  /** A strong validator: equal bytes have an equal one. Quoted, as the header has it. */
  readonly etag: string
  readonly encoding: Encoding | 'identity'
}

/** A listing as it goes over the wire: serialised once, when it was loaded, and coded once by whom it was asked of. */
export class RenderedListing {
  /** The client's cursor for the page after this one; `null` where there is none. */
  readonly next: string | null
  readonly #hash: string
  readonly #identity: Representation
  readonly #coded = new Map<Encoding, Representation>()
  readonly #begun = new Set<Encoding | 'next'>()

  private constructor(bytes: Buffer, next: string | null) {
    this.#hash = createHash('sha256').update(bytes).digest('base64url')
    this.#identity = { bytes, etag: `"${this.#hash}"`, encoding: 'identity' }
    this.next = next
  }

  static of(listing: Listing): RenderedListing {
    return new RenderedListing(Buffer.from(JSON.stringify(listing)), listing.page.next)
  }

  /** @param bytes a listing as JSON in UTF-8, serialised by us: in another process, for instance */
  static ofBytes(bytes: Buffer): RenderedListing {
    return new RenderedListing(bytes, nextOf(bytes))
  }

  /** JSON in UTF-8. */
  get identity(): Representation {
    return this.#identity
  }

  /** Of all its forms together, in bytes. */
  get size(): number {
    let size = this.#identity.bytes.byteLength
    for (const { bytes } of this.#coded.values()) size += bytes.byteLength
    return size
  }

  /** Coded, where it has been. */
  coded(encoding: Encoding): Representation | undefined {
    return this.#coded.get(encoding)
  }

  addCoded(encoding: Encoding, bytes: Buffer): void {
    this.#coded.set(encoding, { bytes, etag: `"${this.#hash}-${encoding}"`, encoding })
  }

  dropCoded(encoding: Encoding): void {
    this.#coded.delete(encoding)
  }

  /** Whether nobody has begun this yet; from now on somebody has. */
  begin(what: Encoding | 'next'): boolean {
    if (this.#begun.has(what)) return false
    this.#begun.add(what)
    return true
  }
}

/** Without parsing the entries: `page` comes last, and inside of a JSON string its text would have its quotes escaped. */
function nextOf(bytes: Buffer): string | null {
  const at = bytes.lastIndexOf('"page":{')
  if (at === -1) return null
  const { page } = JSON.parse(`{${bytes.toString('utf8', at)}`) as Pick<Listing, 'page'>
  return page.next
}
