import { createHash } from 'node:crypto'
import type { Call } from '../../core/backend.ts'
import type { Change, FeedPage } from '../../core/change-feed.ts'
import { systemClock } from '../../core/time.ts'
import { isStorageError } from '../../errors.ts'
import { asObject, type JsonObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { apiUrl, parseJson, readText } from '../shared/rest-client.ts'
import { findId, formatId, isActive, type ItemId } from './entries.ts'
import type { BoxSession } from './session.ts'

/** The largest page of events (Box's reference of `GET /events`). */
const MAX_EVENTS = 500
/** The requests of one call: many events, or pages that repeat the same ones, are continued by the caller. */
const MAX_REQUESTS = 3
/**
 * Box accepts any position, and omits events that it no longer stores. It stores them for at least two weeks ("Get
 * User Events"). Nothing is cached for as long as this.
 */
const MAX_POSITION_AGE_MS = 24 * 60 * 60 * 1000

/** Returns the current position of the user's events, which are one feed for the whole account. */
export async function position(session: BoxSession, _scope: string, call: Call): Promise<string> {
  const { next } = await getEvents(session, 'now', call)
  return writePosition(next, [])
}

/**
 * Returns the events since a position. A page may be short although others follow, and may repeat events of earlier
 * pages, without end and in later calls too. Only a page without a new event is therefore the last one.
 */
export async function changes(session: BoxSession, _scope: string, position: string, call: Call): Promise<FeedPage> {
  const start = readPosition(position)
  if (start === null) return 'lost'
  let { streamPosition } = start
  const knownEvents = new Set(start.recentEvents)
  const receivedEvents = new Set<string>()
  const found = new Map<string, Change>()
  for (let count = 1; ; count += 1) {
    const page = await getEventsSince(session, streamPosition, call)
    if (page === 'lost') return page
    let hasNew = false
    for (const event of page.events) {
      const digest = digestOf(event)
      if (digest !== null) receivedEvents.add(digest)
      if (digest !== null && knownEvents.has(digest)) continue
      if (digest !== null) knownEvents.add(digest)
      hasNew = true
      const change = toChange(event)
      if (change !== null) found.set(JSON.stringify(change), change)
    }
    // Enterprise events have the position 0 after an empty page. It would return all stored events.
    if (page.events.length > 0 || page.next !== '0') streamPosition = page.next
    if (!hasNew || count === MAX_REQUESTS) {
      return {
        position: writePosition(streamPosition, [...receivedEvents]),
        changes: [...found.values()],
        hasMore: hasNew
      }
    }
  }
}

interface EventPage {
  readonly events: readonly JsonObject[]
  /** The position of the next page, as text. */
  readonly next: string
}

async function getEventsSince(session: BoxSession, position: string, call: Call): Promise<EventPage | 'lost'> {
  try {
    return await getEvents(session, position, call)
  } catch (error) {
    if (isStorageError(error, 'CURSOR_EXPIRED')) return 'lost'
    throw error
  }
}

/** Box documents no `fields` for events. */
async function getEvents({ client, origin }: BoxSession, position: string, { signal }: Call): Promise<EventPage> {
  const query = { stream_type: 'changes', stream_position: position, limit: String(MAX_EVENTS) }
  const url = apiUrl(origin, '/2.0/events', query)
  const text = await readText(await client.request({ url, signal, missing: 'OBJECT_NOT_FOUND' }))
  const { entries, next_stream_position: parsedNext } = parseJson(text)
  const next = exactPosition(text, parsedNext)
  if (!Array.isArray(entries) || entries.length > MAX_EVENTS || next === null) {
    throw failure('PROVIDER_ERROR', 'Box returned no list of events, or no position that follows them')
  }
  return { events: entries.map(asObject), next }
}

const NEXT_POSITION = /"next_stream_position"\s*:\s*"?(\d{1,20})"?\s*[,}]/g

/**
 * Returns the position in its notation in the JSON text. It is a number beyond 2^53, so the parsed value is another
 * one. A string of the document cannot contain the name with its quotes, because they would be escaped.
 *
 * @param parsed the value of the parsed document, which tells the position from a field of the same name elsewhere
 */
function exactPosition(text: string, parsed: unknown): string | null {
  if (typeof parsed !== 'number' && typeof parsed !== 'string') return null
  const matches = [...text.matchAll(NEXT_POSITION)].map(([, digits = '']) => digits)
  const [next, ...others] = new Set(matches.filter((digits) => Number(digits) === Number(parsed)))
  return next === undefined || others.length > 0 ? null : next
}

const DIGEST_LENGTH = 8
/** Fits into the length of a position, with a page of events. */
const MAX_RECENT_EVENTS = 480
const POSITION = /^(\d{1,20})\.(\d{1,15})\.((?:[\w-]{8}){0,480})$/

/** Returns 48 bits of a hash of an event's id; `null` if it has none. */
function digestOf({ event_id: id }: JsonObject): string | null {
  if (typeof id !== 'string' || id === '') return null
  return createHash('sha256').update(id).digest('base64url').slice(0, DIGEST_LENGTH)
}

/** The text of a position: Box's, the time when Box returned it, and the digests of the last events. */
function writePosition(streamPosition: string, receivedEvents: readonly string[]): string {
  return `${streamPosition}.${systemClock.date()}.${receivedEvents.slice(-MAX_RECENT_EVENTS).join('')}`
}

/** Returns the parts of a position; `null` if the text is none, or is too old. */
function readPosition(
  text: string
): { readonly streamPosition: string; readonly recentEvents: readonly string[] } | null {
  const [, streamPosition, time, digests = ''] = POSITION.exec(text) ?? []
  const isTooOld = systemClock.date() - Number(time) > MAX_POSITION_AGE_MS
  if (streamPosition === undefined || isTooOld) return null
  return { streamPosition, recentEvents: digests.match(/.{8}/g) ?? [] }
}

/** The types of events that change the listing of an item's folder, or the item itself. */
const ITEM_EVENTS: ReadonlySet<unknown> = new Set([
  'ITEM_CREATE',
  'ITEM_UPLOAD',
  'ITEM_COPY',
  'ITEM_MOVE',
  'ITEM_RENAME',
  'ITEM_MODIFY',
  'ITEM_MAKE_CURRENT_VERSION',
  'ITEM_TRASH',
  'ITEM_UNDELETE_VIA_TRASH',
  // A lock changes the permissions of other users.
  'LOCK_CREATE',
  'LOCK_DESTROY'
])

/** The types of events about a folder's members, including the user. */
const COLLABORATION_EVENTS: ReadonlySet<unknown> = new Set([
  'COLLAB_ADD_COLLABORATOR',
  'COLLAB_INVITE_COLLABORATOR',
  'COLLAB_REMOVE_COLLABORATOR',
  'COLLAB_ROLE_CHANGE'
])

/** The types of events that no listing shows. */
const UNLISTED_EVENTS: ReadonlySet<unknown> = new Set([
  'COMMENT_CREATE',
  'COMMENT_DELETE',
  'COMMENT_EDIT',
  'ITEM_DOWNLOAD',
  'ITEM_EMAIL_SEND',
  'ITEM_OPEN',
  'ITEM_PREVIEW',
  'ITEM_SHARED',
  'ITEM_SHARED_CREATE',
  'ITEM_SHARED_UNSHARE',
  'ITEM_SHARED_UPDATE',
  'ITEM_SYNC',
  'ITEM_UNSYNC',
  'TAG_ITEM_CREATE',
  'TASK_ASSIGNMENT_CREATE',
  'TASK_ASSIGNMENT_DELETE',
  'TASK_ASSIGNMENT_UPDATE',
  'TASK_CREATE',
  'TASK_UPDATE'
])

/** Something in the account has changed. */
const UNKNOWN_CHANGE: Change = {
  id: null,
  path: null,
  parentId: null,
  isFolder: null,
  isGone: false,
  concerns: 'item'
}

/**
 * Converts an event; returns `null` if no listing shows it. Box documents that its list of types is not complete, and
 * that the source may be missing, such as for the lock of a file that was deleted.
 */
function toChange(event: JsonObject): Change | null {
  const type = event['event_type']
  if (UNLISTED_EVENTS.has(type)) return null
  const source = asObject(event['source'])
  const item = sourceId(source)
  const isCollaboration = COLLABORATION_EVENTS.has(type)
  if (item === null || !(isCollaboration || ITEM_EVENTS.has(type))) return UNKNOWN_CHANGE
  const parent = findId(asObject(source['parent']))
  const parentId = parent?.type === 'folder' ? formatId(parent) : null
  // The folders of a removed member become inaccessible, and it is unknown whether that is the user.
  const isGone = type === 'ITEM_TRASH' || type === 'COLLAB_REMOVE_COLLABORATOR' || !isActive(source)
  // Items whose folder the user cannot access are listed in the root.
  const isInRoot = parentId === null && !isGone
  return {
    id: formatId(item),
    path: null,
    parentId,
    isFolder: item.type === 'folder',
    isGone,
    concerns: isCollaboration || isInRoot ? 'roots' : 'item'
  }
}

/** A source is an item, or has the fields of Box's "Event source". */
function sourceId(source: JsonObject): ItemId | null {
  return findId(source) ?? findId({ type: source['item_type'], id: source['item_id'] })
}
