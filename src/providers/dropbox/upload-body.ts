import { Readable } from 'node:stream'

/** Content as a stream, and so under no deadline of an answer: how long it takes is the network's business. */
export class UploadBody extends Readable {
  /** Whether it was sent with a token that Dropbox does not take: nothing was done with it. */
  isRefused = false
  readonly #pieces: IterableIterator<Buffer>

  /** @param pieces none of which is empty */
  constructor(pieces: readonly Buffer[]) {
    super()
    this.#pieces = pieces.values()
  }

  override _read(): void {
    const next = this.#pieces.next()
    this.push(next.done === true ? null : next.value)
  }
}
