import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HttpAnswer } from '../../domain/egress.ts'
import { isStorageError, type StorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { readRetryAfter } from '../../infra/net/retry-after.ts'
import { failure, incomplete } from '../shared/http-failure.ts'
import { Patience } from '../shared/patience.ts'
import { asObject } from '../shared/read-json.ts'
import { readProblem } from '../shared/read-problem.ts'
import type { Ask } from '../shared/rest-client.ts'
import type { Chunk } from '../shared/upload-chunks.ts'
import type { BoxItem } from './entries.ts'
import type { BoxServer } from './server.ts'
import type { Destination } from './upload-target.ts'

/** Larger parts than this are not held in memory, whatever Box says. */
const MAX_PART_BYTES = 256 * 1024 * 1024
const MAX_PARTS = 100_000
const ID = /^[\w-]{1,128}$/
/** How often Box may say that it is still putting a file together, and how long we wait where it does not say. */
const MAX_WAITS = 60
const WAIT_MS = 1000

/** What Box says of one call, where it says yes. */
interface Told {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** As a commit names it. */
interface Part {
  readonly part_id: string
  readonly offset: number
  readonly size: number
}

/**
 * A file that goes in parts (Box's guide "Chunked uploads"). Its addresses are made of its id: of those that Box names
 * in its answer none decides where a token goes.
 */
export class UploadSession {
  /** How large each part is, in bytes; the last one may be smaller. */
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
    if (!isUsable) throw failure('PROVIDER_ERROR', 'Box began an upload without an id, or with parts of no usable size')
    this.partBytes = partBytes
    this.#server = server
    this.#path = `/api/2.0/files/upload_sessions/${id}`
    this.#size = size
    this.#etag = etag
    this.#signal = signal
    this.#patience = new Patience(signal)
  }

  /** @throws StorageError what the upload is refused with */
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

  /** Sends the next part, as often as it takes. */
  async send({ pieces, length }: Chunk): Promise<void> {
    const offset = this.#parts.length * this.partBytes
    const hash = createHash('sha1')
    for (const piece of pieces) hash.update(piece)
    const sha1 = hash.digest()
    for (;;) {
      const told = await this.#attempt({
        method: 'PUT',
        url: this.#url(),
        // A stream, and so under no total deadline: how long a part takes is the network's business.
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
   * Makes the parts a file, once Box has put them together.
   *
   * @param sha1 of all of it
   * @param findStored looks whether the file is there: asked where Box refuses a commit after an answer was lost
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
        // It may be done while we wait, and then refuse to do it again.
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

  /** Ends the session at Box, which keeps what was sent for a week otherwise. Nobody waits for it. */
  cancel(): void {
    const { signal } = new AbortController()
    this.#server.client
      .exchange({ method: 'DELETE', url: this.#url(), signal, missing: 'OBJECT_NOT_FOUND' })
      .then((answer) => answer.discard())
      .catch(() => {})
  }

  /** Whether Box has the part, of which no answer came. @returns `null` where it has not */
  async #partAt(index: number): Promise<unknown> {
    for (;;) {
      const told = await this.#attempt({ url: this.#url(`/parts?offset=${index}&limit=1`) })
      if (told === null) continue
      const { entries } = asObject(told.body)
      if (!Array.isArray(entries)) throw failure('PROVIDER_ERROR', 'Box answered without a list of parts')
      return entries[0] ?? null
    }
  }

  /** @returns `null` where nobody knows what became of it; we have waited then */
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
      throw incomplete('Box has forgotten an upload')
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

  /** A part that is there already was sent before, and its answer was lost. */
  async #outliveOverlap(error: unknown): Promise<null> {
    if (!isStorageError(error, 'ALREADY_EXISTS')) throw error
    await this.#patience.pause(error)
    return null
  }

  #url(path = ''): URL {
    return new URL(this.#path + path, this.#server.upload)
  }
}

/** @throws StorageError `PROVIDER_ERROR` for what is not the part that was sent */
function requirePart(said: unknown, offset: number, size: number, sha1: string): Part {
  const part = asObject(said)
  const { part_id: id } = part
  const isSame = part['offset'] === offset && part['size'] === size && part['sha1'] === sha1
  if (typeof id === 'string' && isSame) return { part_id: id, offset, size }
  throw failure('PROVIDER_ERROR', 'Box has another part of an upload than was sent')
}

function notFinished(): StorageError {
  return incomplete('Box does not finish an upload')
}
