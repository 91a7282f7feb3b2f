import { Readable } from 'node:stream'
import type { HttpResponse } from '../../core/egress.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import { asObject, type JsonObject, textOf } from '../shared/entries.ts'
import { failure, transientFailure } from '../shared/errors.ts'
import { readErrorBody } from '../shared/rest-client.ts'
import type { Chunk } from '../shared/upload.ts'
import { type ChunkOutcome, sendChunk, UploadRetry } from '../shared/upload-retry.ts'
import { graphFailure } from './errors.ts'
import type { GraphSession } from './session.ts'

const RANGE = /^(\d{1,15})-/

type Outcome = ChunkOutcome<JsonObject>

/**
 * A resumable upload ("driveItem: createUploadSession"). Its URL is valid for days and grants access by itself: no
 * message contains it, and requests to it carry no token, with which Graph would refuse them.
 */
export class UploadSession {
  /** Whether the session disappeared after its last fragment, so that it may have become the file. */
  mayBeCommitted = false
  readonly #session: GraphSession
  readonly #url: URL
  readonly #total: number
  readonly #signal: AbortSignal
  readonly #retry: UploadRetry
  #hasSentLast = false

  /** @throws StorageError `PROVIDER_ERROR` for a URL outside Microsoft's hosts */
  constructor(session: GraphSession, uploadUrl: unknown, total: number, signal: AbortSignal) {
    this.#session = session
    this.#url = parseProviderUrl(uploadUrl, session.contentHosts, 'The upload URL')
    this.#total = total
    this.#signal = signal
    this.#retry = new UploadRetry(signal)
  }

  /**
   * Sends a fragment, and retries until Graph has it.
   *
   * @param start the offset of the fragment in the upload
   * @returns the item, after the last fragment; `null` before
   */
  send(fragment: Chunk, start: number): Promise<JsonObject | null> {
    const { isLast } = fragment
    this.#hasSentLast = isLast
    return sendChunk('OneDrive', fragment, start, this.#retry, async (rest, offset, end) => {
      const outcome = (await this.#put(rest, offset, end)) ?? (await this.#getStatus())
      const isAllAccepted = 'accepted' in outcome && outcome.accepted === end
      if (isAllAccepted && isLast) throw transientFailure('OneDrive received all bytes but created no file')
      return outcome
    })
  }

  /** Deletes the session, which Microsoft would otherwise store for days. Runs in the background. */
  cancel(): void {
    this.#session.egress
      .request({ method: 'DELETE', url: this.#url, signal: new AbortController().signal })
      .then((response) => response.discard())
      .catch(() => {})
  }

  /** Returns the state of the upload, and retries until Microsoft reports it. */
  async #getStatus(): Promise<Outcome> {
    for (;;) {
      const outcome = await this.#request('GET', {})
      if (outcome !== null) return outcome
    }
  }

  async #put(pieces: readonly Buffer[], offset: number, end: number): Promise<Outcome | null> {
    return this.#request('PUT', {
      headers: {
        'content-range': `bytes ${offset}-${end - 1}/${this.#total}`,
        'content-length': String(end - offset),
        'content-type': 'application/octet-stream'
      },
      // Sent as a stream, and so without a total deadline: the duration depends on the network.
      body: Readable.from(pieces, { objectMode: false })
    })
  }

  /** @returns `null`, after a back-off, if the outcome is unknown */
  async #request(
    method: string,
    options: { readonly headers?: Readonly<Record<string, string>>; readonly body?: Readable }
  ): Promise<Outcome | null> {
    let response: HttpResponse
    try {
      response = await this.#session.egress.request({
        method,
        url: this.#url,
        signal: this.#signal,
        purpose: 'transfer',
        ...options
      })
    } catch (error) {
      this.#signal.throwIfAborted()
      return this.#backOff(error)
    }
    const { status, headers } = response
    const body = await readErrorBody(response, this.#session.timeouts.idleMs)
    this.#signal.throwIfAborted()
    if (status >= 200 && status <= 299) {
      // Without the body, it is unknown whether the fragment was stored.
      return body === undefined
        ? this.#backOff(failure('PROVIDER_UNAVAILABLE'))
        : readOutcome(asObject(body), this.#total)
    }
    // Graph already has these bytes; the state of the upload shows how many.
    if (status === 416 && method === 'PUT') return null
    if (status === 404 || status === 410) {
      this.mayBeCommitted = this.#hasSentLast
      throw transientFailure('OneDrive no longer knows the upload session')
    }
    return this.#backOff(graphFailure(method, response, body, 'FOLDER_NOT_FOUND'), readRetryAfter(headers))
  }

  async #backOff(error: unknown, retryAfterMs?: number): Promise<null> {
    await this.#retry.backOff(error, retryAfterMs)
    return null
  }
}

/** @throws StorageError `PROVIDER_ERROR` if the body is neither an item nor the state of an upload */
function readOutcome(body: JsonObject, total: number): Outcome {
  const { id, nextExpectedRanges } = body
  if (textOf(id) !== null) return { file: body }
  const ranges: readonly unknown[] | null = Array.isArray(nextExpectedRanges) ? nextExpectedRanges : null
  if (ranges?.length === 0) return { accepted: total }
  const [, start] = RANGE.exec(textOf(ranges?.[0]) ?? '') ?? []
  if (start === undefined) throw failure('PROVIDER_ERROR', 'OneDrive reported no valid upload progress')
  return { accepted: Number(start) }
}
