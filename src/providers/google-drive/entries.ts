import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Entry, ShortcutTarget } from '../../domain/entry.ts'
import { parseProviderLink } from '../../domain/provider-link.ts'
import { failure } from '../shared/http-failure.ts'
import { readIsoTime } from '../shared/iso-time.ts'
import { UNKNOWN_FACTS } from '../shared/unknown-facts.ts'
import { formatId, ROOT } from './ids.ts'
import { exportFormatsOf, kindOf } from './media-types.ts'

const DIGITS = /^\d{1,16}$/

/** Converts an item. @param place the id to use instead of the item's own, and the id of its folder */
export function fileEntry(
  file: drive_v3.Schema$File,
  place: { readonly id?: string; readonly parentId: string | null }
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
    id: place.id ?? formatId(id, file.resourceKey),
    parentId: place.parentId,
    driveId: file.driveId ?? null,
    name,
    kind,
    mimeType: isFolder ? null : mimeType,
    // The size that Google reports for a document is not the size of any export.
    size: isFile && exportFormats.length === 0 ? readSize(file.size) : null,
    createdAt: readIsoTime(file.createdTime),
    modifiedAt: readIsoTime(file.modifiedTime),
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
  const times = { createdAt: readIsoTime(createdTime) }
  return { ...UNKNOWN_FACTS, id, parentId: ROOT, driveId: id, name, kind: 'drive', ...times, can }
}

/** Parses a size in bytes; Google sends 64-bit numbers as strings. */
export function readSize(size: string | null | undefined): number | null {
  return typeof size === 'string' && DIGITS.test(size) && Number.isSafeInteger(Number(size)) ? Number(size) : null
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
