import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FolderCache } from '../cache/folder-cache.ts'
import type { FolderKey } from '../cache/types.ts'
import type { ListFolderAnswer } from './list-folder.ts'
import type { Encoding, RenderedListing } from './rendered-listing.ts'

/** Below this size, compression hardly reduces the number of packets. */
const MIN_BYTES = 1024
/** Node's thread pool has four threads, which name resolution and file reads need, too. */
const MAX_BUSY = 2
/** Smaller savings are not worth the memory. */
const MIN_SAVING = 0.1
/** Higher qualities take twice as long for a few per cent (docs/decisions/0024). */
const QUALITY = 4

const compress = { br: promisify(brotliCompress), gzip: promisify(gzip) }

/**
 * Compresses cached pages in the background: the first request that accepts an encoding gets the uncompressed page.
 * The compressed form counts towards the size of the cache, too.
 */
export class Encoder {
  readonly #cache: Pick<FolderCache, 'resize'>
  #busy = 0

  constructor(cache: Pick<FolderCache, 'resize'>) {
    this.#cache = cache
  }

  /**
   * Starts a compression once per page and encoding. While too many run, a later request starts it.
   *
   * @returns a promise if it has started, for callers that need to know when it ends. It never rejects.
   */
  begin({ key, listing, status }: ListFolderAnswer, encoding: Encoding): Promise<void> | undefined {
    const { bytes } = listing.identity
    // A page that is not cached has no later readers.
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

/** Returns `undefined` if zlib had no memory; the uncompressed page is used then. */
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
