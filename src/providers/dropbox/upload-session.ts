import type { UploadCall } from '../../core/backend.ts'
import { isStorageError } from '../../errors.ts'
import { failure, transientFailure } from '../shared/errors.ts'
import { UploadRetry } from '../shared/upload-retry.ts'
import { type Chunk, skipBytes } from '../shared/upload.ts'
import type { RequestOptions, UploadResult } from './client.ts'
import type { Metadata } from './entries.ts'
import { isNotApplied } from './errors.ts'
import { type DropboxSession, getItem } from './session.ts'
import type { Destination } from './upload-target.ts'

/**
 * An upload in several calls ("upload_session"). It is invisible until it is finished. An unfinished session expires
 * after seven days; Dropbox has no call to end it.
 */
export class UploadSession {
  readonly #session: DropboxSession
  readonly #call: UploadCall
  readonly #options: RequestOptions
  readonly #retry: UploadRetry
  /** The session id; `null` until the session has started. */
  #id: string | null = null

  /** @param missing the meaning of a missing path */
  constructor(session: DropboxSession, call: UploadCall, missing: RequestOptions['missing']) {
    this.#session = session
    this.#call = call
    this.#options = { signal: call.signal, missing }
    this.#retry = new UploadRetry(call.signal)
  }

  /** Sends a chunk, and retries until Dropbox has it. @param start its offset in the upload */
  async append(chunk: Chunk, start: number): Promise<void> {
    const end = start + chunk.length
    for (let offset = start; offset < end;) {
      try {
        // If the response with the id is lost, that session stays unused.
        this.#id ??= await this.#start()
        const result = await this.#send('append_v2', { close: false }, chunk, start, offset)
        offset = 'metadata' in result ? end : await this.#advance(offset, result.correctOffset, end)
      } catch (error) {
        await this.#retry.backOff(error)
      }
    }
    this.#retry.reset()
  }

  /** Sends the last chunk and commits the file. @returns the file's metadata */
  async finish(chunk: Chunk, start: number, upload: CompleteUpload): Promise<Metadata> {
    const { commit } = upload.destination
    let offset = start
    return commitOnce(this.#session, upload, this.#call, this.#retry, async () => {
      const result = await this.#send('finish', { commit }, chunk, start, offset)
      if ('metadata' in result) return result.metadata
      offset = await this.#advance(offset, result.correctOffset, start + chunk.length)
      return null
    })
  }

  async #start(): Promise<string> {
    const result = await this.#session.client.upload('upload_session/start', { close: false }, null, this.#options)
    const id = 'metadata' in result ? result.metadata['session_id'] : undefined
    if (typeof id !== 'string' || id === '') throw failure('PROVIDER_ERROR', 'Dropbox returned no upload session id')
    return id
  }

  async #send(
    operation: string,
    arg: Metadata,
    { pieces, length }: Chunk,
    start: number,
    offset: number
  ): Promise<UploadResult> {
    const cursor = { session_id: this.#id, offset }
    const rest = { pieces: skipBytes(pieces, offset - start), length: start + length - offset }
    return this.#session.client.upload(`upload_session/${operation}`, { cursor, ...arg }, rest, this.#options)
  }

  /** Returns the offset to continue at. Fails if Dropbox lost accepted bytes or counts more than were sent. */
  async #advance(offset: number, correctOffset: number, end: number): Promise<number> {
    if (correctOffset < offset || correctOffset > end)
      throw failure('PROVIDER_ERROR', 'Dropbox reported an invalid byte count')
    if (correctOffset > offset) this.#retry.reset()
    else await this.#retry.pause(transientFailure('Dropbox accepted no bytes of the upload'))
    return correctOffset
  }
}

/** A completely received file that is to be committed. */
export interface CompleteUpload {
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
  session: DropboxSession,
  upload: CompleteUpload,
  call: UploadCall,
  retry: UploadRetry,
  commit: () => Promise<Metadata | null>
): Promise<Metadata> {
  let isOutcomeUnknown = false
  for (;;) {
    try {
      const stored = (isOutcomeUnknown ? await findStored(session, upload, call) : null) ?? (await commit())
      if (stored !== null) return stored
    } catch (error) {
      if (isOutcomeUnknown && isStorageError(error, 'ALREADY_EXISTS')) {
        const stored = await findStored(session, upload, call)
        if (stored !== null) return stored
      }
      await retry.backOff(error)
      isOutcomeUnknown ||= !isNotApplied(error)
    }
  }
}

/** Returns the file if it has the uploaded content. */
async function findStored(
  session: DropboxSession,
  { destination, size, hash }: CompleteUpload,
  call: UploadCall
): Promise<Metadata | null> {
  const metadata = await getItem(session, destination.path, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  })
  if (metadata === null || metadata['size'] !== size || metadata['content_hash'] !== hash) return null
  // The previous version may have the same content.
  return metadata['rev'] === destination.previousVersion ? null : metadata
}
