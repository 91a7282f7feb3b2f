import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { ListCall } from '../../domain/storage-backend.ts'
import { FOLDER, SHORTCUT } from './media-types.ts'

/**
 * All that an entry is made of. No `thumbnailLink`: it ends within hours and wants our token, of which a browser has
 * none.
 */
export const FILE_FIELDS =
  'id,name,mimeType,size,createdTime,modifiedTime,version,md5Checksum,headRevisionId,parents,driveId,webViewLink,' +
  'shortcutDetails,resourceKey,capabilities(canDownload,canEdit,canAddChildren,canListChildren)'

/** A text as Drive's query language writes it. */
export function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}

/** What is in a folder, all of it or one kind. */
export function childrenQuery(folderId: string, kind?: ListCall['kind']): string {
  const children = `${quoted(folderId)} in parents and trashed = false`
  if (kind === 'folder') return `${children} and mimeType = ${quoted(FOLDER)}`
  if (kind === 'file') return `${children} and mimeType != ${quoted(FOLDER)} and mimeType != ${quoted(SHORTCUT)}`
  return children
}

/** Whose items are searched: of `null`, where that is not known, Google decides. */
export type Corpus = { readonly driveId: string } | 'user' | null

/** The parameters of a listing, which must be the same on each of its pages. */
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
