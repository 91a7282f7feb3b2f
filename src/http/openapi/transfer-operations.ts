import { folderExample, type Schema } from './models.ts'
import { type Operation, providerPath } from './operations.ts'
import {
  bytesResponse,
  CODES,
  CONTENT_HEADERS,
  CONTENT_SECURITY_HEADERS,
  emptyResponse,
  FULL_CONTENT_HEADERS,
  modelResponse,
  NO_STORE_HEADERS,
  problemResponses,
  problemResponsesWith,
  RANGE_HEADERS
} from './responses.ts'

/** Returns the schema of optional request headers with these descriptions. */
export const headersSchema = (descriptions: Readonly<Record<string, string>>): Schema => ({
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(descriptions).map(([name, description]) => [name, { type: 'string', description }])
  )
})

const IF_MATCH = { 'If-Match': 'The `version` of an entry, in double quotes: fails if the file has another version.' }

/** Conditional and range headers of a download. */
export const contentHeaders = headersSchema({
  Range: 'One range of bytes. A request for several ranges returns the whole content.',
  'If-Range': 'Ignores `Range` unless the content has this `ETag` or date.',
  'If-Match': 'Fails unless the content has this `ETag`.',
  'If-None-Match': 'Returns 304 if the content has this `ETag`.',
  'If-Modified-Since': 'Returns 304 if the content has not changed since then.',
  'If-Unmodified-Since': 'Fails if the content has changed since then.'
})

/** The responses of a route that sends content, except problems. */
export const contentResponses: Readonly<Record<string, Schema>> = {
  200: bytesResponse('The whole content.', FULL_CONTENT_HEADERS),
  206: bytesResponse('The requested range.', RANGE_HEADERS),
  304: emptyResponse('Not modified.', CONTENT_HEADERS)
}

const CONNECTION_CODES = [...CODES.callsProvider, ...CODES.usesConnection]

export const transferOperations = {
  download: {
    summary: 'Download a file',
    description:
      'Always an attachment, so that browsers save it. A document of the provider’s own type is exported to one of its export formats.',
    tags: ['Content'],
    params: providerPath,
    headers: contentHeaders,
    response: {
      ...contentResponses,
      ...problemResponsesWith(CONTENT_SECURITY_HEADERS, CODES.reads, CONNECTION_CODES, [
        'INVALID_REQUEST',
        'OBJECT_NOT_FOUND',
        'PRECONDITION_FAILED',
        'RANGE_NOT_SATISFIABLE',
        'UNSUPPORTED',
        'PAYLOAD_TOO_LARGE'
      ])
    }
  },
  upload: {
    summary: 'Upload a file',
    description:
      'Takes a `name` and a `parent`, or the `id` of a file to replace. The body is the content, of any type, and is streamed to the provider.',
    tags: ['Content'],
    params: providerPath,
    headers: headersSchema({ ...IF_MATCH, 'If-None-Match': '`*`: never overwrites a file.' }),
    consumes: ['*/*'],
    body: { description: 'The content to store.' },
    response: {
      200: modelResponse('A file was replaced.', 'Entry', NO_STORE_HEADERS),
      201: modelResponse('A file was created.', 'Entry', NO_STORE_HEADERS),
      ...problemResponses(CODES.changes, CONNECTION_CODES, [
        'FOLDER_NOT_FOUND',
        'OBJECT_NOT_FOUND',
        'ALREADY_EXISTS',
        'PRECONDITION_FAILED',
        'UNSUPPORTED',
        'QUOTA_EXCEEDED',
        'INSUFFICIENT_STORAGE'
      ])
    }
  },
  removeContent: {
    summary: 'Remove a file',
    description: 'A file that does not exist is not an error.',
    tags: ['Content'],
    params: providerPath,
    headers: headersSchema(IF_MATCH),
    response: {
      204: emptyResponse('The file was removed, or did not exist.'),
      // A provider may report any obstacle as a conflict.
      ...problemResponses(CODES.changes, CONNECTION_CODES, [
        'OBJECT_NOT_FOUND',
        'ALREADY_EXISTS',
        'PRECONDITION_FAILED',
        'UNSUPPORTED'
      ])
    }
  },
  createFolder: {
    summary: 'Create a folder',
    tags: ['Content'],
    params: providerPath,
    response: {
      201: modelResponse('The new folder.', 'Entry', NO_STORE_HEADERS, folderExample),
      ...problemResponses(CODES.changes, CONNECTION_CODES, [
        'FOLDER_NOT_FOUND',
        'ALREADY_EXISTS',
        'UNSUPPORTED',
        'QUOTA_EXCEEDED'
      ])
    }
  }
} as const satisfies Readonly<Record<string, Operation>>
