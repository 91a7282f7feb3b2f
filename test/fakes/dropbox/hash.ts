import { createHash } from 'node:crypto'

const BLOCK_BYTES = 4 * 1024 * 1024
const cache = new WeakMap<Buffer, string>()

/** Computes Dropbox's `content_hash`: the SHA-256 of the SHA-256s of 4 MiB blocks (its page "Content hash"). */
export function contentHash(content: Buffer): string {
  const cached = cache.get(content)
  if (cached !== undefined) return cached
  const all = createHash('sha256')
  for (let at = 0; at < content.length; at += BLOCK_BYTES) {
    all.update(
      createHash('sha256')
        .update(content.subarray(at, at + BLOCK_BYTES))
        .digest()
    )
  }
  const hash = all.digest('hex')
  cache.set(content, hash)
  return hash
}
