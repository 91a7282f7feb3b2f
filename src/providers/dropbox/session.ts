import type { Call } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { requireName } from '../shared/names.ts'
import { asObject } from '../shared/rest-client.ts'
import type { DropboxClient } from './client.ts'
import { type Metadata, folderEntry, isId, parseId } from './entries.ts'

/** An open connection to Dropbox, used by every operation. */
export interface DropboxSession {
  readonly client: DropboxClient
  /** Allowed hosts of temporary links. */
  readonly linkHosts: readonly string[]
  readonly timeouts: Timeouts
}

/** Gets a file or folder. @param path an id, or a path @throws StorageError `missing` if it does not exist */
export async function getItem(
  { client }: DropboxSession,
  path: string,
  { signal }: Call,
  missing: NotFoundCode
): Promise<Metadata> {
  const metadata = await client.files('get_metadata', { path }, { signal, missing })
  const tag = metadata['.tag']
  if (tag === 'deleted') throw failure(missing)
  if (tag !== 'file' && tag !== 'folder') throw failure('PROVIDER_ERROR', 'Dropbox returned an item of an unknown type')
  return metadata
}

/** @throws StorageError `FOLDER_NOT_FOUND` if it is not a folder or does not exist */
export async function getFolder(session: DropboxSession, id: string, call: Call): Promise<Metadata> {
  const metadata = await getItem(session, id, call, 'FOLDER_NOT_FOUND')
  if (metadata['.tag'] !== 'folder') throw failure('FOLDER_NOT_FOUND')
  return metadata
}

/**
 * Returns the id of an item's parent folder. This takes a request, because Dropbox reports only the path. Returns
 * `null` in the root, which has no id, and for a shared item that is not mounted.
 */
export async function getParentId(session: DropboxSession, metadata: Metadata, call: Call): Promise<string | null> {
  const path = metadata['path_lower']
  const parent = typeof path === 'string' ? path.slice(0, Math.max(0, path.lastIndexOf('/'))) : ''
  if (parent === '') return null
  try {
    const { id } = await getFolder(session, parent, call)
    if (!isId(id)) throw failure('PROVIDER_ERROR', 'Dropbox returned a folder without an id')
    return id
  } catch (error) {
    // The folder is being moved, or has a name that Dropbox no longer accepts.
    if (isStorageError(error, 'FOLDER_NOT_FOUND', 'INVALID_REQUEST')) return null
    throw error
  }
}

/**
 * Creates a folder. Unlike all other writes, this takes a path and no id: if the parent is moved right before,
 * Dropbox creates it again at its old path. The call then fails and leaves the new folder there, because removing it
 * would also remove what other clients may have added to it.
 *
 * @throws StorageError `ALREADY_EXISTS`, `FOLDER_NOT_FOUND`, `INVALID_REQUEST`
 */
export async function createFolder(
  session: DropboxSession,
  parentId: string | null,
  name: string,
  call: Call
): Promise<Entry> {
  requireName(name)
  const parent = parentId === null ? '' : await getPath(session, parseId(parentId, 'FOLDER_NOT_FOUND'), call)
  const arg = { path: `${parent}/${name}`, autorename: false }
  const options = { signal: call.signal, missing: 'FOLDER_NOT_FOUND' } as const
  const { metadata } = await session.client.files('create_folder_v2', arg, options)
  const folder = asObject(metadata)
  const entry = folderEntry(folder, parentId)
  if ((await getParentId(session, folder, call)) !== parentId) {
    throw failure('FOLDER_NOT_FOUND', 'The parent folder was moved while the folder was created')
  }
  return entry
}

/** @throws StorageError `FOLDER_NOT_FOUND`; `UNSUPPORTED` for a shared folder that is not mounted */
async function getPath(session: DropboxSession, id: string, call: Call): Promise<string> {
  const { path_lower: path } = await getFolder(session, id, call)
  if (typeof path !== 'string' || !path.startsWith('/')) throw failure('UNSUPPORTED', 'The folder is not mounted')
  return path
}

/** Maximum attempts to remove a file that changes between the check and the removal. */
const MAX_ATTEMPTS = 2

/**
 * Removes a file; Dropbox can restore it for a month. Dropbox would also remove a folder with its content, so the
 * item is checked first, and exactly the checked version is removed.
 *
 * @throws StorageError `INVALID_REQUEST` for a folder, `LOCKED` for a file that changes continually
 */
export async function removeFile(session: DropboxSession, id: string, call: Call): Promise<void> {
  const options = { signal: call.signal, missing: 'OBJECT_NOT_FOUND' } as const
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    try {
      const { '.tag': tag, rev } = await getItem(session, id, call, 'OBJECT_NOT_FOUND')
      if (tag === 'folder') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      if (typeof rev !== 'string') throw failure('PROVIDER_ERROR', 'Dropbox returned a file without a version')
      await session.client.files('delete_v2', { path: id, parent_rev: rev }, options)
      return
    } catch (error) {
      if (isStorageError(error, 'OBJECT_NOT_FOUND')) return
      if (!isStorageError(error, 'ALREADY_EXISTS')) throw error
    }
  }
  throw failure('LOCKED', 'The file changed before each attempt to remove it')
}
