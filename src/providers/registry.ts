import type { StorageBackend } from '../core/backend.ts'
import type { ManagedStoreOptions, ProviderDefinition } from '../core/provider.ts'
import type { Timeouts } from '../core/stores.ts'

/** A provider of this package. Everything but its definition is known without importing it. */
export interface RegisteredProvider {
  readonly load: () => Promise<{ readonly provider: ProviderDefinition }>
  /** Users connect it with OAuth, for which the application needs a client registration. */
  readonly oauth?: true
  /** A client registration can be limited to one organisation. */
  readonly tenants?: true
  /** The optional peer dependencies that it imports at its first use. */
  readonly packages?: readonly string[]
}

const S3_PACKAGES = ['@aws-sdk/client-s3', '@aws-sdk/lib-storage', '@aws-sdk/s3-request-presigner']

/** The providers that users can connect, one per line. Nothing is imported before its first use. */
export const PROVIDERS: Readonly<Record<string, RegisteredProvider>> = {
  s3: { load: () => import('./s3/index.ts'), packages: S3_PACKAGES },
  webdav: { load: () => import('./webdav/index.ts') },
  nextcloud: { load: () => import('./nextcloud/index.ts') },
  google_drive: { load: () => import('./google-drive/index.ts'), oauth: true, packages: ['googleapis'] },
  onedrive: { load: () => import('./onedrive/index.ts'), oauth: true, tenants: true },
  dropbox: { load: () => import('./dropbox/index.ts'), oauth: true },
  box: { load: () => import('./box/index.ts'), oauth: true }
}

export type ManagedStoreRegistry = {
  readonly [Type in ManagedStoreOptions['type']]: () => Promise<{
    readonly openManaged: (
      options: Extract<ManagedStoreOptions, { readonly type: Type }>,
      context: { readonly timeouts: Timeouts }
    ) => Promise<StorageBackend>
  }>
}

/** Stores for the host's own documents. A store with the id of a provider needs the same packages. */
export const MANAGED_STORES: ManagedStoreRegistry = {
  s3: () => import('./s3/index.ts'),
  disk: () => import('./disk/index.ts')
}
