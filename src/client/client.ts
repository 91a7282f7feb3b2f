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
/** An error as the routes answer it (RFC 9457). Act on its `code`. */
export type Problem = Schemas['Problem']

export type HeaderValues = Readonly<Record<string, string>>

export interface CloudStorageClientOptions {
  /** Where the application is, without the plugin's prefix: `https://app.example.org`. In a browser `''` will do. */
  readonly baseUrl: string
  /** The plugin's option of that name, where the application has another than `/cloud`. */
  readonly routePrefix?: string
  /** What goes with every request. */
  readonly headers?: HeaderValues
  /** The same, asked anew for each request: tokens end. */
  readonly getHeaders?: () => HeaderValues | Promise<HeaderValues>
  /**
   * Whether requests carry cookies. Default `same-origin`; `include` for an application on another origin that signs users
   * in by cookies.
   */
  readonly credentials?: 'omit' | 'same-origin' | 'include'
  /** Instead of the global `fetch`. */
  readonly fetch?: (request: Request) => Promise<Response>
}

/** Where a route is: what stands in its path, and what in its query. */
export interface Address {
  readonly path?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | undefined>>
}

/** A client of `openapi-fetch` that knows the plugin's routes. */
export interface CloudStorageClient extends Client<CloudPaths> {
  /** The address of a route, for a link or for another way to send. */
  urlOf(route: keyof CloudPaths, address?: Address): string
}

const PREFIX = '/cloud'

/**
 * A client of the plugin's routes. Nothing of it throws for an answer: `data` is what came with a success, `error` the
 * problem that came instead, and one of the two is `undefined`. What `fetch` rejects with, it rejects with.
 *
 * ```ts
 * const { data, error } = await client.GET('/cloud/{provider}/listing', { params: { path: { provider: 's3' } } })
 * ```
 *
 * Routes are named as they are under `/cloud`, wherever they are.
 */
export function createCloudStorageClient(options: CloudStorageClientOptions): CloudStorageClient {
  const { routePrefix = PREFIX, headers = {}, getHeaders, credentials, fetch: send } = options
  const baseUrl = options.baseUrl.replace(/\/$/, '')
  const place = (url: string): string => baseUrl + routePrefix + url.slice(baseUrl.length + PREFIX.length)

  const client = createClient<CloudPaths>({
    baseUrl,
    headers,
    ...(credentials && { credentials }),
    // A proxy, so that what a middleware makes of a request still is one.
    Request: new Proxy(Request, {
      construct: (made, [url, init]: [string, RequestInit]) => new made(place(url), init)
    }),
    // Looked up for each request: a page may come to have another one.
    fetch: async (request) => {
      for (const [name, value] of Object.entries((await getHeaders?.()) ?? {})) request.headers.set(name, value)
      return (send ?? fetch)(request)
    }
  })
  const querySerializer = createQuerySerializer()
  return {
    ...client,
    urlOf: (route, params = {}) =>
      place(createFinalURL(route, { baseUrl, params, querySerializer, pathSerializer: defaultPathSerializer }))
  }
}
