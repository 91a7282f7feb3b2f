import { type DocumentRow, MANAGED_STORE, NO_CONTENT } from './documents.ts'

/** A document as its owner receives it. */
export interface DocumentView {
  readonly id: string
  readonly name: string
  readonly mimeType: string | null
  readonly size: number | null
  /** The provider that stores it; `null`: this server stores it. */
  readonly provider: string | null
  readonly connectionId: string | null
  /** The provider's id of the object. Keys of managed objects are not disclosed. */
  readonly objectKey: string | null
  /** `false`: nothing has been uploaded yet. */
  readonly hasContent: boolean
  readonly createdAt: string
  readonly updatedAt: string
}

export function isManaged({ storageBackend }: Pick<DocumentRow, 'storageBackend'>): boolean {
  return storageBackend === MANAGED_STORE
}

export function viewOf(document: DocumentRow): DocumentView {
  const { id, name, mimeType, size, storageBackend, connectionId, objectKey, createdAt, updatedAt } = document
  const isOurs = isManaged(document)
  return {
    id,
    name,
    mimeType,
    size: size === null ? null : Number(size),
    provider: isOurs ? null : storageBackend,
    connectionId,
    objectKey: isOurs ? null : objectKey,
    hasContent: objectKey !== NO_CONTENT,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString()
  }
}
