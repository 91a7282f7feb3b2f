import type { EntryPage } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { Call, ListCall } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { invalidCursor } from '../shared/json-cursor.ts'
import { requireLimit } from '../shared/page-limit.ts'
import { asObject, sizeOf } from '../shared/read-json.ts'
import { type Place, readCursor } from './cursor.ts'
import { hasFacet, isAtTop, isHidden, ITEM_FIELDS, itemEntry, itemIdOf, remoteIdOf, type Resource } from './entries.ts'
import { formatId, type ItemId, OWN_ROOT, parseId, pathOf, ROOT } from './ids.ts'
import { askPage, type Page } from './pages.ts'
import { pageOfSections, type ListPart, type Part, type Sections } from './sections.ts'
import { type GraphServer, look, ownDriveId, topName } from './server.ts'
import { siteSections, sitesPart } from './sites.ts'

/** With `root`, which tells the top of a drive: what the top says of its own parent is no item. */
const TOP_FIELDS = 'id,parentReference,root'
const NOTHING: Page = { resources: [], next: null, count: null }

/** One page of a folder: one call of Graph's, but for what is empty, for shortcuts, and at the root for its sites. */
export async function listFolder(server: GraphServer, folderId: string | null, call: ListCall): Promise<EntryPage> {
  requireLimit(call.limit)
  const id = parseId(folderId ?? ROOT, 'FOLDER_NOT_FOUND')
  const place = call.cursor === undefined ? null : readCursor(call.cursor, call.limit)
  if ('site' in id) return pageOfSections(siteSections(server, id, call), place, call)
  const folder = await folderOf(server, id, place, call)
  const page = await pageOfSections(await sectionsOf(server, folder, call), place, call)
  // By another name, which only what is in it has told: the root is listed with more than that.
  const isUnnamedRoot = page.folder.id === ROOT && folder.drive !== null && place === null
  return isUnnamedRoot ? pageOfSections(await sectionsOf(server, OWN_ROOT, call), null, call) : page
}

/** All names of the root become one, as far as it is known by them. */
async function folderOf(server: GraphServer, id: ItemId, place: Place | null, call: Call): Promise<ItemId> {
  const { own } = server
  if (place?.at?.drive === null && id.drive !== null) {
    // The listing that goes on was one of the root, whose id another process may have learned.
    if (own.rootItem === null) await look(server, OWN_ROOT, call, 'FOLDER_NOT_FOUND', TOP_FIELDS)
    const isOwn = id.drive === own.id && (id.item === ROOT || id.item === own.rootItem)
    if (!isOwn) throw invalidCursor()
    return OWN_ROOT
  }
  if (id.item === ROOT && id.drive !== null) return id.drive === (await ownDriveId(server, call)) ? OWN_ROOT : id
  return id.drive === own.id && id.item === own.rootItem ? OWN_ROOT : id
}

/** The root of a user in an organisation shows the sites first, where not one kind alone is asked for. */
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
    // Who saw more has seen something twice, and perhaps other things never.
    isPartial: next === null && told !== null && told !== seen,
    shownAs
  }
}

/**
 * A page of what is in a folder. Where nothing comes, or Graph knows no such folder, the item itself is looked at: a
 * file looks like an empty folder, and what is in a shortcut is in what that stands for.
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

/** Somebody who has no drive has a root all the same, with nothing of their own in it. */
async function hasNoDrive(server: GraphServer, call: Call): Promise<boolean> {
  await ownDriveId(server, call)
  return server.own.isMissing
}

/** How a folder is called here. What stands in it tells whether it is the top of a drive. */
async function nameOf(server: GraphServer, id: ItemId, items: readonly Resource[], call: Call): Promise<string> {
  const { own } = server
  if (id.drive === null || (id.drive === own.id && id.item === own.rootItem)) return ROOT
  const [inside] = items.filter(isAtTop)
  return inside === undefined ? formatId(id) : topName(server, itemIdOf(inside).drive, call)
}

/** How much is in a folder, by what it says itself; `null` where it does not say. */
async function childCount(server: GraphServer, folder: ItemId, call: Call): Promise<number | null> {
  const item = await look(server, folder, call, 'FOLDER_NOT_FOUND', `${TOP_FIELDS},folder`)
  return sizeOf(asObject(item['folder'])['childCount'])
}
