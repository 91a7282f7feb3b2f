import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Account } from '../../core/backend.ts'
import type { Entry, EntryKind, ExportFormat, ShortcutTarget } from '../../core/entry.ts'
import { parseProviderLink } from '../../core/provider-link.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { parseIsoTime, UNKNOWN_METADATA } from '../shared/entries.ts'

const DIGITS = /^\d{1,16}$/

/**
 * All fields that an entry needs. Excludes `thumbnailLink`, which expires within hours and needs our token, which
 * browsers do not have.
 */
export const FILE_FIELDS =
  'id,name,mimeType,size,createdTime,modifiedTime,version,md5Checksum,headRevisionId,parents,driveId,webViewLink,' +
  'shortcutDetails,resourceKey,capabilities(canDownload,canEdit,canAddChildren,canListChildren)'

export const DRIVE_FIELDS = 'id,name,createdTime'

/** Converts an item. @param location the id to use instead of the item's own, and the id of its folder */
export function fileEntry(
  file: drive_v3.Schema$File,
  location: { readonly id?: string; readonly parentId: string | null }
): Entry {
  const { id, name, mimeType, capabilities } = file
  if (typeof id !== 'string' || typeof name !== 'string' || typeof mimeType !== 'string') {
    throw failure('PROVIDER_ERROR', 'Google Drive returned an item without an id, a name or a type')
  }
  const kind = kindOf(mimeType)
  const isFolder = kind === 'folder'
  const isFile = kind === 'file'
  const exportFormats = exportFormatsOf(mimeType)
  const write = isFolder ? capabilities?.canAddChildren : capabilities?.canEdit
  return {
    id: location.id ?? formatId(id, file.resourceKey),
    parentId: location.parentId,
    driveId: file.driveId ?? null,
    name,
    kind,
    mimeType: isFolder ? null : mimeType,
    // The size that Google reports for a document is not the size of any export.
    size: isFile && exportFormats.length === 0 ? readSize(file.size) : null,
    createdAt: parseIsoTime(file.createdTime),
    modifiedAt: parseIsoTime(file.modifiedTime),
    version: isFile ? (file.headRevisionId ?? file.md5Checksum ?? file.version ?? null) : null,
    hash: typeof file.md5Checksum === 'string' ? { algorithm: 'md5', value: file.md5Checksum } : null,
    exportFormats,
    target: kind === 'shortcut' ? targetOf(file.shortcutDetails) : null,
    webUrl: parseProviderLink(file.webViewLink),
    thumbnailUrl: null,
    path: null,
    can: {
      list: isFolder ? (capabilities?.canListChildren ?? null) : false,
      download: isFile ? (capabilities?.canDownload ?? null) : false,
      write: write ?? null
    }
  }
}

/** Converts a shared drive, a child of the root. Every member of a drive can at least list it. */
export function driveEntry({ id, name, createdTime }: drive_v3.Schema$Drive): Entry {
  if (typeof id !== 'string' || typeof name !== 'string') {
    throw failure('PROVIDER_ERROR', 'Google Drive returned a shared drive without an id or a name')
  }
  const can = { list: true, download: false, write: null }
  const times = { createdAt: parseIsoTime(createdTime) }
  return { ...UNKNOWN_METADATA, id, parentId: ROOT, driveId: id, name, kind: 'drive', ...times, can }
}

/** Parses a size in bytes; Google sends 64-bit numbers as strings. */
export function readSize(size: string | null | undefined): number | null {
  return typeof size === 'string' && DIGITS.test(size) && Number.isSafeInteger(Number(size)) ? Number(size) : null
}

/** Converts a quota. One without a limit belongs to an organisation with unlimited or pooled storage. */
export function quotaOf(quota: drive_v3.Schema$About['storageQuota']): Account['quota'] {
  const used = readSize(quota?.usage)
  return used === null ? null : { used, total: readSize(quota?.limit) }
}

function targetOf(details: drive_v3.Schema$File['shortcutDetails']): ShortcutTarget {
  const { targetId, targetMimeType, targetResourceKey } = details ?? {}
  return {
    id: typeof targetId === 'string' ? formatId(targetId, targetResourceKey) : null,
    kind: typeof targetMimeType === 'string' ? kindOf(targetMimeType) : null,
    mimeType: targetMimeType ?? null,
    state: 'unknown'
  }
}

/** The only id of the root of My Drive here. Google accepts it too, but uses the root's own id in responses. */
export const ROOT = 'root'

/** An item, with the key that old links need (Google's "Access link-shared files using resource keys"). */
export interface ItemId {
  readonly id: string
  readonly resourceKey: string | null
  /** Both in one, as clients know the item. */
  readonly publicId: string
}

const ID_PATTERN = /^([\w-]{1,200})(?:\/([\w-]{1,200}))?$/

/**
 * Parses an id issued by this backend: `ID`, or `ID/KEY`.
 *
 * @throws StorageError `missing` for an invalid id, without a request
 */
export function parseId(id: string, missing: NotFoundCode): ItemId {
  const [, bareId, resourceKey = null] = ID_PATTERN.exec(id) ?? []
  if (bareId === undefined) throw failure(missing)
  return { id: bareId, resourceKey, publicId: id }
}

/** @param id `null` is the root @throws StorageError `FOLDER_NOT_FOUND` for an invalid id, without a request */
export function parseFolderId(id: string | null): ItemId {
  return parseId(id ?? ROOT, 'FOLDER_NOT_FOUND')
}

/** Formats the id that clients receive. */
export function formatId(id: string, resourceKey: string | null | undefined): string {
  return resourceKey === null || resourceKey === undefined || resourceKey === '' ? id : `${id}/${resourceKey}`
}

const NATIVE_PREFIX = 'application/vnd.google-apps.'
/** Conversations, Gems and other Gemini items in Drive. They have no bytes and no documented export format. */
const GEMINI_PREFIX = 'application/vnd.google-gemini.'

export const FOLDER = `${NATIVE_PREFIX}folder`
export const SHORTCUT = `${NATIVE_PREFIX}shortcut`
/** Google Vids. Its export fails with `fileNotExportable`: Google renders a video as a long-running operation. */
const VIDEO = `${NATIVE_PREFIX}vid`

const OFFICE = 'application/vnd.openxmlformats-officedocument'
const PDF: ExportFormat = { mimeType: 'application/pdf', extension: 'pdf' }
const TEXT: ExportFormat = { mimeType: 'text/plain', extension: 'txt' }

const JPEG: ExportFormat = { mimeType: 'image/jpeg', extension: 'jpg' }
const PNG: ExportFormat = { mimeType: 'image/png', extension: 'png' }
const SVG: ExportFormat = { mimeType: 'image/svg+xml', extension: 'svg' }
/** A web page with its images. */
const ZIPPED_HTML: ExportFormat = { mimeType: 'application/zip', extension: 'zip' }

/**
 * The export formats of Google documents, the preferred one first (Google: "Export MIME types for Google Workspace
 * documents"). CSV and TSV contain the first sheet; images of a presentation contain its first slide. Google
 * documents no export format for forms, sites and maps.
 */
const EXPORT_FORMATS: ReadonlyMap<string, readonly ExportFormat[]> = new Map([
  [
    `${NATIVE_PREFIX}document`,
    [
      { mimeType: `${OFFICE}.wordprocessingml.document`, extension: 'docx' },
      PDF,
      { mimeType: 'application/vnd.oasis.opendocument.text', extension: 'odt' },
      { mimeType: 'application/rtf', extension: 'rtf' },
      TEXT,
      { mimeType: 'text/html', extension: 'html' },
      ZIPPED_HTML,
      { mimeType: 'application/epub+zip', extension: 'epub' },
      { mimeType: 'text/markdown', extension: 'md' }
    ]
  ],
  [
    `${NATIVE_PREFIX}spreadsheet`,
    [
      { mimeType: `${OFFICE}.spreadsheetml.sheet`, extension: 'xlsx' },
      PDF,
      { mimeType: 'application/vnd.oasis.opendocument.spreadsheet', extension: 'ods' },
      ZIPPED_HTML,
      { mimeType: 'text/csv', extension: 'csv' },
      { mimeType: 'text/tab-separated-values', extension: 'tsv' }
    ]
  ],
  [
    `${NATIVE_PREFIX}presentation`,
    [
      { mimeType: `${OFFICE}.presentationml.presentation`, extension: 'pptx' },
      PDF,
      { mimeType: 'application/vnd.oasis.opendocument.presentation', extension: 'odp' },
      TEXT,
      JPEG,
      PNG,
      SVG
    ]
  ],
  [`${NATIVE_PREFIX}drawing`, [PNG, PDF, SVG, JPEG]],
  [`${NATIVE_PREFIX}script`, [{ mimeType: 'application/vnd.google-apps.script+json', extension: 'json' }]],
  [VIDEO, [{ mimeType: 'video/mp4', extension: 'mp4' }]]
])

/** Returns whether a document is downloaded by `files.download` instead of `files.export`. */
export function needsDownloadOperation(mimeType: string): boolean {
  return mimeType === VIDEO
}

function exportFormatsOf(mimeType: string): readonly ExportFormat[] {
  return EXPORT_FORMATS.get(mimeType) ?? []
}

/** Items with bytes or an export format are files. Other items (a form, a map) can be opened at Google only. */
export function kindOf(mimeType: string): EntryKind {
  if (mimeType === FOLDER) return 'folder'
  if (mimeType === SHORTCUT) return 'shortcut'
  return isNative(mimeType) && !EXPORT_FORMATS.has(mimeType) ? 'link' : 'file'
}

/** Returns whether a type is Google's own. Such a file has no bytes and cannot be uploaded. */
export function isNative(mimeType: string): boolean {
  const type = mimeType.toLowerCase()
  return type.startsWith(NATIVE_PREFIX) || type.startsWith(GEMINI_PREFIX)
}
