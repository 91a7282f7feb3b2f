import type { Schema } from '../http/api/models.ts'

const headers = (descriptions: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(descriptions).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' as const } }
    ])
  )

/** Headers of the pages, and of the API description. */
const LOOKED_AT = { 'Referrer-Policy': '`no-referrer`', 'X-Content-Type-Options': '`nosniff`' }

/** Headers of `GET /openapi.json`. */
export const DESCRIPTION_HEADERS: Schema = Object.fromEntries(
  Object.entries({ ...LOOKED_AT, 'Cache-Control': '`no-cache`' }).map(([name, description]) => [
    name,
    { type: 'string', description }
  ])
)

const POLICY = { 'Content-Security-Policy': 'Allows only scripts and styles of this server.' }

const OF_PAGE = {
  ...LOOKED_AT,
  ...POLICY,
  'Cross-Origin-Resource-Policy': '`same-origin`',
  'Permissions-Policy': 'Disables browser features that the page does not need.',
  'X-Frame-Options': '`DENY`'
}

const SENT = {
  ...OF_PAGE,
  'Cache-Control': '`no-cache`',
  'Cross-Origin-Opener-Policy': '`same-origin-allow-popups`',
  ETag: 'The entity tag of the page.'
}

const OPEN = { security: [], tags: ['Server'] }

const page = (sent: Readonly<Record<string, string>>) => ({
  description: 'An HTML page.',
  headers: headers(sent),
  content: { 'text/html': { schema: { type: 'string' as const } } }
})

/** Returns the responses of the page, with content for `GET` and without for `HEAD`. */
const front = (isHead: boolean) => {
  const content = (type: string, schema: object) => (isHead ? {} : { content: { [type]: { schema } } })
  const { content: html, ...found } = page(SENT)
  return {
    200: isHead ? found : { ...found, content: html },
    304: { description: 'Not modified.', headers: headers(SENT) },
    412: {
      description: '`PRECONDITION_FAILED`',
      headers: headers({ ...SENT, 'Cache-Control': '`no-store`' }),
      ...content('application/problem+json', { $ref: '#/components/schemas/Problem412' })
    },
    503: {
      description: 'The page has not been built. The other routes work without it.',
      headers: headers({ ...OF_PAGE, 'Cache-Control': '`no-store`' }),
      ...content('text/plain', { type: 'string' })
    }
  }
}

/**
 * Returns the descriptions of the pages. Their routes are hidden, since the files of a page are no part of the API.
 * The object is new for each document, because completing a document changes it.
 */
export const pages = () => ({
  '/': {
    get: {
      ...OPEN,
      operationId: 'openPage',
      summary: 'The page with the picker and the documents',
      responses: front(false)
    },
    head: {
      ...OPEN,
      operationId: 'openPage-head',
      summary: 'The page with the picker and the documents',
      responses: front(true)
    }
  },
  '/docs': {
    get: {
      ...OPEN,
      operationId: 'readApi',
      summary: 'The page with this API description',
      responses: { 200: page({ ...LOOKED_AT, ...POLICY }) }
    }
  }
})
