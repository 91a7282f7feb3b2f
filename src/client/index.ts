import createClient, { type Client, createFinalURL, createQuerySerializer, defaultPathSerializer } from 'openapi-fetch'
import type { components, paths } from '../generated/openapi.ts'

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
  return {
    ...createClient<paths>({
      baseUrl,
      headers,
      ...(credentials && { credentials }),
      // Looked up for each request, since a page may replace it.
      fetch: async (request) => {
        for (const [name, value] of Object.entries((await getHeaders?.()) ?? {})) request.headers.set(name, value)
        return (send ?? fetch)(request)
      }
    }),
    urlOf: (route, params = {}) =>
      createFinalURL(route, { baseUrl, params, querySerializer, pathSerializer: defaultPathSerializer })
  }
}

export type { components, operations, paths } from '../generated/openapi.ts'
export { fileNameOf } from './file-name.ts'
