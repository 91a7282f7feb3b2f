import type { StoredDocument, User } from '../domain/document.ts'
import { databaseUnavailable, isDatabaseUnavailable } from '../infra/db/database-error.ts'
import type { Database } from '../infra/db/open-database.ts'
import type { DocumentPlace } from './document-cursor.ts'

/** The backend name of managed documents, for every type of store. */
export const MANAGED_STORE = 'minio'

/** The object key of a managed document without content. */
export const NO_CONTENT = ''

/** A row of the server's own documents table. */
export interface DocumentRow extends StoredDocument {
  readonly connectionId: string | null
  readonly name: string
  readonly mimeType: string | null
  /** In bytes; `null` if unknown. */
  readonly size: bigint | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** The part of a Prisma client that is used here. */
export type DocumentsTable = Pick<Database['prisma'], 'document'>

/** The fields of a document that describe its content. */
export interface ContentFacts {
  readonly objectKey: string
  readonly size: number | null
  readonly mimeType: string | null
}

export type NewDocument = Omit<DocumentRow, 'id' | 'size' | 'createdAt' | 'updatedAt'> & Pick<ContentFacts, 'size'>

const COLUMNS = {
  id: true,
  userId: true,
  storageBackend: true,
  objectKey: true,
  connectionId: true,
  name: true,
  mimeType: true,
  size: true,
  createdAt: true,
  updatedAt: true
} as const

/**
 * The documents of users. Every query names the owner, so that another user's document counts as missing.
 *
 * @throws StorageError `DATABASE_UNAVAILABLE`
 */
export class Documents {
  readonly #table: DocumentsTable['document']

  constructor({ document }: DocumentsTable) {
    this.#table = document
  }

  async find(id: string, { id: userId }: User): Promise<DocumentRow | null> {
    // No valid id, and PostgreSQL could not compare it with one.
    if (id.includes('\0') || !id.isWellFormed()) return null
    return await answered(this.#table.findFirst({ where: { id, userId }, select: COLUMNS }))
  }

  /** Returns the documents after `place`, the newest first; those of the same time by descending id. */
  async page(userId: string, limit: number, place: DocumentPlace | null): Promise<DocumentRow[]> {
    const after = place && {
      createdAt: { lte: place.createdAt },
      NOT: { createdAt: place.createdAt, id: { gte: place.id } }
    }
    return await answered(
      this.#table.findMany({
        where: { userId, ...after },
        orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
        take: limit,
        select: COLUMNS
      })
    )
  }

  async add({ size, ...document }: NewDocument): Promise<DocumentRow> {
    const data = { ...document, size: toColumn(size) }
    return await answered(this.#table.create({ data, select: COLUMNS }))
  }

  /**
   * Updates the description of a document's content, if the content is still that of `before`.
   *
   * @returns `null` if it is not: the document has other content by now, or is gone
   */
  async replace(before: DocumentRow, { objectKey, size, mimeType }: ContentFacts): Promise<DocumentRow | null> {
    const { id, userId } = before
    const where = { id, userId, objectKey: before.objectKey }
    const data = { objectKey, size: toColumn(size), mimeType }
    const [after] = await answered(this.#table.updateManyAndReturn({ where, data, select: COLUMNS }))
    return after ?? null
  }

  /** @returns false, without removing it, if the document has other content by now */
  async remove({ id, userId, objectKey }: DocumentRow): Promise<boolean> {
    const { count } = await answered(this.#table.deleteMany({ where: { id, userId, objectKey } }))
    return count > 0
  }
}

function toColumn(size: number | null): bigint | null {
  return size === null ? null : BigInt(size)
}

async function answered<T>(question: PromiseLike<T>): Promise<T> {
  try {
    return await question
  } catch (error) {
    throw isDatabaseUnavailable(error) ? databaseUnavailable(error) : error
  }
}
