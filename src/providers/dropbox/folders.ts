import type { Entry } from '../../domain/entry.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { requireName } from '../shared/file-name.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import { folderEntry } from './entries.ts'
import { parseId } from './ids.ts'
import { type DropboxServer, lookAtFolder, parentIdOf } from './server.ts'

/**
 * Makes a folder. Of all that writes, this alone takes no id: where the folder around it is moved right before, Dropbox
 * makes another one in its old place. That fails, and what it made is left behind there: to remove it again would take with
 * it what others may have put into it by then.
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
    throw failure('FOLDER_NOT_FOUND', 'The folder around a new one was moved meanwhile')
  }
  return entry
}

/** @throws StorageError `FOLDER_NOT_FOUND`; `UNSUPPORTED` for what was shared and is in no folder of the user's */
async function pathOf(server: DropboxServer, id: string, call: Call): Promise<string> {
  const { path_lower: path } = await lookAtFolder(server, id, call)
  if (typeof path !== 'string' || !path.startsWith('/')) throw failure('UNSUPPORTED', 'The folder has no path')
  return path
}
