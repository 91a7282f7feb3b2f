import type { Call, ListCall } from '../../core/backend.ts'
import { type PageFreshness, ROOT_SCOPE } from '../../core/change-feed.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import { asObject, type JsonObject, sizeOf, textOf } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { invalidCursor } from '../shared/paging.ts'
import {
  DRIVE_FIELDS,
  DRIVE_ROOT_FIELDS,
  driveEntry,
  formatId,
  formatSiteId,
  hasFacet,
  isHidden,
  isInDriveRoot,
  ITEM_FIELDS,
  itemEntry,
  type ItemId,
  itemIdOf,
  OWN_ROOT,
  pathOf,
  readDriveId,
  remoteIdOf,
  ROOT,
  siteEntry,
  type SiteId,
  sitePathOf
} from './entries.ts'
import {
  type Cursor,
  getPage,
  type ListSection,
  listSections,
  type Page,
  readCursor,
  type SectionPage,
  type Sections
} from './pages.ts'
import { getDriveRootId, getItem, getOwnDriveId, type GraphSession } from './session.ts'

const EMPTY_PAGE: Page = { resources: [], next: null, count: null }

/** Returns one page of a folder in one call. Empty folders, shortcuts and the sites of the root need more. */
export async function listFolder(session: GraphSession, id: ItemId | SiteId, call: ListCall): Promise<EntryPage> {
  const cursor = call.cursor === undefined ? null : readCursor(call.cursor, call.limit)
  if ('site' in id) return listSections(siteSections(session, id, call), cursor, call)
  const folder = await resolveFolder(session, id, cursor, call)
  const page = await listSections(await sectionsOf(session, folder, call), cursor, call)
  // The items have shown that the folder is the root under another id. The root's listing also contains sites.
  const isRootAlias = page.folder.id === ROOT && folder.drive !== null && cursor === null
  return isRootAlias ? listSections(await sectionsOf(session, OWN_ROOT, call), null, call) : page
}

/** Maps all ids of the root to one, as far as they are known. */
async function resolveFolder(session: GraphSession, id: ItemId, cursor: Cursor | null, call: Call): Promise<ItemId> {
  const { ownDrive } = session
  if (cursor?.listedId?.drive === null && id.drive !== null) {
    // The cursor belongs to a listing of the root. This process may not know the root's id yet.
    if (ownDrive.rootItemId === null) await getItem(session, OWN_ROOT, call, 'FOLDER_NOT_FOUND', DRIVE_ROOT_FIELDS)
    const isOwn = id.drive === ownDrive.id && (id.item === ROOT || id.item === ownDrive.rootItemId)
    if (!isOwn) throw invalidCursor()
    return OWN_ROOT
  }
  if (id.item === ROOT && id.drive !== null) return id.drive === (await getOwnDriveId(session, call)) ? OWN_ROOT : id
  return id.drive === ownDrive.id && id.item === ownDrive.rootItemId ? OWN_ROOT : id
}

/** Returns the sections of a folder. An organisational user's root lists the sites first, unless `kind` is given. */
async function sectionsOf(session: GraphSession, folder: ItemId, call: ListCall): Promise<Sections> {
  const items: ListSection = (cursor) => listItems(session, folder, cursor, call)
  const sites: ListSection = (cursor) => listSites(session, cursor, ROOT, call)
  const mayHaveSites = folder.drive === null && call.kind === undefined
  if (mayHaveSites) await getOwnDriveId(session, call)
  const { isPersonal, isMissing } = session.ownDrive
  if (mayHaveSites && isMissing) return new Map([['sites', sites]])
  return mayHaveSites && isPersonal === false
    ? new Map([
        ['sites', sites],
        ['items', items]
      ])
    : new Map([['items', items]])
}

async function listItems(session: GraphSession, folder: ItemId, cursor: Cursor, call: Call): Promise<SectionPage> {
  const { page, listedId, item } = await getItemsPage(session, folder, cursor, call)
  const { resources, next } = page
  const listedFolder = listedId ?? folder
  for (const item of resources) session.ownDrive.updateFromItem(item, { isOwn: listedFolder.drive === null })
  const publicId = await publicIdOf(session, listedFolder, resources, call)
  const seen = cursor.seen + resources.length
  const isLastOfMany = next === null && cursor.query !== null
  const reportedCount = isLastOfMany ? (page.count ?? (await getChildCount(session, listedFolder, call))) : page.count
  return {
    entries: resources.filter((item) => !isHidden(item)).map((item) => itemEntry(item, { parentId: publicId })),
    next: next === null ? null : { ...cursor, query: next, seen, listedId },
    // With more items than reported, an item was returned twice, so others may be missing.
    isPartial: next === null && reportedCount !== null && reportedCount !== seen,
    publicId,
    freshness:
      listedId !== null && listedId.drive !== null ? null : freshnessOf(session, folder, resources[0] ?? item, publicId)
  }
}

/** A page of a folder's items. */
interface ItemsPage {
  readonly page: Page
  /** The listed item, if the folder is a shortcut to it. */
  readonly listedId: ItemId | null
  /** The folder itself, if it was requested because it is empty. */
  readonly item?: JsonObject
}

/**
 * Returns a page of a folder's items. If Graph returns none, or no such folder, requests the item itself: a file
 * looks like an empty folder, and the items of a shortcut are those of its target.
 */
async function getItemsPage(session: GraphSession, folder: ItemId, cursor: Cursor, call: Call): Promise<ItemsPage> {
  const fetchPage = (id: ItemId): Promise<Page> =>
    getPage(session, `${pathOf(id)}/children`, { $select: ITEM_FIELDS }, cursor, call)
  if (cursor.query !== null) return { page: await fetchPage(cursor.listedId ?? folder), listedId: cursor.listedId }
  const page = await fetchPage(folder).catch(async (error: unknown) => {
    const isDenied = isStorageError(error, 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
    const isMissing = isStorageError(error, 'FOLDER_NOT_FOUND')
    if (folder.drive === null && (isMissing || isDenied) && (await hasNoDrive(session, call))) return EMPTY_PAGE
    if (!isMissing) throw error
    return null
  })
  const isEmpty = page !== null && page.resources.length === 0 && page.next === null
  if (page !== null && (!isEmpty || folder.drive === null)) return { page, listedId: null }
  const item = await getItem(session, folder, call, 'FOLDER_NOT_FOUND')
  if (page !== null && hasFacet(item, 'folder')) return { page: { ...page, resources: [] }, listedId: null, item }
  const listedId = remoteIdOf(item)
  if (listedId === null || !hasFacet(asObject(item['remoteItem']), 'folder')) throw failure('FOLDER_NOT_FOUND')
  return { page: await fetchPage(listedId), listedId }
}

/**
 * Returns the scope of a folder: the user's own drive, or a library of a site. The feed of another person's drive does
 * not report what is shared with the user.
 *
 * @param item the folder, or an item in it; both show the type of the drive
 */
function freshnessOf(
  { ownDrive, feeds }: GraphSession,
  folder: ItemId,
  item: JsonObject | undefined,
  publicId: string
): PageFreshness | null {
  const isOwn = folder.drive === null ? !ownDrive.isMissing : folder.drive === ownDrive.id
  const { driveId, driveType } = asObject(item?.['parentReference'])
  const isLibrary = textOf(driveType) === 'documentLibrary' && readDriveId(driveId) === folder.drive
  // The feed names the top of a drive by one id only.
  const isUnderOtherId = item !== undefined && hasFacet(item, 'root') && folder.item !== ROOT
  const scope = isOwn ? ROOT_SCOPE : isLibrary && !isUnderOtherId ? folder.drive : null
  // The feed of a library ends when the user loses it.
  const isTop = publicId === formatId({ drive: folder.drive, item: ROOT })
  return scope === null || feeds.get(scope) === null ? null : { scope, ...(isTop && { isTop }) }
}

/** Returns whether the user has no drive. Such a user still has a root, without items of their own. */
async function hasNoDrive(session: GraphSession, call: Call): Promise<boolean> {
  await getOwnDriveId(session, call)
  return session.ownDrive.isMissing
}

/** Returns the id of a folder for clients. Its items show whether it is the top of a drive. */
async function publicIdOf(
  session: GraphSession,
  id: ItemId,
  items: readonly JsonObject[],
  call: Call
): Promise<string> {
  const { ownDrive } = session
  if (id.drive === null || (id.drive === ownDrive.id && id.item === ownDrive.rootItemId)) return ROOT
  const [rootChild] = items.filter(isInDriveRoot)
  return rootChild === undefined ? formatId(id) : getDriveRootId(session, itemIdOf(rootChild).drive, call)
}

/** Returns the number of items that a folder reports; `null` if it does not. */
async function getChildCount(session: GraphSession, folder: ItemId, call: Call): Promise<number | null> {
  const item = await getItem(session, folder, call, 'FOLDER_NOT_FOUND', `${DRIVE_ROOT_FIELDS},folder`)
  return sizeOf(asObject(item['folder'])['childCount'])
}

/**
 * Returns all sites that the user can access; none if Graph denies the request. Does not use `$select`: in lists of
 * sites, it omits names even if they are selected (microsoft-graph-docs issue 13345).
 */
async function listSites(session: GraphSession, cursor: Cursor, publicId: string, call: Call): Promise<SectionPage> {
  const parameters = { search: '*' }
  try {
    return await listCollection(session, '/v1.0/sites', parameters, cursor, publicId, siteEntry, call)
  } catch (error) {
    const isDenied = cursor.query === null && isStorageError(error, 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
    if (!isDenied) throw error
    return { entries: [], next: null, isPartial: false, publicId, freshness: null }
  }
}

/** Returns the sections of a site: its libraries, and its subsites. */
function siteSections(session: GraphSession, site: SiteId, call: Call): Sections {
  const publicId = formatSiteId(site)
  const path = sitePathOf(site)
  const drives = { $select: DRIVE_FIELDS }
  return new Map([
    ['drives', (cursor) => listCollection(session, `${path}/drives`, drives, cursor, publicId, driveEntry, call)],
    ['sites', (cursor) => listCollection(session, `${path}/sites`, {}, cursor, publicId, siteEntry, call)]
  ])
}

async function listCollection(
  session: GraphSession,
  path: string,
  parameters: Readonly<Record<string, string>>,
  cursor: Cursor,
  publicId: string,
  toEntry: (resource: JsonObject, parentId: string) => Entry | null,
  call: Call
): Promise<SectionPage> {
  const { resources, next, count } = await getPage(session, path, parameters, cursor, call)
  const seen = cursor.seen + resources.length
  const entries = resources.map((resource) => toEntry(resource, publicId)).filter((entry) => entry !== null)
  const isPartial = cursor.isPartial || entries.length < resources.length
  return {
    entries,
    next: next === null ? null : { ...cursor, query: next, seen, isPartial },
    isPartial: isPartial || (next === null && count !== null && count !== seen),
    publicId,
    // No feed reports sites and libraries that come or go.
    freshness: null
  }
}
