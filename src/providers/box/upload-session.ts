import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HttpAnswer } from '../../core/egress.ts'
import { isStorageError, type StorageError } from '../../errors.ts'
import type { Call } from '../../core/backend.ts'
import { readRetryAfter } from '../../net/errors.ts'
import { failure, incomplete } from '../shared/errors.ts'
import { Patience } from '../shared/upload-retry.ts'
import { asObject } from '../shared/rest-client.ts'
import { readProblem } from '../shared/rest-client.ts'
import type { Ask } from '../shared/rest-client.ts'
import type { Chunk } from '../shared/upload.ts'
import type { BoxItem } from './entries.ts'
import type { BoxServer } from './session.ts'
import type { Destination } from './upload-target.ts'

/** The largest part that is buffered in memory, whatever size Box requests. */
const MAX_PART_BYTES = 256 * 1024 * 1024
const MAX_PARTS = 100_000
const ID = /^[\w-]{1,128}$/
/** Maximum 202 responses to a commit while Box assembles a file, and the delay if a response has none. */
const MAX_WAITS = 60
const WAIT_MS = 1000

/** A successful response. */
interface Told {
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
  readonly #server: BoxServer
  readonly #path: string
  readonly #size: number
  readonly #etag: string | null
  readonly #signal: AbortSignal
  readonly #patience: Patience
  readonly #parts: Part[] = []

  private constructor(server: BoxServer, session: BoxItem, size: number, etag: string | null, { signal }: Call) {
    const { id, part_size: partBytes } = session
    const isUsable =
      typeof id === 'string' &&
      ID.test(id) &&
      typeof partBytes === 'number' &&
      Number.isInteger(partBytes) &&
      partBytes <= MAX_PART_BYTES &&
      size / partBytes <= MAX_PARTS &&
      partBytes > 0
    if (!isUsable) throw failure('PROVIDER_ERROR', 'Box started an upload without a valid id and part size')
    this.partBytes = partBytes
    this.#server = server
    this.#path = `/api/2.0/files/upload_sessions/${id}`
    this.#size = size
    this.#etag = etag
    this.#signal = signal
    this.#patience = new Patience(signal)
  }

  /** Creates a session. @throws StorageError if Box refuses the upload */
  static async begin(server: BoxServer, destination: Destination, size: number, call: Call): Promise<UploadSession> {
    const isNew = 'parent' in destination
    const path = isNew ? 'upload_sessions' : `${destination.about.id}/upload_sessions`
    const session = await server.client.json({
      method: 'POST',
      url: new URL(`/api/2.0/files/${path}`, server.upload),
      signal: call.signal,
      json: isNew
        ? { folder_id: destination.parent.id, file_name: destination.name, file_size: size }
        : { file_size: size },
      missing: isNew ? 'FOLDER_NOT_FOUND' : 'OBJECT_NOT_FOUND'
    })
    return new UploadSession(server, session, size, isNew ? null : destination.etag, call)
  }

  /** Sends the next part, and retries until Box has it. */
  async send({ pieces, length }: Chunk): Promise<void> {
    const offset = this.#parts.length * this.partBytes
    const hash = createHash('sha1')
    for (const piece of pieces) hash.update(piece)
    const sha1 = hash.digest()
    for (;;) {
      const told = await this.#attempt({
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
      }).catch((error: unknown) => this.#outliveOverlap(error))
      const said = told === null ? await this.#partAt(this.#parts.length) : asObject(told.body)['part']
      if (said !== null) {
        this.#parts.push(requirePart(said, offset, length, sha1.toString('hex')))
        this.#patience.restore()
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
  async commit(sha1: Buffer, findStored: () => Promise<BoxItem | null>): Promise<BoxItem> {
    let mayBeDone = false
    const commit: Pick<Ask, 'method' | 'url' | 'headers' | 'json'> = {
      method: 'POST',
      url: this.#url('/commit'),
      json: { parts: this.#parts },
      headers: {
        digest: `sha=${sha1.toString('base64')}`,
        ...(this.#etag !== null && { 'if-match': this.#etag })
      }
    }
    for (let waits = 0; waits < MAX_WAITS;) {
      const told = await this.#attempt(commit).catch(async (error: unknown) => {
        const stored = mayBeDone ? await findStored() : null
        if (stored === null) throw error
        return { stored }
      })
      if (told === null) {
        mayBeDone = true
      } else if ('stored' in told) {
        return told.stored
      } else if (told.status === 202) {
        // The commit may finish during the wait. Box then refuses a second one.
        mayBeDone = true
        waits += 1
        this.#patience.restore()
        await this.#patience.pause(notFinished(), readRetryAfter(told.headers) ?? WAIT_MS)
      } else {
        const { entries } = asObject(told.body)
        return asObject(Array.isArray(entries) ? entries[0] : undefined)
      }
    }
    throw notFinished()
  }

  /** Deletes the session, which Box would otherwise store for a week. Runs in the background. */
  cancel(): void {
    const { signal } = new AbortController()
    this.#server.client
      .exchange({ method: 'DELETE', url: this.#url(), signal, missing: 'OBJECT_NOT_FOUND' })
      .then((answer) => answer.discard())
      .catch(() => {})
  }

  /** Looks up a part after a lost response. @returns `null` if Box does not have it */
  async #partAt(index: number): Promise<unknown> {
    for (;;) {
      const told = await this.#attempt({ url: this.#url(`/parts?offset=${index}&limit=1`) })
      if (told === null) continue
      const { entries } = asObject(told.body)
      if (!Array.isArray(entries)) throw failure('PROVIDER_ERROR', 'Box returned no list of parts')
      return entries[0] ?? null
    }
  }

  /** Sends a request. @returns `null`, after a back-off, if its outcome is unknown */
  async #attempt(asked: Pick<Ask, 'method' | 'url' | 'headers' | 'body' | 'json'>): Promise<Told | null> {
    const { client, timeouts } = this.#server
    const ask: Ask = { ...asked, signal: this.#signal, purpose: 'transfer', missing: 'OBJECT_NOT_FOUND' }
    let answer: HttpAnswer
    try {
      answer = await client.exchange(ask)
    } catch (error) {
      return this.#outlive(error)
    }
    const { status, headers } = answer
    if (status === 404 || status === 410) {
      await answer.discard()
      throw incomplete('Box no longer knows the upload session')
    }
    if (status > 299) return this.#outlive(await client.refusal(ask, answer), readRetryAfter(headers))
    const body = await readProblem(answer, timeouts.idleMs)
    this.#signal.throwIfAborted()
    if (body === undefined && status !== 202) return this.#outlive(failure('PROVIDER_UNAVAILABLE'))
    return { status, headers, body }
  }

  async #outlive(error: unknown, retryAfterMs?: number): Promise<null> {
    await this.#patience.outlive(error, retryAfterMs)
    return null
  }

  /** Handles a part that Box already has: an earlier attempt stored it, but its response was lost. */
  async #outliveOverlap(error: unknown): Promise<null> {
    if (!isStorageError(error, 'ALREADY_EXISTS')) throw error
    await this.#patience.pause(error)
    return null
  }

  #url(path = ''): URL {
    return new URL(this.#path + path, this.#server.upload)
  }
}

/** @throws StorageError `PROVIDER_ERROR` if it is not the part that was sent */
function requirePart(said: unknown, offset: number, size: number, sha1: string): Part {
  const part = asObject(said)
  const { part_id: id } = part
  const isSame = part['offset'] === offset && part['size'] === size && part['sha1'] === sha1
  if (typeof id === 'string' && isSame) return { part_id: id, offset, size }
  throw failure('PROVIDER_ERROR', 'Box received another part than was sent')
}

function notFinished(): StorageError {
  return incomplete('Box did not finish the upload in time')
}
