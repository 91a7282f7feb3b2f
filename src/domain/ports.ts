import type { Connection, SealedConnection } from './connection.ts'
import type { Secret } from './secret.ts'

/** Time, handed in so that tests own it. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. May stand still while the machine sleeps. */
  now(): number
  /** Wall-clock milliseconds since 1970. May jump. */
  date(): number
}

/** Deadlines of one remote call, in milliseconds. */
export interface Timeouts {
  readonly connectMs: number
  readonly headersMs: number
  /** The longest silence inside a body. */
  readonly idleMs: number
  /** A whole call that is not a transfer. */
  readonly totalMs: number
}

/** Which hosts a provider may reach on behalf of users. */
export interface EgressPolicy {
  /** @throws StorageError `ENDPOINT_FORBIDDEN`, the same for every reason */
  assertAllowed(url: URL): void
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

/**
 * The connections table. Each read and write names the user: there is no way to reach a row by its id alone.
 * Every method rejects with `DATABASE_UNAVAILABLE` when the database does not answer.
 */
export interface ConnectionStore {
  /** One primary-key read, without credentials. */
  find(userId: string, id: string): Promise<Connection | null>
  /** One primary-key read, with the sealed credentials. */
  findSealed(userId: string, id: string): Promise<SealedConnection | null>
  /** Oldest first. */
  list(userId: string, provider?: string): Promise<Connection[]>
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
  /** The removed row, or `null` where the user has no such connection. */
  remove(userId: string, id: string): Promise<Connection | null>
  /** The removed rows. */
  removeAll(userId: string): Promise<Connection[]>
  /** @throws Error naming what is missing, unless the tables and the version trigger are there */
  assertReady(): Promise<void>
}
