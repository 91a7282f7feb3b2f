import { systemClock } from './infra/clock.ts'
import { FolderCache } from './listing/folder-cache.ts'
import type { FolderCacheOptions } from './listing/folder-cache-options.ts'
import { CACHE_DEFAULTS } from './cache-options.ts'
import cloudStorage from './plugin.ts'

export default cloudStorage
export { cloudStorage }

export { defineProvider } from './domain/provider.ts'
export { Diagnosis, isStorageError, STORAGE_ERROR_CODES, StorageError } from './domain/errors.ts'
export { Secret } from './domain/secret.ts'
export { rotateKeys, type RotateKeysOptions, type RotationProgress, type RotationSummary } from './rotate-keys.ts'

/**
 * Creates a separate folder cache, for other uses than the plugin's.
 *
 * @param options defaults: 1000 entries, 60,000 ms, 64 MiB, 32 loads per user; unlike in the plugin, one user may
 * take all of it (`maxSharePerUser` is 1)
 * @throws TypeError that names an option which is not a positive integer, or a share outside (0, 1]
 */
export function createFolderCache(options: Partial<FolderCacheOptions> = {}): FolderCache {
  return new FolderCache({ clock: systemClock, ...CACHE_DEFAULTS, maxSharePerUser: 1, ...options })
}

export type { ConnectionEvent, OnConnectionChange } from './connections/connection-event.ts'
export type { Connection, ConnectionStatus } from './domain/connection.ts'
export type { StoredDocument, User } from './domain/document.ts'
export type * from './domain/entry.ts'
export type { FailureContext, StorageErrorCode, StorageErrorOptions } from './domain/errors.ts'
export type { ManagedDiskOptions, ManagedS3Options, ManagedStoreOptions } from './domain/managed-store.ts'
export type * from './domain/egress.ts'
export type { Clock, Timeouts } from './domain/ports.ts'
export type { AccessTokens, AuthorizationServer, OAuthConnect } from './domain/oauth.ts'
export type {
  BegunLogin,
  ConnectContext,
  CredentialsConnect,
  LoginFlowConnect,
  OAuthOpenContext,
  OAuthProvider,
  ObjectSchema,
  OpenContext,
  ParsedCredentials,
  ProviderDefinition,
  SpooledUpload,
  TypedProvider,
  UploadSpool
} from './domain/provider.ts'
export type * from './domain/storage-backend.ts'
export type { StorageBackendHookOptions } from './http/document-hook.ts'
export type { FolderCache } from './listing/folder-cache.ts'
export type * from './listing/folder-cache-options.ts'
export type { FolderKey } from './listing/folder-key.ts'
export type { MetricsRegistry } from './infra/metrics.ts'
export type { CacheOptions, GivenCacheOptions, SharedCacheOptions } from './cache-options.ts'
export type { CloudStorageOptions, LimitOptions } from './options.ts'
export type { SpoolOptions, TransferOptions } from './transfer-options.ts'
export type { RedisClient } from './infra/redis/redis-client.ts'
export type { OAuthProviderOptions, OwnProviderOptions, ProviderOption, ProviderOptions } from './provider-options.ts'
