import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphMistake } from './failure.ts'

export type GraphOperation =
  | 'me.get'
  | 'drive.get'
  | 'item.get'
  | 'item.list'
  | 'item.delta'
  | 'drive.socketIo'
  | 'item.download'
  | 'item.upload'
  | 'item.delete'
  | 'folder.create'
  | 'session.create'
  | 'sites.search'
  | 'site.get'
  | 'site.drives'
  | 'site.sites'
  | 'content.get'
  | 'session.put'
  | 'session.status'
  | 'session.cancel'

export interface GraphRoute {
  readonly operation: GraphOperation
  /** Undefined for the caller's own drive. */
  readonly driveId: string | undefined
  readonly itemId: string
  /** The path relative to the item, if any. */
  readonly names: readonly string[]
  readonly siteId: string
  /** The token in the path of a feed of changes. */
  readonly token: string | undefined
}

type Parts = Readonly<Record<'drive' | 'item' | 'path' | 'end' | 'site' | 'list' | 'token', string | undefined>>

const URI = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/
const DRIVE = String.raw`(?:me/drive|drives/(?<drive>[^/:]+))`
/** A path is enclosed in colons; the second one may be missing at the end. */
const ITEM = String.raw`(?:root|items/(?<item>[^/:]+))(?::/(?<path>[^:]+?)(?::(?=/|$)|$))?`
const API = new RegExp(String.raw`^/v1\.0/${DRIVE}(?<root>/${ITEM}(?:/(?<end>[a-zA-Z]+))?)?$`)
/** Documented for the root only: "view.delta can only be called on the root" (onedrive-api-docs issue 1060). */
const DELTA = new RegExp(
  String.raw`^/v1\.0/(?:${DRIVE}|drives\('(?<key>[^']+)'\))/root/(?:microsoft\.graph\.)?delta(?:\(token='(?<token>[^']+)'\))?$`
)
const SOCKET_IO = new RegExp(String.raw`^/v1\.0/${DRIVE}/root/subscriptions/socketIo$`)
const SITES = /^\/v1\.0\/sites(?:\/(?<site>[^/:]+)(?:\/(?<list>[a-z]+))?)?$/
const SESSION = /^\/up\/|\/uploadSession$/

const ITEM_OPERATIONS: Readonly<Record<string, GraphOperation>> = {
  'GET ': 'item.get',
  'DELETE ': 'item.delete',
  'GET children': 'item.list',
  'POST children': 'folder.create',
  'GET content': 'item.download',
  'PUT content': 'item.upload',
  'POST createUploadSession': 'session.create'
}
const SESSION_OPERATIONS: Readonly<Record<string, GraphOperation>> = {
  PUT: 'session.put',
  GET: 'session.status',
  DELETE: 'session.cancel'
}

export const isTransfer = ({ operation }: GraphRoute) =>
  operation === 'item.upload' || operation === 'content.get' || operation === 'session.put'

export function routeOf({ host, method, path }: FakeCloudRequest): GraphRoute {
  if (!URI.test(path)) throw new GraphMistake('a path that is no URI')
  const noParts: Parts = {
    drive: undefined,
    item: undefined,
    path: undefined,
    end: '',
    site: undefined,
    list: undefined,
    token: undefined
  }
  if (host === 'content') return routeWith(contentOperation(method, path), noParts)
  if (path === '/v1.0/me') return routeWith(method === 'GET' ? 'me.get' : undefined, noParts)
  const sites = SITES.exec(path)
  if (sites !== null) {
    const parts = { ...noParts, ...sites.groups }
    return routeWith(method === 'GET' ? sitesOperation(parts) : undefined, parts)
  }
  const delta = DELTA.exec(path)?.groups
  if (delta !== undefined) {
    const parts = { ...noParts, drive: delta['drive'] ?? delta['key'], token: delta['token'] }
    return routeWith(method === 'GET' ? 'item.delta' : undefined, parts)
  }
  const socketIo = SOCKET_IO.exec(path)?.groups
  if (socketIo !== undefined) {
    return routeWith(method === 'GET' ? 'drive.socketIo' : undefined, { ...noParts, ...socketIo })
  }
  const match = API.exec(path)
  if (match === null) return routeWith(undefined, noParts)
  const parts: Parts = { ...noParts, ...match.groups }
  const isDrive = match.groups?.['root'] === undefined
  const driveOperation = method === 'GET' ? ('drive.get' as const) : undefined
  return routeWith(isDrive ? driveOperation : ITEM_OPERATIONS[`${method} ${parts.end ?? ''}`], parts)
}

function contentOperation(method: string, path: string): GraphOperation | undefined {
  if (SESSION.test(path)) return SESSION_OPERATIONS[method]
  return method === 'GET' ? 'content.get' : undefined
}

function sitesOperation({ site, list }: Parts): GraphOperation | undefined {
  if (site === undefined) return 'sites.search'
  if (list === undefined) return 'site.get'
  return list === 'drives' ? 'site.drives' : list === 'sites' ? 'site.sites' : undefined
}

function routeWith(operation: GraphOperation | undefined, { drive, item, path, site, token }: Parts): GraphRoute {
  if (operation === undefined) throw new GraphMistake('a route that there is not')
  const names = path?.split('/').map(decodePart) ?? []
  return {
    operation,
    driveId: drive === undefined ? undefined : decodePart(drive),
    itemId: decodePart(item ?? 'root'),
    names,
    siteId: decodePart(site ?? ''),
    token: token === undefined ? undefined : decodePart(token)
  }
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new GraphMistake('a path that is no UTF-8')
  }
}
