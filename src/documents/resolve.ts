import type { Connections } from '../connections/connections.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { StoredDocument, User } from '../core/document.ts'
import { isStorageError, StorageError } from '../errors.ts'

export type GetStorageBackendForDocument = (document: StoredDocument, user: User) => Promise<StorageBackend>

/**
 * Opens the storage of a document for its owner.
 *
 * @param managed opens a managed store, by its name
 */
export function createDocumentResolver(
  managed: ReadonlyMap<string, () => Promise<StorageBackend>>,
  connections: Connections
): GetStorageBackendForDocument {
  const opened = new Map<string, Promise<StorageBackend>>()

  function openOnce(name: string, openStore: () => Promise<StorageBackend>): Promise<StorageBackend> {
    const existing = opened.get(name)
    if (existing !== undefined) return existing
    const opening = openStore()
    opened.set(name, opening)
    // Failures are not cached.
    opening.catch(() => opened.delete(name))
    return opening
  }

  return async ({ userId, storageBackend, connectionId }, user) => {
    if (typeof user.id !== 'string' || user.id === '' || userId !== user.id) {
      throw new StorageError('DOCUMENT_NOT_FOUND')
    }
    const openStore = managed.get(storageBackend)
    if (openStore !== undefined) return await openOnce(storageBackend, openStore)
    const selector = { userId, provider: storageBackend, connectionId: connectionId ?? undefined }
    try {
      return (await connections.openSelected(selector)).backend
    } catch (error) {
      if (!isStorageError(error, 'CONNECTION_NOT_FOUND')) throw error
      throw new StorageError('CONNECTION_MISSING', 'The connection of this document was not found.')
    }
  }
}
