import type { EntryPage } from '../../domain/entry.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import { type CutPages, MAX_FOLDER_ENTRIES, type WholeFolder } from '../shared/cut-pages.ts'
import { type Children, folderInfo, readChildren } from './listing.ts'
import type { DavServer } from './server.ts'

/** A page of a folder that the server tells as a whole. @param owner tells apart whose folders are kept */
export function listWhole(
  pages: CutPages,
  owner: string,
  server: DavServer,
  folderId: string | null,
  call: ListCall
): Promise<EntryPage> {
  const load = async (): Promise<WholeFolder> => {
    const { client, paths, propfind } = server
    const url = paths.folderUrlOf(folderId)
    const told = await client.propfind({ url, signal: call.signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
    const children = await readChildren(server, folderId, told, {
      maxEntries: MAX_FOLDER_ENTRIES,
      expectSelf: true
    })
    return wholeFolder(folderId, children)
  }
  return pages.page(`${owner} ${folderId ?? ''}`, call, load)
}

/** In one order, whatever order the server has today: that of UTF-16, which compares long paths fast. */
export function wholeFolder(folderId: string | null, { entries, capped, lost }: Children): WholeFolder {
  return {
    folder: folderInfo(folderId),
    entries: entries.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    reason: capped ? 'page-cap' : lost ? 'provider-partial' : null
  }
}
