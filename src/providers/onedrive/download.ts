import { StorageError } from '../../domain/errors.ts'
import type { Download, DownloadCall } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { downloadKnown, downloadNewest } from '../shared/known-media.ts'
import { pinnedUrl } from '../shared/pinned-url.ts'
import { readProblem } from '../shared/read-problem.ts'
import { hasFacet, ITEM_FIELDS, itemEntry } from './entries.ts'
import { graphFailure } from './failure.ts'
import type { ItemId } from './ids.ts'
import { type GraphServer, lookThrough } from './server.ts'

const SERVICE = 'OneDrive'
const ADDRESS = '@microsoft.graph.downloadUrl'
/** So an address answers that is too old, or whose file is gone. */
const LAPSED: ReadonlySet<number> = new Set([401, 403, 404, 410])

/**
 * The content of a file, from an address that Graph gives for a few minutes. It is its own token: it gets no other
 * one, and stands in no message. Ranges are asked for there ("Download driveItem content").
 */
export async function downloadFile(server: GraphServer, id: ItemId, call: DownloadCall): Promise<Download> {
  const { signal } = call
  const { egress, contentHosts, timeouts } = server
  let lapsed: StorageError | null = null
  return downloadNewest(
    SERVICE,
    () => lookThrough(server, id, call, 'OBJECT_NOT_FOUND', `${ITEM_FIELDS},${ADDRESS}`),
    async (item) => {
      const entry = itemEntry(item, { parentId: null })
      if (entry.kind === 'package') throw failure('UNSUPPORTED', 'It can be seen at Microsoft alone')
      if (entry.kind !== 'file') throw failure('OBJECT_NOT_FOUND')
      if (call.exportAs !== undefined)
        throw new StorageError('INVALID_REQUEST', 'The object cannot be had in this format.')
      if (hasFacet(item, 'malware')) throw failure('ACCESS_DENIED', 'Microsoft says that the file is malware')
      const isFirst = lapsed === null
      const url = pinnedUrl(item[ADDRESS], contentHosts, 'The address of a download')
      return downloadKnown(entry, call, {
        service: SERVICE,
        request: (headers) =>
          egress.request({ method: 'GET', url, signal, headers, purpose: 'transfer', redirectHosts: contentHosts }),
        refusal: async (answer) => {
          const problem = await readProblem(answer, timeouts.idleMs)
          signal.throwIfAborted()
          const why = graphFailure('GET', answer, problem, 'OBJECT_NOT_FOUND')
          if (isFirst && LAPSED.has(answer.status)) lapsed = why
          return why
        },
        idleMs: timeouts.idleMs
      }).catch((error: unknown) => {
        if (isFirst && error === lapsed) return null
        throw error
      })
    }
  )
}
