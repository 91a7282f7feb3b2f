import type { Entry } from '../../domain/entry.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { requireName } from '../shared/file-name.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import { folderEntry } from './entries.ts'
import { parseId } from './ids.ts'
import { type DropboxServer, lookAtFolder, parentIdOf } from './server.ts'

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
