import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FolderCache } from '../cache/folder-cache.ts'
import type { FolderKey } from '../cache/types.ts'
import type { ListFolderResult } from './list-folder.ts'
import type { Encoding, RenderedListing } from './rendered-listing.ts'

/** Below this size, compression hardly reduces the number of packets. */
const MIN_BYTES = 1024
/** Node's thread pool has four threads, which name resolution and file reads need, too. */
const MAX_RUNNING = 2
/** Smaller savings are not worth the memory. */
const MIN_SAVING = 0.1
/** Higher qualities take twice as long for a few per cent (docs/decisions/0024). */
const QUALITY = 4

const compressors = { br: promisify(brotliCompress), gzip: promisify(gzip) }

/**
 * Compresses cached pages in the background: the first request that accepts an encoding gets the uncompressed page.
 * The compressed form counts towards the size of the cache, too.
 */
export class Compressor {
  readonly #cache: Pick<FolderCache, 'resize'>
  #running = 0

  constructor(cache: Pick<FolderCache, 'resize'>) {
    this.#cache = cache
  }

  /**
   * Starts a compression once per page and encoding. While too many run, a later request starts it.
   *
   * @returns a promise if it has started, for callers that need to know when it ends. It never rejects.
   */
  begin({ key, listing, status }: ListFolderResult, encoding: Encoding): Promise<void> | undefined {
    const { bytes } = listing.identity
    // A page that is not cached has no later readers.
    if (
      status.stored !== true ||
      bytes.byteLength <= MIN_BYTES ||
      this.#running >= MAX_RUNNING ||
      !listing.claim(encoding)
    )
      return undefined
    this.#running += 1
    return this.#compressAndAdd(key, listing, encoding).finally(() => {
      this.#running -= 1
    })
  }

  async #compressAndAdd(key: FolderKey, listing: RenderedListing, encoding: Encoding): Promise<void> {
    const { bytes } = listing.identity
    const compressed = await compress(bytes, encoding)
    if (compressed === undefined || compressed.byteLength > bytes.byteLength * (1 - MIN_SAVING)) return
    listing.addCompressed(encoding, compressed)
    if (!this.#cache.resize(key, listing)) listing.removeCompressed(encoding)
  }
}

/** Returns `undefined` if zlib had no memory; the uncompressed page is used then. */
async function compress(bytes: Buffer, encoding: Encoding): Promise<Buffer | undefined> {
  try {
    if (encoding === 'gzip') return await compressors.gzip(bytes)
    const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = constants
    const params = { [BROTLI_PARAM_QUALITY]: QUALITY, [BROTLI_PARAM_SIZE_HINT]: bytes.byteLength }
    return await compressors.br(bytes, { params })
  } catch {
    return undefined
  }
}
