import { randomUUID } from 'node:crypto'
import type { ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { folderInfo } from '../shared/entries.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { ENTRY_WEIGHT, listingPager, MAX_FOLDER_ENTRIES, MAX_FOLDER_WEIGHT, nextTurn } from '../shared/paging.ts'
import { hasProperties, readMetadata } from './entries.ts'
import type { DavResource } from './multistatus.ts'
import type { DavSession, PropfindResponse } from './session.ts'

/** The result of a PROPFIND of a folder. */
export interface Children {
  /** The listed folder itself, unless the response does not contain it. */
  readonly folder: DavResource | undefined
  readonly entries: readonly Entry[]
  /** Whether a resource was omitted because its name cannot be used in requests. */
  readonly hasOmissions: boolean
  /** Whether there were more entries than the limits allow. */
  readonly isTruncated: boolean
}

export interface ReadLimits {
  readonly maxEntries: number
  /** Limit of the size of all entries, in approximate bytes. */
  readonly maxWeight: number
}

/**
 * Reads a folder's children from a response: each one once, and no resources outside the folder. The folder itself is
 * recognised by its path, not by its position.
 *
 * @throws StorageError `FOLDER_NOT_FOUND` if it is no folder, `PROVIDER_ERROR` for a response about other resources
 */
export async function readChildren(
  session: DavSession,
  folderId: string | null,
  { response, resources }: PropfindResponse,
  { maxEntries, maxWeight }: ReadLimits
): Promise<Children> {
  const { paths, toEntry } = session
  const folderSegments = folderId === null ? [] : folderId.slice(0, -1).split('/')
  const entries = new Map<string, Entry>()
  let hasOmissions = false
  let folderResource: DavResource | undefined
  let weight = 0
  for await (const resource of resources) {
    const segments = paths.segmentsOf(resource.href)
    const isInside = segments !== null && folderSegments.every((name, index) => segments[index] === name)
    const depth = isInside ? segments.length - folderSegments.length : -1
    if (depth === 0 && resource.status >= 300) {
      throw httpFailure('PROPFIND', { ...response, status: resource.status }, 'FOLDER_NOT_FOUND')
    } else if (depth === 0 && hasProperties(resource)) {
      if (!readMetadata(resource).isCollection) throw failure('FOLDER_NOT_FOUND')
      folderResource = resource
    } else if (depth === 1 && resource.status < 300 && hasProperties(resource)) {
      const metadata = readMetadata(resource)
      const id = `${folderId ?? ''}${segments?.at(-1) ?? ''}${metadata.isCollection ? '/' : ''}`
      if (entries.has(id)) continue
      // An entry contains its name about three times: in the id, the path and the name.
      weight += ENTRY_WEIGHT + 3 * resource.href.length
      if (entries.size === maxEntries || weight > maxWeight) {
        return { folder: folderResource, entries: [...entries.values()], hasOmissions, isTruncated: true }
      }
      entries.set(id, toEntry(id, resource, metadata, folderResource))
    } else if (resource.status !== 404) {
      hasOmissions = true
    }
  }
  if (folderResource === undefined && entries.size === 0)
    throw failure('PROVIDER_ERROR', 'The server returned other folders than requested')
  return { folder: folderResource, entries: [...entries.values()], hasOmissions, isTruncated: false }
}

/** Entries sorted or merged in one turn of the event loop. */
const TURN_ENTRIES = 1000

/** The owner of cached folders. */
export interface PageOwner {
  readonly userId: string
  /** Random, because backends have no id. */
  readonly connection: string
}

/** @param userId omitted while a connection is being created; nothing is then shared with any user */
export function createPageOwner(userId: string | undefined): PageOwner {
  const connection = randomUUID()
  return { userId: userId ?? connection, connection }
}

/**
 * Returns a page of a folder that the server lists as a whole, with one PROPFIND.
 *
 * @param owner the user (for the cache limit), and the open connection, which shares no folders with others
 */
export function listCompleteFolder(
  { userId, connection }: PageOwner,
  session: DavSession,
  folderId: string | null,
  call: ListCall
): Promise<EntryPage> {
  const { client, paths, propfind } = session
  return listingPager.getPage(userId, `${connection} ${folderId ?? ''}`, call, async (signal) => {
    const url = paths.folderUrlOf(folderId)
    const response = await client.propfind({ url, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
    const limits = { maxEntries: MAX_FOLDER_ENTRIES, maxWeight: MAX_FOLDER_WEIGHT }
    const { folder, entries, hasOmissions, isTruncated } = await readChildren(session, folderId, response, limits)
    return {
      folder: folderInfo(folderId),
      entries: await sortById(entries),
      reason: isTruncated ? 'page-cap' : hasOmissions ? 'provider-partial' : null,
      freshness: folder === undefined ? null : (session.freshnessOf?.(folder) ?? null)
    }
  })
}

/** Sorts by id in UTF-16 order, so that the server's order does not matter. Yields to other requests. */
async function sortById(entries: readonly Entry[]): Promise<readonly Entry[]> {
  let runs: (readonly Entry[])[] = []
  for (let offset = 0; offset < entries.length; offset += TURN_ENTRIES) {
    runs.push(entries.slice(offset, offset + TURN_ENTRIES).sort((a, b) => (a.id < b.id ? -1 : 1)))
    await nextTurn()
  }
  while (runs.length > 1) {
    const merged: (readonly Entry[])[] = []
    for (let offset = 0; offset < runs.length; offset += 2)
      merged.push(await merge(runs[offset] ?? [], runs[offset + 1] ?? []))
    runs = merged
  }
  return runs[0] ?? []
}

async function merge(left: readonly Entry[], right: readonly Entry[]): Promise<readonly Entry[]> {
  const merged: Entry[] = []
  let [leftIndex, rightIndex] = [0, 0]
  for (;;) {
    const [a, b] = [left[leftIndex], right[rightIndex]]
    if (a === undefined || b === undefined) return merged.concat(left.slice(leftIndex), right.slice(rightIndex))
    if (a.id < b.id) leftIndex++
    else rightIndex++
    if (merged.push(a.id < b.id ? a : b) % TURN_ENTRIES === 0) await nextTurn()
  }
}
