import { MAX_CURSOR_LENGTH } from '../domain/entry.ts'

const tags = ['documents'] as const

const nameSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  description: 'Text: it is shown and never read.'
} as const
/** RFC 9110, 8.3.1. It becomes a header. */
const mimeTypeSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  pattern: "^[\\w!#$%&'*+.^`|~-]+/[ -~]+$"
} as const

const idParams = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', minLength: 1 } }
} as const

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
      description: '`page.next` of the page before'
    },
    limit: { type: 'integer', minimum: 1, maximum: 200, default: 50 }
  }
} as const

const noQuery = { type: 'object', additionalProperties: false, properties: {} } as const

/** A document that this server keeps itself: its content is uploaded next. */
export interface NewManagedDocument {
  readonly name: string
  readonly mimeType?: string
}

/** A document that stays where it is, in the user's cloud. */
export interface NewKeptDocument {
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

const newKeptDocument = {
  type: 'object',
  additionalProperties: false,
  required: ['provider', 'connectionId', 'objectKey'],
  properties: {
    name: { ...nameSchema, description: 'Left out: its name in the cloud.' },
    provider: { type: 'string', minLength: 1, maxLength: 128 },
    connectionId: { type: 'string', minLength: 1, maxLength: 128 },
    objectKey: { type: 'string', minLength: 1, description: 'The `id` of an entry.' }
  }
} as const

const documentResponse = {
  type: 'object',
  required: [
    'id',
    'name',
    'mimeType',
    'size',
    'provider',
    'connectionId',
    'objectKey',
    'hasContent',
    'createdAt',
    'updatedAt'
  ],
  properties: {
    id: { type: 'string' },
    name: { type: 'string' },
    mimeType: { type: ['string', 'null'] },
    size: { type: ['integer', 'null'], description: 'Bytes; `null` where nobody knows.' },
    provider: { type: ['string', 'null'], description: '`null`: this server keeps it itself.' },
    connectionId: { type: ['string', 'null'] },
    objectKey: { type: ['string', 'null'], description: 'What the provider calls it; `null` where there is none.' },
    hasContent: { type: 'boolean', description: '`false`: it was made, and nothing has been uploaded yet.' },
    createdAt: { type: 'string', format: 'date-time' },
    updatedAt: { type: 'string', format: 'date-time' }
  }
} as const

const listResponse = {
  type: 'object',
  required: ['documents', 'page', 'uploads'],
  properties: {
    documents: { type: 'array', items: documentResponse },
    page: {
      type: 'object',
      required: ['next'],
      properties: { next: { type: ['string', 'null'], description: 'The `cursor` of the next page.' } }
    },
    uploads: {
      type: ['object', 'null'],
      description: '`null`: this server takes none.',
      required: ['maxBytes'],
      properties: { maxBytes: { type: ['integer', 'null'], description: '`null`: as many as its store takes.' } }
    }
  }
} as const

export const listDocumentsSchema = {
  operationId: 'listDocuments',
  summary: "The user's documents, the newest first",
  tags,
  querystring: listQuery,
  response: { 200: listResponse }
} as const

export const getDocumentSchema = {
  operationId: 'getDocument',
  summary: 'What is known of a document',
  tags,
  params: idParams,
  querystring: noQuery,
  response: { 200: documentResponse }
} as const

export const createDocumentSchema = {
  operationId: 'createDocument',
  summary: 'Makes a document, to be uploaded next or of a file in a cloud',
  tags,
  querystring: noQuery,
  body: { oneOf: [newManagedDocument, newKeptDocument] },
  response: { 201: documentResponse }
} as const

export const removeDocumentSchema = {
  operationId: 'removeDocument',
  summary: 'Removes a document, and its content where this server keeps it',
  tags,
  params: idParams,
  querystring: noQuery,
  response: { 204: { type: 'null', description: 'It is gone.' } }
} as const

export const downloadDocumentSchema = {
  operationId: 'downloadDocument',
  summary: 'The content of a document, or a range of it',
  tags,
  params: idParams,
  response: {
    200: { type: 'string', format: 'binary', description: 'All of it.' },
    206: { type: 'string', format: 'binary', description: 'The range that was asked for.' },
    304: { type: 'null', description: 'It is what the client has.' }
  }
} as const

export const probeDocumentSchema = {
  operationId: 'probeDocument',
  summary: 'What a download would say, without the content',
  tags,
  params: idParams,
  response: { 200: { type: 'null', description: 'In its headers.' }, 304: { type: 'null', description: 'No change.' } }
} as const

export const uploadDocumentSchema = {
  operationId: 'uploadDocument',
  summary: 'Stores the content of a document, as it comes',
  tags,
  params: idParams,
  querystring: noQuery,
  response: { 200: documentResponse, 201: documentResponse }
} as const
