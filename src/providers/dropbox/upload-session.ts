import type { JsonObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { type Chunk, skipBytes } from '../shared/upload.ts'
import type { UploadRetry } from '../shared/upload-retry.ts'
import type { DropboxClient, RequestOptions, UploadResult } from './session.ts'

/**
 * An upload in several calls ("upload_session"). It is invisible until it is finished. An unfinished session expires
 * after seven days; Dropbox has no call to end it.
 */
export class UploadSession {
  readonly #client: DropboxClient
  readonly #retry: UploadRetry
  readonly #options: RequestOptions
  /** The session id; `null` until the session has started. */
  #id: string | null = null
  /** The offset of the next chunk, and the number of bytes that Dropbox has. */
  #start = 0
  #offset = 0

  /** @param options with the meaning of a missing path */
  constructor(client: DropboxClient, retry: UploadRetry, options: RequestOptions) {
    this.#client = client
    this.#retry = retry
    this.#options = options
  }

  /** Sends the next chunk, and retries until Dropbox has it. */
  async append(chunk: Chunk): Promise<void> {
    const end = this.#start + chunk.length
    while (this.#offset < end) {
      try {
        // If the response with the id is lost, that session stays unused.
        this.#id ??= await this.#begin()
        const result = await this.#send('append_v2', { close: false }, chunk)
        if ('metadata' in result) this.#offset = end
        else await this.#advance(result.correctOffset, end)
      } catch (error) {
        await this.#retry.backOff(error)
      }
    }
    this.#start = end
    this.#retry.reset()
  }

  /**
   * Sends the last chunk and commits the file, in one call.
   *
   * @returns the file's metadata; `null` if Dropbox has another number of bytes, so that the call must be repeated
   */
  async finish(chunk: Chunk, commit: JsonObject): Promise<JsonObject | null> {
    const result = await this.#send('finish', { commit }, chunk)
    if ('metadata' in result) return result.metadata
    await this.#advance(result.correctOffset, this.#start + chunk.length)
    return null
  }

  async #begin(): Promise<string> {
    const result = await this.#client.upload('upload_session/start', { close: false }, null, this.#options)
    const id = 'metadata' in result ? result.metadata['session_id'] : undefined
    if (typeof id !== 'string' || id === '') throw failure('PROVIDER_ERROR', 'Dropbox returned no upload session id')
    return id
  }

  /** Sends the bytes of a chunk that Dropbox does not have yet. */
  async #send(operation: string, arg: JsonObject, { pieces, length }: Chunk): Promise<UploadResult> {
    const offset = this.#offset
    const accepted = offset - this.#start
    const cursor = { session_id: this.#id, offset }
    const rest = { pieces: skipBytes(pieces, accepted), length: length - accepted }
    return this.#client.upload(`upload_session/${operation}`, { cursor, ...arg }, rest, this.#options)
  }

  async #advance(correctOffset: number, end: number): Promise<void> {
    this.#offset = await this.#retry.advance('Dropbox', this.#offset, correctOffset, end)
  }
}
