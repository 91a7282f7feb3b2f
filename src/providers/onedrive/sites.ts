import type { Entry } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { apiUrl } from '../shared/api-url.ts'
import { failure } from '../shared/http-failure.ts'
import type { Place } from './cursor.ts'
import { DRIVE_FIELDS, driveEntry, type Resource, SITE_FIELDS, siteEntry } from './entries.ts'
import { formatSiteId, type SiteId, sitePathOf } from './ids.ts'
import { askPage } from './pages.ts'
import type { Part, Sections } from './sections.ts'
import type { GraphServer } from './server.ts'

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
