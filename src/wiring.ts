import type { FastifyBaseLogger } from 'fastify'
import { createConnect } from './connections/connect.ts'
import type { ConnectionEvent } from './connections/connection-event.ts'
import { createDisconnect } from './connections/disconnect.ts'
import { createLoginFlow } from './connections/login-flow.ts'
import { createRequireReauth } from './connections/require-reauth.ts'
import type { Connection, SealedConnection } from './domain/connection.ts'
import { isStorageError, StorageError } from './domain/errors.ts'
import type { ManagedStoreOptions } from './domain/managed-store.ts'
import type { Timeouts } from './domain/ports.ts'
import type { StorageBackend } from './domain/storage-backend.ts'
import type { RoutesDeps } from './http/routes.ts'
import { withStatus } from './http/status.ts'
import { systemClock } from './infra/clock.ts'
import { createCredentialCipher } from './infra/crypto/envelope.ts'
import { createKeyRing } from './infra/crypto/key-ring.ts'
import { createTextSealer } from './infra/crypto/text-sealer.ts'
import { createConnectionStore } from './infra/db/connection-store.ts'
import { createOAuthStateStore } from './infra/db/oauth-state-store.ts'
import { ConnectionHealth } from './layers/health.ts'
import { resilient } from './layers/resilient.ts'
import { withConfirmedRefusal } from './layers/with-confirmed-refusal.ts'
import { withDeadline } from './layers/with-deadline.ts'
import { withKnownErrors } from './layers/with-known-errors.ts'
import { Cursors } from './listing/cursor.ts'
import { FolderCache, jsonSize } from './listing/folder-cache.ts'
import { createListFolder } from './listing/list-folder.ts'
import { RefreshLimit } from './listing/refresh-limit.ts'
import { RenderedListing } from './listing/rendered-listing.ts'
import type { CheckedOptions } from './options.ts'
import { wireProviders } from './provider-wiring.ts'
import { MANAGED_STORES } from './providers/registry.ts'
import { ConnectionOpener } from './resolver/open-connection.ts'
import { createDocumentResolver, type GetStorageBackendForDocument } from './resolver/storage-for-document.ts'

export interface Wired {
  readonly cache: FolderCache
  readonly resolve: GetStorageBackendForDocument
  readonly routes: Omit<RoutesDeps, 'authenticate' | 'publicHost'>
  readonly assertReady: () => Promise<void>
  /** Resolves nothing any more. */
  readonly stop: () => void
  readonly close: () => Promise<void>
}

/** Puts the parts together. Nothing is reached and no provider is imported yet. */
export function wire(options: CheckedOptions, log: FastifyBaseLogger): Wired {
  const { timeouts } = options
  const clock = systemClock
  const keyRing = createKeyRing(options.encryption)
  const cipher = createCredentialCipher(keyRing)
  const connections = createConnectionStore(options.prisma)
  const cache = new FolderCache({ ...options.cache, clock, sizeOf: sizeOfListing })
  const { catalog: providers, close: closeProviders } = wireProviders(options.providers, timeouts)
  const contextOf = (id: string) => ({ egress: providers.get(id).egress, timeouts })
  const health = new ConnectionHealth(clock)

  const dress = (backend: StorageBackend, connection: SealedConnection): StorageBackend => {
    const { provider, id } = connection
    const layered = resilient(backend, { health: health.of(provider, id), timeouts, clock })
    return withKnownErrors(
      withConfirmedRefusal(layered, () => requireReauth(connection)),
      withStatus
    )
  }
  const dressNew = (backend: StorageBackend): StorageBackend =>
    withKnownErrors(withDeadline(backend, timeouts.totalMs), withStatus)
  const opener = new ConnectionOpener({ cipher, providers, timeouts, dress, dressNew })
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
  const requireReauth = createRequireReauth({ connections, invalidate, onChange })
  const connect = createConnect({
    connections,
    cipher,
    openWith: opener.openWith.bind(opener),
    contextOf,
    invalidate,
    maxPerUser: options.limits.connectionsPerUser,
    onChange
  })
  const refreshes = new RefreshLimit(options.limits.refreshPerMinute, clock)
  const resolve = createDocumentResolver({
    managed: managedStores(options.managed, timeouts, (name, backend) =>
      withKnownErrors(resilient(backend, { health: health.of('managed', name), timeouts, clock }), withStatus)
    ),
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
      connect,
      loginFlow: createLoginFlow({ flows: createOAuthStateStore(options.prisma), cipher, clock, connect, contextOf }),
      disconnect: createDisconnect({
        connections,
        invalidate: (connection) => {
          invalidate(connection)
          health.forget(connection.provider, connection.id)
        },
        onChange
      })
    },
    assertReady: () => connections.assertReady(),
    stop: () => {
      closing = true
    },
    close: closeProviders
  }
}

function sizeOfListing(value: unknown): number {
  return value instanceof RenderedListing ? value.bytes.byteLength : jsonSize(value)
}

function managedStores(
  stores: CheckedOptions['managed'],
  timeouts: Timeouts,
  dress: (name: string, backend: StorageBackend) => StorageBackend
): Map<string, () => Promise<StorageBackend>> {
  const openers = [...stores].map(
    ([name, store]) => [name, async () => dress(name, await openManaged(store, timeouts))] as const
  )
  return new Map(openers)
}

async function openManaged(store: ManagedStoreOptions, timeouts: Timeouts): Promise<StorageBackend> {
  if (store.type === 'disk') return (await MANAGED_STORES.disk()).openManaged(store, { timeouts })
  return (await MANAGED_STORES.s3()).openManaged(store, { timeouts })
}
