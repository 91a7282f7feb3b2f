import type { Entry, ExportFormat } from '../../core/entry.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { asObject, type JsonObject, parseIsoTime, sizeOf, textOf, UNKNOWN_METADATA } from '../shared/entries.ts'

const SHA256 = /^[0-9a-f]{64}$/

/** Converts an item of a listing. @param parentId the id of its folder */
export function toEntry(metadata: JsonObject, parentId: string | null): Entry {
  switch (metadata['.tag']) {
    case 'file':
      return fileEntry(metadata, parentId)
    case 'folder':
      return folderEntry(metadata, parentId)
    default:
      throw failure('PROVIDER_ERROR', 'Dropbox returned an item that is neither a file nor a folder')
  }
}

/**
 * Converts a file. A symbolic link is a `link`: its target is a path on some computer, and its content is not that of
 * the target. A file without bytes (a Paper or Google document) can be exported to the formats that Dropbox names.
 */
export function fileEntry(metadata: JsonObject, parentId: string | null): Entry {
  const isLink = metadata['symlink_info'] !== undefined
  const hasBytes = !isLink && metadata['is_downloadable'] !== false
  const formats = hasBytes || isLink ? [] : formatsOf(metadata['export_info'])
  const { rev, content_hash: hash } = metadata
  return {
    ...commonFields(metadata, parentId),
    kind: isLink ? 'link' : 'file',
    // The size that Dropbox reports for a document is not the size of any export.
    size: hasBytes ? sizeOf(metadata['size']) : null,
    modifiedAt: parseIsoTime(metadata['server_modified']),
    version: textOf(rev),
    hash: typeof hash === 'string' && SHA256.test(hash) ? { algorithm: 'dropbox-content-hash', value: hash } : null,
    exportFormats: formats.map(({ mimeType, extension }) => ({ mimeType, extension })),
    can: { list: false, download: hasBytes || formats.length > 0, write: canWrite(metadata) }
  }
}

/** Converts a folder. */
export function folderEntry(metadata: JsonObject, parentId: string | null): Entry {
  const hasNoAccess = asObject(metadata['sharing_info'])['no_access'] === true
  return {
    ...commonFields(metadata, parentId),
    kind: 'folder',
    can: { list: !hasNoAccess, download: false, write: canWrite(metadata) }
  }
}

function commonFields({ id, name, path_display: path }: JsonObject, parentId: string | null): Omit<Entry, 'kind'> {
  const entryName = textOf(name)
  if (!isId(id) || entryName === null) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned an item without an id or a name')
  }
  return { ...UNKNOWN_METADATA, id, parentId, name: entryName, path: textOf(path) }
}

/** Dropbox reports this for shared folders only. */
function canWrite(metadata: JsonObject): boolean | null {
  const isReadOnly = asObject(metadata['sharing_info'])['read_only']
  return typeof isReadOnly === 'boolean' ? !isReadOnly : null
}

/** A value that starts with `/`, `rev:` or `ns:` is a path, or is taken for one by Dropbox, and not an id. */
const ID_PATTERN = /^id:[\w-]{1,200}$/

/** Returns whether a value has the format of a Dropbox id. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID_PATTERN.test(value)
}

/** @throws StorageError `missing` for an invalid id, without a request */
export function parseId(id: string, missing: NotFoundCode): string {
  if (!isId(id)) throw failure(missing)
  return id
}

/** @param id `null` is the root, which has no id @throws StorageError `FOLDER_NOT_FOUND` for an invalid id */
export function parseFolderId(id: string | null): string | null {
  return id === null ? null : parseId(id, 'FOLDER_NOT_FOUND')
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
  const { export_as: defaultName, export_options: options } = asObject(exportInfo)
  const names = new Set<unknown>([defaultName, ...(Array.isArray(options) ? (options as unknown[]) : [])])
  return [...names].flatMap((name) => {
    const format = typeof name === 'string' ? FORMATS.get(name) : undefined
    return format === undefined || typeof name !== 'string'
      ? []
      : [{ ...format, name, isDefault: name === defaultName }]
  })
}
