import { createHash } from 'node:crypto'
import type { Listing } from '../core/entry.ts'

/** Supported content codings, the preferred one first (RFC 9110 section 8.4.1). */
export const ENCODINGS = ['br', 'gzip'] as const
export type Encoding = (typeof ENCODINGS)[number]

/** A representation of a listing in HTTP. */
export interface Representation {
  /** Shared by all readers; must not be modified. */
  readonly bytes: Buffer
  /** A strong validator, quoted as in the header. Equal bytes have equal validators. */
  readonly etag: string
  readonly encoding: Encoding | 'identity'
}

/** A serialised listing: rendered once when it is loaded, and compressed at most once per encoding. */
export class RenderedListing {
  /** The client's cursor of the next page; `null` if there is none. */
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

  /** @param bytes a listing as JSON in UTF-8, serialised by this or another of our processes */
  static ofBytes(bytes: Buffer): RenderedListing {
    return new RenderedListing(bytes, nextOf(bytes))
  }

  /** JSON in UTF-8. */
  get identity(): Representation {
    return this.#identity
  }

  /** The total size of all representations, in bytes. */
  get size(): number {
    let size = this.#identity.bytes.byteLength
    for (const { bytes } of this.#coded.values()) size += bytes.byteLength
    return size
  }

  /** Returns the compressed representation if it exists. */
  coded(encoding: Encoding): Representation | undefined {
    return this.#coded.get(encoding)
  }

  addCoded(encoding: Encoding, bytes: Buffer): void {
    this.#coded.set(encoding, { bytes, etag: `"${this.#hash}-${encoding}"`, encoding })
  }

  dropCoded(encoding: Encoding): void {
    this.#coded.delete(encoding)
  }

  /** Returns true on the first call for each kind of work. */
  begin(what: Encoding | 'next'): boolean {
    if (this.#begun.has(what)) return false
    this.#begun.add(what)
    return true
  }
}

/** Avoids parsing the entries. `page` is the last property, and in a JSON string its text would have escaped quotes. */
function nextOf(bytes: Buffer): string | null {
  const at = bytes.lastIndexOf('"page":{')
  if (at === -1) return null
  const { page } = JSON.parse(`{${bytes.toString('utf8', at)}`) as Pick<Listing, 'page'>
  return page.next
}
