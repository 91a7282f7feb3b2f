import type { Call } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import type { Timeouts } from '../../core/stores.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { failure, type Missing } from '../shared/errors.ts'
import { requireName } from '../shared/names.ts'
import { asObject } from '../shared/rest-client.ts'
import type { DropboxClient } from './client.ts'
import { type Facts, folderEntry, isId, parseId } from './entries.ts'

/** An open connection to Dropbox, used by every operation. */
export interface DropboxServer {
  readonly client: DropboxClient
  /** Allowed hosts of temporary links. */
  readonly linkHosts: readonly string[]
  readonly timeouts: Timeouts
}

/** Gets a file or folder. @param path an id, or a path @throws StorageError `missing` if it does not exist */
export async function look(
  { client }: DropboxServer,
  path: string,
  { signal }: Call,
  missing: Missing
): Promise<Facts> {
  const facts = await client.files('get_metadata', { path }, { signal, missing })
  const tag = facts['.tag']
  if (tag === 'deleted') throw failure(missing)
  if (tag !== 'file' && tag !== 'folder') throw failure('PROVIDER_ERROR', 'Dropbox returned an item of an unknown type')
  return facts
}

/** @throws StorageError `FOLDER_NOT_FOUND` if it is not a folder or does not exist */
export async function lookAtFolder(server: DropboxServer, id: string, call: Call): Promise<Facts> {
  const facts = await look(server, id, call, 'FOLDER_NOT_FOUND')
  if (facts['.tag'] !== 'folder') throw failure('FOLDER_NOT_FOUND')
  return facts
}

/**
 * Returns the id of an item's parent folder. This takes a request, because Dropbox reports only the path. Returns
 * `null` in the root, which has no id, and for a shared item that is not mounted.
 */
export async function parentIdOf(server: DropboxServer, facts: Facts, call: Call): Promise<string | null> {
  const path = facts['path_lower']
  const parent = typeof path === 'string' ? path.slice(0, Math.max(0, path.lastIndexOf('/'))) : ''
  if (parent === '') return null
  try {
    const { id } = await lookAtFolder(server, parent, call)
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
  server: DropboxServer,
  parentId: string | null,
  name: string,
  call: Call
): Promise<Entry> {
  requireName(name)
  const parent = parentId === null ? '' : await pathOf(server, parseId(parentId, 'FOLDER_NOT_FOUND'), call)
  const arg = { path: `${parent}/${name}`, autorename: false }
  const options = { signal: call.signal, missing: 'FOLDER_NOT_FOUND' } as const
  const { metadata } = await server.client.files('create_folder_v2', arg, options)
  const facts = asObject(metadata)
  const entry = folderEntry(facts, parentId)
  if ((await parentIdOf(server, facts, call)) !== parentId) {
    throw failure('FOLDER_NOT_FOUND', 'The parent folder was moved while the folder was created')
  }
  return entry
}

/** @throws StorageError `FOLDER_NOT_FOUND`; `UNSUPPORTED` for a shared folder that is not mounted */
async function pathOf(server: DropboxServer, id: string, call: Call): Promise<string> {
  const { path_lower: path } = await lookAtFolder(server, id, call)
  if (typeof path !== 'string' || !path.startsWith('/')) throw failure('UNSUPPORTED', 'The folder is not mounted')
  return path
}

/** Maximum attempts to remove a file that changes between the check and the removal. */
const MAX_LOOKS = 2

/**
 * Removes a file; Dropbox can restore it for a month. Dropbox would also remove a folder with its content, so the
 * item is checked first, and exactly the checked version is removed.
 *
 * @throws StorageError `INVALID_REQUEST` for a folder, `LOCKED` for a file that changes continually
 */
export async function removeFile(server: DropboxServer, id: string, call: Call): Promise<void> {
  const options = { signal: call.signal, missing: 'OBJECT_NOT_FOUND' } as const
  for (let looks = 1; looks <= MAX_LOOKS; looks++) {
    try {
      const { '.tag': tag, rev } = await look(server, id, call, 'OBJECT_NOT_FOUND')
      if (tag === 'folder') throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
      if (typeof rev !== 'string') throw failure('PROVIDER_ERROR', 'Dropbox returned a file without a version')
      await server.client.files('delete_v2', { path: id, parent_rev: rev }, options)
      return
    } catch (error) {
      if (isStorageError(error, 'OBJECT_NOT_FOUND')) return
      if (!isStorageError(error, 'ALREADY_EXISTS')) throw error
    }
  }
  throw failure('LOCKED', 'The file changed before each attempt to remove it')
}
