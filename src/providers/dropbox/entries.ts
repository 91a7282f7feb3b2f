import type { Entry } from '../../domain/entry.ts'
import { failure } from '../shared/http-failure.ts'
import { readIsoTime } from '../shared/iso-time.ts'
import { asObject, sizeOf, textOf } from '../shared/read-json.ts'
import { UNKNOWN_FACTS } from '../shared/unknown-facts.ts'
import type { Facts } from './facts.ts'
import { formatsOf } from './export-formats.ts'
import { isId } from './ids.ts'

const SHA256 = /^[0-9a-f]{64}$/

/** What stands in a listing. @param parentId what its folder is called here */
export function toEntry(facts: Facts, parentId: string | null): Entry {
  switch (facts['.tag']) {
    case 'file':
      return fileEntry(facts, parentId)
    case 'folder':
      return folderEntry(facts, parentId)
    default:
      throw failure('PROVIDER_ERROR', 'Dropbox told of something that is neither file nor folder')
  }
}

/**
 * A file. A symbolic link is a `link`: it leads to a place on some computer, and its content is not what it leads to.
 * What is no file of bytes (a document of Paper, or of Google's) can be had in other formats, where Dropbox names some.
 */
export function fileEntry(facts: Facts, parentId: string | null): Entry {
  const isLink = facts['symlink_info'] !== undefined
  const hasBytes = !isLink && facts['is_downloadable'] !== false
  const formats = hasBytes || isLink ? [] : formatsOf(facts['export_info'])
  const { rev, content_hash: hash } = facts
  return {
    ...commonFacts(facts, parentId),
    kind: isLink ? 'link' : 'file',
    // Of a document Dropbox tells a size that is not that of any export.
    size: hasBytes ? sizeOf(facts['size']) : null,
    modifiedAt: readIsoTime(facts['server_modified']),
    version: textOf(rev),
    hash: typeof hash === 'string' && SHA256.test(hash) ? { algorithm: 'dropbox-content-hash', value: hash } : null,
    exportFormats: formats.map(({ mimeType, extension }) => ({ mimeType, extension })),
    can: { list: false, download: hasBytes || formats.length > 0, write: mayWrite(facts) }
  }
}

/** A folder. */
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
    throw failure('PROVIDER_ERROR', 'Dropbox told of something that has no id or no name')
  }
  return { ...UNKNOWN_FACTS, id, parentId, name: known, path: textOf(path) }
}

/** Dropbox tells of shared folders alone. */
function mayWrite(facts: Facts): boolean | null {
  const isReadOnly = asObject(facts['sharing_info'])['read_only']
  return typeof isReadOnly === 'boolean' ? !isReadOnly : null
}
