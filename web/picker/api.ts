import { fileNameOf } from '../../src/client/file-name.ts'
import {
  type CloudStorageClient,
  type components,
  type Connection,
  createCloudStorageClient,
  type FolderEvent,
  type HeaderValues,
  type Provider
} from '../../src/client/index.ts'
import type { Entry, Listing } from '../../src/core/entry.ts'
import { PickerProblem, readProblem } from './problem.ts'
import { withSafeLinks } from './state/selection.ts'

type Schemas = components['schemas']

export type Ability = Provider['capabilities']['upload']
/** One field of a provider's form, as JSON Schema (draft 7). */
export type FieldSchema = Schemas['FormField']
export type FormSchema = Pick<Schemas['Form'], 'properties' | 'required'>

/** The displayed part of an item of `GET /cloud/providers`. */
export interface ProviderView extends Pick<Provider, 'id' | 'label'> {
  readonly connect:
    | Extract<Provider['connect'], { type: 'oauth2' }>
    | { readonly type: 'credentials' | 'login-flow'; readonly schema: FormSchema }
  readonly capabilities: Pick<Provider['capabilities'], 'upload' | 'createFolder'>
}

/** An item of `GET /cloud/connections`. */
export type ConnectionView = Readonly<Connection>

/** A folder of a connection; `null` is the root. */
export interface FolderRef {
  readonly provider: string
  readonly connectionId: string
  readonly folderId: string | null
}

export interface PageRequest {
  readonly cursor?: string | undefined
  readonly limit: number
  readonly refresh?: boolean
}

/** A page of a listing, with its ETag if the server has sent one that can be read. */
export interface ListedPage extends Listing {
  readonly etag?: string | null
}

/** Reports the progress of a transfer in bytes. `total` is `null` if it is unknown. */
export type OnProgress = (done: number, total: number | null) => void

/** The content of a file with its media type, and the file name from the response, or `null` if there is none. */
export interface DownloadedFile {
  readonly content: Blob
  readonly name: string | null
}

/**
 * The calls that the picker sends to the server.
 * Every method rejects with a `PickerProblem`, or with the reason of its signal.
 */
export interface PickerApi {
  providers(signal: AbortSignal): Promise<readonly ProviderView[]>
  connections(signal: AbortSignal): Promise<readonly ConnectionView[]>
  list(folder: FolderRef, request: PageRequest, signal: AbortSignal): Promise<ListedPage>
  /** Reads a page again. Returns `null` if it still has the ETag. */
  listIfChanged(folder: FolderRef, request: PageRequest, etag: string, signal: AbortSignal): Promise<ListedPage | null>
  /** Watches a folder through one stream, which the server ends sometimes. */
  watch(folder: FolderRef, signal: AbortSignal): AsyncIterable<FolderEvent>
  connect(provider: string, fields: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<ConnectionView>
  /** Starts OAuth. Returns the authorization URL. */
  authorize(provider: string, returnTo: string | undefined, signal: AbortSignal): Promise<string>
  /** Starts a login at a server that the user enters. */
  beginLogin(provider: string, baseUrl: string, signal: AbortSignal): Promise<{ loginUrl: string; flowId: string }>
  /** Returns the connection, or the delay before the next poll. */
  pollLogin(provider: string, flowId: string, signal: AbortSignal): Promise<ConnectionView | { retryAfterMs: number }>
  verify(connectionId: string, signal: AbortSignal): Promise<ConnectionView>
  createFolder(parent: FolderRef, name: string, signal: AbortSignal): Promise<Entry>
  /** Never overwrites: rejects with `ALREADY_EXISTS` or `PRECONDITION_FAILED` if the name is taken. */
  upload(parent: FolderRef, file: File, onProgress: OnProgress, signal: AbortSignal): Promise<Entry>
  /** Returns the URL of a plain link, or `null` if requests need headers that a link cannot send. */
  downloadHref(folder: FolderRef, entryId: string): string | null
  download(folder: FolderRef, entryId: string, onProgress: OnProgress, signal: AbortSignal): Promise<DownloadedFile>
}

export interface HttpApiOptions {
  /** Base URL of the routes without a trailing slash: `/cloud`. */
  readonly base: () => string
  /** Headers of each request. Called for every request, because tokens expire. */
  readonly headers: () => HeaderValues | Promise<HeaderValues>
  /** Whether cookies alone authenticate the user, so that plain links work. */
  readonly usesCookies: () => boolean
  /** The credentials mode of requests. `null` means `same-origin`. */
  readonly credentials: () => RequestCredentials | null
  /** The host's `fetch`. Uploads do not use it. */
  readonly fetch: () => (request: Request) => Promise<Response>
}

/** Calls the routes of the plugin. */
export function httpApi({ base, headers, usesCookies, credentials, fetch }: HttpApiOptions): PickerApi {
  const client = (mode = credentials() ?? 'same-origin'): CloudStorageClient =>
    createCloudStorageClient({
      credentials: mode,
      baseUrl: base(),
      headers: { accept: 'application/json' },
      getHeaders: headers,
      fetch: async (request) => {
        const response = await fetch()(request)
        // A redirect to a sign-in page ends with a 200 and HTML.
        if (response.redirected && !isJson(response)) throw new PickerProblem('UNAUTHENTICATED', { status: 401 })
        if (!response.ok && response.status !== 304)
          throw readProblem(response.status, response.headers, await response.text())
        return response
      }
    })
  const list = async (
    { provider, connectionId, folderId }: FolderRef,
    { cursor, limit, refresh }: PageRequest,
    headers: Record<string, string>,
    signal: AbortSignal
  ): Promise<ListedPage | null> => {
    const query = {
      connection: connectionId,
      limit,
      ...(folderId !== null && { folder: folderId }),
      ...(cursor !== undefined && { cursor }),
      ...(refresh === true && { refresh })
    }
    const params = { path: { provider }, query }
    const request = client().GET('/{provider}/listing', { params, headers, signal })
    const response = await request.then(
      (result) => result.response,
      () => null
    )
    if (response?.status === 304) return null
    const listing = await readData(request)
    const entries = listing.entries.map(withSafeLinks)
    return { ...listing, entries, etag: response?.headers.get('etag') ?? null }
  }
  const contentUrl = (provider: string, query: Record<string, string | undefined>): string =>
    client().urlOf('/{provider}/content', { path: { provider }, query })
  /** Starts OAuth or a login flow, depending on the provider. */
  const startLogin = async (
    provider: string,
    body: { returnTo?: string } | { baseUrl: string },
    signal: AbortSignal
  ) => {
    const params = { path: { provider } }
    // Cross-origin too: the response sets the cookie that the OAuth callback requires.
    const request = client('include').POST('/connections/{provider}/authorize', { params, body, signal })
    return (await readData(request)) as { authorizationUrl: string; loginUrl: string; flowId: string }
  }

  return {
    async providers(signal) {
      return (await readData(client().GET('/providers', { signal }))).providers
    },
    async connections(signal) {
      return (await readData(client().GET('/connections', { signal }))).connections
    },
    async list(folder, request, signal) {
      const page = await list(folder, request, {}, signal)
      if (page === null) throw new PickerProblem('BAD_ANSWER')
      return page
    },
    async listIfChanged(folder, request, etag, signal) {
      return await list(folder, request, { 'if-none-match': etag }, signal)
    },
    watch({ connectionId, folderId }, signal) {
      return client().watchFolders({ connection: connectionId, folders: [folderId ?? 'root'] }, { signal })
    },
    async connect(id, body, signal) {
      const params = { path: { id } }
      // The fields follow the provider's own schema, which the static types do not know.
      return await readData(client().POST('/connections/{id}', { params, body: body as never, signal }))
    },
    async authorize(provider, returnTo, signal) {
      return (await startLogin(provider, returnTo === undefined ? {} : { returnTo }, signal)).authorizationUrl
    },
    async beginLogin(provider, baseUrl, signal) {
      return await startLogin(provider, { baseUrl }, signal)
    },
    async pollLogin(provider, flowId, signal) {
      const params = { path: { provider, flowId } }
      const request = client().POST('/connections/{provider}/authorize/{flowId}/poll', { params, signal })
      const result = await readData(request)
      if ('id' in result) return result
      const { response } = await request
      return { retryAfterMs: 1000 * Math.max(1, Number(response.headers.get('retry-after') ?? 2)) }
    },
    async verify(id, signal) {
      return await readData(client().POST('/connections/{id}/verify', { params: { path: { id } }, signal }))
    },
    async createFolder({ provider, connectionId, folderId }, name, signal) {
      const params = { path: { provider }, query: { connection: connectionId } }
      const body = { parentId: folderId, name }
      return withSafeLinks(await readData(client().POST('/{provider}/folders', { params, body, signal })))
    },
    async upload({ provider, connectionId, folderId }, file, onProgress, signal) {
      const url = contentUrl(provider, { parent: folderId ?? undefined, name: file.name, connection: connectionId })
      const requestHeaders = await headers()
      signal.throwIfAborted()
      const options = { headers: requestHeaders, withCredentials: credentials() === 'include' }
      return withSafeLinks((await putFile(url, file, options, onProgress, signal)) as Entry)
    },
    downloadHref({ provider, connectionId }, id) {
      return usesCookies() ? contentUrl(provider, { id, connection: connectionId }) : null
    },
    async download({ provider, connectionId }, id, onProgress, signal) {
      const params = { path: { provider }, query: { id, connection: connectionId } }
      const request = client().GET('/{provider}/content', { params, parseAs: 'stream', signal })
      return await collect((await request).response, onProgress)
    }
  }
}

/** Returns the body of a successful response. Rejects with `BAD_ANSWER` if it is not JSON. */
async function readData<T>(request: Promise<{ data?: T }>): Promise<T> {
  const { data } = await request.catch((error: unknown) => {
    if (error instanceof SyntaxError) return { data: undefined }
    throw error
  })
  if (data === undefined) throw new PickerProblem('BAD_ANSWER')
  return data
}

function isJson(response: Response): boolean {
  return /\bjson\b/.test(response.headers.get('content-type') ?? '')
}

async function collect(response: Response, onProgress: OnProgress): Promise<DownloadedFile> {
  const total = bodyLength(response)
  const parts: Uint8Array<ArrayBuffer>[] = []
  let done = 0
  const reader = response.body?.getReader()
  for (let chunk = await reader?.read(); chunk?.value !== undefined; chunk = await reader?.read()) {
    parts.push(chunk.value)
    done += chunk.value.byteLength
    onProgress(done, total)
  }
  // Without a type, browsers guess one and may change the file extension.
  const content = new Blob(parts, { type: response.headers.get('content-type') ?? '' })
  return { content, name: fileNameOf(response) }
}

export interface PutOptions {
  readonly headers: Readonly<Record<string, string>>
  /** Whether cross-origin requests carry cookies. */
  readonly withCredentials?: boolean
}

/** Uploads a file without overwriting another. Uses XMLHttpRequest, because `fetch` reports no upload progress. */
export async function putFile(
  url: string,
  file: File,
  { headers, withCredentials = false }: PutOptions,
  onProgress: OnProgress,
  signal: AbortSignal
): Promise<unknown> {
  return await new Promise<unknown>((resolve, reject) => {
    const request = new XMLHttpRequest()
    const abort = (): void => {
      request.abort()
    }
    signal.addEventListener('abort', abort, { once: true })
    request.upload.onprogress = ({ loaded, lengthComputable, total }) => {
      onProgress(loaded, lengthComputable ? total : null)
    }
    request.onload = () => {
      const { status, responseText } = request
      if (status === 201 || status === 200) resolve(parse(responseText))
      else reject(readProblem(status, { get: (name) => request.getResponseHeader(name) }, responseText))
    }
    request.onerror = () => {
      reject(new PickerProblem('NETWORK'))
    }
    request.onabort = () => {
      reject(signal.reason)
    }
    request.onloadend = () => {
      signal.removeEventListener('abort', abort)
    }
    request.open('PUT', url)
    request.withCredentials = withCredentials
    request.setRequestHeader('accept', 'application/json')
    request.setRequestHeader('if-none-match', '*')
    request.setRequestHeader('content-type', file.type || 'application/octet-stream')
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.send(file)
  }).then((response) => {
    if (response === undefined) throw new PickerProblem('BAD_ANSWER')
    return response
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Returns the length of the body in bytes, or `null` if the headers do not give it. */
export function bodyLength({ headers }: Response): number | null {
  const length = headers.get('content-length')
  // With a content encoding, Content-Length counts the compressed bytes, not the bytes that the body yields.
  return length === null || headers.has('content-encoding') ? null : Number(length)
}
