import type { UploadCall } from '../../domain/storage-backend.ts'
import { failure, incomplete } from '../shared/http-failure.ts'
import { Patience } from '../shared/patience.ts'
import { type Chunk, withoutFirst } from '../shared/upload-chunks.ts'
import type { AskOptions, Taken } from './client.ts'
import type { Facts } from './facts.ts'
import type { DropboxServer } from './server.ts'
import { commitOnce, type Whole } from './upload-outcome.ts'

/**
 * An upload in several calls ("upload_session"). Nothing is to be seen of it before it is finished; one that never is
 * ends by itself after seven days, since Dropbox has no call for that.
 */
export class UploadSession {
  readonly #server: DropboxServer
  readonly #call: UploadCall
  readonly #options: AskOptions
  readonly #patience: Patience
  /** What Dropbox calls it, once it is begun. */
  #id: string | null = null

  /** @param missing what it means that there is nothing at the path of the file */
  constructor(server: DropboxServer, call: UploadCall, missing: AskOptions['missing']) {
    this.#server = server
    this.#call = call
    this.#options = { signal: call.signal, missing }
    this.#patience = new Patience(call.signal)
  }

  /** Sends a chunk, as often as it takes. @param start where in the upload it begins */
  async append(chunk: Chunk, start: number): Promise<void> {
    const end = start + chunk.length
    for (let at = start; at < end;) {
      try {
        // One whose name was lost is begun for nothing.
        this.#id ??= await this.#begin()
        const taken = await this.#send('append_v2', { close: false }, chunk, start, at)
        at = 'facts' in taken ? end : await this.#advance(at, taken.correctOffset, end)
      } catch (error) {
        await this.#patience.outlive(error)
      }
    }
    this.#patience.restore()
  }

  /** Sends the last chunk, and has the file made. @returns the file as Dropbox tells of it */
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
    if (typeof id !== 'string' || id === '') throw failure('PROVIDER_ERROR', 'Dropbox began an upload without a name')
    return id
  }

  async #send(operation: string, arg: Facts, { pieces, length }: Chunk, start: number, at: number): Promise<Taken> {
    const cursor = { session_id: this.#id, offset: at }
    const rest = { pieces: withoutFirst(pieces, at - start), length: start + length - at }
    return this.#server.client.upload(`upload_session/${operation}`, { cursor, ...arg }, rest, this.#options)
  }

  /** Where to go on. What Dropbox has lost again, or never was sent, is not ours to give any more. */
  async #advance(at: number, correct: number, end: number): Promise<number> {
    if (correct < at || correct > end) throw failure('PROVIDER_ERROR', 'Dropbox counts other bytes than we sent')
    if (correct > at) this.#patience.restore()
    else await this.#patience.pause(incomplete('Dropbox takes nothing of an upload'))
    return correct
  }
}
