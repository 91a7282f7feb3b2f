import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { formatContentDisposition, exportedName, type Entry } from '../../../src/core/entry.ts'
import { receiveBody } from '../../fakes/fake-server.ts'
import type { ConnectionView } from '../../../web/picker/api.ts'
import type { PickerCloud } from './cloud.ts'
import { entryOf, folderOf } from './entries.ts'

const LISTING_QUERY = new Set(['connection', 'folder', 'cursor', 'limit', 'refresh'])

type RouteResponse = {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Responds like the plugin. Records requests that the plugin would reject as mistakes. */
export async function serveRoute(
  cloud: PickerCloud,
  url: URL,
  message: IncomingMessage,
  response: ServerResponse
): Promise<void> {
  const { body: raw, isComplete } = await receiveBody(message)
  // Otherwise the browser has aborted the upload.
  if (!isComplete) return
  const route = `${message.method ?? ''} ${url.pathname.replace(/^\/cloud/, '')}`
  const result =
    contentResponse(cloud, route, url, message, raw) ??
    listResponse(cloud, route, url) ??
    connectResponse(cloud, route, raw, message)
  if (result === null) {
    cloud.mistakes.push(`${route} is no route`)
    response.writeHead(404).end()
    return
  }
  const { status, body, headers } = result
  if (route.endsWith('/listing') && status === 200) {
    const etag = `"${createHash('sha256').update(JSON.stringify(body)).digest('hex')}"`
    response.setHeader('etag', etag)
    if (message.headers['if-none-match'] === etag) {
      response.writeHead(304).end()
      return
    }
  }
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(Buffer.isBuffer(body) ? body : JSON.stringify(body))
}

function listResponse(cloud: PickerCloud, route: string, url: URL): RouteResponse | null {
  if (route === 'GET /providers') return { status: 200, body: { providers: cloud.providers } }
  if (route === 'GET /connections') return { status: 200, body: { connections: cloud.connected } }
  return /^GET \/\w+\/listing$/.test(route) ? listing(cloud, url) : null
}

function listing(cloud: PickerCloud, { pathname, searchParams: query }: URL): RouteResponse {
  for (const name of query.keys()) if (!LISTING_QUERY.has(name)) cloud.mistakes.push(`a listing with ${name}`)
  const id = query.get('folder') ?? ''
  const folderEntries = cloud.folders.get(id)
  if (folderEntries === undefined) return { status: 404, body: { code: 'FOLDER_NOT_FOUND' } }
  const start = Number(query.get('cursor') ?? 0)
  const limit = Number(query.get('limit'))
  if (!(limit >= 1 && limit <= 1000)) cloud.mistakes.push(`a limit of ${limit}`)
  const end = start + limit
  const next = end < folderEntries.length ? String(end) : null
  const name = id === '' ? null : (id.split('/').at(-2) ?? null)
  return {
    status: 200,
    body: {
      provider: pathname.split('/')[2],
      connectionId: query.get('connection'),
      folder: { id: id === '' ? null : id, name, parentId: null },
      entries: folderEntries.slice(start, end),
      page: {
        next,
        complete: next === null,
        reason: next === null ? null : 'more',
        order: folderEntries.length <= limit ? 'folder-then-name' : 'provider'
      }
    }
  }
}

function contentResponse(
  cloud: PickerCloud,
  route: string,
  { searchParams: query }: URL,
  message: IncomingMessage,
  raw: Buffer
): RouteResponse | null {
  if (/^GET \/\w+\/content$/.test(route)) {
    const id = query.get('id') ?? ''
    const name = id.split('/').at(-1) ?? ''
    const [format] = [...cloud.folders.values()].flat().find((entry) => entry.id === id)?.exportFormats ?? []
    const headers = {
      'content-type': format?.mimeType ?? 'application/octet-stream',
      'content-disposition': formatContentDisposition(format === undefined ? name : exportedName(name, format))
    }
    return { status: 200, headers, body: Buffer.from(`content of ${name}`) }
  }
  if (/^PUT \/\w+\/content$/.test(route)) {
    if (message.headers['if-none-match'] !== '*') cloud.mistakes.push('an upload that may overwrite')
    const name = query.get('name') ?? ''
    const parent = query.get('parent') ?? ''
    const folder = cloud.folders.get(parent) ?? []
    if (folder.some((entry) => entry.name === name)) return { status: 412, body: { code: 'PRECONDITION_FAILED' } }
    const entry = entryOf(`${parent}${name}`, { size: raw.length })
    cloud.uploads.push({ name, type: message.headers['content-type'] ?? '', body: raw })
    return addEntry(folder, entry)
  }
  if (/^POST \/\w+\/folders$/.test(route)) {
    const { parentId, name } = JSON.parse(raw.toString()) as { parentId: string | null; name: string }
    const folder = cloud.folders.get(parentId ?? '') ?? []
    if (folder.some((entry) => entry.name === name)) return { status: 409, body: { code: 'ALREADY_EXISTS' } }
    const entry = folderOf(`${parentId ?? ''}${name}/`)
    cloud.folders.set(entry.id, [])
    return addEntry(folder, entry)
  }
  return null
}

function addEntry(folder: Entry[], entry: Entry): RouteResponse {
  folder.push(entry)
  return { status: 201, body: entry }
}

function connectResponse(
  cloud: PickerCloud,
  route: string,
  raw: Buffer,
  message: IncomingMessage
): RouteResponse | null {
  const [, id, action, flow, poll] = /^POST \/connections\/([\w-]+)(?:\/(\w+)(?:\/(\w+)\/(\w+))?)?$/.exec(route) ?? []
  if (id === undefined) return null
  const body = (raw.length === 0 ? {} : JSON.parse(raw.toString())) as Record<string, string | undefined>
  if (action === 'verify') {
    const connection = cloud.connected.find((each) => each.id === id)
    return connection === undefined ? { status: 404 } : { status: 200, body: connect(cloud, connection.provider, id) }
  }
  if (poll !== undefined) {
    if (raw.length > 0) cloud.mistakes.push('a poll with a body')
    const made = cloud.logins.get(flow ?? '')?.() ?? null
    if (made === null) return { status: 202, headers: { 'retry-after': '1' }, body: { status: 'pending' } }
    return { status: 201, body: made }
  }
  if (action === 'authorize') return startLogin(cloud, body, message)
  return { status: 201, body: connect(cloud, id, `${id}-made`) }
}

function startLogin(
  cloud: PickerCloud,
  { baseUrl, returnTo }: Record<string, string | undefined>,
  message: IncomingMessage
): RouteResponse {
  if (baseUrl !== undefined) {
    return { status: 200, body: { loginUrl: `${cloud.originOf('provider')}/login`, flowId: 'flow1' } }
  }
  if (message.headers['sec-fetch-mode'] === 'no-cors') cloud.mistakes.push('authorize without cookies')
  const back = new URL(returnTo ?? '/', cloud.origin).href
  return { status: 200, body: { authorizationUrl: `${cloud.originOf('provider')}/?back=${encodeURIComponent(back)}` } }
}

/** Creates a connection, or reactivates it. */
export function connect(cloud: PickerCloud, provider: string, id: string): ConnectionView {
  const known = cloud.connected.find((connection) => connection.id === id)
  const made: ConnectionView = known
    ? { ...known, status: 'ACTIVE', lastError: null }
    : {
        id,
        provider,
        label: `${provider} account`,
        account: `${provider}#me`,
        status: 'ACTIVE',
        default: true,
        createdAt: '2026-11-02T08:30:00.000Z',
        lastError: null
      }
  cloud.connected = [...cloud.connected.filter((connection) => connection.id !== id), made]
  return made
}
