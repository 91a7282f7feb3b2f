import { randomUUID } from 'node:crypto'
import type { ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage, FolderInfo } from '../../core/entry.ts'
import { failure, httpFailure } from '../shared/errors.ts'
import { nameOf, parentOf } from '../shared/names.ts'
import { type CutPages, ENTRY_WEIGHT, MAX_FOLDER_ENTRIES, MAX_FOLDER_WEIGHT, nextTurn } from '../shared/paging.ts'
import type { Properties } from './client.ts'
import { isTold, readFacts } from './entries.ts'
import type { DavResource } from './multistatus.ts'
import type { DavServer } from './session.ts'

/** The result of a PROPFIND of a folder. */
export interface Children {
  readonly entries: readonly Entry[]
  /** Whether a resource was omitted because its name cannot be used in requests. */
  readonly lost: boolean
  /** Whether there were more entries than the limits allow. */
  readonly capped: boolean
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
  server: DavServer,
  folderId: string | null,
  { answer, resources }: Properties,
  { maxEntries, maxWeight }: ReadLimits
): Promise<Children> {
  const { paths, toEntry } = server
  const folder = folderId === null ? [] : folderId.slice(0, -1).split('/')
  const entries = new Map<string, Entry>()
  let lost = false
  let self: DavResource | undefined
  let weight = 0
  for await (const resource of resources) {
    const segments = paths.segmentsOf(resource.href)
    const isInside = segments !== null && folder.every((name, index) => segments[index] === name)
    const depth = isInside ? segments.length - folder.length : -1
    if (depth === 0 && resource.status >= 300) {
      throw httpFailure('PROPFIND', { ...answer, status: resource.status }, 'FOLDER_NOT_FOUND')
    } else if (depth === 0 && isTold(resource)) {
      if (!readFacts(resource).isCollection) throw failure('FOLDER_NOT_FOUND')
      self = resource
    } else if (depth === 1 && resource.status < 300 && isTold(resource)) {
      const facts = readFacts(resource)
      const id = `${folderId ?? ''}${segments?.at(-1) ?? ''}${facts.isCollection ? '/' : ''}`
      if (entries.has(id)) continue
      // An entry contains its name about three times: in the id, the path and the name.
      weight += ENTRY_WEIGHT + 3 * resource.href.length
      if (entries.size === maxEntries || weight > maxWeight) {
        return { entries: [...entries.values()], lost, capped: true }
      }
      entries.set(id, toEntry(id, resource, facts, self))
    } else if (resource.status !== 404) {
      lost = true
    }
  }
  if (self === undefined && entries.size === 0)
    throw failure('PROVIDER_ERROR', 'The server returned other folders than requested')
  return { entries: [...entries.values()], lost, capped: false }
}

export function folderInfo(folderId: string | null): FolderInfo {
  if (folderId === null) return { id: null, name: null, parentId: null }
  return { id: folderId, name: nameOf(folderId), parentId: parentOf(folderId) }
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
export function pageOwner(userId: string | undefined): PageOwner {
  const connection = randomUUID()
  return { userId: userId ?? connection, connection }
}

/**
 * Returns a page of a folder that the server lists as a whole, with one PROPFIND.
 *
 * @param owner the user (for the cache limit), and the open connection, which shares no folders with others
 */
export function listWhole(
  pages: CutPages,
  { userId, connection }: PageOwner,
  server: DavServer,
  folderId: string | null,
  call: ListCall
): Promise<EntryPage> {
  const { client, paths, propfind } = server
  return pages.page(userId, `${connection} ${folderId ?? ''}`, call, async (signal) => {
    const url = paths.folderUrlOf(folderId)
    const told = await client.propfind({ url, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
    const limits = { maxEntries: MAX_FOLDER_ENTRIES, maxWeight: MAX_FOLDER_WEIGHT }
    const { entries, lost, capped } = await readChildren(server, folderId, told, limits)
    return {
      folder: folderInfo(folderId),
      entries: await sortById(entries),
      reason: capped ? 'page-cap' : lost ? 'provider-partial' : null
    }
  })
}

/** Sorts by id in UTF-16 order, so that the server's order does not matter. Yields to other requests. */
async function sortById(entries: readonly Entry[]): Promise<readonly Entry[]> {
  let runs: (readonly Entry[])[] = []
  for (let at = 0; at < entries.length; at += TURN_ENTRIES) {
    runs.push(entries.slice(at, at + TURN_ENTRIES).sort((a, b) => (a.id < b.id ? -1 : 1)))
    await nextTurn()
  }
  while (runs.length > 1) {
    const merged: (readonly Entry[])[] = []
    for (let at = 0; at < runs.length; at += 2) merged.push(await merge(runs[at] ?? [], runs[at + 1] ?? []))
    runs = merged
  }
  return runs[0] ?? []
}

async function merge(left: readonly Entry[], right: readonly Entry[]): Promise<readonly Entry[]> {
  const merged: Entry[] = []
  let [one, other] = [0, 0]
  for (;;) {
    const [a, b] = [left[one], right[other]]
    if (a === undefined || b === undefined) return merged.concat(left.slice(one), right.slice(other))
    if (a.id < b.id) one++
    else other++
    if (merged.push(a.id < b.id ? a : b) % TURN_ENTRIES === 0) await nextTurn()
  }
}
