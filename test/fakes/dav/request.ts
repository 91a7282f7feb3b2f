import type { IncomingMessage } from 'node:http'
import { DavMistake } from './failure.ts'

export interface FakeDavRequest {
  readonly method: string
  /** The raw path from the wire, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** With lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Whether its credentials, if required, are valid. */
  readonly isAuthorized: boolean
  /** Undefined until it is complete. */
  body: Buffer | undefined
}

/** Headers that any request may have. */
const COMMON_HEADERS = ['host', 'connection', 'authorization', 'user-agent', 'accept', 'accept-encoding']
const CONDITIONAL_HEADERS = ['if-match', 'if-none-match']

/** Additional headers of each method. Others are mistakes. */
const METHOD_HEADERS: Readonly<Record<string, readonly string[]>> = {
  OPTIONS: [],
  PROPFIND: ['depth', 'content-type', 'content-length'],
  GET: ['range', 'if-range', ...CONDITIONAL_HEADERS],
  HEAD: CONDITIONAL_HEADERS,
  PUT: ['content-type', 'content-length', 'transfer-encoding', ...CONDITIONAL_HEADERS],
  DELETE: ['depth', ...CONDITIONAL_HEADERS],
  MKCOL: ['content-length'],
  MOVE: ['content-length', 'destination', 'overwrite', 'if']
}

export const ALLOWED_METHODS = Object.keys(METHOD_HEADERS).join(', ')

const PATH = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/
const ENTITY_TAGS = /^(?:\*|(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:[ \t]*,[ \t]*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*)$/
const RANGE = /^bytes=(?:\d+-\d*|-\d+)$/

/** Checks the head of a request, before its body, by rules that hold for all servers. */
export function checkRequestHead(
  message: IncomingMessage,
  request: FakeDavRequest,
  hosts: readonly string[],
  extraHeaders: readonly string[]
) {
  const { method, path, query, headers } = request
  const methodHeaders = METHOD_HEADERS[method]
  if (methodHeaders === undefined) throw new DavMistake(405, 'an unknown method', { allow: ALLOWED_METHODS })
  const unknown = Object.keys(headers).filter(
    (name) => ![...COMMON_HEADERS, ...methodHeaders, ...extraHeaders].includes(name)
  )
  if (unknown.length > 0) throw new DavMistake(400, `the header ${unknown.join()}`)
  if ([...query.keys()].length > 0 || (message.url ?? '').includes('?')) throw new DavMistake(400, 'a query')
  if (!hosts.includes(headers['host'] ?? '')) throw new DavMistake(421, `the host ${headers.host}`)
  if (!PATH.test(path)) throw new DavMistake(400, 'a path that is no URI')
  if (/\/\//.test(path)) throw new DavMistake(400, 'a path with an empty segment')
  if (path.split('/').some(isForbiddenSegment)) throw new DavMistake(400, 'a path with a forbidden segment')
  // RFC 4918, 9.6.1: a DELETE has infinite depth, and a client must not send another one.
  if (method === 'DELETE' && (headers['depth'] ?? 'infinity') !== 'infinity') throw new DavMistake(400, 'a depth')
  if (method === 'MKCOL' && (headers['content-length'] ?? '0') !== '0') throw new DavMistake(415, 'a body')
  for (const value of [headers['if-match'], headers['if-none-match'], headers['if-range']]) {
    if (value !== undefined && !ENTITY_TAGS.test(value)) throw new DavMistake(400, `the entity tag ${value}`)
  }
  // RFC 9110, 13.1.1 and 13.1.5: these use strong comparison, so a weak tag never matches.
  for (const value of [headers['if-match'], headers['if-range']]) {
    if (value?.includes('W/') === true) throw new DavMistake(412, 'a weak entity tag')
  }
  if (headers.range !== undefined && !RANGE.test(headers.range)) throw new DavMistake(400, `the range ${headers.range}`)
}

/**
 * Returns the destination of a MOVE. Apache does not accept a path alone, and rclone's server treats a missing
 * `Overwrite` as `F` (2026-11).
 */
export function destinationOf({ headers }: FakeDavRequest, hosts: readonly string[]): URL {
  const { destination = '', overwrite } = headers
  if (!URL.canParse(destination) || !hosts.includes(new URL(destination).host)) {
    throw new DavMistake(400, `the destination ${destination}`)
  }
  if (overwrite !== 'T' && overwrite !== 'F') throw new DavMistake(400, `the overwrite ${overwrite}`)
  return new URL(destination)
}

/** Parses the only form of an `If` header (RFC 4918, 10.4) in use: one resource with one entity tag. */
export function conditionOf({ headers }: FakeDavRequest): { url: URL; etag: string } | undefined {
  if (headers['if'] === undefined) return undefined
  const [, url = '', etag = ''] = /^<([^<>]+)> \(\[((?:W\/)?"[^"]*")\]\)$/.exec(headers['if']) ?? []
  if (!URL.canParse(url)) throw new DavMistake(400, `the condition ${headers['if']}`)
  return { url: new URL(url), etag }
}

/** Returns the decoded path below the base path, and whether it ends with a slash. */
export function resolvePath(path: string, basePath: string): { path: string; hasSlash: boolean } {
  if (`${path}/` === basePath) return { path: '', hasSlash: false }
  if (!path.startsWith(basePath)) throw new DavMistake(404, `a path outside of ${basePath}`)
  const relativePath = path.slice(basePath.length)
  const hasSlash = relativePath === '' || relativePath.endsWith('/')
  return { path: relativePath.replace(/\/$/, '').split('/').map(decodeURIComponent).join('/'), hasSlash }
}

function isForbiddenSegment(segment: string): boolean {
  try {
    const name = decodeURIComponent(segment)
    return name === '.' || name === '..' || name.includes('/') || name.includes('\0')
  } catch {
    return true
  }
}
