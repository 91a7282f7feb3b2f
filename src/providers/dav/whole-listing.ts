import { randomUUID } from 'node:crypto'
import type { Entry, EntryPage } from '../../domain/entry.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import { type CutPages, MAX_FOLDER_ENTRIES, MAX_FOLDER_WEIGHT } from '../shared/cut-pages.ts'
import { nextTurn } from '../shared/next-turn.ts'
import { folderInfo, readChildren } from './listing.ts'
import type { DavServer } from './server.ts'

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
