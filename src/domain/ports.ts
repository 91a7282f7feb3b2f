import type { Connection, SealedConnection } from './connection.ts'
import type { StorageErrorCode } from './errors.ts'
import type { Moment } from './moment.ts'
import type { Secret } from './secret.ts'

export type { Clock } from './clock.ts'

/** Deadlines of one remote call, in milliseconds. */
export interface Timeouts {
  readonly connectMs: number
  readonly headersMs: number
  /** The longest silence inside a body. */
  readonly idleMs: number
  /** A whole call that is not a transfer. */
  readonly totalMs: number
}

/** What sealed credentials are bound to: a value moved to another row, user or provider does not open. */
export interface CredentialBinding {
  readonly userId: string
  readonly connectionId: string
  readonly provider: string
}

export interface CredentialCipher {
  /** @param credentials a JSON value */
  seal(credentials: Secret<unknown>, binding: CredentialBinding): string
  /** @throws StorageError `CREDENTIALS_UNREADABLE`, one message for every failure */
  open(sealed: string, binding: CredentialBinding): Secret<unknown>
  /** Whether it was sealed with the key that seals now; else it should be sealed anew. */
  isCurrent(sealed: string): boolean
}

/**
 * Seals short texts that travel through the client. Equal text under an equal binding gives an equal seal, so that
 * an unchanged page keeps its ETag.
 */
export interface TextSealer {
  seal(text: string, binding: readonly string[]): string
  /** The text, or `null` for anything that was not sealed by one of our keys under exactly this binding. */
  open(sealed: string, binding: readonly string[]): string | null
}

/** A connection that has just proved itself at the provider. */
export interface NewConnection {
  readonly userId: string
  readonly provider: string
  readonly accountId: string
  readonly label: string
  readonly scopes: readonly string[]
}

/** What a user may change of a connection. */
export interface ConnectionChanges {
  readonly label?: string
  /** `true` takes it from the one that was the default. */
  readonly isDefault?: boolean
}

/**
 * The connections table. Each read and write names the user: there is no way to reach a row by its id alone.
 * Every method rejects with `DATABASE_UNAVAILABLE` when the database does not answer.
 */
export interface ConnectionStore {
  /** One primary-key read, without credentials. */
  find(userId: string, id: string): Promise<Connection | null>
  /** One primary-key read, with the sealed credentials. */
  findSealed(userId: string, id: string): Promise<SealedConnection | null>
  /** Without credentials, the oldest first. */
  list(userId: string): Promise<Connection[]>
  /** Those to one provider, with the sealed credentials, the oldest first. */
  listSealed(userId: string, provider: string): Promise<SealedConnection[]>
  /**
   * Inserts the connection, or renews the row of the same user, provider and account (`connectedAt` is set, the
   * credentials are replaced, the status becomes ACTIVE). Atomic, also against other processes.
   *
   * @param seal called once, with the id of the row that will hold the result
   * @param maxPerUser how many connections, of all providers, the user may have
   * @throws StorageError `INVALID_REQUEST` past `maxPerUser`, `CONNECTION_INACTIVE` for a DISABLED row
   */
  saveConnected(
    connection: NewConnection,
    seal: (connectionId: string) => string,
    maxPerUser: number
  ): Promise<Connection>
  /**
   * Makes a connection REQUIRES_REAUTH that is ACTIVE, or in ERROR, if its credentials still are those of the given revision. Says whether
   * it did.
   */
  requireReauth(connection: Pick<Connection, 'userId' | 'id' | 'credentialsRevision'>): Promise<boolean>
  /**
   * Replaces the sealed credentials of exactly the row that was read: not of one that was renewed, disabled or removed
   * meanwhile. Says whether it did. What may be seen does not change.
   */
  reseal(connection: Connection, sealedCredentials: string): Promise<boolean>
  /**
   * Runs `work` on the row as it is now, while no other process is in here with the same connection. The database is
   * held meanwhile: `work` must end before `withinMs`.
   *
   * @param work is given `null` where the user has no such connection (any more). What it stores is there for all once
   * this resolves, and not before.
   */
  withRefreshLock<T>(
    connection: Pick<Connection, 'userId' | 'id'>,
    withinMs: number,
    work: (row: SealedConnection | null, store: Pick<ConnectionStore, 'reseal' | 'requireReauth'>) => Promise<T>
  ): Promise<T>
  /** What its user calls it, and whether it is meant where none is named. `null` where there is no such connection. */
  update(userId: string, id: string, changes: ConnectionChanges): Promise<Connection | null>
  /**
   * Notes what came of asking the provider who this is. `null`: all is well, and an ERROR is over. A code: a failure
   * that will not pass by itself, of which the second in a row makes an ACTIVE connection an ERROR.
   *
   * @returns the row, or `null` where it is not the one any more that was read
   */
  noteCheck(connection: Connection, failure: StorageErrorCode | null): Promise<Connection | null>
  /** Notes that it is used now, unless that was noted within the last `stepMs`, by whatever process. */
  noteUse(userId: string, id: string, stepMs: number): Promise<void>
  /** The removed row, or `null` where the user has no such connection. */
  remove(userId: string, id: string): Promise<SealedConnection | null>
  /** The removed rows. */
  removeAll(userId: string): Promise<SealedConnection[]>
  /** @throws Error naming what is missing, unless the tables and the version trigger are there */
  assertReady(): Promise<void>
}

/**
 * What this process believes of connections: what it has read of one that is ACTIVE, for a lease from the start of that
 * read. Whoever is about to answer asks once more: a message that a connection has changed only shortens the wait.
 */
export interface ConnectionLeases {
  /** What is believed at this moment, which is `now`; `undefined` where it must be read. */
  believed(userId: string, id: string, now?: Moment): Connection | undefined
  /** Which connection of the user is believed to be meant where none is named; `undefined` where it must be read. */
  believedChoice(userId: string, provider: string, now?: Moment): Connection | undefined
  /**
   * What is believed, or else is read now, by one read for all who ask. What was read comes with what is sealed in it:
   * whoever goes on to load something need not read the row again.
   *
   * @throws StorageError `DATABASE_UNAVAILABLE`
   */
  find(userId: string, id: string): Promise<Connection | SealedConnection | null>
  /**
   * The same where none is named.
   *
   * @throws StorageError `CONNECTION_MISSING`, `CONNECTION_AMBIGUOUS`, `DATABASE_UNAVAILABLE`
   */
  choose(userId: string, provider: string): Promise<Connection | SealedConnection>
  /** Reads the row with its credentials, now, and believes what it says. @throws StorageError `DATABASE_UNAVAILABLE` */
  findSealed(userId: string, id: string): Promise<SealedConnection | null>
}

/** A row as far as its seal goes. */
export type SealedRow = Pick<
  SealedConnection,
  'id' | 'userId' | 'provider' | 'sealedCredentials' | 'credentialsRevision'
>

/** The rows of all users that are not sealed with the current key. For the operator: no request comes near it. */
export interface SealedRowStore {
  countOld(): Promise<number>
  /** By their ids, from the one after `afterId` (the empty text: from the first). */
  readOld(afterId: string, limit: number): Promise<SealedRow[]>
  /** Replaces what is sealed, where a row still has the revision that was read. How many did. */
  replace(rows: readonly SealedRow[]): Promise<number>
}

/** Something that a user has begun and that is finished by a later request. */
export interface PendingFlow {
  /** SHA-256 of what names the flow: who reads the table cannot go on with it. */
  readonly stateHash: string
  readonly userId: string
  readonly provider: string
  readonly sealedVerifier: string
  readonly returnTo: string
  readonly bindingHash: string
  readonly expiresAt: Date
}

/** The flows of users, which end by themselves. Every method rejects with `DATABASE_UNAVAILABLE`. */
export interface OAuthStateStore {
  /** Keeps a flow, drops what has expired, and of the user's own all but the newest `maxPerUser`. */
  save(flow: PendingFlow, maxPerUser: number): Promise<void>
  /** A flow of this user that has not expired. */
  find(stateHash: string, userId: string, provider: string): Promise<PendingFlow | null>
  /** A flow that has not expired, whoever began it: the caller must prove by `bindingHash` that it is the same browser. */
  findUnproven(stateHash: string, provider: string): Promise<PendingFlow | null>
  /** Replaces what is sealed, where the flow is still there. */
  reseal(stateHash: string, sealedVerifier: string): Promise<void>
  /** Whether it was there: of several who finish a flow one is the first. */
  remove(stateHash: string): Promise<boolean>
}
