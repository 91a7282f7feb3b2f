import { Readable } from 'node:stream'
import type { HttpAnswer } from '../../core/egress.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { failure, incomplete } from '../shared/errors.ts'
import { Patience } from '../shared/upload-retry.ts'
import { pinnedUrl } from '../shared/bearer.ts'
import { asObject, textOf } from '../shared/rest-client.ts'
import { readProblem } from '../shared/rest-client.ts'
import { type Chunk, withoutFirst } from '../shared/upload.ts'
import type { Resource } from './entries.ts'
import { graphFailure } from './errors.ts'
import type { GraphServer } from './session.ts'

const RANGE = /^(\d{1,15})-/

/** The outcome of a fragment: the number of bytes that Graph has, or the completed item. */
type Outcome = { readonly accepted: number } | { readonly item: Resource }

/**
 * A resumable upload ("driveItem: createUploadSession"). Its URL is valid for days and grants access by itself: no
 * message contains it, and requests to it carry no token, with which Graph would refuse them.
 */
export class UploadSession {
  /** Whether the session disappeared after its last fragment, so that it may have become the file. */
  isForgotten = false
  readonly #server: GraphServer
  readonly #url: URL
  readonly #total: number
  readonly #signal: AbortSignal
  readonly #patience: Patience
  #isSent = false

  /** @throws StorageError `PROVIDER_ERROR` for a URL outside Microsoft's hosts */
  constructor(server: GraphServer, address: unknown, total: number, signal: AbortSignal) {
    this.#server = server
    this.#url = pinnedUrl(address, server.contentHosts, 'The upload URL')
    this.#total = total
    this.#signal = signal
    this.#patience = new Patience(signal)
  }

  /**
   * Sends a fragment, and retries until Graph has it.
   *
   * @param start the offset of the fragment in the upload
   * @returns the item, after the last fragment; `null` before
   */
  async send({ pieces, length, isLast }: Chunk, start: number): Promise<Resource | null> {
    const end = start + length
    this.#isSent = isLast
    for (let at = start; ;) {
      const rest = withoutFirst(pieces, at - start)
      const outcome = (await this.#put(rest, at, end)) ?? (await this.#ask())
      if ('item' in outcome) {
        if (!isLast) throw failure('PROVIDER_ERROR', 'OneDrive completed the upload before its end')
        return outcome.item
      }
      const { accepted } = outcome
      // Fails if Graph lost accepted bytes or counts more than were sent.
      if (accepted < at || accepted > end) throw failure('PROVIDER_ERROR', 'OneDrive reported an invalid byte count')
      if (accepted > at) this.#patience.restore()
      if (accepted === end && !isLast) return null
      if (accepted === end) throw incomplete('OneDrive received all bytes but created no file')
      if (accepted === at) await this.#patience.pause(incomplete('OneDrive accepted no bytes of the upload'))
      at = accepted
    }
  }

  /** Deletes the session, which Microsoft would otherwise store for days. Runs in the background. */
  cancel(): void {
    this.#server.egress
      .request({ method: 'DELETE', url: this.#url, signal: new AbortController().signal })
      .then((answer) => answer.discard())
      .catch(() => {})
  }

  /** Returns the state of the upload, and retries until Microsoft reports it. */
  async #ask(): Promise<Outcome> {
    for (;;) {
      const outcome = await this.#exchange('GET', {})
      if (outcome !== null) return outcome
    }
  }

  async #put(pieces: readonly Buffer[], at: number, end: number): Promise<Outcome | null> {
    return this.#exchange('PUT', {
      headers: {
        'content-range': `bytes ${at}-${end - 1}/${this.#total}`,
        'content-length': String(end - at),
        'content-type': 'application/octet-stream'
      },
      // Sent as a stream, and so without a total deadline: the duration depends on the network.
      body: Readable.from(pieces, { objectMode: false })
    })
  }

  /** @returns `null`, after a back-off, if the outcome is unknown */
  async #exchange(
    method: string,
    more: { readonly headers?: Readonly<Record<string, string>>; readonly body?: Readable }
  ): Promise<Outcome | null> {
    let answer: HttpAnswer
    try {
      answer = await this.#server.egress.request({
        method,
        url: this.#url,
        signal: this.#signal,
        purpose: 'transfer',
        ...more
      })
    } catch (error) {
      this.#signal.throwIfAborted()
      return this.#outlive(error)
    }
    const { status, headers } = answer
    const body = await readProblem(answer, this.#server.timeouts.idleMs)
    this.#signal.throwIfAborted()
    if (status >= 200 && status <= 299) {
      // Without the body, it is unknown whether the fragment was stored.
      return body === undefined
        ? this.#outlive(failure('PROVIDER_UNAVAILABLE'))
        : readOutcome(asObject(body), this.#total)
    }
    // Graph already has these bytes; the state of the upload shows how many.
    if (status === 416 && method === 'PUT') return null
    if (status === 404 || status === 410) {
      this.isForgotten = this.#isSent
      throw incomplete('OneDrive no longer knows the upload session')
    }
    return this.#outlive(graphFailure(method, answer, body, 'FOLDER_NOT_FOUND'), readRetryAfter(headers))
  }

  async #outlive(error: unknown, retryAfterMs?: number): Promise<null> {
    await this.#patience.outlive(error, retryAfterMs)
    return null
  }
}

/** @throws StorageError `PROVIDER_ERROR` if the body is neither an item nor the state of an upload */
function readOutcome(body: Resource, total: number): Outcome {
  const { id, nextExpectedRanges } = body
  if (textOf(id) !== null) return { item: body }
  const ranges: readonly unknown[] | null = Array.isArray(nextExpectedRanges) ? nextExpectedRanges : null
  if (ranges?.length === 0) return { accepted: total }
  const [, start] = RANGE.exec(textOf(ranges?.[0]) ?? '') ?? []
  if (start === undefined) throw failure('PROVIDER_ERROR', 'OneDrive reported no valid upload progress')
  return { accepted: Number(start) }
}
