import createClient, { type Client, createFinalURL, createQuerySerializer, defaultPathSerializer } from 'openapi-fetch'
import type { components, paths } from '../generated/openapi.ts'
import { type FolderEvent, folderEvents } from './events.ts'

type Schemas = components['schemas']

export type Listing = Schemas['Listing']
export type Entry = Schemas['Entry']
export type Provider = Schemas['Provider']
export type Connection = Schemas['Connection']
/** An error response (RFC 9457). Act on its `code`. */
export type Problem = Schemas['Problem']

export type HeaderValues = Readonly<Record<string, string>>

export interface CloudStorageClientOptions {
  /**
   * The URL of the plugin's routes: the application's URL with the plugin's prefix, `https://app.example.org/cloud`.
   * In a browser, `/cloud` suffices.
   */
  readonly baseUrl: string
  /** Headers of every request. */
  readonly headers?: HeaderValues
  /** Returns further headers. Called for each request, since tokens expire. */
  readonly getHeaders?: () => HeaderValues | Promise<HeaderValues>
  /**
   * When requests carry cookies. Default `same-origin`; use `include` for an application on another origin that signs
   * users in by cookies.
   */
  readonly credentials?: 'omit' | 'same-origin' | 'include'
  /** Replaces the global `fetch`. */
  readonly fetch?: (request: Request) => Promise<Response>
}

/** The path and query parameters of a route. */
export interface Address {
  readonly path?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | undefined>>
}

/** An `openapi-fetch` client for the plugin's routes. */
export interface CloudStorageClient extends Client<paths> {
  /** Returns the URL of a route, for a link or for another HTTP client. */
  urlOf(route: keyof paths, address?: Address): string
  /**
   * Watches up to 20 folders of a connection through one stream. Read the folders again after `open` and `changed`. The
   * iteration ends when the server ends the stream, which it does at least every 15 minutes or so: begin a new one.
   *
   * ```ts
   * for await (const event of client.watchFolders({ connection, folders: ['root'] }, { signal })) {
   *   if (event.type === 'changed') await reload(event.folder)
   * }
   * ```
   * @throws WatchError for an error response; the reason of `signal`; the error of `fetch` or of the connection
   */
  watchFolders(watched: WatchedFolders, options?: { readonly signal?: AbortSignal }): AsyncIterable<FolderEvent>
}

/** Folders of one connection. `root` is the root. */
export interface WatchedFolders {
  readonly connection: string
  readonly folders: readonly string[]
}

/** The server has refused to watch the folders. */
export class WatchError extends Error {
  override readonly name = 'WatchError'
  readonly status: number
  /** The problem, or another body that a proxy has sent. */
  readonly problem: Partial<Problem> | undefined
  /** The Retry-After header in seconds, or `null` without one. */
  readonly retryAfterSeconds: number | null

  constructor(response: Response, problem: Partial<Problem> | undefined) {
    super(`The folders cannot be watched: ${problem?.code ?? response.status}`)
    this.status = response.status
    this.problem = problem
    const seconds = response.headers.get('retry-after') ?? ''
    this.retryAfterSeconds = /^\d+$/.test(seconds) ? Number(seconds) : null
  }
}

/**
 * Creates a client of the plugin's routes. Methods do not throw for error responses: `data` is the body of a success,
 * `error` the problem, and one of them is `undefined`. A method rejects only if `fetch` does.
 *
 * ```ts
 * const { data, error } = await client.GET('/{provider}/listing', { params: { path: { provider: 's3' } } })
 * ```
 */
export function createCloudStorageClient(options: CloudStorageClientOptions): CloudStorageClient {
  const { headers = {}, getHeaders, credentials, fetch: send } = options
  const baseUrl = options.baseUrl.replace(/\/$/, '')
  const querySerializer = createQuerySerializer()
  const client = createClient<paths>({
    baseUrl,
    headers,
    ...(credentials && { credentials }),
    // Looked up for each request, since a page may replace it.
    fetch: async (request) => {
      for (const [name, value] of Object.entries((await getHeaders?.()) ?? {})) request.headers.set(name, value)
      return (send ?? fetch)(request)
    }
  })
  return {
    ...client,
    async *watchFolders({ connection, folders }, { signal } = {}) {
      const { data, error, response } = await client.GET('/events', {
        params: { query: { connection, folder: [...folders] } },
        headers: { accept: 'text/event-stream' },
        parseAs: 'stream',
        ...(signal && { signal })
      })
      if (!response.ok) throw new WatchError(response, typeof error === 'object' ? error : undefined)
      yield* folderEvents(data ?? null)
    },
    urlOf: (route, params = {}) =>
      createFinalURL(route, { baseUrl, params, querySerializer, pathSerializer: defaultPathSerializer })
  }
}

export type { components, operations, paths } from '../generated/openapi.ts'
export type { FolderEvent } from './events.ts'
export { fileNameOf } from './file-name.ts'
