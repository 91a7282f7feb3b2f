import type { Connection, ConnectionStatus, SealedConnection } from '../core/connection.ts'
import type { PendingFlow } from '../core/stores.ts'

/** The columns that are read, except the credentials. */
export type ConnectionColumns = { readonly [Column in keyof Connection]: true }

/** A row with those columns; Prisma's arrays are not read-only. */
export type ConnectionRow = Omit<Connection, 'scopes'> & { scopes: string[] }

interface Renewal {
  status: 'ACTIVE'
  scopes: string[]
  credentials: string
  connectedAt: Date
  lastErrorCode: null
}

interface Insertion extends Renewal {
  id: string
  userId: string
  provider: string
  accountId: string
  label: string
}

/** Matches a user's row by id, or the rows of a provider, in the version that was read. */
interface ConnectionMatch {
  userId: string
  id?: string
  provider?: string
  isDefault?: true
  status?: ConnectionStatus | { in: ConnectionStatus[] }
  version?: number
  credentialsRevision?: number
}

interface ConnectionChange {
  status?: ConnectionStatus
  lastErrorCode?: string | null
  credentials?: string
  label?: string
  isDefault?: boolean
}

interface CloudConnectionDelegate {
  findFirst(args: {
    where: { id: string; userId: string }
    select: ConnectionColumns & { credentials?: true }
  }): PromiseLike<(ConnectionRow & { credentials?: string }) | null>
  findMany(args: {
    where: { userId: string; provider?: string }
    orderBy: ({ createdAt: 'asc' } | { id: 'asc' })[]
    select: ConnectionColumns
  }): PromiseLike<ConnectionRow[]>
  count(args: { where: { userId: string } }): PromiseLike<number>
  create(args: { data: Insertion; select: ConnectionColumns }): PromiseLike<ConnectionRow>
  updateMany(args: { where: ConnectionMatch; data: ConnectionChange }): PromiseLike<{ count: number }>
  update(args: { where: { id: string }; data: Renewal; select: ConnectionColumns }): PromiseLike<ConnectionRow>
}

interface OAuthStateDelegate {
  create(args: { data: PendingFlow; select: { stateHash: true } }): PromiseLike<unknown>
  findFirst(args: {
    where: { stateHash: string; userId?: string; provider: string; expiresAt: { gt: Date } }
  }): PromiseLike<PendingFlow | null>
  findMany(args: {
    where: { userId: string }
    orderBy: { expiresAt: 'desc' }
    skip: number
    select: { stateHash: true }
  }): PromiseLike<{ stateHash: string }[]>
  updateMany(args: { where: { stateHash: string }; data: { sealedVerifier: string } }): PromiseLike<{ count: number }>
  deleteMany(args: {
    where: { stateHash: string | { in: string[] } } | { expiresAt: { lte: Date } }
  }): PromiseLike<{ count: number }>
}

/** The members used inside a transaction. */
export interface PrismaTransaction {
  readonly cloudConnection: CloudConnectionDelegate
  $queryRaw(query: TemplateStringsArray, ...values: unknown[]): PromiseLike<unknown>
  $executeRaw(query: TemplateStringsArray, ...values: unknown[]): PromiseLike<number>
}

/**
 * A Prisma client with the models `CloudConnection` and `OAuthState` of this package's `schema.prisma`, and any
 * others. It lists only the members in use, so that a host can pass its own generated client, extended or not.
 */
export interface PrismaLike extends PrismaTransaction {
  /** The pending OAuth flows. */
  readonly oAuthState: OAuthStateDelegate
  $transaction<T>(
    work: (transaction: PrismaTransaction) => Promise<T>,
    options: { maxWait: number; timeout: number; isolationLevel: 'ReadCommitted' }
  ): PromiseLike<T>
}

/** All columns of a connection except its credentials. */
export const COLUMNS: ConnectionColumns = {
  id: true,
  userId: true,
  provider: true,
  accountId: true,
  label: true,
  isDefault: true,
  status: true,
  scopes: true,
  lastErrorCode: true,
  connectedAt: true,
  createdAt: true,
  version: true,
  credentialsRevision: true
}

export const SEALED_COLUMNS = { ...COLUMNS, credentials: true } as const

/** A row as selected by {@link SEALED_COLUMNS}. */
export type SealedRow = ConnectionRow & { readonly credentials?: string }

export function toSealed(row: SealedRow): SealedConnection {
  const { credentials = '', ...connection } = row
  return { ...connection, sealedCredentials: credentials }
}
