import type { Entry } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import type { Place } from './cursor.ts'
import { DRIVE_FIELDS, driveEntry, type Resource, SITE_FIELDS, siteEntry } from './entries.ts'
import { formatSiteId, type SiteId, sitePathOf } from './ids.ts'
import { askPage } from './pages.ts'
import type { Part, Sections } from './sections.ts'
import { type GraphServer, urlOf } from './server.ts'

/** All sites that the user may see; none for a connection that was not granted to see any. */
export async function sitesPart(server: GraphServer, place: Place, shownAs: string, call: Call): Promise<Part> {
  const parameters = { search: '*', $select: SITE_FIELDS }
  try {
    return await collectionPart(server, '/v1.0/sites', parameters, place, shownAs, siteEntry, call)
  } catch (error) {
    const isRefused = place.query === null && isStorageError(error, 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
    if (!isRefused) throw error
    return { entries: [], next: null, isPartial: false, shownAs }
  }
}

/** What a site shows: its libraries, and the sites below it. */
export function siteSections(server: GraphServer, site: SiteId, call: Call): Sections {
  const shownAs = formatSiteId(site)
  const path = sitePathOf(site)
  const drives = { $select: DRIVE_FIELDS }
  const sites = { $select: SITE_FIELDS }
  return new Map([
    ['drives', (place) => collectionPart(server, `${path}/drives`, drives, place, shownAs, driveEntry, call)],
    ['sites', (place) => collectionPart(server, `${path}/sites`, sites, place, shownAs, siteEntry, call)]
  ])
}

/** A site by itself. Which one it is below, Graph does not say. */
export async function lookAtSite(server: GraphServer, site: SiteId, { signal }: Call): Promise<Entry> {
  const url = urlOf(server, sitePathOf(site), { $select: SITE_FIELDS })
  return siteEntry(await server.rest.json({ url, signal, missing: 'OBJECT_NOT_FOUND' }), null)
}

async function collectionPart(
  server: GraphServer,
  path: string,
  parameters: Readonly<Record<string, string>>,
  place: Place,
  shownAs: string,
  toEntry: (resource: Resource, parentId: string) => Entry,
  call: Call
): Promise<Part> {
  const { resources, next, count } = await askPage(server, path, parameters, place, call)
  const seen = place.seen + resources.length
  return {
    entries: resources.map((resource) => toEntry(resource, shownAs)),
    next: next === null ? null : { ...place, query: next, seen },
    isPartial: next === null && count !== null && count !== seen,
    shownAs
  }
}
