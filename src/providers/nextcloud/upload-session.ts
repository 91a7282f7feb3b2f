import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { UploadCall } from '../../core/backend.ts'
import { StorageError } from '../../errors.ts'
import type { DavPaths } from '../dav/paths.ts'
import { type ExistingFile, ifHeader, preconditionError } from '../dav/precondition.ts'
import type { DavSession } from '../dav/session.ts'
import { type DavTarget, discardFile, isStored, move, put, writeFailure } from '../dav/upload.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { UploadRetry } from '../shared/upload-retry.ts'
import type { Chunk } from '../shared/upload.ts'

const MIB = 1024 * 1024
/** Nextcloud accepts 5 MB to 5 GB. Proxies in front of it often limit bodies, and a chunk is buffered in memory. */
const MIN_CHUNK_BYTES = 10 * MIB
const MAX_CHUNK_BYTES = 64 * MIB
/** Nextcloud's limit. */
export const MAX_CHUNKS = 10_000

/** @throws StorageError `PAYLOAD_TOO_LARGE` */
export function chunkBytesFor(size: number | undefined): number {
  const bytes = Math.max(MIN_CHUNK_BYTES, Math.ceil((size ?? 0) / MAX_CHUNKS / MIB) * MIB)
  if (bytes > MAX_CHUNK_BYTES) throw tooLarge()
  return bytes
}

function tooLarge(): StorageError {
  return new StorageError('PAYLOAD_TOO_LARGE', 'The upload is larger than Nextcloud accepts in chunks.')
}

/** A chunked upload v2, invisible before {@link finish}. Nextcloud removes an unfinished one after a day. */
export class ChunkedUpload {
  readonly #session: DavSession
  readonly #uploads: DavPaths
  readonly #target: DavTarget
  readonly #call: UploadCall
  readonly #retry: UploadRetry
  readonly #maxChunks: number
  readonly #name = randomUUID()
  #isStarted = false
  #chunkCount = 0

  constructor(session: DavSession, uploads: DavPaths, target: DavTarget, call: UploadCall, maxChunks: number) {
    this.#maxChunks = maxChunks
    this.#session = session
    this.#uploads = uploads
    this.#target = target
    this.#call = call
    this.#retry = new UploadRetry(call.signal)
  }

  /** Sends a chunk, and retries after a temporary failure. */
  async append(chunk: Chunk): Promise<void> {
    if (!this.#isStarted) await this.#start()
    if (++this.#chunkCount > this.#maxChunks) throw tooLarge()
    const name = String(this.#chunkCount).padStart(5, '0')
    for (let isSent = false; !isSent;) {
      try {
        await this.#send(name, chunk)
        isSent = true
      } catch (error) {
        await this.#retry.backOff(error)
      }
    }
    this.#retry.reset()
  }

  /** Assembles the file from the chunks. @returns whether it is new */
  async finish(existing: ExistingFile | null, size: number): Promise<boolean> {
    const { url, id } = this.#target
    const response = await move(this.#session, this.#urlOf('.file'), url, this.#call, {
      overwrite: this.#call.ifNoneMatch === '*' ? 'F' : 'T',
      'oc-total-length': String(size),
      ...ifHeader(url, existing)
    })
    if (isStored(response)) return response.status === 201
    if (response.status === 412) throw preconditionError(this.#call)
    throw await writeFailure(this.#session, 'MOVE', id, response, this.#call)
  }

  /** Removes the chunks of a failed upload, also after its caller has disconnected. */
  async discard(): Promise<void> {
    if (this.#isStarted) await discardFile(this.#session, this.#urlOf(''))
  }

  async #start(): Promise<void> {
    const { signal } = this.#call
    this.#isStarted = true
    const url = this.#urlOf('')
    const response = await this.#session.client.send({ method: 'MKCOL', url, signal, headers: this.#destination })
    await response.discard()
    if (response.status === 201) return
    throw httpFailure('MKCOL', response, 'FOLDER_NOT_FOUND')
  }

  async #send(name: string, { pieces, length }: Chunk): Promise<void> {
    const url = this.#urlOf(name)
    const { size } = this.#call
    const headers = { ...this.#destination, ...(size !== undefined && { 'oc-total-length': String(size) }) }
    const body = Readable.from(pieces, { objectMode: false })
    const response = await put(this.#session, { url, mimeType: undefined }, body, length, this.#call, headers)
    if (isStored(response)) return
    if (response.status === 404 || response.status === 409) {
      throw failure('PROVIDER_ERROR', 'The server no longer knows the chunked upload')
    }
    throw httpFailure('PUT', response, 'FOLDER_NOT_FOUND')
  }

  /** With this header Nextcloud uses version 2 of its protocol, and checks the quota of the target. */
  get #destination(): Record<string, string> {
    return { destination: this.#target.url.href }
  }

  /** @param name of a chunk, or empty for the upload's folder */
  #urlOf(name: string): URL {
    return this.#uploads.urlOf(`${this.#name}/${name}`)
  }
}
