import { Readable } from 'node:stream'
import type { HttpResponse } from '../../core/egress.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { isSameOrigin } from '../../net/redirects.ts'
import { failure, transientFailure } from '../shared/errors.ts'
import { readErrorBody } from '../shared/rest-client.ts'
import type { Chunk } from '../shared/upload.ts'
import { type ChunkOutcome, sendChunk, UploadRetry } from '../shared/upload-retry.ts'
import { driveFailure } from './errors.ts'
import type { DriveSession } from './session.ts'

const ACCEPTED_RANGE = /^bytes=0-(\d{1,15})$/

/** The file is JSON. */
type Outcome = ChunkOutcome<unknown>

/**
 * A resumable upload ("Perform a resumable upload"). Its URL is valid for a week and grants access by itself:
 * requests to it carry no token, and no message contains it.
 */
export class UploadSession {
  readonly #session: DriveSession
  readonly #url: URL
  readonly #signal: AbortSignal
  readonly #retry: UploadRetry

  /** @throws StorageError `PROVIDER_ERROR` for a URL outside the API's origin */
  constructor(session: DriveSession, location: string | undefined, signal: AbortSignal) {
    const url = location !== undefined && URL.canParse(location) ? new URL(location) : null
    const isValid =
      url !== null && isSameOrigin(url, new URL(session.origin)) && url.username === '' && url.password === ''
    if (!isValid) throw failure('PROVIDER_ERROR', 'Google Drive returned no upload URL on its own origin')
    this.#session = session
    this.#url = url
    this.#signal = signal
    this.#retry = new UploadRetry(signal)
  }

  /**
   * Sends a chunk, and retries until Google has it.
   *
   * @param start the offset of the chunk in the upload
   * @returns the file as JSON, after the last chunk; `null` before
   */
  send(chunk: Chunk, start: number): Promise<unknown> {
    return sendChunk('Google Drive', chunk, start, this.#retry, async (rest, offset, end) => {
      const total = chunk.isLast ? String(end) : '*'
      const range = offset === end ? `bytes */${total}` : `bytes ${offset}-${end - 1}/${total}`
      return (await this.#put(range, rest, end - offset)) ?? (await this.#getStatus(total))
    })
  }

  /** Deletes the session, which Google would otherwise store for a week. Runs in the background. */
  cancel(): void {
    const request = { method: 'DELETE', url: this.#url, signal: new AbortController().signal }
    this.#session.egress
      .request({ ...request, headers: { 'content-length': '0' } })
      .then((response) => response.discard())
      .catch(() => {})
  }

  /** Returns the state of the upload, and retries until Google reports it. */
  async #getStatus(total: string): Promise<Outcome> {
    for (;;) {
      const outcome = await this.#put(`bytes */${total}`, [], 0)
      if (outcome !== null) return outcome
    }
  }

  /** @returns `null`, after a back-off, if the outcome is unknown */
  async #put(range: string, pieces: readonly Buffer[], length: number): Promise<Outcome | null> {
    let response: HttpResponse
    try {
      response = await this.#session.egress.request({
        method: 'PUT',
        url: this.#url,
        signal: this.#signal,
        // Sent as a stream, and so without a total deadline: the duration depends on the network.
        purpose: 'transfer',
        headers: { 'content-range': range, 'content-length': String(length) },
        body: length === 0 ? Buffer.alloc(0) : Readable.from(pieces, { objectMode: false })
      })
    } catch (error) {
      this.#signal.throwIfAborted()
      return this.#backOff(error)
    }
    const { status, headers } = response
    const problem = await readErrorBody(response, this.#session.timeouts.idleMs)
    this.#signal.throwIfAborted()
    if (status === 308) return { accepted: readAcceptedBytes(headers['range']) }
    if (status === 200 || status === 201) {
      // Without the file in the body, it is unknown whether it was stored.
      return problem === undefined ? this.#backOff(failure('PROVIDER_UNAVAILABLE')) : { file: problem }
    }
    if (status === 404 || status === 410) throw transientFailure('Google Drive no longer knows the upload session')
    return this.#backOff(driveFailure('PUT', response, problem, 'FOLDER_NOT_FOUND'), readRetryAfter(headers))
  }

  async #backOff(error: unknown, retryAfterMs?: number): Promise<null> {
    await this.#retry.backOff(error, retryAfterMs)
    return null
  }
}

/** Returns the number of bytes that Google has, from the `Range` of a 308; 0 without that header. */
function readAcceptedBytes(range: string | undefined): number {
  if (range === undefined) return 0
  const [, last] = ACCEPTED_RANGE.exec(range) ?? []
  if (last === undefined) throw failure('PROVIDER_ERROR', 'Google Drive reported no valid upload progress')
  return Number(last) + 1
}
