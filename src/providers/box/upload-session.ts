import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HttpResponse } from '../../core/egress.ts'
import { isStorageError, type StorageError } from '../../errors.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { asObject, type JsonObject } from '../shared/entries.ts'
import { failure, transientFailure } from '../shared/errors.ts'
import { readErrorBody, type RestRequest } from '../shared/rest-client.ts'
import type { Chunk } from '../shared/upload.ts'
import { UploadRetry } from '../shared/upload-retry.ts'
import type { BoxSession } from './session.ts'

/** The largest part that is buffered in memory, whatever size Box requests. */
const MAX_PART_BYTES = 256 * 1024 * 1024
const MAX_PARTS = 100_000
const SESSION_ID = /^[\w-]{1,128}$/
/** Maximum 202 responses to a commit while Box assembles a file, and the delay if a response has none. */
const MAX_WAITS = 60
const DEFAULT_WAIT_MS = 1000

/** A successful response. */
interface UploadResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** A part as a commit lists it. */
interface Part {
  readonly part_id: string
  readonly offset: number
  readonly size: number
}

/**
 * A chunked upload (Box's guide "Chunked uploads"). Its URLs are built from the session id. The URLs in Box's
 * response are ignored, so that they cannot direct a token elsewhere.
 */
export class UploadSession {
  /** The size of each part in bytes; the last one may be smaller. */
  readonly partBytes: number
  readonly #session: BoxSession
  readonly #path: string
  readonly #size: number
  readonly #etag: string | null
  readonly #signal: AbortSignal
  readonly #retry: UploadRetry
  readonly #parts: Part[] = []

  /**
   * @param created Box's response
   * @param size of the upload in bytes
   * @param etag the `If-Match` condition of the commit
   * @throws StorageError `PROVIDER_ERROR` for a response without a valid id and part size
   */
  constructor(session: BoxSession, created: JsonObject, size: number, etag: string | null, signal: AbortSignal) {
    const { id, part_size: partBytes } = created
    const isValid =
      typeof id === 'string' &&
      SESSION_ID.test(id) &&
      typeof partBytes === 'number' &&
      Number.isInteger(partBytes) &&
      partBytes <= MAX_PART_BYTES &&
      size / partBytes <= MAX_PARTS &&
      partBytes > 0
    if (!isValid) throw failure('PROVIDER_ERROR', 'Box started an upload without a valid id and part size')
    this.partBytes = partBytes
    this.#session = session
    this.#path = `/api/2.0/files/upload_sessions/${id}`
    this.#size = size
    this.#etag = etag
    this.#signal = signal
    this.#retry = new UploadRetry(signal)
  }

  /** Sends the next part, and retries until Box has it. */
  async send({ pieces, length }: Chunk): Promise<void> {
    const offset = this.#parts.length * this.partBytes
    const hash = createHash('sha1')
    for (const piece of pieces) hash.update(piece)
    const sha1 = hash.digest()
    for (;;) {
      const response = await this.#attempt({
        method: 'PUT',
        url: this.#url(),
        // Sent as a stream, and so without a total deadline: the duration depends on the network.
        body: () => Readable.from(pieces, { objectMode: false }),
        headers: {
          'content-type': 'application/octet-stream',
          'content-length': String(length),
          'content-range': `bytes ${offset}-${offset + length - 1}/${this.#size}`,
          digest: `sha=${sha1.toString('base64')}`
        }
      }).catch((error: unknown) => this.#backOffIfStored(error))
      const reportedPart = response === null ? await this.#getPart(this.#parts.length) : asObject(response.body)['part']
      if (reportedPart !== null) {
        this.#parts.push(requirePart(reportedPart, offset, length, sha1.toString('hex')))
        this.#retry.reset()
        return
      }
    }
  }

  /**
   * Commits the parts, and waits until Box has assembled them.
   *
   * @param sha1 the digest of the whole file
   * @param findStored looks up the stored file. Called if Box refuses a commit after a lost response.
   */
  async commit(sha1: Buffer, findStored: () => Promise<JsonObject | null>): Promise<JsonObject> {
    let mayBeCommitted = false
    const commit: Pick<RestRequest, 'method' | 'url' | 'headers' | 'json'> = {
      method: 'POST',
      url: this.#url('/commit'),
      json: { parts: this.#parts },
      headers: {
        digest: `sha=${sha1.toString('base64')}`,
        ...(this.#etag !== null && { 'if-match': this.#etag })
      }
    }
    for (let waitCount = 0; waitCount < MAX_WAITS;) {
      const response = await this.#attempt(commit).catch(async (error: unknown) => {
        const stored = mayBeCommitted ? await findStored() : null
        if (stored === null) throw error
        return { stored }
      })
      if (response === null) {
        mayBeCommitted = true
      } else if ('stored' in response) {
        return response.stored
      } else if (response.status === 202) {
        // The commit may finish during the wait. Box then refuses a second one.
        mayBeCommitted = true
        waitCount += 1
        this.#retry.reset()
        await this.#retry.pause(notFinished(), readRetryAfter(response.headers) ?? DEFAULT_WAIT_MS)
      } else {
        const { entries } = asObject(response.body)
        return asObject(Array.isArray(entries) ? entries[0] : undefined)
      }
    }
    throw notFinished()
  }

  /** Deletes the session, which Box would otherwise store for a week. Runs in the background. */
  cancel(): void {
    const { signal } = new AbortController()
    this.#session.client
      .send({ method: 'DELETE', url: this.#url(), signal, missing: 'OBJECT_NOT_FOUND' })
      .then((response) => response.discard())
      .catch(() => {})
  }

  /** Looks up a part after a lost response. @returns `null` if Box does not have it */
  async #getPart(index: number): Promise<unknown> {
    for (;;) {
      const response = await this.#attempt({ url: this.#url(`/parts?offset=${index}&limit=1`) })
      if (response === null) continue
      const { entries } = asObject(response.body)
      if (!Array.isArray(entries)) throw failure('PROVIDER_ERROR', 'Box returned no list of parts')
      return entries[0] ?? null
    }
  }

  /** Sends a request. @returns `null`, after a back-off, if its outcome is unknown */
  async #attempt(
    options: Pick<RestRequest, 'method' | 'url' | 'headers' | 'body' | 'json'>
  ): Promise<UploadResponse | null> {
    const { client, timeouts } = this.#session
    const request: RestRequest = { ...options, signal: this.#signal, purpose: 'transfer', missing: 'OBJECT_NOT_FOUND' }
    let response: HttpResponse
    try {
      response = await client.send(request)
    } catch (error) {
      return this.#backOff(error)
    }
    const { status, headers } = response
    if (status === 404 || status === 410) {
      await response.discard()
      throw transientFailure('Box no longer knows the upload session')
    }
    if (status > 299) return this.#backOff(await client.readError(request, response), readRetryAfter(headers))
    const body = await readErrorBody(response, timeouts.idleMs)
    this.#signal.throwIfAborted()
    if (body === undefined && status !== 202) return this.#backOff(failure('PROVIDER_UNAVAILABLE'))
    return { status, headers, body }
  }

  async #backOff(error: unknown, retryAfterMs?: number): Promise<null> {
    await this.#retry.backOff(error, retryAfterMs)
    return null
  }

  /** Handles a part that Box already has: an earlier attempt stored it, but its response was lost. */
  async #backOffIfStored(error: unknown): Promise<null> {
    if (!isStorageError(error, 'ALREADY_EXISTS')) throw error
    await this.#retry.pause(error)
    return null
  }

  #url(path = ''): URL {
    return new URL(this.#path + path, this.#session.uploadOrigin)
  }
}

/** @throws StorageError `PROVIDER_ERROR` if it is not the part that was sent */
function requirePart(reportedPart: unknown, offset: number, size: number, sha1: string): Part {
  const part = asObject(reportedPart)
  const { part_id: id } = part
  const isSame = part['offset'] === offset && part['size'] === size && part['sha1'] === sha1
  if (typeof id === 'string' && isSame) return { part_id: id, offset, size }
  throw failure('PROVIDER_ERROR', 'Box received another part than was sent')
}

function notFinished(): StorageError {
  return transientFailure('Box did not finish the upload in time')
}
