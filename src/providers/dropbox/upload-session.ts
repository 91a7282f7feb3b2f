import type { UploadCall } from '../../domain/storage-backend.ts'
import { failure, incomplete } from '../shared/http-failure.ts'
import { Patience } from '../shared/patience.ts'
import { type Chunk, withoutFirst } from '../shared/upload-chunks.ts'
import type { AskOptions, Taken } from './client.ts'
import type { Facts } from './facts.ts'
import type { DropboxServer } from './server.ts'
import { commitOnce, type Whole } from './upload-outcome.ts'

/**
 * An upload in several calls ("upload_session"). It is invisible until it is finished. An unfinished session expires
 * after seven days; Dropbox has no call to end it.
 */
export class UploadSession {
  readonly #server: DropboxServer
  readonly #call: UploadCall
  readonly #options: AskOptions
  readonly #patience: Patience
  /** The session id; `null` until the session has started. */
  #id: string | null = null

  /** @param missing the meaning of a missing path */
  constructor(server: DropboxServer, call: UploadCall, missing: AskOptions['missing']) {
    this.#server = server
    this.#call = call
    this.#options = { signal: call.signal, missing }
    this.#patience = new Patience(call.signal)
  }

  /** Sends a chunk, and retries until Dropbox has it. @param start its offset in the upload */
  async append(chunk: Chunk, start: number): Promise<void> {
    const end = start + chunk.length
    for (let at = start; at < end;) {
      try {
        // If the response with the id is lost, that session stays unused.
        this.#id ??= await this.#begin()
        const taken = await this.#send('append_v2', { close: false }, chunk, start, at)
        at = 'facts' in taken ? end : await this.#advance(at, taken.correctOffset, end)
      } catch (error) {
        await this.#patience.outlive(error)
      }
    }
    this.#patience.restore()
  }

  /** Sends the last chunk and commits the file. @returns the file's metadata */
  async finish(chunk: Chunk, start: number, whole: Whole): Promise<Facts> {
    const { commit } = whole.destination
    let at = start
    return commitOnce(this.#server, whole, this.#call, this.#patience, async () => {
      const taken = await this.#send('finish', { commit }, chunk, start, at)
      if ('facts' in taken) return taken.facts
      at = await this.#advance(at, taken.correctOffset, start + chunk.length)
      return null
    })
  }

  async #begin(): Promise<string> {
    const taken = await this.#server.client.upload('upload_session/start', { close: false }, null, this.#options)
    const id = 'facts' in taken ? taken.facts['session_id'] : undefined
    if (typeof id !== 'string' || id === '') throw failure('PROVIDER_ERROR', 'Dropbox returned no upload session id')
    return id
  }

  async #send(operation: string, arg: Facts, { pieces, length }: Chunk, start: number, at: number): Promise<Taken> {
    const cursor = { session_id: this.#id, offset: at }
    const rest = { pieces: withoutFirst(pieces, at - start), length: start + length - at }
    return this.#server.client.upload(`upload_session/${operation}`, { cursor, ...arg }, rest, this.#options)
  }

  /** Returns the offset to continue at. Fails if Dropbox lost accepted bytes or counts more than were sent. */
  async #advance(at: number, correct: number, end: number): Promise<number> {
    if (correct < at || correct > end) throw failure('PROVIDER_ERROR', 'Dropbox reported an invalid byte count')
    if (correct > at) this.#patience.restore()
    else await this.#patience.pause(incomplete('Dropbox accepted no bytes of the upload'))
    return correct
  }
}
