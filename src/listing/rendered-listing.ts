import { createHash } from 'node:crypto'
import type { Listing } from '../core/entry.ts'
import type { Coverage } from '../freshness/coverage.ts'

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
  /** The headers that describe the bytes, the same for every reader. */
  readonly headers: Readonly<Record<string, string>>
}

/** A serialised listing: rendered once when it is loaded, and compressed at most once per encoding. */
export class RenderedListing {
  /** The client's cursor of the next page; `null` if there is none. */
  readonly next: string | null
  readonly #coverage: Coverage | null
  readonly #hash: string
  readonly #identity: Representation
  readonly #compressed = new Map<Encoding, Representation>()
  readonly #claimed = new Set<Encoding | 'next'>()

  private constructor(bytes: Buffer, next: string | null, coverage: Coverage | null) {
    this.#coverage = coverage
    this.#hash = createHash('sha256').update(bytes).digest('base64url')
    this.#identity = createRepresentation(bytes, `"${this.#hash}"`, 'identity')
    this.next = next
  }

  /** @param coverage how the page can be confirmed later; `null`: not at all */
  static fromListing(listing: Listing, coverage: Coverage | null = null): RenderedListing {
    return new RenderedListing(Buffer.from(JSON.stringify(listing)), listing.page.next, coverage)
  }

  /** @param bytes a listing as JSON in UTF-8, serialised by this or another of our processes */
  static fromBytes(bytes: Buffer, coverage: Coverage | null = null): RenderedListing {
    return new RenderedListing(bytes, parseNextCursor(bytes), coverage)
  }

  get coverage(): Coverage | null {
    return this.#coverage
  }

  /** JSON in UTF-8. */
  get identity(): Representation {
    return this.#identity
  }

  /** The total size of all representations, in bytes. */
  get size(): number {
    let size = this.#identity.bytes.byteLength
    for (const { bytes } of this.#compressed.values()) size += bytes.byteLength
    return size
  }

  /** Returns the compressed representation if it exists. */
  getCompressed(encoding: Encoding): Representation | undefined {
    return this.#compressed.get(encoding)
  }

  addCompressed(encoding: Encoding, bytes: Buffer): void {
    this.#compressed.set(encoding, createRepresentation(bytes, `"${this.#hash}-${encoding}"`, encoding))
  }

  removeCompressed(encoding: Encoding): void {
    this.#compressed.delete(encoding)
  }

  /** Returns true on the first call for each kind of work. */
  claim(task: Encoding | 'next'): boolean {
    if (this.#claimed.has(task)) return false
    this.#claimed.add(task)
    return true
  }
}

function createRepresentation(bytes: Buffer, etag: string, encoding: Representation['encoding']): Representation {
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    etag,
    ...(encoding !== 'identity' && { 'content-encoding': encoding })
  }
  return { bytes: toOwnMemory(bytes), etag, encoding, headers }
}

/**
 * Copies bytes that are a part of a larger buffer, such as Node's pool for small buffers or a chunk of zlib's output: a
 * cached page would keep all of it in memory.
 */
function toOwnMemory(bytes: Buffer): Buffer {
  if (bytes.byteLength === bytes.buffer.byteLength) return bytes
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength)
  bytes.copy(copy)
  return copy
}

/** Avoids parsing the entries. `page` is the last property, and in a JSON string its text would have escaped quotes. */
function parseNextCursor(bytes: Buffer): string | null {
  const start = bytes.lastIndexOf('"page":{')
  if (start === -1) return null
  const { page } = JSON.parse(`{${bytes.toString('utf8', start)}`) as Pick<Listing, 'page'>
  return page.next
}
