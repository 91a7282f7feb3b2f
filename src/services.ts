import type { FastifyBaseLogger } from 'fastify'
import { createConnectionServices } from './connection-services.ts'
import type { SealedConnection } from './core/connection.ts'
import { StorageError } from './errors.ts'
import type { LeaseRenewal } from './core/telemetry.ts'
import type { ManagedStoreOptions } from './core/provider.ts'
import type { Timeouts } from './core/stores.ts'
import type { InvalidatedScope } from './cache/shared-tier.ts'
import type { StorageBackend } from './core/backend.ts'
import { InFlightLimit, MinuteLimit } from './core/user-limits.ts'
import { trackCalls, WorkInFlight } from './core/shared-work.ts'
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
import { createConnectionListener, createSharedTier } from './instances.ts'
import { ConnectionHealth } from './layers/breaker.ts'
import { withResilience } from './layers/resilient.ts'
import { withDetails } from './layers/errors.ts'
import { withStorageErrors } from './layers/errors.ts'
import { withLease } from './layers/lease.ts'
import { withSpans } from './layers/spans.ts'
import { Cursors } from './listing/keys.ts'
import { Compressor } from './listing/compressor.ts'
import { FolderCache } from './cache/folder-cache.ts'
import { jsonSize } from './cache/entry.ts'
import { createListFolder } from './listing/list-folder.ts'
import { ReadAhead } from './listing/read-ahead.ts'
import { RenderedListing } from './listing/rendered-listing.ts'
import { optionError } from './options/checks.ts'
import type { CheckedOptions } from './options/options.ts'
import { warnAboutMissingPackages, createProviderServices } from './enabled-providers.ts'
import { MANAGED_STORES } from './providers/registry.ts'
import { Leases } from './connections/leases.ts'
import { FolderAliases } from './transfers/affected-folders.ts'
import { createDocumentResolver, type GetStorageBackendForDocument } from './documents/resolve.ts'
import { ListingInvalidator } from './transfers/affected-folders.ts'
import { createTransfers } from './transfers/transfers.ts'

export { withPermit as withSlot } from './layers/layer.ts'

export interface Services {
  readonly cache: FolderCache
  /** Limits the concurrent transfers of each user. */
  readonly transferLimit: InFlightLimit
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
export async function createServices(options: CheckedOptions, log: FastifyBaseLogger): Promise<Services> {
  const { timeouts, metrics: registry } = options
  const clock = systemClock
  const keyRing = createKeyRing(options.encryption)
  const metrics = registry === undefined ? NO_METRICS : await createMetrics(registry, options.providers.keys())
  const tracing = await createTracing()
  const cipher = countUnreadable(createCredentialCipher(keyRing), metrics)
  const work = new WorkInFlight()
  const connections = trackCalls(createConnectionStore(options.prisma), work)
  const sharedTier =
    options.redis === undefined
      ? null
      : await createSharedTier(options.redis, { options, keyRing, clock, metrics, log })
  const onInvalidated = (scope: InvalidatedScope): void => sharedTier?.invalidate(scope)
  const cache = new FolderCache({ ...options.cache, clock, sizeOf: sizeOfListing, onInvalidated })
  const compressor = new Compressor(cache)
  const readAhead = options.readAhead ? new ReadAhead(cache) : null
  const { catalog: providers, close: closeProviders } = createProviderServices(options.providers, timeouts)
  const health = new ConnectionHealth(clock, (provider) => {
    metrics.throttled(provider)
  })
  const onRenewed = (outcome: LeaseRenewal): void => {
    metrics.leaseRenewed(outcome)
  }
  const leases = new Leases({ connections, leaseMs: options.leaseMs, clock, onRenewed })
  const spool = new SpoolSpace({ ...options.spool, clock })
  const connectionDeps = {
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
  const { open, routes, onNotification, settled: connectionsSettled } = createConnectionServices(connectionDeps)
  const listener = options.listen && createConnectionListener(options.listen, onNotification, log)

  const { limits } = options
  const refreshLimit = new MinuteLimit(limits.refreshPerMinute, 'Too many refreshes. Try again later.', clock)
  const transferLimit = new InFlightLimit(limits.transfersPerUser, 'Too many transfers of this user are in flight.')
  const openLeased = async (connection: SealedConnection): Promise<StorageBackend> => {
    const backend = await open(connection)
    const confirm = (maxAgeMs: number): Promise<void> => leases.confirm(connection, maxAgeMs)
    return withStorageErrors(withLease(backend, { confirm, leaseMs: options.leaseMs }))
  }
  const resolve = createDocumentResolver({
    managed: createManagedOpeners(options.managed, timeouts, (name, backend) => {
      const resilientBackend = withResilience(backend, { health: health.get('managed', name), timeouts, clock })
      const context = { provider: name, host: managedHost(options.managed.get(name)) }
      return withDetails(withStorageErrors(withSpans(resilientBackend, tracing, 'managed')), () => context)
    }),
    providers,
    connections,
    open: openLeased
  })
  const aliases = new FolderAliases((connectionId) => {
    cache.invalidateConnection(connectionId)
  })
  const listings = new ListingInvalidator(cache, aliases)
  let isClosing = false
  const stop = async (): Promise<void> => {
    isClosing = true
    await Promise.all([
      readAhead?.close(),
      listener?.close(),
      connectionsSettled(),
      work.settled(),
      sharedTier?.flush()
    ])
  }
  let drained: Promise<void> | undefined
  const drain = async (): Promise<void> => {
    await stop()
    await work.close()
    await sharedTier?.close()
  }
  // After all steps that may fail: a plugin that fails to start must not leave watches behind.
  const watches = [
    metrics.watchCache(() => cache.stats()),
    metrics.watchBreakers(() => health.tripped()),
    ...(listener ? [metrics.watchListener(() => listener.isConnected)] : [])
  ]

  return {
    cache,
    transferLimit,
    resolve: async (document, user) => {
      if (isClosing) throw new StorageError('SHUTTING_DOWN')
      return resolve(document, user)
    },
    routes: {
      ...routes,
      hasProvider: (id) => providers.has(id),
      listFolder: createListFolder({
        leases,
        cache,
        providers: { loaded: (id) => providers.getLoaded(id), load: (id) => providers.load(id) },
        open: async (connection) => aliases.withAliasLearning(await open(connection), connection.id),
        shared: sharedTier,
        clock,
        metrics,
        readAhead,
        cursors: new Cursors(createTextSealer(keyRing, 'listing-cursor'))
      }),
      compress: (result, encoding) => {
        const compression = compressor.begin(result, encoding)
        if (compression !== undefined) work.add(compression)
      },
      takeRefresh: (userId) => {
        refreshLimit.consume(userId)
      },
      transfers: options.transfers !== false && {
        ...createTransfers({ providers, connections, leases, open: openLeased, listings }),
        limit: transferLimit,
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

function createManagedOpeners(
  stores: CheckedOptions['managed'],
  timeouts: Timeouts,
  applyLayers: (name: string, backend: StorageBackend) => StorageBackend
): Map<string, () => Promise<StorageBackend>> {
  const openers = [...stores].map(
    ([name, store]) => [name, async () => applyLayers(name, await openManaged(store, timeouts))] as const
  )
  return new Map(openers)
}

async function openManaged(store: ManagedStoreOptions, timeouts: Timeouts): Promise<StorageBackend> {
  if (store.type === 'disk') return (await MANAGED_STORES.disk()).openManaged(store, { timeouts })
  return (await MANAGED_STORES.s3()).openManaged(store, { timeouts })
}
