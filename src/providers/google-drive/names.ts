import type { Entry } from '../../domain/entry.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import { fileEntry } from './entries.ts'
import { type DriveId, parseId, ROOT } from './ids.ts'
import { childrenQuery, listParameters, quoted } from './query.ts'
import { type DriveServer, lookAtFolder } from './server.ts'

const PAGE_SIZE = 100
/** Google may return short or empty pages before the last one. */
const MAX_PAGES = 10

/**
 * Checks the parent folder of a write: Google would also write into a folder in the trash.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`
 */
export async function checkedParent(server: DriveServer, parentId: string | null, call: Call): Promise<DriveId> {
  const parent = parseId(parentId ?? ROOT, 'FOLDER_NOT_FOUND')
  if (parent.id !== ROOT) await lookAtFolder(server, parent, call)
  return parent
}

/** Returns all items with a name in a folder. Drive matches names loosely, and allows duplicates. */
export async function namesakes(
  { client, places }: DriveServer,
  parent: DriveId,
  name: string,
  { signal }: Call
): Promise<readonly Entry[]> {
  const driveId = places.driveOf(parent.id)
  const corpus = parent.id === ROOT ? 'user' : driveId === null ? null : { driveId }
  const parameters = listParameters(`${childrenQuery(parent.id)} and name = ${quoted(name)}`, corpus, PAGE_SIZE)
  const found: Entry[] = []
  let page = parameters
  for (let pages = 1; pages <= MAX_PAGES; pages++) {
    const answer = await client.call({ signal, missing: 'FOLDER_NOT_FOUND', about: parent }, (drive, options) =>
      drive.files.list(page, options)
    )
    const { files, nextPageToken } = answer
    if (!Array.isArray(files)) throw failure('PROVIDER_ERROR', 'Google Drive returned no list of files')
    const entries = files.map((file) => fileEntry(asObject(file), { parentId: parent.id }))
    found.push(...entries.filter((entry) => entry.name === name))
    if (typeof nextPageToken !== 'string' || nextPageToken === '') break
    page = { ...parameters, pageToken: nextPageToken }
  }
  return found
}
