import { Readable } from 'node:stream'
import type { Call } from '../../core/backend.ts'
import type { Egress, HttpAnswer } from '../../core/egress.ts'
import { SharedWork } from '../../core/shared-work.ts'
import { Diagnosis, providerFailure } from '../../errors.ts'
import { describeExchange } from '../../net/errors.ts'
import { failure, type Missing } from '../shared/errors.ts'
import { apiUrl, type Ask, asObject, readJson, readProblem, type RestClient } from '../shared/rest-client.ts'
import type { Facts } from './entries.ts'
import { correctOffsetOf, dropboxFailure, undone } from './errors.ts'

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

/** Characters that a header cannot contain, including DEL. */
const UNSAFE = /[\u007f-\uffff]/g

/** Formats JSON in ASCII for a header ("HTTP header safe JSON", Dropbox's "HTTP documentation"). */
export function headerSafeJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

const SCOPE = /^[a-z_]{1,40}(?:\.[a-z_]{1,40}){1,3}$/

/**
 * Wraps an egress to distinguish a missing scope from an expired token. Dropbox reports both as 401, and a refreshed
 * token would have the same scopes.
 *
 * @param withinMs the deadline for reading the body of a 401
 * @returns an egress that throws StorageError `INSUFFICIENT_SCOPE`
 */
export function withMissingScope(egress: Egress, withinMs: number): Egress {
  return {
    agents: egress.agents,
    clock: egress.clock,
    transferAgents: egress.transferAgents,
    assertAllowed: (url) => {
      egress.assertAllowed(url)
    },
    request: async (request) => {
      const answer = await egress.request(request)
      if (answer.status !== 401) return answer
      const problem = asObject(await readProblem(answer, withinMs))
      request.signal.throwIfAborted()
      const error = asObject(problem['error'])
      if (error['.tag'] !== 'missing_scope') return answer
      const scope = error['required_scope']
      const which = typeof scope === 'string' && SCOPE.test(scope) ? `: ${scope}` : ''
      const cause = new Diagnosis(`${describeExchange(request.method, request.url, answer)}, missing_scope${which}`)
      throw providerFailure('INSUFFICIENT_SCOPE', { cause })
    }
  }
}

const NAMESPACE = /^[\w:-]{1,100}$/

/**
 * The namespace in which paths start. A team space differs from the member's own folder, which is all that is visible
 * without the header (Dropbox's "Team Files Guide"). Requested once for all calls; failures are not cached.
 */
export class PathRoot {
  readonly #ask: (signal: AbortSignal) => Promise<Facts>
  #slot: SharedWork<string | null> | null = null

  /** @param ask requests the account from Dropbox */
  constructor(ask: (signal: AbortSignal) => Promise<Facts>) {
    this.#ask = ask
  }

  /** Returns the namespace that calls must name, or `null` if they need not name one. */
  async current(signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    return await (this.#slot ?? this.#begin(this.#ask)).wait(signal)
  }

  /** Replaces `refused`, which Dropbox no longer accepts. */
  async renewed(refused: string | null, signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    const slot = this.#slot
    if (slot !== null && (await slot.wait(signal)) === refused && this.#slot === slot) this.#slot = null
    return await this.current(signal)
  }

  /** Updates the namespace from an account that was requested elsewhere. */
  learn(account: Facts): void {
    this.#begin(async () => account)
  }

  #begin(ask: (signal: AbortSignal) => Promise<Facts>): SharedWork<string | null> {
    const forget = (): void => {
      if (this.#slot === slot) this.#slot = null
    }
    const slot = new SharedWork<string | null>(forget)
    this.#slot = slot
    slot.begin(async (signal) => {
      try {
        return rootOf(await ask(signal))
      } catch (error) {
        forget()
        throw error
      }
    })
    return slot
  }
}

/** The tag of `root_info` is not reliable: some team members have the tag `user`. */
function rootOf(account: Facts): string | null {
  const { root_namespace_id: root, home_namespace_id: home } = asObject(account['root_info'])
  if (typeof root !== 'string' || !NAMESPACE.test(root)) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned no root namespace of the account')
  }
  return root === home ? null : root
}
