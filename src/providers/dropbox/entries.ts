import type { Entry, ExportFormat } from '../../core/entry.ts'
import { failure, type Missing } from '../shared/errors.ts'
import { readIsoTime, UNKNOWN_FACTS } from '../shared/names.ts'
import { asObject, sizeOf, textOf } from '../shared/rest-client.ts'

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

/** A value that starts with `/`, `rev:` or `ns:` is a path, or is taken for one by Dropbox, and not an id. */
const FORM = /^id:[\w-]{1,200}$/

/** Returns whether a value has the format of a Dropbox id. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && FORM.test(value)
}

/** @throws StorageError `missing` for an invalid id, without a request */
export function parseId(id: string, missing: Missing): string {
  if (!isId(id)) throw failure(missing)
  return id
}

/** A format, with Dropbox's name for it. */
export interface DropboxFormat extends ExportFormat {
  readonly name: string
  /** Whether it is the default format. Its name is not necessarily a valid `export_format`. */
  readonly isDefault: boolean
}

const OFFICE = 'application/vnd.openxmlformats-officedocument'

/** Dropbox documents neither media types nor a list of formats: these were seen with Paper and Google documents. */
const FORMATS: ReadonlyMap<string, ExportFormat> = new Map([
  ['html', { mimeType: 'text/html', extension: 'html' }],
  ['markdown', { mimeType: 'text/markdown', extension: 'md' }],
  ['plain_text', { mimeType: 'text/plain', extension: 'txt' }],
  ['docx', { mimeType: `${OFFICE}.wordprocessingml.document`, extension: 'docx' }],
  ['xlsx', { mimeType: `${OFFICE}.spreadsheetml.sheet`, extension: 'xlsx' }],
  ['pptx', { mimeType: `${OFFICE}.presentationml.presentation`, extension: 'pptx' }],
  ['pdf', { mimeType: 'application/pdf', extension: 'pdf' }],
  ['csv', { mimeType: 'text/csv', extension: 'csv' }]
])

/** Returns the export formats of a document, Dropbox's default first. Omits unknown formats. */
export function formatsOf(exportInfo: unknown): readonly DropboxFormat[] {
  const { export_as: first, export_options: options } = asObject(exportInfo)
  const names = new Set<unknown>([first, ...(Array.isArray(options) ? (options as unknown[]) : [])])
  return [...names].flatMap((name) => {
    const format = typeof name === 'string' ? FORMATS.get(name) : undefined
    return format === undefined || typeof name !== 'string' ? [] : [{ ...format, name, isDefault: name === first }]
  })
}

/** The metadata of an item in a Dropbox response, unchecked. */
export type Facts = Readonly<Record<string, unknown>>
