import type { Entry } from '../../domain/entry.ts'
import { failure } from '../shared/http-failure.ts'
import { readIsoTime } from '../shared/iso-time.ts'
import { asObject, sizeOf, textOf } from '../shared/read-json.ts'
import { UNKNOWN_FACTS } from '../shared/unknown-facts.ts'
import type { Facts } from './facts.ts'
import { formatsOf } from './export-formats.ts'
import { isId } from './ids.ts'

const SHA256 = /^[0-9a-f]{64}$/

/** Converts an item of a listing. @param parentId the id of its folder */
export function toEntry(facts: Facts, parentId: string | null): Entry {
  switch (facts['.tag']) {
    case 'file':
      return fileEntry(facts, parentId)
    case 'folder':
      return folderEntry(facts, parentId)
    default:
      throw failure('PROVIDER_ERROR', 'Dropbox returned an item that is neither a file nor a folder')
  }
}

/**
 * Converts a file. A symbolic link is a `link`: its target is a path on some computer, and its content is not that of
 * the target. A file without bytes (a Paper or Google document) can be exported to the formats that Dropbox names.
 */
export function fileEntry(facts: Facts, parentId: string | null): Entry {
  const isLink = facts['symlink_info'] !== undefined
  const hasBytes = !isLink && facts['is_downloadable'] !== false
  const formats = hasBytes || isLink ? [] : formatsOf(facts['export_info'])
  const { rev, content_hash: hash } = facts
  return {
    ...commonFacts(facts, parentId),
    kind: isLink ? 'link' : 'file',
    // The size that Dropbox reports for a document is not the size of any export.
    size: hasBytes ? sizeOf(facts['size']) : null,
    modifiedAt: readIsoTime(facts['server_modified']),
    version: textOf(rev),
    hash: typeof hash === 'string' && SHA256.test(hash) ? { algorithm: 'dropbox-content-hash', value: hash } : null,
    exportFormats: formats.map(({ mimeType, extension }) => ({ mimeType, extension })),
    can: { list: false, download: hasBytes || formats.length > 0, write: mayWrite(facts) }
  }
}

/** Converts a folder. */
export function folderEntry(facts: Facts, parentId: string | null): Entry {
  const isClosed = asObject(facts['sharing_info'])['no_access'] === true
  return {
    ...commonFacts(facts, parentId),
    kind: 'folder',
    can: { list: !isClosed, download: false, write: mayWrite(facts) }
  }
}

function commonFacts({ id, name, path_display: path }: Facts, parentId: string | null): Omit<Entry, 'kind'> {
  const known = textOf(name)
  if (!isId(id) || known === null) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned an item without an id or a name')
  }
  return { ...UNKNOWN_FACTS, id, parentId, name: known, path: textOf(path) }
}

/** Dropbox reports this for shared folders only. */
function mayWrite(facts: Facts): boolean | null {
  const isReadOnly = asObject(facts['sharing_info'])['read_only']
  return typeof isReadOnly === 'boolean' ? !isReadOnly : null
}
