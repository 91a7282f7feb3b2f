import type { UploadCall } from '../../core/backend.ts'
import { isStorageError } from '../../errors.ts'
import { failure, incomplete } from '../shared/errors.ts'
import { Patience } from '../shared/upload-retry.ts'
import { type Chunk, withoutFirst } from '../shared/upload.ts'
import type { AskOptions, Taken } from './client.ts'
import type { Facts } from './entries.ts'
import { isUndone } from './errors.ts'
import { type DropboxServer, look } from './session.ts'
import type { Destination } from './upload-target.ts'

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

/** A completely received file that is to be committed. */
export interface Whole {
  readonly destination: Destination
  readonly size: number
  /** Dropbox's `content_hash`. */
  readonly hash: string
}

/**
 * Commits a file once. After a lost response the file may already exist, so it is looked up before each retry and
 * when Dropbox reports a conflict. A file that has our content and was not there before counts as ours. With a
 * condition this is wrong in one case: if two clients write the same content at the same time and one loses a
 * response, both succeed. Without a condition, a file with our content is the requested result.
 *
 * @param commit sends the commit; returns `null` if Dropbox asks to repeat it
 */
export async function commitOnce(
  server: DropboxServer,
  whole: Whole,
  call: UploadCall,
  patience: Patience,
  commit: () => Promise<Facts | null>
): Promise<Facts> {
  let isDoubtful = false
  for (;;) {
    try {
      const made = (isDoubtful ? await findStored(server, whole, call) : null) ?? (await commit())
      if (made !== null) return made
    } catch (error) {
      if (isDoubtful && isStorageError(error, 'ALREADY_EXISTS')) {
        const made = await findStored(server, whole, call)
        if (made !== null) return made
      }
      await patience.outlive(error)
      isDoubtful ||= !isUndone(error)
    }
  }
}

/** Returns the file if it has the uploaded content. */
async function findStored(
  server: DropboxServer,
  { destination, size, hash }: Whole,
  call: UploadCall
): Promise<Facts | null> {
  const facts = await look(server, destination.path, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  })
  if (facts === null || facts['size'] !== size || facts['content_hash'] !== hash) return null
  // The previous version may have the same content.
  return facts['rev'] === destination.before ? null : facts
}
