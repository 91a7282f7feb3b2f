import type { Entry } from '../../domain/entry.ts'
import { nameOf, parentOf } from '../shared/object-path.ts'
import type { DavPaths } from './paths.ts'
import type { DavFacts } from './properties.ts'

/** Converts a resource. @param id ends with `/` for a collection */
export function davEntry(paths: DavPaths, id: string, facts: DavFacts): Entry {
  const isUsable = paths.isUsable(id)
  return {
    id,
    parentId: parentOf(id),
    driveId: null,
    name: nameOf(id),
    kind: facts.isCollection ? 'folder' : 'file',
    mimeType: facts.mimeType,
    size: facts.size,
    createdAt: facts.createdAt,
    modifiedAt: facts.modifiedAt,
    // Without the weakness flag: an ETag that becomes strong is not a change.
    version: facts.isCollection ? null : (facts.etag?.opaque ?? null),
    hash: null,
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: id,
    can: { list: facts.isCollection && isUsable, download: !facts.isCollection && isUsable, write: null }
  }
}
