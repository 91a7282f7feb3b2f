import type { Egress } from './egress.ts'
import type { AccessTokens, OAuthConnect } from './oauth.ts'
import type { Timeouts } from './ports.ts'
import type { Secret } from './secret.ts'
import type { Call, Capabilities, StorageBackend } from './storage-backend.ts'

/** A JSON Schema (draft 7) of an object, as Fastify takes it. */
export interface ObjectSchema {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, object>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
}

/** What a user's credentials come to, once they are parsed. */
export interface ParsedCredentials {
  /** What will be sealed: a JSON value, handed to `open` again. */
  readonly credentials: Secret<unknown>
  /** Names the account at the provider, the same whenever the same account connects. Shown to the user. */
  readonly accountId: string
  /** What to call the connection where the user gives it no name. */
  readonly label: string
}

/** What a provider may use while a connection is being made. */
export interface ConnectContext extends Call {
  /** How to reach the service: the operator's rules hold for all that goes through it. */
  readonly egress: Egress
  readonly timeouts: Timeouts
}

interface TypedCredentials {
  /** The fields to type. Secrets are marked `writeOnly: true`. */
  readonly schema: ObjectSchema
  /**
   * @param fields valid against `schema`
   * @throws StorageError `INVALID_CREDENTIALS`
   */
  parse(fields: Readonly<Record<string, unknown>>): ParsedCredentials
  /**
   * Asks the service for what nobody types: the account's true id, or how the server wants to be talked to. It must
   * not write anything there. Left out: what was parsed is complete.
   *
   * @throws StorageError what the service fails with
   */
  complete?(parsed: ParsedCredentials, context: ConnectContext): Promise<ParsedCredentials>
  /**
   * Ends the credentials at the service, once their connection is gone. Left out: there is nothing to end, or it is
   * not ours to end.
   */
  revoke?(credentials: Secret<unknown>, context: ConnectContext): Promise<void>
}

/** A provider that is connected with credentials which the user types. */
export interface CredentialsConnect extends TypedCredentials {
  readonly type: 'credentials'
}

/** A login at the service's own page, begun by us and finished in the user's browser. */
export interface BegunLogin {
  /** Where to send the browser. */
  readonly loginUrl: string
  /** What `poll` needs: a JSON value, sealed while it waits. */
  readonly pending: Secret<unknown>
}

/**
 * A provider where the user logs in at the service itself, which then hands out credentials of their own for us. Who
 * has such credentials already may type them too.
 */
export interface LoginFlowConnect extends TypedCredentials {
  readonly type: 'login-flow'
  /**
   * @param baseUrl the server, as the user typed it
   * @throws StorageError `INVALID_CREDENTIALS` for what is no such server, `ENDPOINT_FORBIDDEN`
   */
  begin(baseUrl: string, context: ConnectContext): Promise<BegunLogin>
  /** The fields that a user would have typed, or `null` while the login has not happened. The service tells once. */
  poll(pending: Secret<unknown>, context: ConnectContext): Promise<Readonly<Record<string, unknown>> | null>
}

interface ReachContext {
  /** How to reach the service: the operator's rules hold for all that goes through it. */
  readonly egress: Egress
  readonly timeouts: Timeouts
}

export interface OpenContext extends ReachContext {
  /** What `parse` made, as it came out of the database. */
  readonly credentials: Secret<unknown>
  /** The user of the connection, for limits per user. Absent while the connection is being made. */
  readonly userId?: string | undefined
}

export interface OAuthOpenContext extends ReachContext {
  /** To be asked for each call: a token lives for an hour or so. */
  readonly accessTokens: AccessTokens
  /** Stores uploads of unknown size, where the service must know the size first. */
  readonly spool: UploadSpool
}

/** Temporary files of one user, within the limits of the option `spool`. */
export interface UploadSpool {
  /**
   * Opens an empty file.
   *
   * @throws StorageError `INTERNAL`, `INSUFFICIENT_STORAGE` where the folder cannot be used, or its disk is full
   */
  create(): Promise<SpooledUpload>
}

/** A temporary file, which takes up space until it is closed. */
export interface SpooledUpload {
  /** In bytes. */
  readonly size: number
  /**
   * @throws StorageError `PAYLOAD_TOO_LARGE`, `TOO_MANY_REQUESTS`, `INSUFFICIENT_STORAGE` beyond the limit of an upload,
   * of a user, and of the process or its disk
   */
  append(bytes: Buffer): Promise<void>
  /** All bytes, from the first one. */
  read(): AsyncGenerator<Buffer>
  /** Removes the file. Closing it again does nothing. */
  close(): Promise<void>
}

interface ProviderFacts {
  /** Lower-case letters, digits and `_`, at most 64; it stands in URLs and in the database. */
  readonly id: string
  /** The service's own name, for people. */
  readonly label: string
  readonly capabilities: Capabilities
  /**
   * Checks a folder id without I/O. It is called before anything is cached for the folder, so that ids which the
   * provider cannot have given out take no memory. Left out: every id of up to 8192 bytes is asked for.
   *
   * @throws StorageError what `listFolder` throws for such an id, usually `FOLDER_NOT_FOUND` or `INVALID_REQUEST`
   */
  checkFolderId?(id: string): void
}

/** A provider that is opened with what a user typed, or would have. */
export interface TypedProvider extends ProviderFacts {
  readonly connect: CredentialsConnect | LoginFlowConnect
  /**
   * Opens a backend. Import the provider's SDK here, not at the top of the module.
   *
   * @throws StorageError `CREDENTIALS_UNREADABLE` for credentials that `parse` did not make, `ENDPOINT_FORBIDDEN`,
   * `SDK_MISSING`
   */
  open(context: OpenContext): Promise<StorageBackend>
}

/** A provider that is opened with tokens, which the user grants in the browser. Its `account()` says who that was. */
export interface OAuthProvider extends ProviderFacts {
  readonly connect: OAuthConnect
  /**
   * Opens a backend. Import the provider's SDK here, not at the top of the module.
   *
   * @throws StorageError `SDK_MISSING`
   */
  open(context: OAuthOpenContext): Promise<StorageBackend>
}

/** A kind of cloud service: how a user connects it, what it can do, and how a connection is opened. */
export type ProviderDefinition = TypedProvider | OAuthProvider

export function isOAuthProvider(provider: ProviderDefinition): provider is OAuthProvider {
  return provider.connect.type === 'oauth2'
}

const DEFINED = new WeakSet<ProviderDefinition>()
const PROVIDER_ID = /^[a-z][a-z0-9_]{0,63}$/
/** Words that stand in our own routes where a provider's id would. */
const RESERVED = new Set(['connections', 'providers'])

/**
 * Declares a provider, for the `providers` option.
 *
 * @throws TypeError for an id that cannot stand in a route
 */
export function defineProvider(definition: TypedProvider): TypedProvider
export function defineProvider(definition: OAuthProvider): OAuthProvider
export function defineProvider(definition: ProviderDefinition): ProviderDefinition {
  if (!PROVIDER_ID.test(definition.id) || RESERVED.has(definition.id)) {
    throw new TypeError(`defineProvider: "${definition.id}" cannot be a provider's id`)
  }
  const frozen = Object.freeze({ ...definition })
  DEFINED.add(frozen)
  return frozen
}

/** Whether `value` came out of {@link defineProvider}. */
export function isProviderDefinition(value: unknown): value is ProviderDefinition {
  return typeof value === 'object' && value !== null && DEFINED.has(value as ProviderDefinition)
}
