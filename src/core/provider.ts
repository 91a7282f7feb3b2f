import type { Call, Capabilities, StorageBackend } from './backend.ts'
import type { Egress } from './egress.ts'
import type { AccessTokens, OAuthConnect } from './oauth.ts'
import type { Secret } from './secret.ts'
import type { Timeouts } from './stores.ts'

/** A JSON Schema (draft 7) of an object, as Fastify takes it. */
export interface ObjectSchema {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, object>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
}

/** The result of parsing a user's credentials. */
export interface ParsedCredentials {
  /** The JSON value that is sealed, and later passed to `open`. */
  readonly credentials: Secret<unknown>
  /** Identifies the account at the provider: the same value for every connection to it. Shown to the user. */
  readonly accountId: string
  /** Default label of the connection. */
  readonly label: string
}

/** The context of connecting an account. */
export interface ConnectContext extends Call {
  /** Network access under the operator's rules. */
  readonly egress: Egress
  readonly timeouts: Timeouts
}

interface CredentialsConnectBase {
  /** The fields of the form. Secrets are marked `writeOnly: true`. */
  readonly schema: ObjectSchema
  /**
   * @param fields valid against `schema`
   * @throws StorageError `INVALID_CREDENTIALS`
   */
  parse(fields: Readonly<Record<string, unknown>>): ParsedCredentials
  /**
   * Reads values from the service that the user does not enter: the account's actual id, or properties of the server.
   * It must not write anything there. Absent: the parsed credentials are complete.
   *
   * @throws StorageError the service's failure
   */
  complete?(parsed: ParsedCredentials, context: ConnectContext): Promise<ParsedCredentials>
  /**
   * Revokes the credentials at the service after their connection was removed. Absent: there is nothing to revoke, or
   * we must not revoke it.
   */
  revoke?(credentials: Secret<unknown>, context: ConnectContext): Promise<void>
}

/** A provider that is connected with credentials that the user enters. */
export interface CredentialsConnect extends CredentialsConnectBase {
  readonly type: 'credentials'
}

/** A pending login at the service's own page, which the user finishes in the browser. */
export interface BegunLogin {
  /** URL to which the browser is sent. */
  readonly loginUrl: string
  /** A JSON value for `poll`, sealed while the login is pending. */
  readonly pending: Secret<unknown>
}

/**
 * A provider where the user logs in at the service, which then issues separate credentials for us. Existing
 * credentials of this kind can be entered, too.
 */
export interface LoginFlowConnect extends CredentialsConnectBase {
  readonly type: 'login-flow'
  /**
   * @param baseUrl the server, as the user entered it
   * @throws StorageError `INVALID_CREDENTIALS` if it is not such a server, `ENDPOINT_FORBIDDEN`
   */
  begin(baseUrl: string, context: ConnectContext): Promise<BegunLogin>
  /** Returns the fields of `schema`, or `null` while the login is pending. The service returns them once only. */
  poll(pending: Secret<unknown>, context: ConnectContext): Promise<Readonly<Record<string, unknown>> | null>
}

interface OpenContextBase {
  /** Network access under the operator's rules. */
  readonly egress: Egress
  readonly timeouts: Timeouts
  /** The connection's user, for limits per user. Absent while the connection is being made. */
  readonly userId?: string | undefined
}

export interface OpenContext extends OpenContextBase {
  /** The result of `parse`, as read from the database. */
  readonly credentials: Secret<unknown>
}

export interface OAuthOpenContext extends OpenContextBase {
  /** Must be called for each request: a token expires after about an hour. */
  readonly accessTokens: AccessTokens
  /** Buffers uploads of unknown size for services that need the size in advance. */
  readonly spool: UploadSpool
}

/** Temporary files of one user, within the limits of the option `spool`. */
export interface UploadSpool {
  /**
   * Creates an empty file.
   *
   * @throws StorageError `INTERNAL` if the folder cannot be used, `INSUFFICIENT_STORAGE` if its disk is full
   */
  create(): Promise<SpooledUpload>
}

/** A temporary file. It occupies space until it is closed. */
export interface SpooledUpload {
  /** In bytes. */
  readonly size: number
  /**
   * @throws StorageError `PAYLOAD_TOO_LARGE`, `TOO_MANY_REQUESTS`, `INSUFFICIENT_STORAGE` beyond the limit of an
   * upload, of a user, and of the process or its disk
   */
  append(bytes: Buffer): Promise<void>
  /** Reads all bytes from the start. */
  read(): AsyncGenerator<Buffer>
  /** Removes the file. Closing it again does nothing. */
  close(): Promise<void>
}

interface ProviderBase {
  /** Lower-case letters, digits and `_`, at most 64. Used in URLs and in the database. */
  readonly id: string
  /** The service's name, for display. */
  readonly label: string
  readonly capabilities: Capabilities
  /**
   * For so long the service's listings may be older than its feed of changes, in milliseconds: a page that is loaded so
   * soon after a change is loaded once more later. Default 0.
   */
  readonly settleMs?: number
  /**
   * Validates a folder id without I/O. It runs before anything is cached for the folder, so that ids which the
   * provider cannot have issued take no memory. Absent: every id of up to 8192 bytes is requested.
   *
   * @throws StorageError as `listFolder` for such an id, usually `FOLDER_NOT_FOUND` or `INVALID_REQUEST`
   */
  checkFolderId?(id: string): void
}

/** A provider that is opened with credentials that the user entered, or that a login flow returned. */
export interface TypedProvider extends ProviderBase {
  readonly connect: CredentialsConnect | LoginFlowConnect
  /**
   * Opens a backend. Import the provider's SDK here, not at the top of the module.
   *
   * @throws StorageError `CREDENTIALS_UNREADABLE` for credentials that `parse` did not make, `ENDPOINT_FORBIDDEN`,
   * `SDK_MISSING`
   */
  open(context: OpenContext): Promise<StorageBackend>
}

/** A provider that is opened with OAuth tokens. Its `account()` identifies the user. */
export interface OAuthProvider extends ProviderBase {
  readonly connect: OAuthConnect
  /**
   * Opens a backend. Import the provider's SDK here, not at the top of the module.
   *
   * @throws StorageError `SDK_MISSING`
   */
  open(context: OAuthOpenContext): Promise<StorageBackend>
}

/** A cloud service: how users connect it, its capabilities, and how a connection is opened. */
export type ProviderDefinition = TypedProvider | OAuthProvider

export function isOAuthProvider(provider: ProviderDefinition): provider is OAuthProvider {
  return provider.connect.type === 'oauth2'
}

const DEFINITIONS = new WeakSet<ProviderDefinition>()
const PROVIDER_ID = /^[a-z][a-z0-9_]{0,63}$/
/** Path segments of our own routes in the position of a provider's id. */
const RESERVED_IDS = new Set(['connections', 'providers'])

/**
 * Declares a provider, for the `providers` option.
 *
 * @throws TypeError for an id that cannot be a path segment
 */
export function defineProvider(definition: TypedProvider): TypedProvider
export function defineProvider(definition: OAuthProvider): OAuthProvider
export function defineProvider(definition: ProviderDefinition): ProviderDefinition {
  if (!PROVIDER_ID.test(definition.id) || RESERVED_IDS.has(definition.id)) {
    throw new TypeError(`defineProvider: "${definition.id}" is not a valid provider id`)
  }
  const frozen = Object.freeze({ ...definition })
  DEFINITIONS.add(frozen)
  return frozen
}

/** Returns true if {@link defineProvider} returned `value`. */
export function isProviderDefinition(value: unknown): value is ProviderDefinition {
  return typeof value === 'object' && value !== null && DEFINITIONS.has(value as ProviderDefinition)
}

/** The host application's own S3-compatible store (MinIO, Ceph, AWS …). Trusted: no egress rule applies to it. */
export interface ManagedS3Options {
  readonly type: 's3'
  /** `https://host[:port]`. Default: AWS. */
  readonly endpoint?: string
  /** Replaces `endpoint` in download links, if browsers reach the store at another address. */
  readonly publicEndpoint?: string
  /** Default `us-east-1`. */
  readonly region?: string
  readonly bucket: string
  /** Key prefix of all objects; it ends with `/`. */
  readonly prefix?: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Default: true with an `endpoint`, false without one. */
  readonly forcePathStyle?: boolean
}

/** Files in a local folder, for development and single-machine installations. */
export interface ManagedDiskOptions {
  readonly type: 'disk'
  readonly directory: string
}

/** A store for the documents that the host application manages itself. */
export type ManagedStoreOptions = ManagedS3Options | ManagedDiskOptions
