import type { FastifySchema } from 'fastify'
import { MAX_CURSOR_LENGTH } from '../../src/core/entry.ts'
import type { StorageErrorCode } from '../../src/errors.ts'
import {
  CODES,
  CONTENT_SECURITY_HEADERS,
  emptyResponse,
  jsonResponse,
  NO_STORE_HEADERS,
  problemResponses,
  problemResponsesWith
} from '../../src/http/openapi/responses.ts'
import { closedObject, type Schema } from '../../src/http/openapi/models.ts'
import { contentResponses, contentHeaders, headersSchema } from '../../src/http/openapi/transfer-operations.ts'

const nameSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  description: 'Plain text, for display only.'
} as const
/** RFC 9110, 8.3.1. Checked, since the value becomes a header. */
const mimeTypeSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  pattern: "^[\\w!#$%&'*+.^`|~-]+/[ -~]+$"
} as const

const params = { type: 'object', properties: { id: { type: 'string', description: 'The id of a document.' } } }

export interface DocumentListQuery {
  readonly cursor?: string
  readonly limit: number
}

const listQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    cursor: {
      type: 'string',
      minLength: 1,
      maxLength: MAX_CURSOR_LENGTH,
      description: '`page.next` of the previous page.'
    },
    limit: { type: 'integer', minimum: 1, maximum: 200, default: 50, description: 'Documents per page.' }
  }
} as const

const noQuery = { type: 'object', additionalProperties: false, properties: {} } as const

/** A document that this server stores. Its content is uploaded afterwards. */
export interface NewManagedDocument {
  readonly name: string
  readonly mimeType?: string
}

/** A document that remains in the user's cloud. */
export interface NewConnectedDocument {
  readonly name?: string
  readonly provider: string
  readonly connectionId: string
  readonly objectKey: string
}

const newManagedDocument = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: { name: nameSchema, mimeType: mimeTypeSchema }
} as const

const newConnectedDocument = {
  type: 'object',
  additionalProperties: false,
  required: ['provider', 'connectionId', 'objectKey'],
  properties: {
    name: { ...nameSchema, description: 'Default: the name in the cloud.' },
    provider: { type: 'string', minLength: 1, maxLength: 128 },
    connectionId: { type: 'string', minLength: 1, maxLength: 128 },
    objectKey: { type: 'string', minLength: 1, description: 'The `id` of an entry.' }
  }
} as const

const example = {
  id: '0b9c2f6e-6f0a-4c5c-9a43-0d2a3c1f7e11',
  name: 'Invoice 7.pdf',
  mimeType: 'application/pdf',
  size: 48_213,
  provider: null,
  connectionId: null,
  objectKey: null,
  hasContent: true,
  createdAt: '2026-11-02T08:30:00.000Z',
  updatedAt: '2026-11-02T08:31:00.000Z'
}

const TIME = { type: 'string', format: 'date-time' }

const documentSchema = closedObject({
  id: { type: 'string' },
  name: { type: 'string', description: 'Plain text, not markup or a path.' },
  mimeType: { type: ['string', 'null'] },
  size: { type: ['integer', 'null'], minimum: 0, description: 'The size in bytes; `null` if it is unknown.' },
  provider: { type: ['string', 'null'], description: 'The provider that stores it; `null` if this server stores it.' },
  connectionId: { type: ['string', 'null'] },
  objectKey: { type: ['string', 'null'], description: 'The id at the provider; `null` if this server stores it.' },
  hasContent: { type: 'boolean', description: '`false` until content is uploaded.' },
  createdAt: TIME,
  updatedAt: TIME
})

const listSchema = closedObject({
  documents: { type: 'array', items: documentSchema },
  page: closedObject({
    next: { type: ['string', 'null'], description: 'The `cursor` of the next page; `null`: none.' }
  }),
  uploads: {
    ...closedObject({
      maxBytes: { type: ['integer', 'null'], description: 'In bytes; `null`: only the store limits it.' }
    }),
    type: ['object', 'null'],
    description: '`null` if the server accepts no uploads.'
  }
})

/** Headers of a response for the user of a token. */
const PRIVATE_HEADERS = {
  'Cache-Control': { type: 'string', const: 'private, no-cache' },
  Vary: { type: 'string', const: 'Authorization' }
}

const document = (description: string, extraHeaders: Readonly<Record<string, Schema>>): Schema =>
  jsonResponse(description, documentSchema, extraHeaders, example)

/** Errors of a route that opens the document's storage backend. */
const BACKEND_ERRORS = [
  ...CODES.callsProvider,
  'CONNECTION_MISSING',
  'CONNECTION_AMBIGUOUS',
  'PROVIDER_UNKNOWN',
  'DOCUMENT_NOT_FOUND',
  'OBJECT_NOT_FOUND',
  'PRECONDITION_FAILED'
] as const satisfies readonly StorageErrorCode[]

/** Returns the schema of a route: its description, and the schemas by which it validates. */
function describe(name: string, summary: string, rest: FastifySchema): FastifySchema {
  const described = { operationId: name, summary, tags: ['Documents'], ...rest }
  return described
}

export const listDocumentsSchema = describe('listDocuments', 'List documents', {
  querystring: listQuery,
  response: {
    200: jsonResponse('A page of documents, newest first.', listSchema, PRIVATE_HEADERS, {
      documents: [example],
      page: { next: null },
      uploads: { maxBytes: null }
    }),
    ...problemResponses(CODES.reads, ['INVALID_REQUEST', 'INVALID_CURSOR'])
  }
})

export const getDocumentSchema = describe('getDocument', 'Get a document', {
  params,
  querystring: noQuery,
  response: {
    200: document('The document.', PRIVATE_HEADERS),
    ...problemResponses(CODES.reads, ['INVALID_REQUEST', 'DOCUMENT_NOT_FOUND'])
  }
})

export const createDocumentSchema = describe('createDocument', 'Create a document', {
  querystring: noQuery,
  body: {
    oneOf: [newManagedDocument, newConnectedDocument],
    examples: [
      { name: 'Invoice 7.pdf', mimeType: 'application/pdf' },
      { provider: 's3', connectionId: 'cab5aca4-1388-4e3c-8342-996064162c42', objectKey: 'Invoices/2026.pdf' }
    ]
  },
  response: {
    201: document('The document. Its content is uploaded separately, or is a file of a cloud.', {
      ...NO_STORE_HEADERS,
      Location: { type: 'string', description: 'The URL of the document.' }
    }),
    ...problemResponses(CODES.changes, CODES.callsProvider, [
      'PROVIDER_UNKNOWN',
      'CONNECTION_NOT_FOUND',
      'OBJECT_NOT_FOUND',
      'UNSUPPORTED'
    ])
  }
})

const IF_MATCH = { 'If-Match': 'Fails unless the content has this `ETag`.' }

export const removeDocumentSchema = describe('removeDocument', 'Remove a document', {
  params,
  querystring: noQuery,
  headers: headersSchema(IF_MATCH),
  response: {
    204: emptyResponse('The document was removed, with its content if this server stores it.'),
    ...problemResponses(CODES.changes, BACKEND_ERRORS)
  }
})

export const downloadDocumentSchema = describe('downloadDocument', 'Download a document', {
  params,
  headers: contentHeaders,
  response: {
    ...contentResponses,
    ...problemResponsesWith(CONTENT_SECURITY_HEADERS, CODES.reads, BACKEND_ERRORS, [
      'INVALID_REQUEST',
      'RANGE_NOT_SATISFIABLE'
    ])
  }
})

export const uploadDocumentSchema = describe('uploadDocument', 'Upload the content of a document', {
  params,
  querystring: noQuery,
  headers: headersSchema({ ...IF_MATCH, 'If-None-Match': '`*`: fails if the document has content.' }),
  consumes: ['*/*'],
  body: { description: 'The content to store.' },
  response: {
    200: document('The content was replaced.', NO_STORE_HEADERS),
    201: document('The first content was stored.', NO_STORE_HEADERS),
    ...problemResponses(CODES.changes, BACKEND_ERRORS, [
      'FOLDER_NOT_FOUND',
      'ALREADY_EXISTS',
      'UNSUPPORTED',
      'QUOTA_EXCEEDED',
      'INSUFFICIENT_STORAGE'
    ])
  }
})
