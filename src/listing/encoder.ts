import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FolderCache } from './folder-cache.ts'
import type { FolderKey } from './folder-key.ts'
import type { ListFolderAnswer } from './list-folder.ts'
import type { Encoding, RenderedListing } from './rendered-listing.ts'

/** Below this a coded page is hardly shorter in packets. */
const MIN_BYTES = 1024
/** Node's thread pool has four threads, and who resolves names or reads files needs them too. */
const MAX_BUSY = 2
/** What is not a good deal shorter is not worth its memory. */
const MIN_SAVING = 0.1
/** More takes twice as long for a few per cent (docs/decisions/0024). */
const QUALITY = 4

const compress = { br: promisify(brotliCompress), gzip: promisify(gzip) }

/**
 * Codes kept pages, off the path of requests: the first who could read one coded gets it plain. What a page is coded to
 * counts as much as the page does.
 */
export class Encoder {
  readonly #cache: Pick<FolderCache, 'resize'>
  #busy = 0

  constructor(cache: Pick<FolderCache, 'resize'>) {
    this.#cache = cache
  }

  /**
   * Begins where nobody has begun yet. While too much is being coded it is left to the next who asks.
   *
   * @returns a promise where it has begun, for those who want to know when it is done. It never rejects.
   */
  begin({ key, listing, status }: ListFolderAnswer, encoding: Encoding): Promise<void> | undefined {
    const { bytes } = listing.identity
    // What is not kept is nobody's to read later.
    if (status.stored !== true || bytes.byteLength <= MIN_BYTES || this.#busy >= MAX_BUSY || !listing.begin(encoding))
      return undefined
    this.#busy += 1
    return this.#code(key, listing, encoding).finally(() => {
      this.#busy -= 1
    })
  }

  async #code(key: FolderKey, listing: RenderedListing, encoding: Encoding): Promise<void> {
    const { bytes } = listing.identity
    const coded = await compressed(bytes, encoding)
    if (coded === undefined || coded.byteLength > bytes.byteLength * (1 - MIN_SAVING)) return
    listing.addCoded(encoding, coded)
    if (!this.#cache.resize(key, listing)) listing.dropCoded(encoding)
  }
}

/** `undefined` where zlib had no memory for it: there is the page as it is. */
async function compressed(bytes: Buffer, encoding: Encoding): Promise<Buffer | undefined> {
  try {
    if (encoding === 'gzip') return await compress.gzip(bytes)
    const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = constants
    const params = { [BROTLI_PARAM_QUALITY]: QUALITY, [BROTLI_PARAM_SIZE_HINT]: bytes.byteLength }
    return await compress.br(bytes, { params })
  } catch {
    return undefined
  }
}
