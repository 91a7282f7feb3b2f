import { isStorageError } from '../../domain/errors.ts'
import type { UploadCall } from '../../domain/storage-backend.ts'
import type { Patience } from '../shared/patience.ts'
import type { Facts } from './facts.ts'
import { type DropboxServer, look } from './server.ts'
import { isUndone } from './undone.ts'
import type { Destination } from './upload-target.ts'

/** A completely received file that is to be committed. */
export interface Whole {
  readonly destination: Destination
  readonly size: number
  /** Dropbox's `content_hash`. */
  readonly hash: string
}

/**
 * Commits a file once. After a lost response the file may already exist, so it is looked up before each retry and
 * when Dropbox reports a conflict. A file that has our content and was not there before counts as ours. With a
 * condition this is wrong in one case: if two clients write the same content at the same time and one loses a
 * response, both succeed. Without a condition, a file with our content is the requested result.
 *
 * @param commit sends the commit; returns `null` if Dropbox asks to repeat it
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

/** Returns the file if it has the uploaded content. */
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
  // The previous version may have the same content.
  return facts['rev'] === destination.before ? null : facts
}
