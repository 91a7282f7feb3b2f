import { chooseConnection, requireActive, type SealedConnection } from '../core/connection.ts'
import type { StoredDocument, User } from '../core/document.ts'
import { StorageError } from '../errors.ts'
import type { ConnectionStore } from '../core/stores.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { ProviderCatalog } from '../connections/provider-catalog.ts'

export interface DocumentResolverPorts {
  readonly managed: ReadonlyMap<string, () => Promise<StorageBackend>>
  readonly providers: ProviderCatalog
  readonly connections: ConnectionStore
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
}

export type GetStorageBackendForDocument = (document: StoredDocument, user: User) => Promise<StorageBackend>

/** Opens the storage of a document for its owner. */
export function createDocumentResolver(ports: DocumentResolverPorts): GetStorageBackendForDocument {
  const { managed, providers, connections, open } = ports
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

  return async (document, user) => {
    if (typeof user.id !== 'string' || user.id === '' || document.userId !== user.id) {
      throw new StorageError('DOCUMENT_NOT_FOUND')
    }
    const { storageBackend } = document

    const openManaged = managed.get(storageBackend)
    if (openManaged !== undefined) return await openOnce(storageBackend, openManaged)

    // Checked first: a provider that is not enabled has no connections either.
    providers.get(storageBackend)
    const connection = await findConnection(connections, user.id, document)
    return await open(requireActive(connection))
  }
}

async function findConnection(
  connections: ConnectionStore,
  userId: string,
  { storageBackend, connectionId }: StoredDocument
): Promise<SealedConnection> {
  if (connectionId === undefined || connectionId === null) {
    return chooseConnection(await connections.listSealed(userId, storageBackend))
  }
  const connection = await connections.findSealed(userId, connectionId)
  if (connection?.provider !== storageBackend) {
    throw new StorageError('CONNECTION_MISSING', 'The connection of this document was not found.')
  }
  return connection
}
