import { isStorageError } from '../../domain/errors.ts'
import type { Timeouts } from '../../domain/ports.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import type { DropboxClient } from './client.ts'
import type { Facts } from './facts.ts'
import { isId } from './ids.ts'

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
