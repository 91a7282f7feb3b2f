import type { FakeCloudRequest } from '../fake-cloud.ts'
import { DropboxMistake } from './failure.ts'
import { ROUTES, type DropboxOperation, type DropboxRoute } from './routes.ts'

const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i
const BYTES_TYPE = /^application\/octet-stream$/i
const NO_BODY_TYPE = /^(?:application\/octet-stream|text\/plain)(?:; ?charset=[\w-]+)?$/i
/** Dropbox does not document these headers for POST requests. */
const UNSUPPORTED_HEADERS = ['if-match', 'if-none-match', 'if-range', 'if-modified-since', 'if-unmodified-since']
const KNOWN_HEADERS = ['dropbox-api-arg', 'dropbox-api-path-root']

export interface DropboxHead {
  readonly operation: DropboxOperation
  readonly route: DropboxRoute
}

/** Parses and checks the head of a request. */
export function parseHead(request: FakeCloudRequest): DropboxHead {
  const { method, path, host } = request
  const operation = path.replace(/^\/2\//, '')
  if (!path.startsWith('/2/') || !isOperation(operation)) throw new DropboxMistake(path, 'Unknown API function')
  const route = ROUTES[operation]
  const mistake = (description: string) => new DropboxMistake(operation, description)
  if (host !== (route.style === 'rpc' ? 'api' : 'content')) throw mistake(`the host ${host}`)
  if (method !== 'POST') throw mistake(`the method ${method}`)
  if (request.query.size > 0) throw mistake('a query')
  const type = invalidContentType(route, request)
  if (type !== undefined) throw mistake(`Bad HTTP "Content-Type" header: "${type}".`)
  const unexpected = Object.keys(request.headers).filter((name) => isUnexpectedHeader(name, route))
  if (unexpected.length > 0) throw mistake(`the header ${unexpected.join()}`)
  return { operation, route }
}

/** Returns why a header is invalid. */
function invalidContentType({ style, arg }: DropboxRoute, { headers }: FakeCloudRequest): string | undefined {
  const type = headers['content-type'] ?? ''
  const isEmpty = type === '' && (style === 'download' || (style === 'rpc' && arg === null))
  const expected = { rpc: JSON_TYPE, upload: BYTES_TYPE, download: NO_BODY_TYPE }[style]
  return isEmpty || expected.test(type) ? undefined : type
}

function isUnexpectedHeader(name: string, { style }: DropboxRoute): boolean {
  if (UNSUPPORTED_HEADERS.includes(name) || name === 'content-encoding') return true
  if (name === 'range') return style !== 'download'
  if (name === 'dropbox-api-arg') return style === 'rpc'
  return name.startsWith('dropbox-') && !KNOWN_HEADERS.includes(name)
}

function isOperation(name: string): name is DropboxOperation {
  return Object.hasOwn(ROUTES, name)
}
