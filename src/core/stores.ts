import type { Connection, SealedConnection } from './connection.ts'
import type { StorageErrorCode } from '../errors.ts'
import type { Secret } from './secret.ts'

/** Timeouts of one remote call, in milliseconds. */
export interface Timeouts {
  readonly connectMs: number
  readonly headersMs: number
  /** Longest pause within a body. */
  readonly idleMs: number
  /** The whole call, unless it is a transfer. */
  readonly totalMs: number
}

/** The binding of sealed credentials: a value copied to another row, user or provider cannot be opened. */
export type CredentialBinding = Pick<Connection, 'userId' | 'id' | 'provider'>

export interface CredentialCipher {
  /** @param credentials a JSON value */
  seal(credentials: Secret<unknown>, binding: CredentialBinding): string
  /** @throws StorageError `CREDENTIALS_UNREADABLE`, with one message for every failure */
  open(sealed: string, binding: CredentialBinding): Secret<unknown>
  /** Returns true if the value is sealed with the current key. Otherwise it should be resealed. */
  isCurrent(sealed: string): boolean
}

/**
 * Seals short texts that are sent to the client. Equal text with an equal binding gives an equal seal, so an
 * unchanged page keeps its ETag.
 */
export interface TextSealer {
  seal(text: string, binding: readonly string[]): string
  /** Returns the text, or `null` for a value that was not sealed by one of our keys with exactly this binding. */
  open(sealed: string, binding: readonly string[]): string | null
}

/** A connection that has just been verified at the provider. */
export interface NewConnection {
  readonly userId: string
  readonly provider: string
  readonly accountId: string
  readonly label: string
  readonly scopes: readonly string[]
}

/** Fields of a connection that its user may change. */
export interface ConnectionChanges {
  readonly label?: string
  /** `true` makes this connection the default instead of the current one. */
  readonly isDefault?: boolean
}

/**
 * The connections table. Each read and write names the user: no method finds a row by its id alone. Every method
 * rejects with `DATABASE_UNAVAILABLE` if the database does not respond.
 */
export interface ConnectionStore {
  /** Reads one row by its primary key, without credentials. */
  find(userId: string, id: string): Promise<Connection | null>
  /** Reads one row by its primary key, with the sealed credentials. */
  findSealed(userId: string, id: string): Promise<SealedConnection | null>
  /** Lists the user's connections without credentials, oldest first. */
  list(userId: string): Promise<Connection[]>
  /** Lists the user's connections to one provider with the sealed credentials, oldest first. */
  listSealed(userId: string, provider: string): Promise<SealedConnection[]>
  /**
   * Inserts the connection, or renews the row of the same user, provider and account: sets `connectedAt`, replaces
   * the credentials and sets the status to ACTIVE. Atomic across processes.
   *
   * @param seal called once, with the id of the resulting row
   * @param maxPerUser limit of the user's connections to all providers
   * @throws StorageError `INVALID_REQUEST` beyond `maxPerUser`, `CONNECTION_INACTIVE` for a DISABLED row
   */
  saveConnected(
    connection: NewConnection,
    seal: (connectionId: string) => string,
    maxPerUser: number
  ): Promise<Connection>
  /**
   * Sets an ACTIVE or ERROR connection to REQUIRES_REAUTH if its credentials still have the given revision. Returns
   * true if it did.
   */
  requireReauth(connection: Pick<Connection, 'userId' | 'id' | 'credentialsRevision'>): Promise<boolean>
  /**
   * Replaces the sealed credentials of the row that was read, unless it was renewed, disabled or removed meanwhile.
   * Returns true if it did. The data visible through the connection does not change.
   */
  reseal(connection: Connection, sealedCredentials: string): Promise<boolean>
  /**
   * Runs `work` on the current row while holding a lock that excludes other processes from the same connection. It
   * holds a transaction meanwhile: `work` must end within `timeoutMs`.
   *
   * @param work receives `null` if the user has no such connection (any more). Its writes become visible to others
   * when this promise resolves, not before.
   */
  withRefreshLock<T>(
    connection: Pick<Connection, 'userId' | 'id'>,
    timeoutMs: number,
    work: (row: SealedConnection | null, store: Pick<ConnectionStore, 'reseal' | 'requireReauth'>) => Promise<T>
  ): Promise<T>
  /** Changes the label and the default flag. Returns `null` if there is no such connection. */
  update(userId: string, id: string, changes: ConnectionChanges): Promise<Connection | null>
  /**
   * Records the outcome of a verification at the provider. `null`: success, which also ends the status ERROR. A code:
   * a failure that will not pass by itself; the second in a row sets an ACTIVE connection to ERROR.
   *
   * @returns the row, or `null` if it has changed since it was read
   */
  recordVerification(connection: Connection, failure: StorageErrorCode | null): Promise<Connection | null>
  /** Records a use of the connection, unless any process has recorded one within the last `minIntervalMs`. */
  recordUse(userId: string, id: string, minIntervalMs: number): Promise<void>
  /** Removes and returns the row; `null` if the user has no such connection. */
  remove(userId: string, id: string): Promise<SealedConnection | null>
  /** Removes and returns all rows of the user. */
  removeAll(userId: string): Promise<SealedConnection[]>
  /** @throws Error that names what is missing: tables, triggers or privileges, or that the database is a replica */
  assertReady(): Promise<void>
}

/** Names a connection that was inserted, changed or removed, or whose default flag has changed. */
export type ConnectionChange = Pick<Connection, 'id' | 'userId' | 'provider'>

/** The result of one poll of the change log. */
export interface ChangePoll {
  /** Opaque, for the next poll. */
  readonly position: string
  /**
   * The changes that have become visible since the previous position, each at least once. `null`: unknown connections
   * may have changed.
   */
  readonly changes: readonly ConnectionChange[] | null
}

/**
 * The log of changed connections. A row read after a poll began is valid until a later poll names its connection, or
 * both its old and its new owner if it has moved. Every method rejects with `DATABASE_UNAVAILABLE` if the database does
 * not respond.
 */
export interface ChangeLog {
  /**
   * Reads the changes since a position. `null`: reads only the current position.
   *
   * @throws StorageError `DATABASE_UNAVAILABLE` also if the database is a read replica
   */
  poll(since: string | null): Promise<ChangePoll>
  /** Deletes a bounded number of old entries. May run in several processes at once. */
  prune(): Promise<void>
}

/** A flow that one request of a user begins and a later request finishes. */
export interface PendingFlow {
  /** SHA-256 of the flow's secret id: read access to the table does not suffice to continue the flow. */
  readonly stateHash: string
  readonly userId: string
  readonly provider: string
  readonly sealedVerifier: string
  readonly returnTo: string
  readonly bindingHash: string
  readonly expiresAt: Date
}
