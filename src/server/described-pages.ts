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

const POLICY = { 'Content-Security-Policy': 'It runs what this server sends, and nothing else.' }

const OF_PAGE = {
  ...LOOKED_AT,
  ...POLICY,
  'Cross-Origin-Resource-Policy': '`same-origin`',
  'Permissions-Policy': 'Nothing of the machine is needed.',
  'X-Frame-Options': '`DENY`'
}

const SENT = {
  ...OF_PAGE,
  'Cache-Control': '`no-cache`',
  'Cross-Origin-Opener-Policy': '`same-origin-allow-popups`',
  ETag: 'Of the content.'
}

const OPEN = { security: [], tags: ['Server'] }

const page = (sent: Readonly<Record<string, string>>) => ({
  description: 'A page.',
  headers: headers(sent),
  content: { 'text/html': { schema: { type: 'string' as const } } }
})

/** Returns the responses of the page, with content for `GET` and without for `HEAD`. */
const front = (isHead: boolean) => {
  const content = (type: string, schema: object) => (isHead ? {} : { content: { [type]: { schema } } })
  const { content: html, ...found } = page(SENT)
  return {
    200: isHead ? found : { ...found, content: html },
    304: { description: 'The client has it already.', headers: headers(SENT) },
    412: {
      description: '`PRECONDITION_FAILED`',
      headers: headers({ ...SENT, 'Cache-Control': '`no-store`' }),
      ...content('application/problem+json', { $ref: '#/components/schemas/Problem412' })
    },
    503: {
      description: 'The page has not been built. All else works without it.',
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
      summary: 'The picker and the documents, to look at',
      responses: front(false)
    },
    head: {
      ...OPEN,
      operationId: 'openPage-head',
      summary: 'The picker and the documents, to look at',
      responses: front(true)
    }
  },
  '/docs': {
    get: {
      ...OPEN,
      operationId: 'readApi',
      summary: 'This description, to read',
      responses: { 200: page({ ...LOOKED_AT, ...POLICY }) }
    }
  }
})
