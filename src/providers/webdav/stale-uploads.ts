import { LRUCache } from 'lru-cache'
import { failure } from '../shared/http-failure.ts'
import { isTold, readFacts } from '../dav/properties.ts'
import type { DavServer } from '../dav/server.ts'
import { isTemporaryName } from '../dav/upload.ts'

/** A file that nobody has written for so long belongs to no upload: an upload moves its file within minutes. */
const STALE_MS = 24 * 3_600_000
/** How often one folder is searched. */
const INTERVAL_MS = 3_600_000
const MAX_FOLDERS = 1000
/** Time for one search with all its removals. */
const SWEEP_MS = 10_000
/** Entries of a folder that are read, and files that are removed at a time. */
const MAX_RESOURCES = 10_000
const MAX_REMOVALS = 20

/**
 * Removes the temporary files of uploads whose process was killed. The folder of an upload is searched after it, in the
 * background. The age of a file is the difference between two times of the server, its `Date` and the time at which the
 * file was written last: no clock of ours can make a file of another process look old.
 */
export class StaleUploads {
  readonly #searched = new LRUCache<string, true>({ max: MAX_FOLDERS, ttl: INTERVAL_MS })
  #isBusy = false

  /** Never rejects. @param folderId of a folder that an upload has just written into */
  async sweep(server: DavServer, folderId: string | null): Promise<void> {
    const key = folderId ?? ''
    if (this.#isBusy || this.#searched.has(key)) return
    this.#isBusy = true
    this.#searched.set(key, true)
    const controller = new AbortController()
    const timer = setTimeout(() => {
      controller.abort(failure('PROVIDER_TIMEOUT'))
    }, SWEEP_MS)
    timer.unref()
    try {
      for (const url of await findStale(server, folderId, controller.signal)) {
        const answer = await server.client.send({ method: 'DELETE', url, signal: controller.signal })
        await answer.discard()
      }
    } catch {
      // The upload has succeeded. The files stay until the next search.
    } finally {
      clearTimeout(timer)
      this.#isBusy = false
    }
  }
}

async function findStale(server: DavServer, folderId: string | null, signal: AbortSignal): Promise<readonly URL[]> {
  const { client, paths, propfind } = server
  const url = paths.folderUrlOf(folderId)
  const { answer, resources } = await client.propfind({ url, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
  const now = Date.parse(answer.headers['date'] ?? '')
  const stale: URL[] = []
  let count = 0
  for await (const resource of resources) {
    if (++count > MAX_RESOURCES || stale.length === MAX_REMOVALS) break
    const name = paths.segmentsOf(resource.href)?.at(-1)
    if (name === undefined || !isTemporaryName(name) || !isTold(resource)) continue
    const { isCollection, modifiedAt } = readFacts(resource)
    // A comparison with a time that is not known is false.
    const isStale = !isCollection && modifiedAt !== null && now - Date.parse(modifiedAt) > STALE_MS
    if (isStale) stale.push(paths.urlOf((folderId ?? '') + name))
  }
  return stale
}
