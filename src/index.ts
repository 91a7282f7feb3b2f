import { systemClock } from './core/time.ts'
import { FolderCache } from './cache/folder-cache.ts'
import type { FolderCacheOptions } from './cache/types.ts'
import { CACHE_DEFAULTS } from './options/options.ts'
import cloudStorage from './plugin.ts'

export default cloudStorage
export { cloudStorage }

export { defineProvider } from './core/provider.ts'
export { Diagnosis, isStorageError, STORAGE_ERROR_CODES, StorageError } from './errors.ts'
export { Secret } from './core/secret.ts'
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

export type { ConnectionEvent, OnConnectionChange } from './connections/connections.ts'
export type { Connection, ConnectionStatus } from './core/connection.ts'
export type { StoredDocument, User } from './core/document.ts'
export type * from './core/entry.ts'
export type { FailureDetails, StorageErrorCode, StorageErrorOptions } from './errors.ts'
export type { ManagedDiskOptions, ManagedS3Options, ManagedStoreOptions } from './core/provider.ts'
export type * from './core/egress.ts'
export type { Clock } from './core/time.ts'
export type { Timeouts } from './core/stores.ts'
export type { AccessTokens, AuthorizationServer, OAuthConnect } from './core/oauth.ts'
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
} from './core/provider.ts'
export type * from './core/backend.ts'
export type { Change, FeedPage, PageFreshness } from './core/change-feed.ts'
export type { StorageBackendHookOptions } from './http/document-hook.ts'
export type { FolderCache } from './cache/folder-cache.ts'
export type * from './cache/types.ts'
export type { MetricsRegistry } from './telemetry/metrics.ts'
export type { CacheOptions, GivenCacheOptions, SharedCacheOptions } from './options/options.ts'
export type { CloudStorageOptions, LimitOptions } from './options/options.ts'
export type { SpoolOptions, TransferOptions } from './options/options.ts'
export type { RedisClient } from './redis/gate.ts'
export type { OAuthProviderOptions, OwnProviderOptions, ProviderOption, ProviderOptions } from './options/providers.ts'
