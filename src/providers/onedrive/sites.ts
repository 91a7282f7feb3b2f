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
import { askPage, MAX_TOP, type Place, type Section, writeCursor } from './pages.ts'
import type { GraphServer } from './session.ts'

/**
 * Returns all sites that the user can access; none if Graph denies the request. Does not use `$select`: in lists of
 * sites, it omits names even if they are selected (microsoft-graph-docs issue 13345).
 */
export async function sitesPart(server: GraphServer, place: Place, shownAs: string, call: Call): Promise<Part> {
  const parameters = { search: '*' }
  try {
    return await collectionPart(server, '/v1.0/sites', parameters, place, shownAs, siteEntry, call)
  } catch (error) {
    const isRefused = place.query === null && isStorageError(error, 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
    if (!isRefused) throw error
    return { entries: [], next: null, isPartial: false, shownAs }
  }
}

/** Returns the sections of a site: its libraries, and its subsites. */
export function siteSections(server: GraphServer, site: SiteId, call: Call): Sections {
  const shownAs = formatSiteId(site)
  const path = sitePathOf(site)
  const drives = { $select: DRIVE_FIELDS }
  return new Map([
    ['drives', (place) => collectionPart(server, `${path}/drives`, drives, place, shownAs, driveEntry, call)],
    ['sites', (place) => collectionPart(server, `${path}/sites`, {}, place, shownAs, siteEntry, call)]
  ])
}

/** Returns the entry of a site. Graph does not report its parent. */
export async function lookAtSite(server: GraphServer, site: SiteId, { signal }: Call): Promise<Entry> {
  const url = apiUrl(server.origin, sitePathOf(site), { $select: SITE_FIELDS })
  const entry = siteEntry(await server.rest.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }), null)
  if (entry === null) throw failure('PROVIDER_ERROR', 'Graph returned a site without a valid id')
  return entry
}

async function collectionPart(
  server: GraphServer,
  path: string,
  parameters: Readonly<Record<string, string>>,
  place: Place,
  shownAs: string,
  toEntry: (resource: Resource, parentId: string) => Entry | null,
  call: Call
): Promise<Part> {
  const { resources, next, count } = await askPage(server, path, parameters, place, call)
  const seen = place.seen + resources.length
  const entries = resources.map((resource) => toEntry(resource, shownAs)).filter((entry) => entry !== null)
  const isPartial = place.isPartial || entries.length < resources.length
  return {
    entries,
    next: next === null ? null : { ...place, query: next, seen, isPartial },
    isPartial: isPartial || (next === null && count !== null && count !== seen),
    shownAs
  }
}

/** A page of one section. */
export interface Part {
  readonly entries: readonly Entry[]
  /** The position at which the section continues; `null` at its end. */
  readonly next: Place | null
  /** Whether more items were reported than returned. */
  readonly isPartial: boolean
  /** The id of the folder for clients. */
  readonly shownAs: string
}

export type ListPart = (place: Place) => Promise<Part>

/** The sections of a folder, in order. */
export type Sections = ReadonlyMap<Section, ListPart>

/**
 * Returns a page of a folder that consists of several collections. If one ends and at least half of the page is free,
 * the next one starts on the same page. Within a section, Graph's pages have the size of the first one.
 */
export async function pageOfSections(sections: Sections, place: Place | null, call: ListCall): Promise<EntryPage> {
  const { limit, kind } = call
  const names = [...sections.keys()]
  const begin = (section: Section | undefined, room: number, isPartial: boolean): Place | null => {
    const top = Math.min(room, MAX_TOP)
    return section === undefined ? null : { section, query: null, top, seen: 0, at: null, isPartial }
  }
  const entries: Entry[] = []
  for (let at = place ?? begin(names[0], limit, false); at !== null;) {
    const list = sections.get(at.section)
    if (list === undefined) break
    const { entries: more, next, isPartial: isShort, shownAs } = await list(at)
    const isPartial = at.isPartial || isShort
    entries.push(...more.filter((entry) => kind === undefined || entry.kind === kind))
    const room = limit - entries.length
    const rest = next ?? begin(names[names.indexOf(at.section) + 1], limit, isPartial)
    if (next === null && rest !== null && room >= limit / 2) {
      at = begin(rest.section, room, isPartial)
      continue
    }
    // The next request may contain another id of the root.
    const named = shownAs === ROOT ? OWN_ROOT : null
    const reason: IncompleteReason | null = rest !== null ? 'more' : isPartial ? 'provider-partial' : null
    return {
      folder: { id: shownAs, name: null, parentId: null },
      entries,
      next: rest === null ? null : writeCursor({ ...rest, at: rest.at ?? named }),
      complete: reason === null,
      reason
    }
  }
  throw invalidCursor()
}
