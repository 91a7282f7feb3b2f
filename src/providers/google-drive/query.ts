import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { ListCall } from '../../core/backend.ts'
import { FOLDER, SHORTCUT } from './entries.ts'

/**
 * All fields that an entry needs. Excludes `thumbnailLink`, which expires within hours and needs our token, which
 * browsers do not have.
 */
export const FILE_FIELDS =
  'id,name,mimeType,size,createdTime,modifiedTime,version,md5Checksum,headRevisionId,parents,driveId,webViewLink,' +
  'shortcutDetails,resourceKey,capabilities(canDownload,canEdit,canAddChildren,canListChildren)'

/** Quotes a string for Drive's query language. */
export function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}

/** Returns the query for a folder's items, of all kinds or of one. */
export function childrenQuery(folderId: string, kind?: ListCall['kind']): string {
  const children = `${quote(folderId)} in parents and trashed = false`
  if (kind === 'folder') return `${children} and mimeType = ${quote(FOLDER)}`
  if (kind === 'file') return `${children} and mimeType != ${quote(FOLDER)} and mimeType != ${quote(SHORTCUT)}`
  return children
}

/** The collection to search; `null` lets Google decide. */
export type Corpus = { readonly driveId: string } | 'user' | null

/** Returns the parameters of a listing, which must be the same for all its pages. */
export function listParameters(q: string, corpus: Corpus, pageSize: number): drive_v3.Params$Resource$Files$List {
  return {
    q,
    pageSize,
    orderBy: 'folder,name_natural',
    spaces: 'drive',
    supportsAllDrives: true,
    includeItemsFromAllDrives: true,
    fields: `nextPageToken,incompleteSearch,files(${FILE_FIELDS})`,
    ...(corpus === 'user' && { corpora: 'user' }),
    ...(corpus !== null && corpus !== 'user' && { corpora: 'drive', driveId: corpus.driveId })
  }
}
