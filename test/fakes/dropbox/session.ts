import type { files } from 'dropbox'

/** Pieces of concurrent sessions begin and end at multiples of this, except for the last. */
const UNIT = 4 * 1024 * 1024

/** A file that may be incomplete. */
export class UploadSession {
  readonly id: string
  readonly user: string
  readonly expires: number
  readonly isConcurrent: boolean
  /** `left`: created by a single-call upload that could not be saved, to store its content. */
  state: 'open' | 'left' | 'finished'
  isClosed = false
  /** By start offset. */
  readonly #chunks = new Map<number, Buffer>()

  constructor(id: string, user: string, expires: number, isConcurrent: boolean, state: 'open' | 'left') {
    this.id = id
    this.user = user
    this.expires = expires
    this.isConcurrent = isConcurrent
    this.state = state
  }

  /** The number of bytes up to the end of the last piece. */
  get size(): number {
    let size = 0
    for (const [offset, chunk] of this.#chunks) size = Math.max(size, offset + chunk.length)
    return size
  }

  /** Returns why a piece is refused. */
  appendError(offset: number, chunk: Buffer, isLast: boolean): files.UploadSessionAppendError | null {
    if (this.isClosed || this.state === 'finished') return { '.tag': 'closed' }
    if (!this.isConcurrent) {
      return offset === this.size ? null : { '.tag': 'incorrect_offset', correct_offset: this.size }
    }
    if (offset % UNIT !== 0) return { '.tag': 'concurrent_session_invalid_offset' }
    return chunk.length % UNIT === 0 || isLast ? null : { '.tag': 'concurrent_session_invalid_data_size' }
  }

  add(offset: number, chunk: Buffer): void {
    if (chunk.length > 0) this.#chunks.set(offset, chunk)
  }

  hasGaps(): boolean {
    return this.content().length !== this.size
  }

  content(): Buffer {
    const chunks = [...this.#chunks].sort(([one], [other]) => one - other)
    return Buffer.concat(chunks.map(([, chunk]) => chunk))
  }
}
