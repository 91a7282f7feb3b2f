import type { StoredDocument, User } from '../../src/core/document.ts'
import { databaseUnavailable, isDatabaseUnavailable } from '../../src/db/errors.ts'
import type { Database } from '../../src/db/open-database.ts'
import { StorageError } from '../../src/errors.ts'

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

/** The document after which a page begins, in the order of the list. */
export interface DocumentPlace {
  readonly createdAt: Date
  readonly id: string
}

/** The maximum time value of a `Date`. */
const MAX_MS = 8.64e15

/** Returns a cursor. It is not encrypted: its user knows its content, and every query is limited to that user. */
export function writeCursor({ createdAt, id }: DocumentPlace): string {
  return Buffer.from(JSON.stringify([createdAt.getTime(), id])).toString('base64url')
}

/** Parses a cursor. @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string): DocumentPlace {
  const [ms, id, ...more] = parse(cursor)
  const isPlace =
    Number.isSafeInteger(ms) && typeof id === 'string' && id.isWellFormed() && !id.includes('\0') && more.length === 0
  if (!isPlace || (ms as number) < 0 || (ms as number) > MAX_MS) {
    throw new StorageError('INVALID_CURSOR', 'This cursor does not belong to the list of documents.')
  }
  return { createdAt: new Date(ms as number), id }
}

function parse(cursor: string): unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(parsed) ? (parsed as unknown[]) : []
  } catch {
    return []
  }
}

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
