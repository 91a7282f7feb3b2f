import { bytes, CONTENT, empty, GUARDED, model, NO_STORE, PART, WHOLE } from './answers.ts'
import { folderExample } from './examples.ts'
import type { Schema } from './models.ts'
import { type Operation, providerPath } from './operations.ts'
import { CODES, problems, problemsWith } from './problems.ts'

/** Returns the schema of optional request headers with these descriptions. */
export const headers = (descriptions: Readonly<Record<string, string>>): Schema => ({
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(descriptions).map(([name, description]) => [name, { type: 'string', description }])
  )
})

const IF_MATCH = { 'If-Match': 'An entry’s `version`, in quotes: only that one is changed.' }

/** Conditional and range headers of a download. */
export const contentHeaders = headers({
  Range: 'One range of bytes. Several are answered with the whole.',
  'If-Range': 'The part is of use with this version alone.',
  'If-Match': 'Only this version.',
  'If-None-Match': 'Not this version, which the client has.',
  'If-Modified-Since': 'Only what is newer.',
  'If-Unmodified-Since': 'Only what is not newer.'
})

/** The responses of a route that sends content, except problems. */
export const contentAnswers: Readonly<Record<string, Schema>> = {
  200: bytes('The whole content.', WHOLE),
  206: bytes('The part that was asked for.', PART),
  304: empty('The client has it already.', CONTENT)
}

const PLACE = [...CODES.asksProvider, ...CODES.usesConnection]

export const transferOperations = {
  download: {
    summary: 'Download a file',
    description:
      'Always something to save, never something to show. A document of the provider’s own is made into one of its export formats.',
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
      'A `name` in a `parent`, or the `id` of a file to replace. The body is the content, of any type, and streams to the provider as it comes.',
    tags: ['Content'],
    params: providerPath,
    headers: headers({ ...IF_MATCH, 'If-None-Match': '`*`: never over something that is there.' }),
    consumes: ['*/*'],
    body: { description: 'The content, as it is to be stored.' },
    response: {
      200: model('It replaced something.', 'Entry', NO_STORE),
      201: model('It is new.', 'Entry', NO_STORE),
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
    description: 'One that is gone already is no error.',
    tags: ['Content'],
    params: providerPath,
    headers: headers(IF_MATCH),
    response: {
      204: empty('It is gone.'),
      // A provider may report any obstacle as a conflict.
      ...problems(CODES.changes, PLACE, ['OBJECT_NOT_FOUND', 'ALREADY_EXISTS', 'PRECONDITION_FAILED', 'UNSUPPORTED'])
    }
  },
  createFolder: {
    summary: 'Make a folder',
    tags: ['Content'],
    params: providerPath,
    response: {
      201: model('The folder.', 'Entry', NO_STORE, folderExample),
      ...problems(CODES.changes, PLACE, ['FOLDER_NOT_FOUND', 'ALREADY_EXISTS', 'UNSUPPORTED', 'QUOTA_EXCEEDED'])
    }
  }
} as const satisfies Readonly<Record<string, Operation>>
