import type { Entry } from '../../core/entry.ts'
import type { Call } from '../../core/backend.ts'
import { failure, httpFailure, type NotFoundCode } from '../shared/errors.ts'
import type { DavClient } from './client.ts'
import type { DavResource } from './multistatus.ts'
import type { DavPaths } from './paths.ts'
import { type DavMetadata, hasProperties, readMetadata } from './entries.ts'

/** An open connection to a WebDAV server, used by every operation. */
export interface DavSession {
  readonly client: DavClient
  readonly paths: DavPaths
  /** The XML of a PROPFIND for all properties that an entry needs. */
  readonly propfind: string
  /** @param folder the listed folder itself, if the server has sent it before the entry */
  readonly toEntry: (id: string, resource: DavResource, metadata: DavMetadata, folder?: DavResource) => Entry
  /** Returns the id with which listings show a resource that was found or stored by this id. Never rejects. */
  readonly listedId: (id: string, call: Call) => Promise<string>
  /** Whether files have ETags, among their properties or in the headers of a HEAD. */
  readonly hasVersions: boolean
}

export interface DavItem {
  readonly resource: DavResource
  readonly metadata: DavMetadata
}

/** Gets one resource. @throws StorageError `missing` if it does not exist */
export async function getResource(
  { client, paths, propfind }: DavSession,
  url: URL,
  { signal }: Call,
  missing: NotFoundCode
): Promise<DavItem> {
  const { response, resources } = await client.propfind({ url, signal, depth: 0, body: propfind }, missing)
  const depth = paths.segmentsOf(url.pathname)?.length
  for await (const resource of resources) {
    // Compares the depth, not the names: a server may send a name in another case or normal form.
    if (paths.segmentsOf(resource.href)?.length !== depth) continue
    if (resource.status >= 300) throw httpFailure('PROPFIND', { ...response, status: resource.status }, missing)
    if (hasProperties(resource)) return { resource, metadata: readMetadata(resource) }
  }
  throw failure('PROVIDER_ERROR', 'The server returned no properties of the requested item')
}
