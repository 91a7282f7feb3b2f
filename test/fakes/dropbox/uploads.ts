import { randomBytes } from 'node:crypto'
import type { files } from 'dropbox'
import type { DropboxCall } from './call.ts'
import { DropboxFailure, DropboxMistake, endpointError } from './failure.ts'
import { contentHash } from './hash.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import type { FakeDropboxNode } from './node.ts'
import { tagOf } from './schema.ts'
import { UploadSession } from './session.ts'
import type { FakeDropboxWrites } from './writes.ts'

const LIFETIME_MS = 7 * 24 * 60 * 60 * 1000

/** Uploads in one call, and in sessions. */
export class FakeDropboxUploads {
  readonly #sessions = new Map<string, UploadSession>()
  readonly #knobs: FakeDropboxKnobs
  readonly #writes: FakeDropboxWrites
  readonly #now: () => Date

  constructor(knobs: FakeDropboxKnobs, writes: FakeDropboxWrites, now: () => Date) {
    this.#knobs = knobs
    this.#writes = writes
    this.#now = now
  }

  /** Sessions that are neither finished nor deleted. */
  get open(): number {
    return [...this.#sessions.values()].filter(({ state }) => state === 'open').length
  }

  expire(): void {
    this.#sessions.clear()
  }

  upload(call: DropboxCall): FakeDropboxNode {
    const arg = call.arg as files.UploadArg
    this.#check(call, arg)
    return this.#writes.commit(call.view, arg, call.body, (reason) => {
      // The content is stored, so that it can be saved under another path.
      const { id } = this.#createSession(call, false, 'left')
      const error: files.UploadErrorPath = { '.tag': 'path', reason, upload_session_id: id }
      return new DropboxFailure(endpointError(error))
    })
  }

  start(call: DropboxCall): files.UploadSessionStartResult {
    const arg = call.arg as files.UploadSessionStartArg
    this.#check(call, arg)
    const { close = false, session_type: type = { '.tag': 'sequential' } } = arg
    const isConcurrent = tagOf(type) === 'concurrent'
    if (isConcurrent && (call.body.length > 0 || close)) {
      throw call.mistake(
        close ? 'a concurrent session that is closed at once' : 'data at the start of a concurrent one'
      )
    }
    const session = this.#createSession(call, isConcurrent, 'open')
    session.isClosed = close
    return { session_id: session.id }
  }

  append(call: DropboxCall): void {
    const arg = call.arg as files.UploadSessionAppendArg
    this.#check(call, arg)
    const session = this.#find(call, arg.cursor)
    const error = session?.appendError(arg.cursor.offset, call.body, arg.close === true) ?? null
    if (session === undefined || error !== null) {
      throw new DropboxFailure(endpointError(error ?? { '.tag': 'not_found' }))
    }
    session.add(arg.cursor.offset, call.body)
    session.isClosed ||= arg.close === true
  }

  finish(call: DropboxCall): FakeDropboxNode {
    const arg = call.arg as files.UploadSessionFinishArg
    this.#check(call, arg)
    const session = this.#find(call, arg.cursor)
    const error = session === undefined ? lookupFailed({ '.tag': 'not_found' }) : finishError(session, call)
    if (session === undefined || error !== null) throw new DropboxFailure(endpointError(error ?? {}))
    // The piece stays in the session if the file cannot be created.
    session.add(arg.cursor.offset, call.body)
    const node = this.#writes.commit(call.view, arg.commit, session.content(), (path) => {
      return new DropboxFailure(endpointError({ '.tag': 'path', path } satisfies files.UploadSessionFinishError))
    })
    session.state = 'finished'
    if (!this.#knobs.keepsFinishedSessions) this.#sessions.delete(session.id)
    return node
  }

  #createSession(call: DropboxCall, isConcurrent: boolean, state: 'open' | 'left'): UploadSession {
    const id = `pid_upload_session:${randomBytes(30).toString('base64url')}`
    const expires = this.#now().getTime() + LIFETIME_MS
    const session = new UploadSession(id, call.caller.user, expires, isConcurrent, state)
    session.add(0, call.body)
    this.#sessions.set(id, session)
    return session
  }

  #find({ caller }: DropboxCall, { session_id }: files.UploadSessionCursor): UploadSession | undefined {
    const session = this.#sessions.get(session_id)
    const isValid = session?.user === caller.user && session.expires > this.#now().getTime()
    return isValid ? session : undefined
  }

  /** Makes the checks that all calls with content have in common. */
  #check(call: DropboxCall, { content_hash: hash }: { readonly content_hash?: string }): void {
    if (call.body.length > this.#knobs.callLimitBytes) {
      throw new DropboxMistake(call.operation, 'more than 150 MiB', endpointError({ '.tag': 'payload_too_large' }))
    }
    if (hash !== undefined && hash.toLowerCase() !== contentHash(call.body)) {
      throw new DropboxFailure(endpointError({ '.tag': 'content_hash_mismatch' } satisfies files.UploadError))
    }
  }
}

const lookupFailed = (error: files.UploadSessionLookupError): files.UploadSessionFinishError => ({
  '.tag': 'lookup_failed',
  lookup_failed: error
})

/** Returns why a session cannot be finished, before the path is checked. */
function finishError(session: UploadSession, call: DropboxCall): files.UploadSessionFinishError | null {
  const { offset } = (call.arg as files.UploadSessionFinishArg).cursor
  if (session.isConcurrent) {
    if (call.body.length > 0) return { '.tag': 'concurrent_session_data_not_allowed' }
    if (!session.isClosed) return { '.tag': 'concurrent_session_not_closed' }
    if (session.hasGaps()) return { '.tag': 'concurrent_session_missing_data' }
  }
  if (offset !== session.size) return lookupFailed({ '.tag': 'incorrect_offset', correct_offset: session.size })
  return session.isClosed && call.body.length > 0 ? lookupFailed({ '.tag': 'closed' }) : null
}
