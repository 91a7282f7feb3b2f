import { DriveMistake } from './failure.ts'
import type { FakeDavRequest } from '../dav/request.ts'

export type DriveOperation =
  | 'about.get'
  | 'drives.get'
  | 'drives.list'
  | 'changes.getStartPageToken'
  | 'changes.list'
  | 'files.list'
  | 'files.get'
  | 'files.download'
  | 'files.export'
  | 'files.render'
  | 'operations.get'
  | 'rendered.get'
  | 'files.generateIds'
  | 'files.create'
  | 'files.update'
  | 'files.delete'
  | 'upload.create'
  | 'upload.update'
  | 'upload.put'
  | 'upload.cancel'

export interface DriveRoute {
  readonly operation: DriveOperation
  /** The ID of the file or drive; empty if there is none. */
  readonly id: string
}

const FILES = '/drive/v3/files'
const ID = '([^/]+)'
const METADATA = ['drive', 'drive.readonly', 'drive.metadata', 'drive.metadata.readonly', 'drive.file']
const CONTENT = ['drive', 'drive.readonly', 'drive.file']
const DRIVES = ['drive', 'drive.readonly']
const WRITE = ['drive', 'drive.file']

/** For each operation: method, path, parameters besides the standard ones, and scopes of which one is required. */
const ROUTES: Readonly<
  Record<
    DriveOperation,
    readonly [method: string, path: string, parameters: readonly string[], scopes: readonly string[]]
  >
> = {
  'about.get': ['GET', '/drive/v3/about', [], METADATA],
  'drives.list': ['GET', '/drive/v3/drives', ['pageSize', 'pageToken'], DRIVES],
  'drives.get': ['GET', `/drive/v3/drives/${ID}`, [], DRIVES],
  'changes.getStartPageToken': ['GET', '/drive/v3/changes/startPageToken', ['driveId', 'supportsAllDrives'], METADATA],
  // Without `restrictToMyDrive` and `includeCorpusRemovals`, which the fake does not serve.
  'changes.list': [
    'GET',
    '/drive/v3/changes',
    [
      ...['pageToken', 'pageSize', 'driveId', 'spaces', 'includeRemoved'],
      ...['supportsAllDrives', 'includeItemsFromAllDrives']
    ],
    METADATA
  ],
  'files.list': [
    'GET',
    FILES,
    [
      ...['q', 'pageSize', 'pageToken', 'orderBy', 'spaces', 'corpora', 'driveId'],
      ...['supportsAllDrives', 'includeItemsFromAllDrives']
    ],
    METADATA
  ],
  'files.generateIds': ['GET', `${FILES}/generateIds`, ['count', 'space', 'type'], WRITE],
  'files.get': ['GET', `${FILES}/${ID}`, ['supportsAllDrives', 'acknowledgeAbuse'], METADATA],
  'files.download': ['GET', `${FILES}/${ID}`, ['supportsAllDrives', 'acknowledgeAbuse'], CONTENT],
  'files.export': ['GET', `${FILES}/${ID}/export`, ['mimeType'], CONTENT],
  // The method is `files.download`, a name that this file uses for downloading content.
  'files.render': ['POST', `${FILES}/${ID}/download`, ['mimeType', 'revisionId'], CONTENT],
  'operations.get': ['GET', `/drive/v3/operations/${ID}`, [], CONTENT],
  'rendered.get': ['GET', `/rendered/${ID}`, [], CONTENT],
  'files.create': ['POST', FILES, ['supportsAllDrives'], WRITE],
  'files.update': ['PATCH', `${FILES}/${ID}`, ['supportsAllDrives', 'addParents', 'removeParents'], WRITE],
  'files.delete': ['DELETE', `${FILES}/${ID}`, ['supportsAllDrives'], WRITE],
  'upload.create': ['POST', `/upload${FILES}`, ['supportsAllDrives', 'uploadType'], WRITE],
  'upload.update': [
    'PATCH',
    `/upload${FILES}/${ID}`,
    ['supportsAllDrives', 'addParents', 'removeParents', 'uploadType'],
    WRITE
  ],
  'upload.put': ['PUT', `/upload${FILES}(?:/${ID})?`, ['uploadType', 'upload_id'], []],
  'upload.cancel': ['DELETE', `/upload${FILES}(?:/${ID})?`, ['uploadType', 'upload_id'], []]
}

const STANDARD_PARAMETERS = ['alt', 'fields', 'prettyPrint', 'quotaUser']
const TOKEN_PARAMETERS = ['access_token', 'oauth_token', 'bearer_token', 'key']
const OPERATIONS_WITH_FIELDS: readonly DriveOperation[] = [
  ...(['about.get', 'drives.get', 'drives.list', 'files.list', 'files.get', 'files.create', 'files.update'] as const),
  ...(['upload.create', 'upload.update', 'changes.getStartPageToken', 'changes.list'] as const)
]
const PAGED_OPERATIONS: readonly DriveOperation[] = ['drives.list', 'files.list', 'changes.list']
const TRANSFERS: readonly DriveOperation[] = [
  ...(['files.download', 'files.export', 'rendered.get', 'upload.create', 'upload.update', 'upload.put'] as const)
]
/** Since v3 the API supports no preconditions, so a client that sends one relies on a check that does not happen. */
const FORBIDDEN_HEADERS = ['if-match', 'if-none-match', 'if-unmodified-since', 'if-modified-since', 'x-goog-api-key']

/** Google's error for endpoints without default fields, such as `about`. */
const FIELDS_REQUIRED = { reason: 'required', location: 'fields', locationType: 'parameter' } as const

export const isTransfer = ({ operation }: DriveRoute) => TRANSFERS.includes(operation)

/** Returns the sufficient scopes, as the official client documents them. */
export function scopesFor({ operation }: DriveRoute): readonly string[] {
  return ROUTES[operation][3].map((name) => `https://www.googleapis.com/auth/${name}`)
}

export function routeOf({ method, path, query }: FakeDavRequest): DriveRoute {
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) throw new DriveMistake('a path that is no URI')
  for (const [operation, [routeMethod, pattern]] of Object.entries(ROUTES)) {
    const match = method === routeMethod ? new RegExp(`^${pattern}$`).exec(path) : null
    // Metadata and content have the same address.
    const isDownload = (operation === 'files.get' || operation === 'files.download') && query.get('alt') === 'media'
    if (match === null || isDownload !== (operation === 'files.download')) continue
    return { operation: operation as DriveOperation, id: decodeURIComponent(match[1] ?? '') }
  }
  throw new DriveMistake('a route that there is not')
}

/** Checks parameters and headers, without the tree. */
export function checkRequestHead({ operation }: DriveRoute, { query, headers }: FakeDavRequest): void {
  const names = [...query.keys()]
  const known = [...STANDARD_PARAMETERS, ...ROUTES[operation][2]]
  const unknown = names.filter((name) => !known.includes(name))
  const flags = ['supportsAllDrives', 'includeItemsFromAllDrives', 'includeRemoved', 'acknowledgeAbuse']
  const notBoolean = flags.filter((name) => !['true', 'false', null].includes(query.get(name)))
  const alt = operation === 'files.download' ? 'media' : 'json'
  const forbidden = FORBIDDEN_HEADERS.filter((name) => headers[name] !== undefined)
  const isRead = ROUTES[operation][0] === 'GET'
  for (const [isWrong, mistake] of [
    [TOKEN_PARAMETERS.some((name) => query.has(name)), 'a token in the query'],
    [unknown.length > 0, `the parameter ${unknown.join()}`],
    [new Set(names).size < names.length, 'a parameter twice'],
    [notBoolean.length > 0, `no boolean in ${notBoolean.join()}`],
    [(query.get('alt') ?? alt) !== alt, `alt=${query.get('alt')}`],
    [OPERATIONS_WITH_FIELDS.includes(operation) && (query.get('fields') ?? '') === '', 'no fields'],
    [PAGED_OPERATIONS.includes(operation) && !query.has('pageSize'), 'no pageSize'],
    [query.get('corpora') === 'domain', 'corpora=domain'],
    [forbidden.length > 0, `the header ${forbidden.join()}`],
    [isRead && (headers['content-length'] ?? '0') !== '0', 'a body with a GET'],
    [operation === 'files.render' && (headers['content-length'] ?? '0') !== '0', 'a body with a download']
  ] as const) {
    if (isWrong) throw new DriveMistake(mistake, mistake === 'no fields' ? FIELDS_REQUIRED : {})
  }
}
