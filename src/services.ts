import type { FastifyBaseLogger } from 'fastify'
import { wireConnections } from './connection-services.ts'
import type { SealedConnection } from './core/connection.ts'
import { StorageError } from './errors.ts'
import type { LeaseRenewal } from './core/telemetry.ts'
import type { ManagedStoreOptions } from './core/provider.ts'
import type { Timeouts } from './core/stores.ts'
import type { InvalidatedScope } from './cache/shared-tier.ts'
import type { StorageBackend } from './core/backend.ts'
import { InFlightLimit, MinuteLimit } from './core/user-limits.ts'
import { counted, WorkInFlight } from './core/shared-work.ts'
import type { RoutesDeps } from './http/routes.ts'
import { systemClock } from './core/time.ts'
import { countUnreadable } from './crypto/credentials.ts'
import { createCredentialCipher } from './crypto/credentials.ts'
import { createKeyRing } from './crypto/key-ring.ts'
import { createTextSealer } from './crypto/text-sealer.ts'
import { createConnectionStore } from './db/connection-store.ts'
import { createMetrics, NO_METRICS } from './telemetry/metrics.ts'
import { createTracing } from './telemetry/tracing.ts'
import { SpoolSpace } from './transfers/upload-spool.ts'
import { listenTo, shareWith } from './instances.ts'
import { ConnectionHealth } from './layers/breaker.ts'
import { resilient } from './layers/resilient.ts'
import { withDetails } from './layers/errors.ts'
import { withKnownErrors } from './layers/errors.ts'
import { withLease } from './layers/lease.ts'
import { withSpans } from './layers/spans.ts'
import { Cursors } from './listing/keys.ts'
import { Encoder } from './listing/compressor.ts'
import { FolderCache } from './cache/folder-cache.ts'
import { jsonSize } from './cache/entry.ts'
import { createListFolder } from './listing/list-folder.ts'
import { ReadAhead } from './listing/read-ahead.ts'
import { RenderedListing } from './listing/rendered-listing.ts'
import { optionError } from './options/checks.ts'
import type { CheckedOptions } from './options/options.ts'
import { warnAboutMissingPackages, wireProviders } from './enabled-providers.ts'
import { MANAGED_STORES } from './providers/registry.ts'
import { Leases } from './connections/leases.ts'
import { FolderAliases } from './transfers/affected-folders.ts'
import { createDocumentResolver, type GetStorageBackendForDocument } from './documents/resolve.ts'
import { TouchedListings } from './transfers/affected-folders.ts'
import { createTransfers } from './transfers/transfers.ts'

export { withSlot } from './layers/layer.ts'

export interface Wired {
  readonly cache: FolderCache
  /** Limits the concurrent transfers of each user. */
  readonly transfers: InFlightLimit
  readonly resolve: GetStorageBackendForDocument
  readonly routes: Omit<RoutesDeps, 'authenticate' | 'publicUrl' | 'allowedOrigins'>
  readonly assertReady: () => Promise<void>
  /**
   * Starts no more background work, stops listening for changes, and resolves when the work that is now in flight has
   * ended.
   */
  readonly stop: () => Promise<void>
  /**
   * Resolves when no work of the plugin uses the database or Redis any more. Further work is rejected with
   * `SHUTTING_DOWN`. Runs after the last request, and before the host closes its resources.
   */
  readonly drain: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Composes the plugin. It connects to nothing, and imports no provider yet. */
export async function wire(options: CheckedOptions, log: FastifyBaseLogger): Promise<Wired> {
  const { timeouts, metrics: registry } = options
  const clock = systemClock
  const keyRing = createKeyRing(options.encryption)
  const metrics = registry === undefined ? NO_METRICS : await createMetrics(registry, options.providers.keys())
  const tracing = await createTracing()
  const cipher = countUnreadable(createCredentialCipher(keyRing), metrics)
  const work = new WorkInFlight()
  const connections = counted(createConnectionStore(options.prisma), work)
  const shared =
    options.redis === undefined ? null : await shareWith(options.redis, { options, keyRing, clock, metrics, log })
  const onInvalidated = (scope: InvalidatedScope): void => shared?.invalidate(scope)
  const cache = new FolderCache({ ...options.cache, clock, sizeOf: sizeOfListing, onInvalidated })
  const encoder = new Encoder(cache)
  const readAhead = options.readAhead ? new ReadAhead(cache) : null
  const { catalog: providers, close: closeProviders } = wireProviders(options.providers, timeouts)
  const health = new ConnectionHealth(clock, (provider) => {
    metrics.throttled(provider)
  })
  const onRenewed = (outcome: LeaseRenewal): void => {
    metrics.leaseRenewed(outcome)
  }
  const leases = new Leases({ connections, leaseMs: options.leaseMs, clock, onRenewed })
  const spool = new SpoolSpace({ ...options.spool, clock })
  const parts = {
    options,
    log,
    clock,
    providers,
    connections,
    leases,
    cipher,
    cache,
    health,
    metrics,
    tracing,
    work,
    spool
  }
  const { open, routes, hear, settled: connectionsSettled } = wireConnections(parts)
  const listener = options.listen && listenTo(options.listen, hear, log)

  const { limits } = options
  const refreshes = new MinuteLimit(limits.refreshPerMinute, 'Too many refreshes. Try again later.', clock)
  const transfers = new InFlightLimit(limits.transfersPerUser, 'Too many transfers of this user are in flight.')
  const openLeased = async (connection: SealedConnection): Promise<StorageBackend> => {
    const backend = await open(connection)
    const confirm = (withinMs: number): Promise<void> => leases.confirm(connection, withinMs)
    return withKnownErrors(withLease(backend, { confirm, leaseMs: options.leaseMs }))
  }
  const resolve = createDocumentResolver({
    managed: managedStores(options.managed, timeouts, (name, backend) => {
      const tried = resilient(backend, { health: health.of('managed', name), timeouts, clock })
      const context = { provider: name, host: managedHost(options.managed.get(name)) }
      return withDetails(withKnownErrors(withSpans(tried, tracing, 'managed')), () => context)
    }),
    providers,
    connections,
    open: openLeased
  })
  const aliases = new FolderAliases((connectionId) => {
    cache.invalidateConnection(connectionId)
  })
  const listings = new TouchedListings(cache, aliases)
  let closing = false
  const stop = async (): Promise<void> => {
    closing = true
    await Promise.all([readAhead?.close(), listener?.close(), connectionsSettled(), work.settled(), shared?.flush()])
  }
  let drained: Promise<void> | undefined
  const drain = async (): Promise<void> => {
    await stop()
    await work.close()
    await shared?.close()
  }
  // After all steps that may fail: a plugin that fails to start must not leave watches behind.
  const watches = [
    metrics.watchCache(() => cache.stats()),
    metrics.watchBreakers(() => health.tripped()),
    ...(listener ? [metrics.watchListener(() => listener.isConnected)] : [])
  ]

  return {
    cache,
    transfers,
    resolve: async (document, user) => {
      if (closing) throw new StorageError('SHUTTING_DOWN')
      return resolve(document, user)
    },
    routes: {
      ...routes,
      hasProvider: (id) => providers.has(id),
      listFolder: createListFolder({
        leases,
        cache,
        providers: { loaded: (id) => providers.loaded(id), load: (id) => providers.load(id) },
        open: async (connection) => aliases.learning(await open(connection), connection.id),
        shared,
        clock,
        metrics,
        readAhead,
        cursors: new Cursors(createTextSealer(keyRing, 'listing-cursor'))
      }),
      encode: (answer, encoding) => {
        const compressing = encoder.begin(answer, encoding)
        if (compressing !== undefined) work.add(compressing)
      },
      takeRefresh: (userId) => {
        refreshes.take(userId)
      },
      transfers: options.transfers !== false && {
        ...createTransfers({ providers, connections, leases, open: openLeased, listings }),
        limit: transfers,
        uploads: {
          maxBytes: options.transfers.maxBytes,
          idleMs: timeouts.idleMs,
          minBytesPerSecond: limits.minBytesPerSecond
        }
      },
      loadProviders: () => Promise.all(providers.ids().map((id) => providers.load(id)))
    },
    assertReady: async () => {
      await connections.assertReady()
      await spool.assertUsable().catch((error: unknown) => {
        throw optionError('spool.folder', 'must be a folder that the server can write to', { cause: error })
      })
      warnAboutMissingPackages(options, log)
      listener?.start()
    },
    stop,
    drain: () => (drained ??= drain()),
    close: async () => {
      for (const end of watches) end()
      await (drained ??= drain())
      // Last, since the work in flight used the sockets.
      await closeProviders()
    }
  }
}

function sizeOfListing(value: unknown): number {
  return value instanceof RenderedListing ? value.size : jsonSize(value)
}

/** Returns the host of a managed store, for the log; AWS has one host per bucket. */
function managedHost(store: ManagedStoreOptions | undefined): string | undefined {
  if (store?.type !== 's3') return undefined
  const { endpoint, bucket, region = 'us-east-1' } = store
  return endpoint === undefined ? `${bucket}.s3.${region}.amazonaws.com` : new URL(endpoint).host
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
