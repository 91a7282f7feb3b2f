import type { FakeCloudRequest } from '../fake-cloud.ts'
import { DropboxMistake } from './failure.ts'
import { ROUTES, type DropboxOperation, type DropboxRoute } from './routes.ts'

const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i
const BYTES_TYPE = /^application\/octet-stream$/i
const NO_BODY_TYPE = /^(?:application\/octet-stream|text\/plain)(?:; ?charset=[\w-]+)?$/i
/** Dropbox does not document these headers for POST requests. */
const UNHEEDED = ['if-match', 'if-none-match', 'if-range', 'if-modified-since', 'if-unmodified-since']
const KNOWN = ['dropbox-api-arg', 'dropbox-api-path-root']

export interface DropboxHead {
  readonly operation: DropboxOperation
  readonly route: DropboxRoute
}

/** Parses and checks the head of a request. */
export function headOf(request: FakeCloudRequest): DropboxHead {
  const { method, path, host } = request
  const operation = path.replace(/^\/2\//, '')
  if (!path.startsWith('/2/') || !isOperation(operation)) throw new DropboxMistake(path, 'Unknown API function')
  const route = ROUTES[operation]
  const wrong = (what: string) => new DropboxMistake(operation, what)
  if (host !== (route.style === 'rpc' ? 'api' : 'content')) throw wrong(`the host ${host}`)
  if (method !== 'POST') throw wrong(`the method ${method}`)
  if (request.query.size > 0) throw wrong('a query')
  const type = checkHeaders(route, request)
  if (type !== undefined) throw wrong(`Bad HTTP "Content-Type" header: "${type}".`)
  const other = Object.keys(request.headers).filter((name) => isOdd(name, route))
  if (other.length > 0) throw wrong(`the header ${other.join()}`)
  return { operation, route }
}

/** Returns why a header is invalid. */
function checkHeaders({ style, arg }: DropboxRoute, { headers }: FakeCloudRequest): string | undefined {
  const type = headers['content-type'] ?? ''
  const isEmpty = type === '' && (style === 'download' || (style === 'rpc' && arg === null))
  const expected = { rpc: JSON_TYPE, upload: BYTES_TYPE, download: NO_BODY_TYPE }[style]
  return isEmpty || expected.test(type) ? undefined : type
}

function isOdd(name: string, { style }: DropboxRoute): boolean {
  if (UNHEEDED.includes(name) || name === 'content-encoding') return true
  if (name === 'range') return style !== 'download'
  if (name === 'dropbox-api-arg') return style === 'rpc'
  return name.startsWith('dropbox-') && !KNOWN.includes(name)
}

function isOperation(name: string): name is DropboxOperation {
  return Object.hasOwn(ROUTES, name)
}
