import { isStorageError } from '../../domain/errors.ts'
import type { UploadCall } from '../../domain/storage-backend.ts'
import type { Patience } from '../shared/patience.ts'
import type { Facts } from './facts.ts'
import { type DropboxServer, look } from './server.ts'
import { isUndone } from './undone.ts'
import type { Destination } from './upload-target.ts'

/** A file that is to be made, all of which has come. */
export interface Whole {
  readonly destination: Destination
  readonly size: number
  /** Dropbox's `content_hash`. */
  readonly hash: string
}

/**
 * Makes a file, once. Where an answer was lost, the file may be there: it is looked for before Dropbox is asked again,
 * and where Dropbox then says that there is something already. What has our content, and was not there before, is taken
 * for ours. With a condition that is wrong in one case alone: of two who write the same content at the same time, and of
 * whom one loses an answer, both are told that they did. Without one, what has our content is what was asked for.
 *
 * @param commit asks for it; `null` where Dropbox wants to be asked once more
 */
export async function commitOnce(
  server: DropboxServer,
  whole: Whole,
  call: UploadCall,
  patience: Patience,
  commit: () => Promise<Facts | null>
): Promise<Facts> {
  let isDoubtful = false
  for (;;) {
    try {
      const made = (isDoubtful ? await findStored(server, whole, call) : null) ?? (await commit())
      if (made !== null) return made
    } catch (error) {
      if (isDoubtful && isStorageError(error, 'ALREADY_EXISTS')) {
        const made = await findStored(server, whole, call)
        if (made !== null) return made
      }
      await patience.outlive(error)
      isDoubtful ||= !isUndone(error)
    }
  }
}

/** The file, where it has become what was uploaded. */
async function findStored(
  server: DropboxServer,
  { destination, size, hash }: Whole,
  call: UploadCall
): Promise<Facts | null> {
  const facts = await look(server, destination.path, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    if (isStorageError(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  })
  if (facts === null || facts['size'] !== size || facts['content_hash'] !== hash) return null
  // The version that was there before may have had the same content.
  return facts['rev'] === destination.before ? null : facts
}
