import { createHash } from 'node:crypto'

const BLOCK_BYTES = 4 * 1024 * 1024

/** Computes Dropbox's `content_hash`: the SHA-256 of the SHA-256s of blocks of 4 MiB ("Content hash"). */
export class ContentHash {
  readonly #all = createHash('sha256')
  #block = createHash('sha256')
  #room = BLOCK_BYTES

  update(piece: Buffer): void {
    for (let rest = piece; rest.length > 0;) {
      const part = rest.subarray(0, this.#room)
      this.#block.update(part)
      this.#room -= part.length
      rest = rest.subarray(part.length)
      if (this.#room === 0) this.#endBlock()
    }
  }

  /** Returns the digest in hexadecimal. No more bytes can be added afterwards. */
  digest(): string {
    if (this.#room < BLOCK_BYTES) this.#endBlock()
    return this.#all.digest('hex')
  }

  #endBlock(): void {
    this.#all.update(this.#block.digest())
    this.#block = createHash('sha256')
    this.#room = BLOCK_BYTES
  }
}
