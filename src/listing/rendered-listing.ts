import { createHash } from 'node:crypto'
import type { Listing } from '../domain/entry.ts'

/** A listing as it goes over the wire: serialised once, when it was loaded. */
export class RenderedListing {
  /** A strong validator: equal content has an equal one. Quoted, as the header has it. */
  readonly etag: string
  readonly #bytes: Buffer

  /** @param bytes a listing as JSON in UTF-8 */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.etag = `"${createHash('sha256').update(this.#bytes).digest('base64url')}"`
  }

  static of(listing: Listing): RenderedListing {
    return new RenderedListing(Buffer.from(JSON.stringify(listing)))
  }

  /** JSON in UTF-8. Shared by all who read it: not to be written to. */
  get bytes(): Buffer {
    return this.#bytes
  }
}
