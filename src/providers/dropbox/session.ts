import { Readable } from 'node:stream'
import type { Call } from '../../core/backend.ts'
import type { Egress, HttpResponse } from '../../core/egress.ts'
import type { OAuthOpenContext } from '../../core/provider.ts'
import { SharedWork } from '../../core/shared-work.ts'
import type { Timeouts } from '../../core/stores.ts'
import { Diagnosis, isStorageError, providerFailure } from '../../errors.ts'
import { describeExchange } from '../../net/errors.ts'
import { withBearer } from '../shared/bearer.ts'
import { asObject, type JsonObject } from '../shared/entries.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { apiUrl, readErrorBody, readJson, RestClient, type RestRequest } from '../shared/rest-client.ts'
import { Waits } from '../shared/waits.ts'
import { isId } from './entries.ts'
import { correctOffsetOf, dropboxFailure, markNotApplied } from './errors.ts'

/** The origins of the service. */
export interface DropboxOrigins {
  /** The origin of the metadata API. */
  readonly api: string
  /** The origin for uploads and downloads. */
  readonly content: string
  /** The origin that announces changes. It gets no token. */
  readonly notify: string
  /** Allowed hosts of temporary links, in the format of `parseProviderUrl`. */
  readonly linkHosts: readonly string[]
}

/** An open connection to Dropbox, used by every operation. */
export interface DropboxSession {
  readonly client: DropboxClient
  /** Allowed hosts of temporary links. */
  readonly linkHosts: readonly string[]
  readonly timeouts: Timeouts
  /** The checks of folders in flight, by mark. */
  readonly checks: Map<string, SharedWork<boolean>>
  readonly announcements: DropboxAnnouncements
}

/** What is needed to wait for an announcement of changes. */
export interface DropboxAnnouncements {
  readonly url: URL
  readonly egress: Egress
  readonly waits: Waits
  /** By the clock of the egress: Dropbox wants no request before this time. */
  notBefore: number
}

/** Opens a connection without making a request. The path root is requested before the first call that needs it. */
export function openSession(
  { api, content, notify, linkHosts }: DropboxOrigins,
  { accessTokens, egress, timeouts }: OAuthOpenContext
): DropboxSession {
  const { idleMs } = timeouts
  const origins = [new URL(api).origin, new URL(content).origin]
  const send = withBearer(withMissingScope(egress, idleMs), accessTokens, origins)
  const rest = new RestClient(send, idleMs, dropboxFailure)
  const url = apiUrl(notify, '/2/files/list_folder/longpoll')
  return {
    client: new DropboxClient({ rest, api, content, idleMs }),
    linkHosts,
    timeouts,
    checks: new Map(),
    announcements: { url, egress, waits: new Waits(), notBefore: -Infinity }
  }
}

/** Gets a file or folder. @param path an id, or a path @throws StorageError `missing` if it does not exist */
export async function getItem(
  { client }: DropboxSession,
  path: string,
  { signal }: Call,
  missing: NotFoundCode
): Promise<JsonObject> {
  const metadata = await client.files('get_metadata', { path }, { signal, missing })
  const tag = metadata['.tag']
  if (tag === 'deleted') throw failure(missing)
  if (tag !== 'file' && tag !== 'folder') throw failure('PROVIDER_ERROR', 'Dropbox returned an item of an unknown type')
  return metadata
}

/** @throws StorageError `FOLDER_NOT_FOUND` if it is not a folder or does not exist */
export async function getFolder(session: DropboxSession, id: string, call: Call): Promise<JsonObject> {
  const metadata = await getItem(session, id, call, 'FOLDER_NOT_FOUND')
  if (metadata['.tag'] !== 'folder') throw failure('FOLDER_NOT_FOUND')
  return metadata
}

/**
 * Returns the id of an item's parent folder. This takes a request, because Dropbox reports only the path. Returns
 * `null` in the root, which has no id, and for a shared item that is not mounted.
 */
export async function getParentId(session: DropboxSession, metadata: JsonObject, call: Call): Promise<string | null> {
  const path = metadata['path_lower']
  const parent = typeof path === 'string' ? path.slice(0, Math.max(0, path.lastIndexOf('/'))) : ''
  if (parent === '') return null
  try {
    const { id } = await getFolder(session, parent, call)
    if (!isId(id)) throw failure('PROVIDER_ERROR', 'Dropbox returned a folder without an id')
    return id
  } catch (error) {
    // The folder is being moved, or has a name that Dropbox no longer accepts.
    if (isStorageError(error, 'FOLDER_NOT_FOUND', 'INVALID_REQUEST')) return null
    throw error
  }
}

export interface RequestOptions extends Call {
  /** The meaning of `not_found`. */
  readonly missing: NotFoundCode
}

/** Bytes to send, as the pieces that the source sent. */
export interface Content {
  readonly pieces: readonly Buffer[]
  readonly length: number
}

/** The outcome of an upload call: accepted, or refused because the session continues at another offset. */
export type UploadResult = { readonly metadata: JsonObject } | { readonly correctOffset: number }

interface ClientOptions {
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
  async user(operation: string, { signal }: Call): Promise<JsonObject> {
    const { rest, api } = this.#options
    const url = apiUrl(api, `/2/users/${operation}`)
    return await rest.json({ method: 'POST', url, json: null, signal, missing: 'OBJECT_NOT_FOUND' })
  }

  /** Calls a `files` operation. @throws StorageError */
  async files(operation: string, arg: JsonObject, options: RequestOptions): Promise<JsonObject> {
    return await readJson(await this.requestFiles(operation, arg, options))
  }

  /** Like `files`, but returns the whole response. @throws StorageError */
  async requestFiles(operation: string, arg: JsonObject, { signal, missing }: RequestOptions): Promise<HttpResponse> {
    const url = apiUrl(this.#options.api, `/2/files/${operation}`)
    return await this.#requestOk({ method: 'POST', url, json: arg, signal, missing })
  }

  /** Requests content. A response header contains its metadata. @throws StorageError */
  async download(
    operation: string,
    arg: JsonObject,
    { signal, missing }: RequestOptions,
    headers: Readonly<Record<string, string>> = {}
  ): Promise<HttpResponse> {
    const url = apiUrl(this.#options.content, `/2/files/${operation}`)
    const allHeaders = { ...headers, 'dropbox-api-arg': headerSafeJson(arg) }
    return await this.#requestOk({ method: 'POST', url, headers: allHeaders, purpose: 'transfer', signal, missing })
  }

  /**
   * Sends content.
   *
   * @param content `null` for a call without content, which Dropbox answers as quickly as a metadata call
   * @throws StorageError `PROVIDER_UNAVAILABLE` also if the outcome is unknown, see `isNotApplied`
   */
  async upload(
    operation: string,
    arg: JsonObject,
    content: Content | null,
    { signal, missing }: RequestOptions
  ): Promise<UploadResult> {
    const url = apiUrl(this.#options.content, `/2/files/${operation}`)
    const headers = {
      'dropbox-api-arg': headerSafeJson(arg),
      'content-type': 'application/octet-stream',
      'content-length': String(content?.length ?? 0)
    }
    const request: RestRequest = { method: 'POST', url, headers, purpose: 'transfer', signal, missing }
    const response = await this.#request(request, content)
    const body = await readErrorBody(response, this.#options.idleMs)
    signal.throwIfAborted()
    if (response.status === 200) {
      if (body === undefined) throw failure('PROVIDER_UNAVAILABLE', 'Dropbox did not report the result of the upload')
      return { metadata: asObject(body) }
    }
    const correctOffset = response.status === 409 ? correctOffsetOf(body) : null
    if (correctOffset !== null) return { correctOffset }
    const error = dropboxFailure('POST', response, body, missing)
    throw response.status === 409 ? markNotApplied(error) : error
  }

  async #requestOk(request: RestRequest): Promise<HttpResponse> {
    const response = await this.#request(request)
    if (response.status >= 200 && response.status <= 299) return response
    throw await this.#options.rest.readError(request, response)
  }

  /** Sends a request, and repeats it once if the path root has changed. */
  async #request(request: RestRequest, content?: Content | null): Promise<HttpResponse> {
    const root = await this.root.get(request.signal)
    const response = await this.#send(request, root, content)
    if (response.status !== 422) return response
    await response.discard()
    return await this.#send(request, await this.root.refresh(root, request.signal), content)
  }

  async #send(request: RestRequest, root: string | null, content?: Content | null): Promise<HttpResponse> {
    const header = root === null ? {} : { 'dropbox-api-path-root': headerSafeJson({ '.tag': 'root', root }) }
    const rootedRequest = { ...request, headers: { ...request.headers, ...header } }
    if (content === undefined) return await this.#options.rest.send(rootedRequest)
    if (content === null) return await this.#options.rest.send({ ...rootedRequest, body: Buffer.alloc(0) })
    // An empty body is a stream too, so that no response deadline applies: Dropbox assembles a file from these and
    // earlier bytes, which may take a while.
    const body = (): Readable => Readable.from(content.pieces, { objectMode: false })
    return await this.#options.rest.send({ ...rootedRequest, body })
  }
}

/** Characters that a header cannot contain, including DEL. */
const NON_ASCII = /[\u007f-\uffff]/g

/** Formats JSON in ASCII for a header ("HTTP header safe JSON", Dropbox's "HTTP documentation"). */
export function headerSafeJson(value: unknown): string {
  return JSON.stringify(value).replace(NON_ASCII, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

const SCOPE = /^[a-z_]{1,40}(?:\.[a-z_]{1,40}){1,3}$/

/**
 * Wraps an egress to distinguish a missing scope from an expired token. Dropbox reports both as 401, and a refreshed
 * token would have the same scopes.
 *
 * @param timeoutMs the deadline for reading the body of a 401
 * @returns an egress that throws StorageError `INSUFFICIENT_SCOPE`
 */
function withMissingScope(egress: Egress, timeoutMs: number): Egress {
  return {
    agents: egress.agents,
    clock: egress.clock,
    transferAgents: egress.transferAgents,
    assertAllowed: (url) => {
      egress.assertAllowed(url)
    },
    openWebSocket: (request) => egress.openWebSocket(request),
    request: async (request) => {
      const response = await egress.request(request)
      if (response.status !== 401) return response
      const problem = asObject(await readErrorBody(response, timeoutMs))
      request.signal.throwIfAborted()
      const error = asObject(problem['error'])
      if (error['.tag'] !== 'missing_scope') return response
      const scope = error['required_scope']
      const scopeSuffix = typeof scope === 'string' && SCOPE.test(scope) ? `: ${scope}` : ''
      const cause = new Diagnosis(
        `${describeExchange(request.method, request.url, response)}, missing_scope${scopeSuffix}`
      )
      throw providerFailure('INSUFFICIENT_SCOPE', { cause })
    }
  }
}

const NAMESPACE = /^[\w:-]{1,100}$/

/**
 * The namespace in which paths start. A team space differs from the member's own folder, which is all that is visible
 * without the header (Dropbox's "Team Files Guide"). Requested once for all calls; failures are not cached.
 */
class PathRoot {
  readonly #fetchAccount: (signal: AbortSignal) => Promise<JsonObject>
  #slot: SharedWork<string | null> | null = null

  /** @param fetchAccount requests the account from Dropbox */
  constructor(fetchAccount: (signal: AbortSignal) => Promise<JsonObject>) {
    this.#fetchAccount = fetchAccount
  }

  /** Returns the namespace that calls must name, or `null` if they need not name one. */
  async get(signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    return await (this.#slot ?? this.#load(this.#fetchAccount)).wait(signal)
  }

  /** Replaces `rejected`, which Dropbox no longer accepts. */
  async refresh(rejected: string | null, signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    const slot = this.#slot
    if (slot !== null && (await slot.wait(signal)) === rejected && this.#slot === slot) this.#slot = null
    return await this.get(signal)
  }

  /** Updates the namespace from an account that was requested elsewhere. */
  updateFromAccount(account: JsonObject): void {
    this.#load(async () => account)
  }

  #load(fetchAccount: (signal: AbortSignal) => Promise<JsonObject>): SharedWork<string | null> {
    const clear = (): void => {
      if (this.#slot === slot) this.#slot = null
    }
    const slot = new SharedWork<string | null>(clear)
    this.#slot = slot
    slot.begin(async (signal) => {
      try {
        return readRootNamespace(await fetchAccount(signal))
      } catch (error) {
        clear()
        throw error
      }
    })
    return slot
  }
}

/** The tag of `root_info` is not reliable: some team members have the tag `user`. */
function readRootNamespace(account: JsonObject): string | null {
  const { root_namespace_id: root, home_namespace_id: home } = asObject(account['root_info'])
  if (typeof root !== 'string' || !NAMESPACE.test(root)) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned no root namespace of the account')
  }
  return root === home ? null : root
}
