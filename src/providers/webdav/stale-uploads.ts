import { LRUCache } from 'lru-cache'
import { Deadline } from '../../core/time.ts'
import { failure } from '../shared/errors.ts'
import { hasProperties, readMetadata } from '../dav/entries.ts'
import type { DavSession } from '../dav/session.ts'
import { isTemporaryName } from '../dav/upload.ts'

/** Age at which a temporary file cannot belong to a running upload: an upload moves its file within minutes. */
const STALE_MS = 24 * 3_600_000
/** Interval between searches of the same folder. */
const INTERVAL_MS = 3_600_000
const MAX_FOLDERS = 1000
/** Deadline of one search with all its removals. */
const SWEEP_MS = 10_000
/** Maximum entries read and files removed per search. */
const MAX_RESOURCES = 10_000
const MAX_REMOVALS = 20

/**
 * Removes the temporary files of uploads by killed processes. The folder of an upload is searched after it, in the
 * background. The age of a file is the difference between two times of the server, its `Date` and the file's
 * modification time, so that no local clock can make another process's file look old.
 */
export class StaleUploads {
  readonly #searched = new LRUCache<string, true>({ max: MAX_FOLDERS, ttl: INTERVAL_MS })
  #isBusy = false

  /** Searches a folder. Never rejects. @param folderId the folder of a completed upload */
  async sweep(session: DavSession, folderId: string | null): Promise<void> {
    const key = folderId ?? ''
    if (this.#isBusy || this.#searched.has(key)) return
    this.#isBusy = true
    this.#searched.set(key, true)
    const deadline = new Deadline(SWEEP_MS, null, () => failure('PROVIDER_TIMEOUT'))
    deadline.unref()
    const { signal } = deadline
    try {
      for (const url of await findStale(session, folderId, signal)) {
        const response = await session.client.send({ method: 'DELETE', url, signal })
        await response.discard()
      }
    } catch {
      // The upload has succeeded. The files remain until the next search.
    } finally {
      deadline.clear()
      this.#isBusy = false
    }
  }
}

async function findStale(session: DavSession, folderId: string | null, signal: AbortSignal): Promise<readonly URL[]> {
  const { client, paths, propfind } = session
  const url = paths.folderUrlOf(folderId)
  const { response, resources } = await client.propfind({ url, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
  const now = Date.parse(response.headers['date'] ?? '')
  const stale: URL[] = []
  let count = 0
  for await (const resource of resources) {
    if (++count > MAX_RESOURCES || stale.length === MAX_REMOVALS) break
    const name = paths.segmentsOf(resource.href)?.at(-1)
    if (name === undefined || !isTemporaryName(name) || !hasProperties(resource)) continue
    const { isCollection, modifiedAt } = readMetadata(resource)
    // A comparison with an invalid time is false.
    const isStale = !isCollection && modifiedAt !== null && now - Date.parse(modifiedAt) > STALE_MS
    if (isStale) stale.push(paths.urlOf((folderId ?? '') + name))
  }
  return stale
}
