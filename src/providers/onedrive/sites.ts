import type { Call, ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import { failure } from '../shared/errors.ts'
import { invalidCursor } from '../shared/paging.ts'
import { apiUrl } from '../shared/rest-client.ts'
import {
  DRIVE_FIELDS,
  driveEntry,
  formatSiteId,
  OWN_ROOT,
  type Resource,
  ROOT,
  SITE_FIELDS,
  siteEntry,
  type SiteId,
  sitePathOf
} from './entries.ts'
import { getPage, MAX_TOP, type Cursor, type Section, writeCursor } from './pages.ts'
import type { GraphSession } from './session.ts'

/**
 * Returns all sites that the user can access; none if Graph denies the request. Does not use `$select`: in lists of
 * sites, it omits names even if they are selected (microsoft-graph-docs issue 13345).
 */
export async function listSites(
  session: GraphSession,
  cursor: Cursor,
  publicId: string,
  call: Call
): Promise<SectionPage> {
  const parameters = { search: '*' }
  try {
    return await listCollection(session, '/v1.0/sites', parameters, cursor, publicId, siteEntry, call)
  } catch (error) {
    const isDenied = cursor.query === null && isStorageError(error, 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
    if (!isDenied) throw error
    return { entries: [], next: null, isPartial: false, publicId }
  }
}

/** Returns the sections of a site: its libraries, and its subsites. */
export function siteSections(session: GraphSession, site: SiteId, call: Call): Sections {
  const publicId = formatSiteId(site)
  const path = sitePathOf(site)
  const drives = { $select: DRIVE_FIELDS }
  return new Map([
    ['drives', (cursor) => listCollection(session, `${path}/drives`, drives, cursor, publicId, driveEntry, call)],
    ['sites', (cursor) => listCollection(session, `${path}/sites`, {}, cursor, publicId, siteEntry, call)]
  ])
}

/** Returns the entry of a site. Graph does not report its parent. */
export async function getSiteEntry(session: GraphSession, site: SiteId, { signal }: Call): Promise<Entry> {
  const url = apiUrl(session.origin, sitePathOf(site), { $select: SITE_FIELDS })
  const entry = siteEntry(await session.client.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }), null)
  if (entry === null) throw failure('PROVIDER_ERROR', 'Graph returned a site without a valid id')
  return entry
}

async function listCollection(
  session: GraphSession,
  path: string,
  parameters: Readonly<Record<string, string>>,
  cursor: Cursor,
  publicId: string,
  toEntry: (resource: Resource, parentId: string) => Entry | null,
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
    publicId
  }
}

/** A page of one section. */
export interface SectionPage {
  readonly entries: readonly Entry[]
  /** The position at which the section continues; `null` at its end. */
  readonly next: Cursor | null
  /** Whether more items were reported than returned. */
  readonly isPartial: boolean
  /** The id of the folder for clients. */
  readonly publicId: string
}

export type ListSection = (cursor: Cursor) => Promise<SectionPage>

/** The sections of a folder, in order. */
export type Sections = ReadonlyMap<Section, ListSection>

/**
 * Returns a page of a folder that consists of several collections. If one ends and at least half of the page is free,
 * the next one starts on the same page. Within a section, Graph's pages have the size of the first one.
 */
export async function listSections(sections: Sections, cursor: Cursor | null, call: ListCall): Promise<EntryPage> {
  const { limit, kind } = call
  const names = [...sections.keys()]
  const firstCursor = (section: Section | undefined, remaining: number, isPartial: boolean): Cursor | null => {
    const top = Math.min(remaining, MAX_TOP)
    return section === undefined ? null : { section, query: null, top, seen: 0, listedId: null, isPartial }
  }
  const entries: Entry[] = []
  for (let current = cursor ?? firstCursor(names[0], limit, false); current !== null;) {
    const list = sections.get(current.section)
    if (list === undefined) break
    const { entries: sectionEntries, next, isPartial: isSectionPartial, publicId } = await list(current)
    const isPartial = current.isPartial || isSectionPartial
    entries.push(...sectionEntries.filter((entry) => kind === undefined || entry.kind === kind))
    const remaining = limit - entries.length
    const nextCursor = next ?? firstCursor(names[names.indexOf(current.section) + 1], limit, isPartial)
    if (next === null && nextCursor !== null && remaining >= limit / 2) {
      current = firstCursor(nextCursor.section, remaining, isPartial)
      continue
    }
    // The next request may contain another id of the root.
    const listedRoot = publicId === ROOT ? OWN_ROOT : null
    const reason: IncompleteReason | null = nextCursor !== null ? 'more' : isPartial ? 'provider-partial' : null
    return {
      folder: { id: publicId, name: null, parentId: null },
      entries,
      next: nextCursor === null ? null : writeCursor({ ...nextCursor, listedId: nextCursor.listedId ?? listedRoot }),
      complete: reason === null,
      reason
    }
  }
  throw invalidCursor()
}
