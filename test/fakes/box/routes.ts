import { BoxMistake } from './failure.ts'
import type { FakeCloudRequest } from '../fake-cloud.ts'

export type BoxOperation =
  | 'users.me'
  | 'events.get'
  | 'events.options'
  | 'realtime.get'
  | 'folders.get'
  | 'folders.items'
  | 'folders.create'
  | 'folders.update'
  | 'folders.delete'
  | 'files.get'
  | 'files.update'
  | 'files.delete'
  | 'files.download'
  | 'links.get'
  | 'links.delete'
  | 'preflight.file'
  | 'preflight.version'
  | 'upload.file'
  | 'upload.version'
  | 'sessions.file'
  | 'sessions.version'
  | 'sessions.part'
  | 'sessions.get'
  | 'sessions.parts'
  | 'sessions.commit'
  | 'sessions.abort'
  | 'content.get'

export interface BoxRoute {
  readonly operation: BoxOperation
  /** The ID of an item or of an upload session, or the secret of a download. Empty if there is none. */
  readonly id: string
}

/** The required access; `none` accepts any token, and `secret` is an address that accepts no token. */
type Access = 'none' | 'read' | 'write' | 'secret'

interface RouteRules {
  readonly host: string
  readonly method: string
  readonly path: RegExp
  readonly access: Access
  readonly parameters: readonly string[]
  readonly headers: readonly string[]
}

const ID = '(\\d+)'
const SESSION = '([0-9A-F]{32})'
const API = '/2\\.0'
const UPLOAD = '/api/2\\.0'

const rule = (pattern: string, access: Access, parameters: readonly string[] = [], headers: readonly string[] = []) => {
  const [host = '', method = '', path = ''] = pattern.split(' ')
  return { host, method, path: new RegExp(`^${path}$`), access, parameters, headers } satisfies RouteRules
}

const LIST_PARAMETERS = ['fields', 'limit', 'usemarker', 'marker', 'offset', 'sort', 'direction']
const UPLOAD_PARAMETERS = ['fields', 'upload_session_id']

const ROUTES: Readonly<Record<BoxOperation, RouteRules>> = {
  'users.me': rule(`api GET ${API}/users/me`, 'none', ['fields']),
  'events.get': rule(`api GET ${API}/events`, 'read', ['stream_type', 'stream_position', 'limit']),
  'events.options': rule(`api OPTIONS ${API}/events`, 'read'),
  'realtime.get': rule('realtime GET /subscribe', 'secret', ['channel', 'stream_type']),
  'folders.get': rule(`api GET ${API}/folders/${ID}`, 'read', ['fields']),
  'folders.items': rule(`api GET ${API}/folders/${ID}/items`, 'read', LIST_PARAMETERS),
  'folders.create': rule(`api POST ${API}/folders`, 'write', ['fields']),
  'folders.update': rule(`api PUT ${API}/folders/${ID}`, 'write', ['fields'], ['if-match']),
  'folders.delete': rule(`api DELETE ${API}/folders/${ID}`, 'write', ['recursive'], ['if-match']),
  'files.get': rule(`api GET ${API}/files/${ID}`, 'read', ['fields']),
  'files.update': rule(`api PUT ${API}/files/${ID}`, 'write', ['fields'], ['if-match']),
  'files.delete': rule(`api DELETE ${API}/files/${ID}`, 'write', [], ['if-match']),
  'files.download': rule(`api GET ${API}/files/${ID}/content`, 'read', [], ['range']),
  'links.get': rule(`api GET ${API}/web_links/${ID}`, 'read', ['fields']),
  'links.delete': rule(`api DELETE ${API}/web_links/${ID}`, 'write'),
  'preflight.file': rule(`api OPTIONS ${API}/files/content`, 'write'),
  'preflight.version': rule(`api OPTIONS ${API}/files/${ID}/content`, 'write'),
  'upload.file': rule(`upload POST ${UPLOAD}/files/content`, 'write', UPLOAD_PARAMETERS, ['content-md5']),
  'upload.version': rule(`upload POST ${UPLOAD}/files/${ID}/content`, 'write', UPLOAD_PARAMETERS, [
    'content-md5',
    'if-match'
  ]),
  'sessions.file': rule(`upload POST ${UPLOAD}/files/upload_sessions`, 'write'),
  'sessions.version': rule(`upload POST ${UPLOAD}/files/${ID}/upload_sessions`, 'write'),
  'sessions.part': rule(
    `upload PUT ${UPLOAD}/files/upload_sessions/${SESSION}`,
    'write',
    [],
    ['digest', 'content-range']
  ),
  'sessions.get': rule(`upload GET ${UPLOAD}/files/upload_sessions/${SESSION}`, 'write'),
  'sessions.parts': rule(`upload GET ${UPLOAD}/files/upload_sessions/${SESSION}/parts`, 'write', ['limit', 'offset']),
  'sessions.commit': rule(
    `upload POST ${UPLOAD}/files/upload_sessions/${SESSION}/commit`,
    'write',
    ['fields'],
    ['digest', 'if-match']
  ),
  'sessions.abort': rule(`upload DELETE ${UPLOAD}/files/upload_sessions/${SESSION}`, 'write'),
  'content.get': rule('content GET /d/1/([\\w-]+)/download', 'secret', [], ['range'])
}

const TRANSFERS: readonly BoxOperation[] = [
  ...(['files.download', 'content.get', 'upload.file', 'upload.version', 'sessions.part'] as const)
]
/** Headers that any request may have. `fetch` and the official client add the last ones. */
const COMMON_HEADERS = [
  ...['host', 'connection', 'authorization', 'user-agent', 'accept', 'accept-encoding', 'content-type'],
  ...['content-length', 'transfer-encoding'],
  ...['accept-language', 'cache-control', 'pragma', 'sec-fetch-mode', 'x-box-ua']
]

export const isTransfer = ({ operation }: BoxRoute) => TRANSFERS.includes(operation)
export const accessOf = ({ operation }: BoxRoute) => ROUTES[operation].access

export function routeOf({ host, method, path }: FakeCloudRequest): BoxRoute {
  for (const [operation, rules] of Object.entries(ROUTES)) {
    const match = host === rules.host && method === rules.method ? rules.path.exec(path) : null
    if (match !== null) return { operation: operation as BoxOperation, id: match[1] ?? '' }
  }
  throw new BoxMistake('a route that there is not', { code: 'not_found' })
}

/** Checks parameters and headers, without the tree. */
export function checkRequestHead(route: BoxRoute, { method, query, headers }: FakeCloudRequest): void {
  const rules = ROUTES[route.operation]
  const names = [...query.keys()]
  const unknown = names.filter((name) => !rules.parameters.includes(name))
  const unknownHeaders = Object.keys(headers).filter((name) => ![...COMMON_HEADERS, ...rules.headers].includes(name))
  const etag = headers['if-match']
  const range = headers['range']
  for (const [isWrong, mistake] of [
    [query.has('access_token'), 'a token in the query'],
    [unknown.length > 0, `the parameter ${unknown.join()}`],
    [new Set(names).size < names.length, 'a parameter twice'],
    [unknownHeaders.length > 0, `the header ${unknownHeaders.join()}`],
    [rules.access === 'secret' && headers['authorization'] !== undefined, 'a token for a secret address'],
    // Box's etags are numbers without quotation marks.
    [etag !== undefined && !/^\d+$/.test(etag), `the etag ${etag}`],
    [range !== undefined && !/^bytes=(?:\d+-\d*|-\d+)$/.test(range), `the range ${range}`],
    [method === 'GET' && (headers['content-length'] ?? '0') !== '0', 'a body with a GET']
  ] as const) {
    if (isWrong) throw new BoxMistake(mistake)
  }
}
