import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphMistake } from './failure.ts'
import type { GraphKind } from './node.ts'
import type { GraphOperation, GraphRoute } from './routes.ts'

interface RequestRules {
  readonly parameters?: readonly string[]
  readonly headers?: readonly string[]
  /** The kind of body, if any. */
  readonly body?: 'json' | 'bytes'
}

/** Headers and parameters that any request may have. */
const COMMON_HEADERS = [
  ...['host', 'connection', 'user-agent', 'accept', 'accept-encoding', 'accept-language', 'sec-fetch-mode'],
  ...['authorization', 'content-length', 'client-request-id', 'return-client-request-id', 'sdkversion']
]
const ITEM_PARAMETERS = ['$select', '$expand']
const PAGE_PARAMETERS = ['$select', '$top', '$skiptoken']

/** The additional ones of each operation. Others are mistakes. */
const RULES: Readonly<Record<GraphOperation, RequestRules>> = {
  'me.get': { parameters: ['$select'] },
  'drive.get': { parameters: ['$select'] },
  'item.get': { parameters: ITEM_PARAMETERS, headers: ['if-none-match'] },
  // In business accounts, a folder's tag does not cover its children, so listings have no conditions.
  'item.list': { parameters: [...ITEM_PARAMETERS, ...PAGE_PARAMETERS, '$orderby'] },
  'drive.socketIo': {},
  'item.delta': { parameters: ['$select', '$top', 'token'] },
  // No range: it belongs to the address that this one redirects to.
  'item.download': {},
  'item.upload': { parameters: ['@microsoft.graph.conflictBehavior'], headers: ['if-match'], body: 'bytes' },
  'item.delete': { headers: ['if-match'] },
  'folder.create': { body: 'json' },
  'session.create': { headers: ['if-match', 'if-none-match'], body: 'json' },
  'sites.search': { parameters: [...PAGE_PARAMETERS, 'search'] },
  'site.get': { parameters: ['$select'] },
  'site.drives': { parameters: PAGE_PARAMETERS },
  'site.sites': { parameters: PAGE_PARAMETERS },
  // The query of a pre-authenticated address is opaque.
  'content.get': { headers: ['range', 'if-range', 'if-match'] },
  'session.put': { headers: ['content-range'], body: 'bytes' },
  'session.status': {},
  'session.cancel': {}
}

const RANGE = /^bytes=(?:\d+-\d*|-\d+)$/
const TAG_PATTERNS: Readonly<Record<GraphKind, RegExp>> = {
  business: /^(?:\*|"[^"]+"|[^"{}\s]+)$/,
  // Personal accounts send and receive them without quotes.
  personal: /^(?:\*|[^"{}\s]+)$/
}
const UNKNOWN_SIZE =
  'The size of the provided stream is not known. ' +
  'Make sure the request is not chunked, and the Content-Length header is specified'

/** Checks parameters and headers, without the tree. */
export function checkRequestHead({ operation }: GraphRoute, request: FakeCloudRequest, kind: GraphKind): void {
  const { query, headers } = request
  const { parameters = [], headers: operationHeaders = [], body } = RULES[operation]
  if (headers['transfer-encoding'] !== undefined) throw new GraphMistake(UNKNOWN_SIZE)
  const known = [...COMMON_HEADERS, ...operationHeaders, ...(body === undefined ? [] : ['content-type'])]
  const unknown = Object.keys(headers).filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new GraphMistake(`the header ${unknown.join()}`)
  for (const name of ['if-match', 'if-none-match']) {
    if (!TAG_PATTERNS[kind].test(headers[name] ?? '*')) throw new GraphMistake(`the tag ${headers[name]} in ${name}`)
  }
  if (!RANGE.test(headers['range'] ?? 'bytes=0-')) throw new GraphMistake(`the range ${headers['range']}`)
  checkBody(headers, body)
  if (request.host === 'api') checkQuery(query, parameters)
}

function checkBody(headers: FakeCloudRequest['headers'], body: RequestRules['body']): void {
  const length = headers['content-length']
  if (body === undefined && (length ?? '0') !== '0') throw new GraphMistake('a body where none belongs')
  if (body === undefined) return
  if (length === undefined) throw new GraphMistake(UNKNOWN_SIZE)
  const type = headers['content-type']
  if (type === undefined) throw new GraphMistake('no content-type')
  if (body === 'json' && !/^application\/json(?:;|$)/.test(type)) throw new GraphMistake(`the content-type ${type}`)
}

function checkQuery(query: URLSearchParams, parameters: readonly string[]): void {
  const names = [...query.keys()]
  const unknown = names.filter((name) => !parameters.includes(name))
  if (unknown.length > 0) throw new GraphMistake(`the parameter ${unknown.join()}`)
  if (new Set(names).size < names.length) throw new GraphMistake('a parameter twice')
  const empty = [...query].filter(([, value]) => value === '').map(([name]) => name)
  if (empty.length > 0) throw new GraphMistake(`nothing in ${empty.join()}`)
  const top = query.get('$top') ?? '1'
  if (!/^[1-9]\d{0,2}$/.test(top)) throw new GraphMistake(`$top=${top}`)
}
