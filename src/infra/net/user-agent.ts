/** The version of this package. A test compares it with `package.json`, which is not read at run time. */
export const VERSION = '0.1.0'

/** The `User-Agent` of every request. Client libraries append their own product. */
export const USER_AGENT = `fastify-cloud-storage/${VERSION}`

/** @param library a client library's own product; Google compresses only for one that contains `gzip` */
export function userAgentWith(library: string | null | undefined): string {
  return library ? `${USER_AGENT} ${library}` : USER_AGENT
}
