import { randomInt } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { FolderCache, jsonSize } from './cache/folder-cache.ts'
import { Connections, type ConnectionEvent } from './connections/connections.ts'
import { Leases } from './connections/leases.ts'
import { LoginFlow } from './connections/login-flow.ts'
import { OAuthFlow } from './connections/oauth-flow.ts'
import { ConnectionOpener } from './connections/open.ts'
import { type EnabledProvider, ProviderCatalog } from './connections/provider-catalog.ts'
import { TokenRefresher } from './connections/refresh.ts'
import { Revocations } from './connections/revoke.ts'
import { RefreshCoordinator } from './connections/tokens.ts'
import type { StorageBackend } from './core/backend.ts'
import { type Connection, failureDetailsOf } from './core/connection.ts'
import type { ManagedStoreOptions } from './core/provider.ts'
import { trackCalls, WorkInFlight } from './core/shared-work.ts'
import type { Timeouts } from './core/stores.ts'
import { systemClock, systemTimers, waitUntilSettled } from './core/time.ts'
import { InFlightLimit, MinuteLimit } from './core/user-limits.ts'
import { countUnreadable, createCredentialCipher } from './crypto/credentials.ts'
import { createKeyRing } from './crypto/key-ring.ts'
import { createTextSealer } from './crypto/text-sealer.ts'
import { createChangeLog } from './db/change-log.ts'
import { createConnectionStore } from './db/connection-store.ts'
import { OAuthStateStore } from './db/oauth-state-store.ts'
import { createDocumentResolver, type GetStorageBackendForDocument } from './documents/resolve.ts'
import { isStorageError, StorageError } from './errors.ts'
import { FolderWatches } from './events/folder-watches.ts'
import { Freshness } from './freshness/freshness.ts'
import { causesOf } from './http/problem.ts'
import type { RoutesDeps } from './http/routes.ts'
import { createConnectionListener, createSharedTier } from './instances.ts'
import { ConnectionHealth } from './layers/health.ts'
import { applyLayers } from './layers/resilient.ts'
import { Compressor } from './listing/compressor.ts'
import { Cursors } from './listing/keys.ts'
import { FolderListings } from './listing/list-folder.ts'
import { ReadAhead } from './listing/read-ahead.ts'
import { RenderedListing } from './listing/rendered-listing.ts'
import { type ClosableEgress, createEgress } from './net/egress.ts'
import { createOAuthClient } from './oauth/client.ts'
import { optionError } from './options/checks.ts'
import type { CheckedOptions } from './options/options.ts'
import { createLoader, warnAboutMissingPackages } from './options/providers.ts'
import { MANAGED_STORES } from './providers/registry.ts'
import { createMetrics, NO_METRICS } from './telemetry/metrics.ts'
import { createTracing } from './telemetry/tracing.ts'
import { FolderAliases, ListingInvalidator } from './transfers/affected-folders.ts'
import { Transfers } from './transfers/transfers.ts'
import { SpoolSpace } from './transfers/upload-spool.ts'

export { withPermit } from './layers/layer.ts'

/** Longest timeout of a token endpoint; the transaction around a refresh takes a little longer. */
const MAX_REFRESH_TIMEOUT_MS = 10_000
/** Timeout of background revocations; only shutdown waits for them. */
const REVOKE_TIMEOUT_MS = 5_000
/** Time that shutdown waits for the host's `onConnectionChange`, which often writes to the host's database. */
const CALLBACK_TIMEOUT_MS = 5_000

/** What the plugin decorates, registers and runs. */
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

/**
 * Composes the plugin: everything that exists once per application, in the order of construction. It connects to
 * nothing, and imports no provider yet.
 */
export async function createServices(options: CheckedOptions, log: FastifyBaseLogger): Promise<Services> {
  const { timeouts, limits, leaseMs } = options
  const clock = systemClock
  // First, since it may fail: metrics remain on the host's registry.
  const keyRing = createKeyRing(options.encryption)
  const metrics =
    options.metrics === undefined ? NO_METRICS : await createMetrics(options.metrics, options.providers.keys())
  const tracing = await createTracing()

  // Stores
  const cipher = countUnreadable(createCredentialCipher(keyRing), metrics)
  // All use of the database that may outlive its request.
  const work = new WorkInFlight()
  const store = trackCalls(createConnectionStore(options.prisma), work)
  const changeLog = trackCalls(createChangeLog(options.prisma), work)
  const flows = trackCalls(new OAuthStateStore(options.prisma), work)
  const spool = new SpoolSpace({ ...options.spool, clock })

  // Limits per user
  const refreshLimit = new MinuteLimit(limits.refreshPerMinute, 'Too many refreshes. Try again later.', clock)
  const transferLimit = new InFlightLimit(limits.transfersPerUser, 'Too many transfers of this user are in flight.')
  const connectLimit = new InFlightLimit(
    limits.connectsPerUser,
    'Too many connection attempts of this user are in flight.'
  )
  const streamLimit = new InFlightLimit(limits.streamsPerUser, 'Too many event streams of this user are open.')
  const failedAttempts = new MinuteLimit(
    limits.failedConnectsPerMinute,
    'Too many failed attempts to connect to this server. Wait a minute.',
    clock
  )

  // Caches
  const shared =
    options.redis === undefined
      ? null
      : await createSharedTier(options.redis, { options, keyRing, clock, metrics, log })
  const cache = new FolderCache({
    ...options.cache,
    clock,
    sizeOf: (value) => (value instanceof RenderedListing ? value.size : jsonSize(value)),
    validityOf: (value) => Freshness.validityOf(value),
    onInvalidated: (scope) => {
      // The generation first, which the watches then read.
      shared?.invalidate(scope)
      folderWatches.onInvalidated(scope)
    }
  })
  const compressor = new Compressor(cache)
  const readAhead = options.readAhead ? new ReadAhead(cache) : null
  const leases = new Leases({
    connections: store,
    changeLog,
    leaseMs,
    clock,
    onPolled: (outcome) => {
      metrics.changesPolled(outcome)
    },
    onPruneFailed: (error) => {
      log.debug({ causes: causesOf(error) }, 'old rows of the change log could not be removed')
    }
  })
  const health = new ConnectionHealth(clock, (provider) => {
    metrics.throttled(provider)
  })

  // Connections
  const { providers, closeEgress } = createProviders(options.providers, timeouts)
  const forget = (connectionId: string): void => {
    cache.dropConnection(connectionId)
    freshness?.drop(connectionId)
    opener.forget(connectionId)
    folderWatches.end(connectionId)
  }
  const invalidate = ({ userId, id }: Connection): void => {
    leases.drop(userId)
    forget(id)
  }
  const onChange = (event: ConnectionEvent): void => {
    const notify = async (): Promise<void> => options.onConnectionChange?.(event)
    const notified = notify().catch((error: unknown) => {
      log.error({ err: error }, 'onConnectionChange failed')
    })
    work.add(waitUntilSettled(notified, CALLBACK_TIMEOUT_MS))
  }
  const revocations = new Revocations({
    cipher,
    providers,
    timeoutMs: Math.min(REVOKE_TIMEOUT_MS, timeouts.totalMs),
    onFailure: ({ id, provider }, error) => {
      log.warn({ connectionId: id, provider, causes: causesOf(error) }, 'a removed connection could not be revoked')
    }
  })
  const refresher = new TokenRefresher({
    connections: store,
    cipher,
    clock,
    clientOf: (provider) => providers.getOAuthClient(provider),
    onGrantEnded: (connection) => {
      connections.onReauthRequired(connection)
    },
    onOrphaned: (connection, tokens) => {
      revocations.beginWithTokens(connection, tokens)
    },
    // Shorter than the total timeout of a call, which may then continue with a token that is still valid.
    timeoutMs: Math.min(MAX_REFRESH_TIMEOUT_MS, Math.ceil(timeouts.totalMs * 0.8)),
    metrics,
    tracing
  })
  const refreshes = new RefreshCoordinator(refresher, clock)
  const opener: ConnectionOpener = new ConnectionOpener({
    cipher,
    providers,
    clock,
    tracing,
    health,
    failedAttempts,
    tokens: { refreshes, clock, random: () => randomInt(1_000_000) / 1_000_000 },
    spool,
    reseal: (connection, credentials) => {
      connections.reseal(connection, credentials).catch((error: unknown) => {
        if (isStorageError(error, 'SHUTTING_DOWN')) return
        log.warn(
          { ...failureDetailsOf(connection), causes: causesOf(error) },
          'the credentials of a connection could not be encrypted with the current key'
        )
      })
    },
    requireReauth: (connection) => connections.requireReauth(connection)
  })
  const connections: Connections = new Connections({
    store,
    cipher,
    clock,
    providers,
    opener,
    leases,
    maxPerUser: limits.connectionsPerUser,
    failedAttempts,
    invalidate,
    onRemoved: (connection) => {
      health.delete(connection.provider, connection.id)
      revocations.begin(connection)
    },
    onChange,
    onRecordFailure: (error) => {
      log.debug({ causes: causesOf(error) }, 'the last use of a connection could not be stored')
    }
  })
  // A login and a code work only once: their connection is stored even if the server begins to close.
  const loginFlow = trackCalls(new LoginFlow({ flows, cipher, clock, connections }), work)
  // Two calls with a timeout each: the code exchange, and `account()`.
  const flowTimeoutMs = 2 * timeouts.totalMs
  const oauthFlow = trackCalls(
    new OAuthFlow({ flows, cipher, clock, opener, connections, connectLimit, timeoutMs: flowTimeoutMs }),
    work
  )
  const listener =
    options.listen &&
    createConnectionListener(
      options.listen,
      (notification) => {
        if (leases.onNotification(notification) && notification !== null) forget(notification.id)
      },
      log
    )

  // Listings, transfers and documents
  const { checkMsOf } = options.freshness
  const freshness =
    checkMsOf === null
      ? null
      : new Freshness({
          ...options.freshness,
          checkMsOf,
          cache,
          clock,
          metrics,
          records: shared?.records,
          settleMsOf: (provider) => providers.getLoaded(provider)?.settleMs ?? 0
        })
  const aliases = new FolderAliases((connectionId) => {
    cache.invalidateConnection(connectionId)
  })
  const listings = new FolderListings({
    leases,
    cache,
    providers,
    openConnection: async (connection) => aliases.withAliasLearning(await connections.open(connection), connection.id),
    findOpen: (connection) => connections.findOpen(connection),
    shared,
    readAhead,
    freshness,
    cursors: new Cursors(createTextSealer(keyRing, 'listing-cursor')),
    clock,
    metrics
  })
  const random = (): number => randomInt(1_000_000) / 1_000_000
  const folderWatches = new FolderWatches({
    leases,
    leaseMs,
    cache,
    freshness,
    shared,
    providers,
    clock,
    timers: systemTimers,
    random,
    metrics
  })
  const transfers = new Transfers(connections, new ListingInvalidator(cache, aliases))
  const managedStores = new Map<string, () => Promise<StorageBackend>>()
  for (const [name, managed] of options.managed) {
    const details = { provider: name, host: hostOfManaged(managed) }
    const layers = { clock, timeouts, tracing, provider: 'managed', detailsOf: () => details }
    managedStores.set(name, async () =>
      applyLayers(await openManaged(managed, timeouts), { ...layers, health: health.get('managed', name) })
    )
  }
  const resolve = createDocumentResolver(managedStores, connections)

  // The end
  let isClosing = false
  const stop = async (): Promise<void> => {
    isClosing = true
    folderWatches.close()
    const connectionsSettled = async (): Promise<void> => {
      await refreshes.settled()
      // A refresh of a row that was removed meanwhile starts a revocation.
      await revocations.settled()
    }
    await Promise.all([
      readAhead?.close(),
      freshness?.close(),
      listener?.close(),
      connectionsSettled(),
      work.settled(),
      shared?.flush()
    ])
  }
  let drained: Promise<void> | undefined
  const drain = (): Promise<void> => {
    const run = async (): Promise<void> => {
      await stop()
      await work.close()
      await shared?.close()
    }
    return (drained ??= run())
  }
  // After all steps that may fail: a plugin that fails to start must not leave watches behind.
  const watches = [
    metrics.watchCache(() => cache.stats()),
    metrics.watchEventStreams(() => folderWatches.count),
    metrics.watchBreakers(() => health.tripped()),
    ...(listener ? [metrics.watchListener(() => listener.isConnected)] : [])
  ]

  return {
    cache,
    transferLimit,
    resolve: async (document, user) => {
      if (isClosing) throw new StorageError('SHUTTING_DOWN')
      return await resolve(document, user)
    },
    routes: {
      providers,
      connections,
      loginFlow,
      oauthFlow,
      connectLimit,
      listings,
      events: { watches: folderWatches, limit: streamLimit, timers: systemTimers, random },
      compress: (result, encoding) => {
        const compression = compressor.begin(result, encoding)
        if (compression !== undefined) work.add(compression)
      },
      takeRefresh: (userId) => {
        refreshLimit.consume(userId)
      },
      transfers: options.transfers !== false && {
        transfers,
        limit: transferLimit,
        uploads: {
          maxBytes: options.transfers.maxBytes,
          idleMs: timeouts.idleMs,
          minBytesPerSecond: limits.minBytesPerSecond
        }
      }
    },
    assertReady: async () => {
      await store.assertReady()
      // Reading the log takes a privilege of its own.
      if (leaseMs > 0) await changeLog.poll(null)
      await spool.assertUsable().catch((error: unknown) => {
        throw optionError('spool.folder', 'must be a folder that the server can write to', { cause: error })
      })
      warnAboutMissingPackages(options, log)
      listener?.start()
    },
    stop,
    drain,
    close: async () => {
      for (const end of watches) end()
      await drain()
      // Last, since the work in flight used the sockets.
      await closeEgress()
    }
  }
}

/**
 * Creates the enabled providers. Each has its own egress: a socket that was opened under the rules of one provider is
 * never used for calls of another.
 *
 * @throws TypeError that names the invalid option
 */
function createProviders(enabledOptions: CheckedOptions['providers'], timeouts: Timeouts) {
  const enabled = new Map<string, EnabledProvider>()
  const egresses: ClosableEgress[] = []
  for (const [id, { provider: definition, allowHosts, oauth }] of enabledOptions) {
    let egress: ClosableEgress
    try {
      egress = createEgress({ allowHosts, timeouts })
    } catch (error) {
      throw optionError(`providers.${id}.allowHosts`, (error as Error).message)
    }
    egresses.push(egress)
    const load = createLoader(id, definition)
    enabled.set(id, { egress, load, oauth: oauth && ((connect) => createOAuthClient(connect, oauth, egress)) })
  }
  const closeEgress = async (): Promise<void> => {
    await Promise.all(egresses.map((egress) => egress.close()))
  }
  return { providers: new ProviderCatalog(enabled, timeouts), closeEgress }
}

/** Returns the host of a managed store, for the log; AWS has one host per bucket. */
function hostOfManaged(store: ManagedStoreOptions): string | undefined {
  if (store.type !== 's3') return undefined
  const { endpoint, bucket, region = 'us-east-1' } = store
  return endpoint === undefined ? `${bucket}.s3.${region}.amazonaws.com` : new URL(endpoint).host
}

async function openManaged(store: ManagedStoreOptions, timeouts: Timeouts): Promise<StorageBackend> {
  if (store.type === 'disk') return (await MANAGED_STORES.disk()).openManaged(store, { timeouts })
  return (await MANAGED_STORES.s3()).openManaged(store, { timeouts })
}
