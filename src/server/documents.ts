import type { StoredDocument, User } from '../domain/document.ts'
import { databaseUnavailable, isDatabaseUnavailable } from '../infra/db/database-error.ts'

/** A row of the server's own documents table. */
export interface DocumentRow extends StoredDocument {
  readonly name: string
  readonly mimeType: string | null
}

/** What of a Prisma client is used here. */
export interface DocumentsTable {
  readonly document: {
    findFirst(args: {
      where: { id: string; userId: string }
      select: { [Column in keyof Required<DocumentRow>]: true }
    }): PromiseLike<DocumentRow | null>
  }
}

const COLUMNS = {
  id: true,
  userId: true,
  storageBackend: true,
  objectKey: true,
  connectionId: true,
  name: true,
  mimeType: true
} as const

export type FindDocument = (id: string, user: User) => Promise<DocumentRow | null>

/**
 * Looks a document up by its id **and** its owner: somebody else's is as unknown as one that never was.
 *
 * @throws StorageError `DATABASE_UNAVAILABLE`
 */
export function createFindDocument(table: DocumentsTable): FindDocument {
  return async (id, { id: userId }) => {
    // Not an id of ours, and nothing that PostgreSQL could compare with one.
    if (id.includes('\0') || !id.isWellFormed()) return null
    try {
      return await table.document.findFirst({ where: { id, userId }, select: COLUMNS })
    } catch (error) {
      throw isDatabaseUnavailable(error) ? databaseUnavailable(error) : error
    }
  }
}
