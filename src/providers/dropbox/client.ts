import { Readable } from 'node:stream'
import type { HttpAnswer } from '../../domain/egress.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import { asObject, readJson } from '../shared/read-json.ts'
import { readProblem } from '../shared/read-problem.ts'
import type { Ask, RestClient } from '../shared/rest-client.ts'
import { correctOffsetOf, dropboxFailure } from './failure.ts'
import { headerSafeJson } from './header-json.ts'
import type { Facts } from './facts.ts'
import { PathRoot } from './path-root.ts'
import { undone } from './undone.ts'

export interface AskOptions extends Call {
  /** The meaning of `not_found`. */
  readonly missing: Missing
}

/** Bytes to send, as the pieces that the source sent. */
export interface Content {
  readonly pieces: readonly Buffer[]
  readonly length: number
}

/** The outcome of an upload call: accepted, or refused because the session continues at another offset. */
export type Taken = { readonly facts: Facts } | { readonly correctOffset: number }

export interface ClientOptions {
  readonly rest: RestClient
  /** Origins. */
  readonly api: string
  readonly content: string
  /** The idle timeout of responses to uploads. */
  readonly idleMs: number
}

/** Calls API v2: sends each call to its host, with its arguments in the right place. */
export class DropboxClient {
  /** The namespace in which paths start. */
  readonly root: PathRoot
  readonly #options: ClientOptions

  constructor(options: ClientOptions) {
    this.#options = options
    this.root = new PathRoot((signal) => this.user('get_current_account', { signal }))
  }

  /** Calls a `users` operation. @throws StorageError */
  async user(operation: string, { signal }: Call): Promise<Facts> {
    const { rest, api } = this.#options
    const url = apiUrl(api, `/2/users/${operation}`)
    return await rest.json({ method: 'POST', url, json: null, signal, missing: 'OBJECT_NOT_FOUND' })
  }

  /** Calls a `files` operation. @throws StorageError */
  async files(operation: string, arg: Facts, options: AskOptions): Promise<Facts> {
    return await readJson(await this.ask(operation, arg, options))
  }

  /** Like `files`, but returns the whole response. @throws StorageError */
  async ask(operation: string, arg: Facts, { signal, missing }: AskOptions): Promise<HttpAnswer> {
    const url = apiUrl(this.#options.api, `/2/files/${operation}`)
    return await this.#success({ method: 'POST', url, json: arg, signal, missing })
  }

  /** Requests content. A response header contains its metadata. @throws StorageError */
  async download(
    operation: string,
    arg: Facts,
    { signal, missing }: AskOptions,
    headers: Readonly<Record<string, string>> = {}
  ): Promise<HttpAnswer> {
    const url = apiUrl(this.#options.content, `/2/files/${operation}`)
    const all = { ...headers, 'dropbox-api-arg': headerSafeJson(arg) }
    return await this.#success({ method: 'POST', url, headers: all, purpose: 'transfer', signal, missing })
  }

  /**
   * Sends content.
   *
   * @param content `null` for a call without content, which Dropbox answers as quickly as a metadata call
   * @throws StorageError `PROVIDER_UNAVAILABLE` also if the outcome is unknown, see `isUndone`
   */
  async upload(
    operation: string,
    arg: Facts,
    content: Content | null,
    { signal, missing }: AskOptions
  ): Promise<Taken> {
    const url = apiUrl(this.#options.content, `/2/files/${operation}`)
    const headers = {
      'dropbox-api-arg': headerSafeJson(arg),
      'content-type': 'application/octet-stream',
      'content-length': String(content?.length ?? 0)
    }
    const ask: Ask = { method: 'POST', url, headers, purpose: 'transfer', signal, missing }
    const answer = await this.#exchange(ask, content)
    const told = await readProblem(answer, this.#options.idleMs)
    signal.throwIfAborted()
    if (answer.status === 200) {
      if (told === undefined) throw failure('PROVIDER_UNAVAILABLE', 'Dropbox did not report the result of the upload')
      return { facts: asObject(told) }
    }
    const correctOffset = answer.status === 409 ? correctOffsetOf(told) : null
    if (correctOffset !== null) return { correctOffset }
    const refusal = dropboxFailure('POST', answer, told, missing)
    throw answer.status === 409 ? undone(refusal) : refusal
  }

  async #success(ask: Ask): Promise<HttpAnswer> {
    const answer = await this.#exchange(ask)
    if (answer.status >= 200 && answer.status <= 299) return answer
    throw await this.#options.rest.refusal(ask, answer)
  }

  /** Sends a request, and repeats it once if the path root has changed. */
  async #exchange(ask: Ask, content?: Content | null): Promise<HttpAnswer> {
    const root = await this.root.current(ask.signal)
    const answer = await this.#send(ask, root, content)
    if (answer.status !== 422) return answer
    await answer.discard()
    return await this.#send(ask, await this.root.renewed(root, ask.signal), content)
  }

  async #send(ask: Ask, root: string | null, content?: Content | null): Promise<HttpAnswer> {
    const header = root === null ? {} : { 'dropbox-api-path-root': headerSafeJson({ '.tag': 'root', root }) }
    const all = { ...ask, headers: { ...ask.headers, ...header } }
    if (content === undefined) return await this.#options.rest.exchange(all)
    if (content === null) return await this.#options.rest.exchange({ ...all, body: Buffer.alloc(0) })
    // An empty body is a stream too, so that no response deadline applies: Dropbox assembles a file from these and
    // earlier bytes, which may take a while.
    const body = (): Readable => Readable.from(content.pieces, { objectMode: false })
    return await this.#options.rest.exchange({ ...all, body })
  }
}
