import { Readable } from 'node:stream'
import type { HttpAnswer } from '../../core/egress.ts'
import { isSameOrigin } from '../../net/http-client.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { failure, incomplete } from '../shared/errors.ts'
import { Patience } from '../shared/upload-retry.ts'
import { readProblem } from '../shared/rest-client.ts'
import { type Chunk, withoutFirst } from '../shared/upload.ts'
import { driveFailure } from './errors.ts'
import type { DriveServer } from './session.ts'

const ACCEPTED = /^bytes=0-(\d{1,15})$/

/** The outcome of a chunk: the number of bytes that Google has, or the completed file. */
type Outcome = { readonly accepted: number } | { readonly file: unknown }

/**
 * A resumable upload ("Perform a resumable upload"). Its URL is valid for a week and grants access by itself:
 * requests to it carry no token, and no message contains it.
 */
export class UploadSession {
  readonly #server: DriveServer
  readonly #url: URL
  readonly #signal: AbortSignal
  readonly #patience: Patience

  /** @throws StorageError `PROVIDER_ERROR` for a URL outside the API's origin */
  constructor(server: DriveServer, location: string | undefined, signal: AbortSignal) {
    const url = location !== undefined && URL.canParse(location) ? new URL(location) : null
    const isOurs =
      url !== null && isSameOrigin(url, new URL(server.origin)) && url.username === '' && url.password === ''
    if (!isOurs) throw failure('PROVIDER_ERROR', 'Google Drive returned no upload URL on its own origin')
    this.#server = server
    this.#url = url
    this.#signal = signal
    this.#patience = new Patience(signal)
  }

  /**
   * Sends a chunk, and retries until Google has it.
   *
   * @param start the offset of the chunk in the upload
   * @returns the file as JSON, after the last chunk; `null` before
   */
  async send({ pieces, length, isLast }: Chunk, start: number): Promise<unknown> {
    const end = start + length
    const total = isLast ? String(end) : '*'
    let at = start
    for (;;) {
      const rest = withoutFirst(pieces, at - start)
      const range = at === end ? `bytes */${total}` : `bytes ${at}-${end - 1}/${total}`
      const outcome = (await this.#put(range, rest, end - at)) ?? (await this.#query(total))
      if ('file' in outcome) {
        if (!isLast) throw failure('PROVIDER_ERROR', 'Google Drive completed the upload before its end')
        return outcome.file
      }
      const { accepted } = outcome
      // Fails if Google lost accepted bytes or counts more than were sent.
      if (accepted < at || accepted > end)
        throw failure('PROVIDER_ERROR', 'Google Drive reported an invalid byte count')
      if (accepted > at) this.#patience.restore()
      if (accepted === end && !isLast) return null
      if (accepted === at) await this.#patience.pause(incomplete('Google Drive accepted no bytes of the upload'))
      at = accepted
    }
  }

  /** Deletes the session, which Google would otherwise store for a week. Runs in the background. */
  cancel(): void {
    const request = { method: 'DELETE', url: this.#url, signal: new AbortController().signal }
    this.#server.egress
      .request({ ...request, headers: { 'content-length': '0' } })
      .then((answer) => answer.discard())
      .catch(() => {})
  }

  /** Returns the state of the upload, and retries until Google reports it. */
  async #query(total: string): Promise<Outcome> {
    for (;;) {
      const outcome = await this.#put(`bytes */${total}`, [], 0)
      if (outcome !== null) return outcome
    }
  }

  /** @returns `null`, after a back-off, if the outcome is unknown */
  async #put(range: string, pieces: readonly Buffer[], length: number): Promise<Outcome | null> {
    let answer: HttpAnswer
    try {
      answer = await this.#server.egress.request({
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
      return this.#outlive(error)
    }
    const { status, headers } = answer
    const problem = await readProblem(answer, this.#server.timeouts.idleMs)
    this.#signal.throwIfAborted()
    if (status === 308) return { accepted: acceptedOf(headers['range']) }
    if (status === 200 || status === 201) {
      // Without the file in the body, it is unknown whether it was stored.
      return problem === undefined ? this.#outlive(failure('PROVIDER_UNAVAILABLE')) : { file: problem }
    }
    if (status === 404 || status === 410) throw incomplete('Google Drive no longer knows the upload session')
    return this.#outlive(driveFailure('PUT', answer, problem, 'FOLDER_NOT_FOUND'), readRetryAfter(headers))
  }

  async #outlive(error: unknown, retryAfterMs?: number): Promise<null> {
    await this.#patience.outlive(error, retryAfterMs)
    return null
  }
}

/** Returns the number of bytes that Google has, from the `Range` of a 308; 0 without that header. */
function acceptedOf(range: string | undefined): number {
  if (range === undefined) return 0
  const [, last] = ACCEPTED.exec(range) ?? []
  if (last === undefined) throw failure('PROVIDER_ERROR', 'Google Drive reported no valid upload progress')
  return Number(last) + 1
}
