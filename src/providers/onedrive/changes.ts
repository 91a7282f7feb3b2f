import type { Call } from '../../core/backend.ts'
import { type Change, type FeedPage, ROOT_SCOPE } from '../../core/change-feed.ts'
import { StorageError, type StorageErrorCode } from '../../errors.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import { asObject, type JsonObject } from '../shared/entries.ts'
import { failure, transientFailure } from '../shared/errors.ts'
import { apiUrl, readJson } from '../shared/rest-client.ts'
import {
  DRIVE_ROOT_FIELDS,
  formatId,
  hasFacet,
  isInDriveRoot,
  type ItemId,
  itemIdOf,
  OWN_ROOT,
  pathOf,
  readDriveId,
  readItemId,
  ROOT
} from './entries.ts'
import type { DriveRoot, GraphSession } from './session.ts'

/** `file` tells a deleted file, which has no name in organisations, from a deleted folder. */
const CHANGE_FIELDS = 'id,parentReference,root,folder,file,deleted'
/** The token of the current position. A response with it is always empty, so it must not be a position itself. */
const LATEST = 'latest'
/** Graph returns about 200 items per page, and many more are as useful as a lost position. */
const MAX_ITEMS = 10_000
const MAX_LINK_LENGTH = 8192
const MAX_POSITION_LENGTH = 4096
/** Parameters of a link that identify a position. All others are those of the request. */
const TOKEN_PARAMETERS = ['token', '$skiptoken', '$deltatoken']

/**
 * The end of a feed's URL. Graph writes the token as a parameter, or as an argument of the function:
 * `microsoft.graph.delta(token='…')`.
 */
const FEED_END = /^(microsoft\.graph\.)?delta(?:\((?:token='?([\w.~%!*;,:@$+=-]{1,4000})'?)?\))?(?:\?([^#]*))?$/

/** A change of something that the response does not identify. */
const UNKNOWN_CHANGE: Change = {
  id: null,
  path: null,
  parentId: null,
  isFolder: null,
  isGone: false,
  concerns: 'item'
}

/**
 * Returns the position of a drive's feed after its latest change.
 *
 * @throws StorageError `UNSUPPORTED` if the drive has no feed, which the session remembers: other clouds lack it
 */
export async function position(session: GraphSession, scope: string, call: Call): Promise<string> {
  const root = rootOf(scope)
  if (root === null || session.feeds.get(scope) === null) throw noFeed()
  const url = feedUrl(session, root, `delta?token=${LATEST}`)
  const [driveRoot, response] = await Promise.all([getDriveRoot(session, scope, root, call), send(session, url, call)])
  if (driveRoot === 'lost' || response === 'lost') throw transientFailure('Graph did not return a position of the feed')
  // A next link means that the service has ignored the token, and returns the whole drive.
  if (driveRoot === 'refused' || response === 'refused' || response['@odata.nextLink'] !== undefined) {
    session.feeds.set(scope, null)
    throw noFeed()
  }
  return parseLink(response['@odata.deltaLink'], session.origin)
}

/**
 * Returns one page of a drive's feed, in one request; the first call for a drive needs one more. An item appears in its
 * present state, with the folders above it: which of them have changed is not shown. The top of the drive comes with
 * every change, and is left out: no page shows it.
 */
export async function changes(session: GraphSession, scope: string, since: string, call: Call): Promise<FeedPage> {
  const root = rootOf(scope)
  if (root === null || since.length > MAX_POSITION_LENGTH || normalizePosition(since) !== since) return 'lost'
  const url = feedUrl(session, root, since)
  const [driveRoot, response] = await Promise.all([getDriveRoot(session, scope, root, call), send(session, url, call)])
  // A rejected token or a drive that is gone. The next position shows whether there is a feed.
  if (typeof driveRoot === 'string' || typeof response === 'string') return 'lost'
  const { value, '@odata.nextLink': nextLink, '@odata.deltaLink': deltaLink } = response
  if (!Array.isArray(value)) throw failure('PROVIDER_ERROR', 'Graph returned no list of changes')
  const hasMore = nextLink !== undefined && nextLink !== null
  const next = parseLink(hasMore ? nextLink : deltaLink, session.origin)
  // Graph may return the same page again and again (onedrive-api-docs issue 1431).
  if (value.length > MAX_ITEMS || (hasMore && next === since)) return 'lost'
  const items = value.map(asObject).filter((item) => !isRoot(item, driveRoot))
  return { position: next, changes: items.map((item) => toChange(item, driveRoot)), hasMore }
}

/** Returns the top of a scope's drive; `null` for a scope that no page of this provider has. */
export function rootOf(scope: string): ItemId | null {
  if (scope === ROOT_SCOPE) return OWN_ROOT
  const drive = readDriveId(scope)
  return drive === null ? null : { drive, item: ROOT }
}

function noFeed(): StorageError {
  return new StorageError('UNSUPPORTED', 'This drive does not report changes.', { responded: true })
}

/** @param end the end of the URL: a position */
function feedUrl({ origin }: GraphSession, root: ItemId, end: string): URL {
  const url = new URL(`${pathOf(root)}/${end}`, origin)
  url.searchParams.set('$select', CHANGE_FIELDS)
  return url
}

/**
 * Returns the position that a link leads to: the end of a relative URL. Neither its drive nor its parameters are
 * used, except the token.
 *
 * @throws StorageError `PROVIDER_ERROR` for a link to another origin, to another resource, or without a position
 */
function parseLink(link: unknown, origin: string): string {
  if (typeof link === 'string' && link.length > MAX_LINK_LENGTH) throw invalidLink()
  const { pathname, search } = parseProviderUrl(link, [origin], 'The next position of the feed')
  const position = normalizePosition(pathname.slice(pathname.lastIndexOf('/') + 1) + search)
  if (position === null || position.length > MAX_POSITION_LENGTH) throw invalidLink()
  return position
}

/**
 * Returns the end of a feed's URL with the parameters that identify a position; `null` if it identifies none. After a
 * request with `token=latest`, Graph's link may contain that token too (microsoft-graph-docs issue 2317).
 */
function normalizePosition(end: string): string | null {
  const [match, qualifier = '', argument, search] = FEED_END.exec(end) ?? []
  if (match === undefined) return null
  const isInPath = argument !== undefined && argument !== LATEST
  const sent = new URLSearchParams(search)
  const parameters = new URLSearchParams()
  for (const name of TOKEN_PARAMETERS) {
    const value = sent.getAll(name).findLast((each) => each !== '' && each !== LATEST)
    if (value !== undefined && (name !== 'token' || !isInPath)) parameters.set(name, value)
  }
  if (!isInPath && parameters.size === 0) return null
  const path = isInPath ? `${qualifier}delta(token='${argument}')` : 'delta'
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`
}

function invalidLink(): StorageError {
  return failure('PROVIDER_ERROR', 'Graph returned a link that is not a position of the feed')
}

/**
 * Errors with which Graph refuses the feed of a drive: for a scope without a feed, or for a token that it does not know,
 * which is a 400 (`Provided sync token is malformed`).
 */
const REFUSALS: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'OBJECT_NOT_FOUND',
  'ACCESS_DENIED',
  'INSUFFICIENT_SCOPE',
  'INVALID_REQUEST',
  'UNSUPPORTED'
])

/** @returns `lost` if Graph asks for a new enumeration; its `Location` is not used */
async function send({ client }: GraphSession, url: URL, { signal }: Call): Promise<JsonObject | 'lost' | 'refused'> {
  const request = { url, signal, missing: 'OBJECT_NOT_FOUND' } as const
  const response = await client.send(request)
  const { status } = response
  if (status >= 200 && status <= 299) return readJson(response)
  const error = await client.readError(request, response)
  const { code } = error
  if (status === 410 || code === 'CURSOR_EXPIRED') return 'lost'
  if (REFUSALS.has(code) || (status === 400 && code === 'PROVIDER_ERROR')) return 'refused'
  throw error
}

/**
 * Returns the top of a drive. Its item id shows which items are at the top: the feed of an organisation's drive
 * contains no paths.
 */
async function getDriveRoot(
  session: GraphSession,
  scope: string,
  root: ItemId,
  call: Call
): Promise<DriveRoot | 'lost' | 'refused'> {
  const known = session.feeds.get(scope)
  if (known !== undefined && known !== null) return known
  const item = await send(session, apiUrl(session.origin, pathOf(root), { $select: DRIVE_ROOT_FIELDS }), call)
  if (typeof item === 'string') return item
  session.ownDrive.updateFromItem(item, { isOwn: root.drive === null })
  const { drive, item: itemId } = itemIdOf(item)
  const isOwn = root.drive === null || drive === session.ownDrive.id
  const driveRoot = { drive, item: itemId, id: isOwn ? ROOT : formatId({ drive, item: ROOT }) }
  session.feeds.set(scope, driveRoot)
  return driveRoot
}

function isRoot(item: JsonObject, root: DriveRoot): boolean {
  return hasFacet(item, 'root') || (item['id'] === root.item && !hasFacet(item, 'deleted'))
}

/** Converts an item of the feed. An item of this drive that is not gone has a folder, or it is not understood. */
function toChange(item: JsonObject, root: DriveRoot): Change {
  const { driveId = root.drive, id: parentItem } = asObject(item['parentReference'])
  const id = readItemId(driveId, item['id'])
  if (id === null) return UNKNOWN_CHANGE
  const isGone = hasFacet(item, 'deleted')
  const parent = readItemId(driveId, parentItem)
  const isInRoot = id.drive === root.drive && (parent?.item === root.item || isInDriveRoot(item))
  const parentId = isInRoot ? root.id : parent === null ? null : formatId(parent)
  if (parentId === null && !isGone && id.drive === root.drive) return UNKNOWN_CHANGE
  return {
    id: formatId(id),
    path: null,
    parentId,
    isFolder: hasFacet(item, 'folder') ? true : isGone && !hasFacet(item, 'file') ? null : false,
    isGone,
    concerns: 'item'
  }
}
