import { randomBytes } from 'node:crypto'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { ClientError } from 'box-node-sdk/schemas/clientError'
import type { BoxType } from './node.ts'
import type { Wire } from './wire.ts'
import { CloudFailure } from '../fake-cloud.ts'

/** The fields of an error, in Box's terms. Omitted fields have Box's default for the code. */
export interface BoxError {
  readonly code: string
  readonly status?: number
  readonly message?: string
  readonly contextInfo?: Readonly<Record<string, unknown>>
  readonly headers?: OutgoingHttpHeaders
}

type KnownError = readonly [status: number, message: string]

/** Box's texts (its page "Common errors", the reference, and responses reported by users of its clients). */
const ERRORS: Readonly<Record<string, KnownError>> = {
  bad_digest: [400, 'The specified content-md5 did not match what we received'],
  bad_request: [400, 'Bad Request'],
  cyclical_folder_structure: [400, 'Folder move creates cyclical folder structure'],
  digest_mismatch: [400, 'File digest was incorrect.'],
  file_size_too_small: [400, 'The file size is below the minimum file size for uploads via this API'],
  folder_not_empty: [400, 'Cannot delete – folder not empty'],
  item_name_invalid: [400, 'Item name invalid'],
  item_name_too_long: [400, 'Item name too long'],
  metadata_after_file_contents: [400, 'Metadata is included after file contents in a file upload request.'],
  parts_mismatch: [400, 'The parts do not match those of the upload session.'],
  unauthorized: [401, 'Unauthorized'],
  access_denied_insufficient_permissions: [403, 'Access denied - insufficient permission'],
  file_size_limit_exceeded: [403, "File size exceeds the folder owner's file size limit"],
  forbidden: [403, 'Client does not have permission to upload to this session.'],
  forbidden_by_policy: [403, 'Access denied - Blocked by Shield Malware Detection Rule'],
  insufficient_scope: [403, 'The request requires higher privileges than provided by the access token.'],
  storage_limit_exceeded: [403, 'Account storage limit reached'],
  not_found: [404, 'Not Found'],
  trashed: [404, 'Item is trashed'],
  method_not_allowed: [405, 'Method Not Allowed'],
  item_name_in_use: [409, 'Item with the same name already exists'],
  name_temporarily_reserved: [409, 'The item name is reserved by another processing item.'],
  operation_blocked_temporary: [409, 'The operation is blocked by another ongoing operation'],
  range_overlaps_existing_part: [409, 'The range overlaps with an existing part.'],
  session_expired: [410, 'The upload session has expired.'],
  upload_failed: [410, 'The upload session is in an unrecoverable state.'],
  length_required: [411, 'content-length header was required, but not provided.'],
  precondition_failed: [412, 'The resource has been modified. Please retrieve the resource again and retry'],
  rate_limit_exceeded: [429, 'Request rate limit exceeded, please try again later'],
  internal_server_error: [500, 'Internal Server Error'],
  bad_gateway: [502, 'Bad Gateway'],
  unavailable: [503, 'Unavailable']
}

const HELP_URL = 'http://developers.box.com/docs/#errors'
/** Messages prefix IDs with the first letter of Box's name for the type. */
const ID_PREFIXES: Readonly<Record<BoxType, string>> = { file: 'f', folder: 'd', web_link: 'w' }

/** An error response. */
export class BoxFailure extends CloudFailure<BoxError> {}

/** A request that no client should send: it is recorded, and fails the test. */
export class BoxMistake extends BoxFailure {
  constructor(mistake: string, error: Partial<BoxError> = {}) {
    super({ code: 'bad_request', ...error, message: `A MISTAKE OF OUR CLIENT: ${mistake}` }, mistake)
  }
}

/** `name` is the name of the parameter that contained the ID. */
export function notFound(type: BoxType, id: string, name = type === 'folder' ? 'folder' : 'item'): BoxFailure {
  const value = `${ID_PREFIXES[type]}_${id}`
  const message = `Invalid value '${value}'. '${name}' with value '${value}' not found`
  return new BoxFailure({ code: 'not_found', contextInfo: invalidParameter(name, message) })
}

export const invalidParameter = (name: string, message: string) => ({
  errors: [{ reason: 'invalid_parameter', name, message }]
})

/** A 401; Box describes it in a header only. */
export function unauthorized(isMissing: boolean): BoxFailure {
  const error = isMissing ? 'invalid_request' : 'invalid_token'
  const description = isMissing ? 'The access token was not found.' : 'The access token provided is invalid.'
  return new BoxFailure({ code: 'unauthorized', headers: challenge(error, description) })
}

export function insufficientScope(): BoxFailure {
  const [, message] = ERRORS['insufficient_scope'] ?? []
  return new BoxFailure({ code: 'insufficient_scope', headers: challenge('insufficient_scope', message ?? '') })
}

const challenge = (error: string, description: string) => ({
  'www-authenticate': `Bearer realm="Service", error="${error}", error_description="${description}"`
})

/** Sends an error with a body of exactly Box's shape; a 401 has none. */
export function sendError(response: ServerResponse, { code, contextInfo, headers = {}, ...error }: BoxError): void {
  const [status, text] = ERRORS[code] ?? [500, code]
  const resolved = { status: error.status ?? status, message: error.message ?? text }
  const challengeHeaders =
    resolved.status === 401 ? { ...challenge('invalid_token', 'The access token provided is invalid.') } : {}
  for (const [name, value] of Object.entries({ ...challengeHeaders, ...headers })) {
    if (value !== undefined) response.setHeader(name, value)
  }
  const request_id = randomBytes(8).toString('hex')
  response.setHeader('box-request-id', randomBytes(13).toString('hex'))
  if (resolved.status === 401) {
    response.writeHead(401, { 'content-length': 0 }).end()
    return
  }
  const body = {
    type: 'error',
    status: resolved.status,
    code,
    ...(contextInfo !== undefined && { context_info: contextInfo }),
    help_url: HELP_URL,
    message: resolved.message,
    request_id
  } satisfies Wire<ClientError>
  const json = JSON.stringify(body)
  response.writeHead(resolved.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) })
  response.end(json)
}
