import type { StoredDocument, User } from '../../src/core/document.ts'
import { queryWithTimeout } from '../../src/db/errors.ts'
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
export interface ContentMetadata {
  readonly objectKey: string
  readonly size: number | null
  readonly mimeType: string | null
}

export type NewDocument = Omit<DocumentRow, 'id' | 'size' | 'createdAt' | 'updatedAt'> & Pick<ContentMetadata, 'size'>

/** Exceeds the timeouts of the connection and of the statement, which say more about the failure. */
const QUERY_TIMEOUT_MS = 30_000

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
    return await runQuery(this.#table.findFirst({ where: { id, userId }, select: COLUMNS }))
  }

  /** Returns the documents after `cursor`, the newest first; those of the same time by descending id. */
  async page(userId: string, limit: number, cursor: DocumentCursor | null): Promise<DocumentRow[]> {
    const filter = cursor && {
      createdAt: { lte: cursor.createdAt },
      NOT: { createdAt: cursor.createdAt, id: { gte: cursor.id } }
    }
    return await runQuery(
      this.#table.findMany({
        where: { userId, ...filter },
        orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
        take: limit,
        select: COLUMNS
      })
    )
  }

  async add({ size, ...document }: NewDocument): Promise<DocumentRow> {
    const data = { ...document, size: toBigInt(size) }
    return await runQuery(this.#table.create({ data, select: COLUMNS }))
  }

  /**
   * Updates the description of a document's content, if the content is still that of `previous`.
   *
   * @returns `null` if it is not: the document has other content by now, or is gone
   */
  async replace(previous: DocumentRow, { objectKey, size, mimeType }: ContentMetadata): Promise<DocumentRow | null> {
    const { id, userId } = previous
    const where = { id, userId, objectKey: previous.objectKey }
    const data = { objectKey, size: toBigInt(size), mimeType }
    const [updated] = await runQuery(this.#table.updateManyAndReturn({ where, data, select: COLUMNS }))
    return updated ?? null
  }

  /** @returns false, without removing it, if the document has other content by now */
  async remove({ id, userId, objectKey }: DocumentRow): Promise<boolean> {
    const { count } = await runQuery(this.#table.deleteMany({ where: { id, userId, objectKey } }))
    return count > 0
  }
}

function toBigInt(size: number | null): bigint | null {
  return size === null ? null : BigInt(size)
}

/** Prisma starts a query when it is awaited. */
function runQuery<T>(query: PromiseLike<T>): Promise<T> {
  return queryWithTimeout(() => query, QUERY_TIMEOUT_MS)
}

/** The document after which a page begins, in the order of the list. */
export interface DocumentCursor {
  readonly createdAt: Date
  readonly id: string
}

/** The maximum time value of a `Date`. */
const MAX_MS = 8.64e15

/** Returns a cursor. It is not encrypted: its user knows its content, and every query is limited to that user. */
export function writeCursor({ createdAt, id }: DocumentCursor): string {
  return Buffer.from(JSON.stringify([createdAt.getTime(), id])).toString('base64url')
}

/** Parses a cursor. @throws StorageError `INVALID_CURSOR` */
export function readCursor(cursor: string): DocumentCursor {
  const [ms, id, ...more] = parse(cursor)
  const isValid =
    Number.isSafeInteger(ms) && typeof id === 'string' && id.isWellFormed() && !id.includes('\0') && more.length === 0
  if (!isValid || (ms as number) < 0 || (ms as number) > MAX_MS) {
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
  const isInManagedStore = isManaged(document)
  return {
    id,
    name,
    mimeType,
    size: size === null ? null : Number(size),
    provider: isInManagedStore ? null : storageBackend,
    connectionId,
    objectKey: isInManagedStore ? null : objectKey,
    hasContent: objectKey !== NO_CONTENT,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString()
  }
}
