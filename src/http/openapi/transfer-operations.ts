import { bytes, CONTENT, empty, GUARDED, model, NO_STORE, PART, WHOLE } from './responses.ts'
import { folderExample } from './models.ts'
import type { Schema } from './models.ts'
import { type Operation, providerPath } from './operations.ts'
import { CODES, problems, problemsWith } from './responses.ts'

/** Returns the schema of optional request headers with these descriptions. */
export const headers = (descriptions: Readonly<Record<string, string>>): Schema => ({
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(descriptions).map(([name, description]) => [name, { type: 'string', description }])
  )
})

const IF_MATCH = { 'If-Match': 'The `version` of an entry, in double quotes: fails if the file has another version.' }

/** Conditional and range headers of a download. */
export const contentHeaders = headers({
  Range: 'One range of bytes. A request for several ranges returns the whole content.',
  'If-Range': 'Ignores `Range` unless the content has this `ETag` or date.',
  'If-Match': 'Fails unless the content has this `ETag`.',
  'If-None-Match': 'Returns 304 if the content has this `ETag`.',
  'If-Modified-Since': 'Returns 304 if the content has not changed since then.',
  'If-Unmodified-Since': 'Fails if the content has changed since then.'
})

/** The responses of a route that sends content, except problems. */
export const contentAnswers: Readonly<Record<string, Schema>> = {
  200: bytes('The whole content.', WHOLE),
  206: bytes('The requested range.', PART),
  304: empty('Not modified.', CONTENT)
}

const PLACE = [...CODES.asksProvider, ...CODES.usesConnection]

export const transferOperations = {
  download: {
    summary: 'Download a file',
    description:
      'Always an attachment, so that browsers save it. A document of the provider’s own type is exported to one of its export formats.',
    tags: ['Content'],
    params: providerPath,
    headers: contentHeaders,
    response: {
      ...contentAnswers,
      ...problemsWith(GUARDED, CODES.reads, PLACE, [
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
    headers: headers({ ...IF_MATCH, 'If-None-Match': '`*`: never overwrites a file.' }),
    consumes: ['*/*'],
    body: { description: 'The content to store.' },
    response: {
      200: model('A file was replaced.', 'Entry', NO_STORE),
      201: model('A file was created.', 'Entry', NO_STORE),
      ...problems(CODES.changes, PLACE, [
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
    headers: headers(IF_MATCH),
    response: {
      204: empty('The file was removed, or did not exist.'),
      // A provider may report any obstacle as a conflict.
      ...problems(CODES.changes, PLACE, ['OBJECT_NOT_FOUND', 'ALREADY_EXISTS', 'PRECONDITION_FAILED', 'UNSUPPORTED'])
    }
  },
  createFolder: {
    summary: 'Create a folder',
    tags: ['Content'],
    params: providerPath,
    response: {
      201: model('The new folder.', 'Entry', NO_STORE, folderExample),
      ...problems(CODES.changes, PLACE, ['FOLDER_NOT_FOUND', 'ALREADY_EXISTS', 'UNSUPPORTED', 'QUOTA_EXCEEDED'])
    }
  }
} as const satisfies Readonly<Record<string, Operation>>
