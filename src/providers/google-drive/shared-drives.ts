import type { Entry } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import { driveEntry } from './entries.ts'
import { DRIVE_FIELDS, type DriveServer } from './server.ts'

/** The largest page that Google returns. */
export const MAX_DRIVES = 100

/** Returns a page of the shared drives; none if the grant lacks the scope. */
export async function listDrives(
  { client, places }: DriveServer,
  token: string | null,
  pageSize: number,
  { signal }: Call
): Promise<{ readonly entries: readonly Entry[]; readonly token: string | null }> {
  const parameters = { pageSize, fields: `nextPageToken,drives(${DRIVE_FIELDS})` }
  const page = token === null ? parameters : { ...parameters, pageToken: token }
  const answer = await client
    .call({ signal, missing: 'FOLDER_NOT_FOUND' }, (drive, options) => drive.drives.list(page, options))
    .catch((error: unknown) => {
      if (token === null && isStorageError(error, 'INSUFFICIENT_SCOPE')) return { drives: [], nextPageToken: null }
      throw error
    })
  const { drives, nextPageToken } = answer
  if (!Array.isArray(drives) || drives.length > pageSize) {
    throw failure('PROVIDER_ERROR', 'Google Drive returned no list of drives, or more drives than requested')
  }
  const entries = drives.map((drive) => driveEntry(asObject(drive)))
  for (const { id } of entries) places.learnDrive(id)
  return { entries, token: nextPageToken === '' ? null : (nextPageToken ?? null) }
}
