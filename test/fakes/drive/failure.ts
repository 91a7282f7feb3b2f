import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { CloudFailure } from '../fake-cloud.ts'
import { sendJson } from '../fake-server.ts'

/** The fields of an error, in Google's terms. Omitted fields have Google's default for the reason. */
export interface DriveError {
  readonly reason: string
  readonly status?: number
  readonly message?: string
  readonly domain?: string
  /** The name of a parameter or header. */
  readonly location?: string
  readonly locationType?: 'parameter' | 'header'
  readonly headers?: OutgoingHttpHeaders
}

interface KnownError {
  readonly status: number
  readonly message: string
  readonly domain?: string
  /** Google's canonical code, if the body has one. */
  readonly code?: string
  /** The `ErrorInfo` in the body's details. */
  readonly info?: string
}

const ERROR_INFO = 'type.googleapis.com/google.rpc.ErrorInfo'
const USAGE = 'usageLimits'

/** Google's texts and codes (its page "Resolve errors", and observed responses). */
const ERRORS: Readonly<Record<string, KnownError>> = {
  invalid: { status: 400, message: 'Invalid Value' },
  invalidParameter: { status: 400, message: 'Invalid Value' },
  badRequest: { status: 400, message: 'Bad Request' },
  required: { status: 400, message: 'Required parameter' },
  authError: { status: 401, message: 'Invalid Credentials', code: 'UNAUTHENTICATED', info: 'ACCESS_TOKEN_EXPIRED' },
  insufficientPermissions: {
    status: 403,
    message: 'Request had insufficient authentication scopes.',
    code: 'PERMISSION_DENIED',
    info: 'ACCESS_TOKEN_SCOPE_INSUFFICIENT'
  },
  accessNotConfigured: {
    status: 403,
    message: 'Google Drive API has not been used in project 1234 before or it is disabled.',
    domain: USAGE,
    code: 'PERMISSION_DENIED',
    info: 'SERVICE_DISABLED'
  },
  appNotAuthorizedToFile: { status: 403, message: 'The user has not granted the app access to the file.' },
  cannotDownloadAbusiveFile: {
    status: 403,
    message: 'This file has been identified as malware or spam and cannot be downloaded.'
  },
  cannotAddParent: { status: 403, message: 'Increasing the number of parents is not allowed' },
  cannotDownloadFile: { status: 403, message: 'This file cannot be downloaded by the user.' },
  dailyLimitExceeded: { status: 403, message: 'Daily Limit Exceeded', domain: USAGE },
  domainPolicy: { status: 403, message: 'The domain administrators have disabled Drive apps.' },
  exportSizeLimitExceeded: { status: 403, message: 'This file is too large to be exported.' },
  fieldNotWritable: {
    status: 403,
    message: 'The resource body includes fields which are not directly writable.'
  },
  fileNotDownloadable: {
    status: 403,
    message: 'Only files with binary content can be downloaded. Use Export with Docs Editors files.'
  },
  fileNotExportable: { status: 403, message: 'Export only supports Docs Editors files.' },
  insufficientFilePermissions: {
    status: 403,
    message: 'The user does not have sufficient permissions for this file.'
  },
  insufficientParentPermissions: { status: 403, message: 'Insufficient permissions for the specified parent.' },
  parentNotAFolder: { status: 403, message: 'The specified parent is not a folder.' },
  rateLimitExceeded: { status: 403, message: 'Rate Limit Exceeded', domain: USAGE },
  sharingRateLimitExceeded: { status: 403, message: 'Rate limit exceeded. User message: "Sorry."' },
  storageQuotaExceeded: { status: 403, message: "The user's Drive storage quota has been exceeded." },
  userRateLimitExceeded: { status: 403, message: 'User Rate Limit Exceeded', domain: USAGE },
  notFound: { status: 404, message: 'File not found: .' },
  fileIdInUse: { status: 409, message: 'A file already exists with the provided ID.' },
  backendError: { status: 500, message: 'Backend Error' }
}

/** An error response. */
export class DriveFailure extends CloudFailure<DriveError> {}

/** A request that no client should send: it is recorded, and fails the test. */
export class DriveMistake extends DriveFailure {
  constructor(mistake: string, error: Partial<DriveError> = {}) {
    super({ reason: 'badRequest', status: 400, ...error, message: `A MISTAKE OF OUR CLIENT: ${mistake}` }, mistake)
  }
}

export const notFound = (id: string) =>
  new DriveFailure({
    reason: 'notFound',
    message: `File not found: ${id}.`,
    location: 'fileId',
    locationType: 'parameter'
  })

/** 400 for an invalid parameter value. */
export const invalid = (location: string, reason = 'invalid', message = 'Invalid Value') =>
  new DriveFailure({ reason, message, location, locationType: 'parameter' })

/** Sends an error with a body of exactly Google's shape. */
export function sendError(response: ServerResponse, error: DriveError): void {
  const known = ERRORS[error.reason]
  const code = error.status ?? known?.status ?? 500
  const message = error.message ?? known?.message ?? error.reason
  const { reason, location, locationType } = error
  const domain = error.domain ?? known?.domain ?? 'global'
  for (const [name, value] of Object.entries(error.headers ?? {}))
    if (value !== undefined) response.setHeader(name, value)
  sendJson(response, code, {
    error: {
      code,
      message,
      errors: [{ message, domain, reason, ...(location !== undefined && { location, locationType }) }],
      ...((known?.code ?? (code === 429 ? 'RESOURCE_EXHAUSTED' : undefined)) !== undefined && {
        status: known?.code ?? 'RESOURCE_EXHAUSTED'
      }),
      ...(known?.info !== undefined && {
        details: [
          {
            '@type': ERROR_INFO,
            reason: known.info,
            domain: 'googleapis.com',
            metadata: { service: 'drive.googleapis.com' }
          }
        ]
      })
    }
  })
}
