import type { FastifyBaseLogger } from 'fastify'
import { createConnect } from './connections/connect.ts'
import type { ConnectionEvent } from './connections/connection-event.ts'
import { createDisconnect } from './connections/disconnect.ts'
import type { Connection } from './domain/connection.ts'
import { isStorageError, StorageError } from './domain/errors.ts'
import type { ManagedStoreOptions } from './domain/managed-store.ts'
import type { EgressPolicy, Timeouts } from './domain/ports.ts'
import { isProviderDefinition } from './domain/provider.ts'
import type { StorageBackend } from './domain/storage-backend.ts'
import type { RoutesDeps } from './http/routes.ts'
import { withStatus } from './http/status.ts'
import { systemClock } from './infra/clock.ts'
import { createCredentialCipher } from './infra/crypto/envelope.ts'
import { createKeyRing } from './infra/crypto/key-ring.ts'
import { createTextSealer } from './infra/crypto/text-sealer.ts'
import { createConnectionStore } from './infra/db/connection-store.ts'
import { createEgressPolicy } from './infra/net/allow-hosts.ts'
import { withDeadline } from './layers/with-deadline.ts'
import { withKnownErrors } from './layers/with-known-errors.ts'
import { Cursors } from './listing/cursor.ts'
import { FolderCache, jsonSize } from './listing/folder-cache.ts'
import { createListFolder } from './listing/list-folder.ts'
import { RefreshLimit } from './listing/refresh-limit.ts'
import { RenderedListing } from './listing/rendered-listing.ts'
import { optionError } from './option-checks.ts'
import type { CheckedOptions, ProviderOptions } from './options.ts'
import { MANAGED_STORES, PROVIDERS } from './providers/registry.ts'
import { ConnectionOpener } from './resolver/open-connection.ts'
import { type EnabledProvider, ProviderCatalog } from './resolver/provider-catalog.ts'
import { createDocumentResolver, type GetStorageBackendForDocument } from './resolver/storage-for-document.ts'

export interface Wired {
  readonly cache: FolderCache
  readonly resolve: GetStorageBackendForDocument
  readonly routes: Omit<RoutesDeps, 'authenticate' | 'publicHost'>
  readonly assertReady: () => Promise<void>
  readonly close: () => void
}

/** Puts the parts together. Nothing is reached and no provider is imported yet. */
export function wire(options: CheckedOptions, log: FastifyBaseLogger): Wired {
  const { timeouts } = options
  const keyRing = createKeyRing(options.encryption)
  const cipher = createCredentialCipher(keyRing)
  const connections = createConnectionStore(options.prisma)
  const cache = new FolderCache({ ...options.cache, clock: systemClock, sizeOf: sizeOfListing })
  const providers = new ProviderCatalog(catalog(options))
  const dress = (backend: StorageBackend): StorageBackend =>
    withKnownErrors(withDeadline(backend, timeouts.totalMs), withStatus)
  const opener = new ConnectionOpener({ cipher, providers, timeouts, dress })
  const open = opener.open.bind(opener)

  const invalidate = ({ id }: Connection): void => {
    cache.invalidateConnection(id)
    opener.forget(id)
  }
  const onChange = (event: ConnectionEvent): void => {
    const tell = async (): Promise<void> => options.onConnectionChange?.(event)
    tell().catch((error: unknown) => {
      log.error({ err: error }, 'onConnectionChange threw')
    })
  }
  const refreshes = new RefreshLimit(options.limits.refreshPerMinute, systemClock)
  const resolve = createDocumentResolver({
    managed: managedStores(options.managed, timeouts, dress),
    providers,
    connections,
    open
  })
  let closing = false

  return {
    cache,
    resolve: async (document, user) => {
      try {
        if (closing) throw new StorageError('SHUTTING_DOWN', 'The server is shutting down.')
        return await resolve(document, user)
      } catch (error) {
        throw isStorageError(error) ? withStatus(error) : error
      }
    },
    routes: {
      hasProvider: (id) => providers.has(id),
      listFolder: createListFolder({
        connections,
        cache,
        open,
        cursors: new Cursors(createTextSealer(keyRing, 'listing-cursor'))
      }),
      takeRefresh: (userId) => {
        refreshes.take(userId)
      },
      listConnections: (userId) => connections.list(userId),
      loadProvider: (id) => providers.get(id).load(),
      loadProviders: () => Promise.all(providers.ids().map((id) => providers.get(id).load())),
      connect: createConnect({
        connections,
        cipher,
        openWith: opener.openWith.bind(opener),
        invalidate,
        maxPerUser: options.limits.connectionsPerUser,
        onChange
      }),
      disconnect: createDisconnect({ connections, invalidate, onChange })
    },
    assertReady: () => connections.assertReady(),
    close: () => {
      closing = true
    }
  }
}

function sizeOfListing(value: unknown): number {
  return value instanceof RenderedListing ? value.bytes.byteLength : jsonSize(value)
}

function catalog({ providers }: CheckedOptions): Map<string, EnabledProvider> {
  const enabled = new Map<string, EnabledProvider>()
  for (const [id, value] of providers) {
    if (isProviderDefinition(value)) {
      enabled.set(id, { load: async () => value, egress: createEgressPolicy([]) })
      continue
    }
    const load = PROVIDERS[id]
    if (load === undefined) throw new TypeError(`No such provider: ${id}`)
    enabled.set(id, { load: async () => (await load()).provider, egress: egressOf(id, value) })
  }
  return enabled
}

function egressOf(id: string, { allowHosts = [] }: ProviderOptions): EgressPolicy {
  try {
    return createEgressPolicy(allowHosts)
  } catch (error) {
    throw optionError(`providers.${id}.allowHosts`, (error as Error).message)
  }
}

function managedStores(
  stores: CheckedOptions['managed'],
  timeouts: Timeouts,
  dress: (backend: StorageBackend) => StorageBackend
): Map<string, () => Promise<StorageBackend>> {
  const openers = [...stores].map(
    ([name, store]) => [name, async () => dress(await openManaged(store, timeouts))] as const
  )
  return new Map(openers)
}

async function openManaged(store: ManagedStoreOptions, timeouts: Timeouts): Promise<StorageBackend> {
  if (store.type === 'disk') return (await MANAGED_STORES.disk()).openManaged(store, { timeouts })
  return (await MANAGED_STORES.s3()).openManaged(store, { timeouts })
}
