import createClient, { type Client, createFinalURL, createQuerySerializer, defaultPathSerializer } from 'openapi-fetch'
import type { components, paths } from './api-types.ts'

/** The routes of the plugin, under its default prefix. */
export type CloudPaths = {
  readonly [Path in keyof paths as Path extends `/cloud/${string}` ? Path : never]: paths[Path]
}

type Schemas = components['schemas']

export type Listing = Schemas['Listing']
export type Entry = Schemas['Entry']
export type Provider = Schemas['Provider']
export type Connection = Schemas['Connection']
/** An error response (RFC 9457). Act on its `code`. */
export type Problem = Schemas['Problem']

export type HeaderValues = Readonly<Record<string, string>>

export interface CloudStorageClientOptions {
  /** The application's URL without the plugin's prefix: `https://app.example.org`. In a browser, `''` suffices. */
  readonly baseUrl: string
  /** The plugin's `routePrefix` option, if the application does not use `/cloud`. */
  readonly routePrefix?: string
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
export interface CloudStorageClient extends Client<CloudPaths> {
  /** Returns the URL of a route, for a link or for another HTTP client. */
  urlOf(route: keyof CloudPaths, address?: Address): string
}

const DEFAULT_PREFIX = '/cloud'

/**
 * Creates a client of the plugin's routes. Methods do not throw for error responses: `data` is the body of a success,
 * `error` the problem, and one of them is `undefined`. A method rejects only if `fetch` does.
 *
 * ```ts
 * const { data, error } = await client.GET('/cloud/{provider}/listing', { params: { path: { provider: 's3' } } })
 * ```
 *
 * Routes are named as under `/cloud`, whatever the prefix is.
 */
export function createCloudStorageClient(options: CloudStorageClientOptions): CloudStorageClient {
  const { routePrefix = DEFAULT_PREFIX, headers = {}, getHeaders, credentials, fetch: send } = options
  const baseUrl = options.baseUrl.replace(/\/$/, '')
  const applyPrefix = (url: string): string => baseUrl + routePrefix + url.slice(baseUrl.length + DEFAULT_PREFIX.length)

  const client = createClient<CloudPaths>({
    baseUrl,
    headers,
    ...(credentials && { credentials }),
    // A proxy, so that a request that a middleware creates is an instance of `Request` too.
    Request: new Proxy(Request, {
      construct: (BaseRequest, [url, init]: [string, RequestInit]) => new BaseRequest(applyPrefix(url), init)
    }),
    // Looked up for each request, since a page may replace it.
    fetch: async (request) => {
      for (const [name, value] of Object.entries((await getHeaders?.()) ?? {})) request.headers.set(name, value)
      return (send ?? fetch)(request)
    }
  })
  const querySerializer = createQuerySerializer()
  return {
    ...client,
    urlOf: (route, params = {}) =>
      applyPrefix(createFinalURL(route, { baseUrl, params, querySerializer, pathSerializer: defaultPathSerializer }))
  }
}

export type { components, operations, paths } from './api-types.ts'
export { fileNameOf } from './file-name.ts'
