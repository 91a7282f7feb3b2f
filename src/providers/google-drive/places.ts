import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import { LRUCache } from 'lru-cache'
import { FOLDER } from './media-types.ts'

/** Maximum folders with a cached shared drive. For other folders, Google searches longer. */
const MAX_FOLDERS = 5000

/** The locations of folders that a connection has learned from its responses. */
export class Places {
  /** Google's id of the root of My Drive; `null` if unknown. */
  root: string | null = null
  /** The shared drive of folders and of the drives themselves, by id. */
  readonly #drives = new LRUCache<string, string>({ max: MAX_FOLDERS })

  driveOf(folderId: string): string | null {
    return this.#drives.get(folderId) ?? null
  }

  learnDrive(driveId: string): void {
    this.#drives.set(driveId, driveId)
  }

  /** Stores the shared drive of a folder, or removes it if the folder is in none any more. */
  learn({ id, mimeType, driveId }: drive_v3.Schema$File): void {
    if (typeof id !== 'string' || mimeType !== FOLDER) return
    if (typeof driveId === 'string') this.#drives.set(id, driveId)
    else this.#drives.delete(id)
  }

  forget(folderId: string): void {
    this.#drives.delete(folderId)
  }
}
