import type { EntryPage } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import type { Call, ListCall } from '../../core/backend.ts'
import { failure } from '../shared/errors.ts'
import { invalidCursor } from '../shared/paging.ts'
import { requireLimit } from '../shared/paging.ts'
import { asObject, sizeOf } from '../shared/rest-client.ts'
import { type Place, readCursor } from './pages.ts'
import { hasFacet, isAtTop, isHidden, ITEM_FIELDS, itemEntry, itemIdOf, remoteIdOf, type Resource } from './entries.ts'
import { formatId, type ItemId, OWN_ROOT, parseId, pathOf, ROOT } from './entries.ts'
import { askPage, type Page } from './pages.ts'
import { pageOfSections, type ListPart, type Part, type Sections } from './sites.ts'
import { type GraphServer, look, ownDriveId, topName } from './session.ts'
import { siteSections, sitesPart } from './sites.ts'

/** Includes `root`, which marks the top of a drive: the parent id in a top's `parentReference` is not an item. */
const TOP_FIELDS = 'id,parentReference,root'
const NOTHING: Page = { resources: [], next: null, count: null }

/** Returns one page of a folder in one call. Empty folders, shortcuts and the sites of the root need more. */
export async function listFolder(server: GraphServer, folderId: string | null, call: ListCall): Promise<EntryPage> {
  requireLimit(call.limit)
  const id = parseId(folderId ?? ROOT, 'FOLDER_NOT_FOUND')
  const place = call.cursor === undefined ? null : readCursor(call.cursor, call.limit)
  if ('site' in id) return pageOfSections(siteSections(server, id, call), place, call)
  const folder = await folderOf(server, id, place, call)
  const page = await pageOfSections(await sectionsOf(server, folder, call), place, call)
  // The items have shown that the folder is the root under another id. The root's listing also contains sites.
  const isUnnamedRoot = page.folder.id === ROOT && folder.drive !== null && place === null
  return isUnnamedRoot ? pageOfSections(await sectionsOf(server, OWN_ROOT, call), null, call) : page
}

/** Maps all ids of the root to one, as far as they are known. */
async function folderOf(server: GraphServer, id: ItemId, place: Place | null, call: Call): Promise<ItemId> {
  const { own } = server
  if (place?.at?.drive === null && id.drive !== null) {
    // The cursor belongs to a listing of the root. This process may not know the root's id yet.
    if (own.rootItem === null) await look(server, OWN_ROOT, call, 'FOLDER_NOT_FOUND', TOP_FIELDS)
    const isOwn = id.drive === own.id && (id.item === ROOT || id.item === own.rootItem)
    if (!isOwn) throw invalidCursor()
    return OWN_ROOT
  }
  if (id.item === ROOT && id.drive !== null) return id.drive === (await ownDriveId(server, call)) ? OWN_ROOT : id
  return id.drive === own.id && id.item === own.rootItem ? OWN_ROOT : id
}

/** Returns the sections of a folder. An organisational user's root lists the sites first, unless `kind` is given. */
async function sectionsOf(server: GraphServer, folder: ItemId, call: ListCall): Promise<Sections> {
  const items: ListPart = (place) => itemsPart(server, folder, place, call)
  const sites: ListPart = (place) => sitesPart(server, place, ROOT, call)
  const mayHaveSites = folder.drive === null && call.kind === undefined
  if (mayHaveSites) await ownDriveId(server, call)
  const { isPersonal, isMissing } = server.own
  if (mayHaveSites && isMissing) return new Map([['sites', sites]])
  return mayHaveSites && isPersonal === false
    ? new Map([
        ['sites', sites],
        ['items', items]
      ])
    : new Map([['items', items]])
}

async function itemsPart(server: GraphServer, folder: ItemId, place: Place, call: Call): Promise<Part> {
  const { page, at } = await itemsPage(server, folder, place, call)
  const { resources, next } = page
  const real = at ?? folder
  for (const item of resources) server.own.learn(item, { isOwn: real.drive === null })
  const shownAs = await nameOf(server, real, resources, call)
  const seen = place.seen + resources.length
  const isLastOfMany = next === null && place.query !== null
  const told = isLastOfMany ? (page.count ?? (await childCount(server, real, call))) : page.count
  return {
    entries: resources.filter((item) => !isHidden(item)).map((item) => itemEntry(item, { parentId: shownAs })),
    next: next === null ? null : { ...place, query: next, seen, at },
    // With more items than reported, an item was returned twice, so others may be missing.
    isPartial: next === null && told !== null && told !== seen,
    shownAs
  }
}

/**
 * Returns a page of a folder's items. If Graph returns none, or no such folder, requests the item itself: a file
 * looks like an empty folder, and the items of a shortcut are those of its target.
 */
async function itemsPage(
  server: GraphServer,
  folder: ItemId,
  place: Place,
  call: Call
): Promise<{ readonly page: Page; readonly at: ItemId | null }> {
  const ask = (id: ItemId): Promise<Page> =>
    askPage(server, `${pathOf(id)}/children`, { $select: ITEM_FIELDS }, place, call)
  if (place.query !== null) return { page: await ask(place.at ?? folder), at: place.at }
  const page = await ask(folder).catch(async (error: unknown) => {
    const isRefused = isStorageError(error, 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
    const isMissing = isStorageError(error, 'FOLDER_NOT_FOUND')
    if (folder.drive === null && (isMissing || isRefused) && (await hasNoDrive(server, call))) return NOTHING
    if (!isMissing) throw error
    return null
  })
  const isEmpty = page !== null && page.resources.length === 0 && page.next === null
  if (page !== null && (!isEmpty || folder.drive === null)) return { page, at: null }
  const item = await look(server, folder, call, 'FOLDER_NOT_FOUND')
  if (page !== null && hasFacet(item, 'folder')) return { page: { ...page, resources: [] }, at: null }
  const at = remoteIdOf(item)
  if (at === null || !hasFacet(asObject(item['remoteItem']), 'folder')) throw failure('FOLDER_NOT_FOUND')
  return { page: await ask(at), at }
}

/** Returns whether the user has no drive. Such a user still has a root, without items of their own. */
async function hasNoDrive(server: GraphServer, call: Call): Promise<boolean> {
  await ownDriveId(server, call)
  return server.own.isMissing
}

/** Returns the id of a folder for clients. Its items show whether it is the top of a drive. */
async function nameOf(server: GraphServer, id: ItemId, items: readonly Resource[], call: Call): Promise<string> {
  const { own } = server
  if (id.drive === null || (id.drive === own.id && id.item === own.rootItem)) return ROOT
  const [inside] = items.filter(isAtTop)
  return inside === undefined ? formatId(id) : topName(server, itemIdOf(inside).drive, call)
}

/** Returns the number of items that a folder reports; `null` if it does not. */
async function childCount(server: GraphServer, folder: ItemId, call: Call): Promise<number | null> {
  const item = await look(server, folder, call, 'FOLDER_NOT_FOUND', `${TOP_FIELDS},folder`)
  return sizeOf(asObject(item['folder'])['childCount'])
}
