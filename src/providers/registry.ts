import type { ManagedStoreOptions } from '../core/provider.ts'
import type { Timeouts } from '../core/stores.ts'
import type { ProviderDefinition } from '../core/provider.ts'
import type { StorageBackend } from '../core/backend.ts'

export interface ProviderModule {
  readonly provider: ProviderDefinition
}

export interface ManagedStoreModule<Options extends ManagedStoreOptions> {
  readonly openManaged: (options: Options, context: { readonly timeouts: Timeouts }) => Promise<StorageBackend>
}

export type ProviderRegistry = Readonly<Record<string, () => Promise<ProviderModule>>>

export type ManagedStoreRegistry = {
  readonly [Type in ManagedStoreOptions['type']]: () => Promise<
    ManagedStoreModule<Extract<ManagedStoreOptions, { readonly type: Type }>>
  >
}

/** The providers that users can connect, one per line. Nothing is imported before its first use. */
export const PROVIDERS: ProviderRegistry = {
  s3: () => import('./s3/index.ts'),
  webdav: () => import('./webdav/index.ts'),
  nextcloud: () => import('./nextcloud/index.ts'),
  google_drive: () => import('./google-drive/index.ts'),
  onedrive: () => import('./onedrive/index.ts'),
  dropbox: () => import('./dropbox/index.ts'),
  box: () => import('./box/index.ts')
}

/** The optional peer dependencies that a provider imports at its first use. */
export const SDK_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  s3: ['@aws-sdk/client-s3', '@aws-sdk/lib-storage', '@aws-sdk/s3-request-presigner'],
  google_drive: ['googleapis']
}

/** Providers with OAuth. Known without an import, because they need a client registration. */
export const OAUTH_PROVIDERS: ReadonlySet<string> = new Set(['google_drive', 'onedrive', 'dropbox', 'box'])

/** OAuth providers that allow client registrations for one organisation only. */
export const TENANT_PROVIDERS: ReadonlySet<string> = new Set(['onedrive'])

/** Stores for the host's own documents. */
export const MANAGED_STORES: ManagedStoreRegistry = {
  s3: () => import('./s3/index.ts'),
  disk: () => import('./disk/index.ts')
}
