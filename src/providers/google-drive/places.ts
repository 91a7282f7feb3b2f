import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import { LRUCache } from 'lru-cache'
import { FOLDER } from './media-types.ts'

/** So many folders are remembered with their shared drive; one that was forgotten costs Google a longer search. */
const MAX_FOLDERS = 5000

/** What a connection has learned of where things are, from answers that told it anyway. */
export class Places {
  /** What Google calls the root of My Drive; `null` until it was told. */
  root: string | null = null
  /** The shared drive of folders and of drives themselves, by their id. */
  readonly #drives = new LRUCache<string, string>({ max: MAX_FOLDERS })

  driveOf(folderId: string): string | null {
    return this.#drives.get(folderId) ?? null
  }

  learnDrive(driveId: string): void {
    this.#drives.set(driveId, driveId)
  }

  /** Keeps what a file's facts say of a folder: which drive it is in, or that it is in none any more. */
  learn({ id, mimeType, driveId }: drive_v3.Schema$File): void {
    if (typeof id !== 'string' || mimeType !== FOLDER) return
    if (typeof driveId === 'string') this.#drives.set(id, driveId)
    else this.#drives.delete(id)
  }

  forget(folderId: string): void {
    this.#drives.delete(folderId)
  }
}
