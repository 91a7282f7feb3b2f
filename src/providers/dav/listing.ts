import type { Entry, FolderInfo } from '../../domain/entry.ts'
import { ENTRY_WEIGHT } from '../shared/cut-pages.ts'
import { failure, httpFailure } from '../shared/http-failure.ts'
import { nameOf, parentOf } from '../shared/object-path.ts'
import type { Properties } from './client.ts'
import type { DavResource } from './multistatus.ts'
import { isTold, readFacts } from './properties.ts'
import type { DavServer } from './server.ts'

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
