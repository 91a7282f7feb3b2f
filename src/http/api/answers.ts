import { ref, type Schema } from './models.ts'

type Headers = Readonly<Record<string, Schema>>

const header = (description: string): Schema => ({ type: 'string', description })

export const NO_STORE: Headers = { 'Cache-Control': header('`no-store`') }

const VARY: Headers = { Vary: header('Request headers that affect the response: at least `Authorization, Cookie`.') }

/** Headers of a response for one user, which caches must revalidate each time. */
export const PRIVATE: Headers = { 'Cache-Control': header('`private, no-cache`'), ...VARY }

export const LISTED: Headers = {
  ...PRIVATE,
  ETag: header('The entity tag of the listing.'),
  Age: { type: 'integer', minimum: 0, description: 'Seconds since the load from the provider began.' },
  'Cache-Status': header('RFC 9211: `fastify-cloud-storage; hit; ttl=42`, or `; fwd=miss`.')
}

/** Headers of every response of a route that sends content. */
export const GUARDED: Headers = {
  ...VARY,
  'Content-Security-Policy': header('Disables scripts and subresources if a browser displays the content.'),
  'Cross-Origin-Resource-Policy': header('`same-origin`'),
  'X-Content-Type-Options': header('`nosniff`')
}

/** Headers of content, and of a 304 for it. */
export const CONTENT: Headers = {
  ...PRIVATE,
  ...GUARDED,
  'Content-Disposition': header('`attachment` with the file name.'),
  'Accept-Ranges': header('`bytes` or `none`.'),
  ETag: header('The entity tag of the content, if the store provides one.'),
  'Last-Modified': header('The time of the last change, if the store provides it.')
}

export const WHOLE: Headers = { ...CONTENT, 'Content-Length': header('The size in bytes, if it is known.') }
export const PART: Headers = { ...WHOLE, 'Content-Range': header('`bytes FIRST-LAST/SIZE`') }

/** Describes a JSON response. */
export function json(description: string, schema: Schema, headers: Headers, example?: unknown): Schema {
  const media = { schema, ...(example !== undefined && { example }) }
  return { description, headers, content: { 'application/json': media } }
}

/** Describes a response with one of the models, which have examples of their own. */
export function model(description: string, name: string, headers: Headers, example?: unknown): Schema {
  return json(description, ref(name), headers, example)
}

/** Describes a response without a body. */
export function empty(description: string, headers: Headers = {}): Schema {
  return { type: 'null', description, ...(Object.keys(headers).length > 0 && { headers }) }
}

/** Describes a response with bytes of any media type. */
export function bytes(description: string, headers: Headers): Schema {
  return { description, headers, content: { '*/*': { schema: { description: 'The bytes of the content.' } } } }
}
