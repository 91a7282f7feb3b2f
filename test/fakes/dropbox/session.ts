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
  readonly #pieces = new Map<number, Buffer>()

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
    for (const [offset, piece] of this.#pieces) size = Math.max(size, offset + piece.length)
    return size
  }

  /** Returns why a piece is refused. */
  refusal(offset: number, piece: Buffer, isLast: boolean): files.UploadSessionAppendError | null {
    if (this.isClosed || this.state === 'finished') return { '.tag': 'closed' }
    if (!this.isConcurrent) {
      return offset === this.size ? null : { '.tag': 'incorrect_offset', correct_offset: this.size }
    }
    if (offset % UNIT !== 0) return { '.tag': 'concurrent_session_invalid_offset' }
    return piece.length % UNIT === 0 || isLast ? null : { '.tag': 'concurrent_session_invalid_data_size' }
  }

  add(offset: number, piece: Buffer): void {
    if (piece.length > 0) this.#pieces.set(offset, piece)
  }

  hasGaps(): boolean {
    return this.content().length !== this.size
  }

  content(): Buffer {
    const pieces = [...this.#pieces].sort(([one], [other]) => one - other)
    return Buffer.concat(pieces.map(([, piece]) => piece))
  }
}
