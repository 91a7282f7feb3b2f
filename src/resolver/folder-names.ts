import { LRUCache } from 'lru-cache'
import type { StorageBackend } from '../domain/storage-backend.ts'

/** So many folders are remembered that go by another name too. */
const MAX_FOLDERS = 10_000
/** A folder has two or three names; who asks for it by more gets fewer of them remembered. */
const MAX_NAMES = 8

/**
 * Under which other ids folders were listed by this process: a shortcut's for the folder that it stands for, a root's
 * own for the root. A listing is kept by the id that it was asked for, and a change names the folder by one of them.
 */
export class FolderNames {
  readonly #names = new LRUCache<string, readonly string[]>({ max: MAX_FOLDERS })

  /** The backend, whose listings are learned from. */
  learning(backend: StorageBackend, connectionId: string): StorageBackend {
    return {
      ...backend,
      listFolder: async (folderId, call) => {
        const page = await backend.listFolder(folderId, call)
        const { id } = page.folder
        if (id !== null && folderId !== null && id !== folderId) this.#learn(keyOf(connectionId, id), folderId)
        return page
      }
    }
  }

  /** The other ids of a folder, by the one that its listing calls it by. */
  of(connectionId: string, folderId: string): readonly string[] {
    return this.#names.get(keyOf(connectionId, folderId)) ?? []
  }

  #learn(key: string, name: string): void {
    const known = this.#names.get(key) ?? []
    if (!known.includes(name)) this.#names.set(key, [...known, name].slice(-MAX_NAMES))
  }
}

function keyOf(connectionId: string, folderId: string): string {
  return JSON.stringify([connectionId, folderId])
}
