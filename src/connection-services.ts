import { randomInt } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { ConnectionTokens } from './connections/access-tokens.ts'
import { createChangeConnection } from './connections/connections.ts'
import { createConnect, hostOf } from './connections/connections.ts'
import { type ConnectionEvent, connectionEvent } from './connections/connections.ts'
import { createDisconnect } from './connections/connections.ts'
import { createLoginFlow } from './connections/login-flow.ts'
import { createRecordUse } from './connections/connections.ts'
import { createOAuthFlow } from './connections/oauth-flow.ts'
import { RefreshCoordinator } from './connections/refresh.ts'
import { TokenRefresher } from './connections/refresh.ts'
import { createRequireReauth } from './connections/connections.ts'
import { Revocations } from './connections/revoke.ts'
import { createStoreConnection } from './connections/connections.ts'
import { parseTokens } from './connections/tokens.ts'
import { createVerify } from './connections/connections.ts'
import {
  type Connection,
  type ConnectionNotification,
  failureDetailsOf,
  type SealedConnection
} from './core/connection.ts'
import { isStorageError } from './errors.ts'
import type { Metrics } from './core/telemetry.ts'
import type { Clock } from './core/time.ts'
import type { ConnectionStore, CredentialCipher } from './core/stores.ts'
import type { Secret } from './core/secret.ts'
import { waitUntilSettled } from './core/time.ts'
import type { StorageBackend } from './core/backend.ts'
import type { Tracing } from './core/telemetry.ts'
import { InFlightLimit, MinuteLimit } from './core/user-limits.ts'
import { trackCalls, type WorkInFlight } from './core/shared-work.ts'
import type { AuthorizeRouteDeps } from './http/authorize-routes.ts'
import type { CallbackRouteDeps } from './http/callback-route.ts'
import type { ConnectionRouteDeps } from './http/connection-routes.ts'
import { causesOf } from './http/problem.ts'
import { createOAuthStateStore } from './db/oauth-state-store.ts'
import type { SpoolSpace } from './transfers/upload-spool.ts'
import type { ConnectionHealth } from './layers/breaker.ts'
import { withResilience } from './layers/resilient.ts'
import { type FailedLoginLimit, withReauth } from './layers/reauth.ts'
import { withDetails, withHost } from './layers/errors.ts'
import { withDeadline } from './layers/deadline.ts'
import { withStorageErrors } from './layers/errors.ts'
import { withSafeLinks } from './layers/safe-links.ts'
import { withSpans } from './layers/spans.ts'
import type { FolderCache } from './cache/folder-cache.ts'
import type { CheckedOptions } from './options/options.ts'
import type { Leases } from './connections/leases.ts'
import { ConnectionOpener } from './connections/open.ts'
import type { ProviderCatalog } from './connections/provider-catalog.ts'

/** Longest timeout of a token endpoint; the transaction around a refresh takes a little longer. */
const MAX_REFRESH_TIMEOUT_MS = 10_000
/** Timeout of background revocations; only shutdown waits for them. */
const REVOKE_TIMEOUT_MS = 5_000
/** Time that shutdown waits for the host's `onConnectionChange`, which often writes to the host's database. */
const CALLBACK_TIMEOUT_MS = 5_000

export interface ConnectionServicesDeps {
  readonly options: CheckedOptions
  readonly log: FastifyBaseLogger
  readonly clock: Clock
  readonly providers: ProviderCatalog
  readonly connections: ConnectionStore
  readonly leases: Leases
  readonly cipher: CredentialCipher
  readonly cache: FolderCache
  readonly health: ConnectionHealth
  readonly metrics: Metrics
  readonly tracing: Tracing
  /** Counts all use of the database that may outlive its request. */
  readonly work: WorkInFlight
  readonly spool: SpoolSpace
}

export interface ConnectionServices {
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
  /** Handles a change notification of any process; `null`: unknown connections may have changed. */
  readonly onNotification: (notification: ConnectionNotification | null) => void
  readonly routes: Omit<ConnectionRouteDeps & AuthorizeRouteDeps & CallbackRouteDeps, 'authenticate' | 'publicUrl'> & {
    readonly connectLimit: InFlightLimit
  }
  /** Resolves when the current refreshes and revocations have ended. */
  readonly settled: () => Promise<void>
}

/** Composes the parts that make, store, open and end connections. */
export function createConnectionServices(deps: ConnectionServicesDeps): ConnectionServices {
  const { options, log, clock, providers, connections, leases, cipher, cache, health, metrics, tracing, work, spool } =
    deps
  const { timeouts } = options
  const contextOf = (id: string) => ({ egress: providers.get(id).egress, timeouts })
  const clientOf = (id: string) => providers.getOAuthClient(id)
  const loadProvider = (id: string) => providers.load(id)

  const forget = (id: string): void => {
    cache.dropConnection(id)
    opener.forget(id)
  }
  const invalidate = ({ userId, provider, id }: Connection): void => {
    leases.drop({ userId, provider, id })
    forget(id)
  }
  const onChange = (event: ConnectionEvent): void => {
    const notify = async (): Promise<void> => options.onConnectionChange?.(event)
    const notified = notify().catch((error: unknown) => {
      log.error({ err: error }, 'onConnectionChange failed')
    })
    work.add(waitUntilSettled(notified, CALLBACK_TIMEOUT_MS))
  }

  const refresher = new TokenRefresher({
    connections,
    cipher,
    clock,
    clientOf,
    onGrantEnded: (connection) => {
      invalidate(connection)
      onChange(connectionEvent('requiresReauth', connection))
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
  const requireReauth = createRequireReauth({ connections, invalidate, onChange })
  const { failedConnectsPerMinute, connectionsPerUser, connectsPerUser } = options.limits
  const connectLimit = new InFlightLimit(connectsPerUser, 'Too many connection attempts of this user are in flight.')
  const failedAttempts = new MinuteLimit(
    failedConnectsPerMinute,
    'Too many failed attempts to connect to this server. Wait a minute.',
    clock
  )
  const failedLoginLimitOf = (userId: string, host: string): FailedLoginLimit => ({
    begin: () => failedAttempts.begin(userId, host),
    limitError: () => failedAttempts.limitError(userId, host)
  })

  const opener = new ConnectionOpener({
    cipher,
    providers,
    timeouts,
    applyLayers: (backend, connection, hosts, enteredCredentials) => {
      const { provider, id, userId } = connection
      const safeBackend = withSafeLinks(withHost(backend, hosts), providers.get(provider).egress)
      const resilientBackend = withResilience(safeBackend, { health: health.get(provider, id), timeouts, clock })
      const failedLoginLimit = enteredCredentials && failedLoginLimitOf(userId, hostOf(provider, enteredCredentials))
      const tracedBackend = withSpans(resilientBackend, tracing, provider)
      const confirmedBackend = withReauth(tracedBackend, () => requireReauth(connection), failedLoginLimit)
      return withDetails(withStorageErrors(confirmedBackend), (signal) => ({
        ...failureDetailsOf(connection),
        host: hosts.hostOf(signal)
      }))
    },
    applyLayersToNew: (backend, hosts) => {
      const { provider } = backend
      const limitedBackend = withDeadline(withHost(backend, hosts), timeouts.totalMs)
      return withDetails(withStorageErrors(withSpans(limitedBackend, tracing, provider)), () => ({ provider }))
    },
    tokensOf: (connection, credentials) =>
      new ConnectionTokens(connection, parseTokens(credentials), { refreshes, clock, random }),
    // No user has an empty id.
    spoolOf: (userId) => spool.forUser(userId ?? ''),
    reseal: (connection, credentials) => {
      reseal(connection, credentials).catch((error: unknown) => {
        if (isStorageError(error, 'SHUTTING_DOWN')) return
        log.warn(
          { ...failureDetailsOf(connection), causes: causesOf(error) },
          'the credentials of a connection could not be encrypted with the current key'
        )
      })
    }
  })
  const recordUse = createRecordUse({
    connections,
    clock,
    onFailure: (error) => {
      log.debug({ causes: causesOf(error) }, 'the last use of a connection could not be stored')
    }
  })
  const open = async (connection: SealedConnection): Promise<StorageBackend> => {
    const backend = await opener.open(connection)
    recordUse(connection)
    return backend
  }

  async function reseal(connection: SealedConnection, credentials: Secret<unknown>): Promise<void> {
    const { id, userId, provider } = connection
    await connections.reseal(connection, cipher.seal(credentials, { userId, connectionId: id, provider }))
  }

  const revocations = new Revocations({
    cipher,
    loadProvider,
    clientOf,
    contextOf,
    timeoutMs: Math.min(REVOKE_TIMEOUT_MS, timeouts.totalMs),
    onFailure: ({ id, provider }, error) => {
      log.warn({ connectionId: id, provider, causes: causesOf(error) }, 'a removed connection could not be revoked')
    }
  })
  const store = createStoreConnection({
    connections,
    cipher,
    invalidate,
    maxPerUser: connectionsPerUser,
    onChange
  })
  const connect = createConnect({ openWith: opener.openWith.bind(opener), contextOf, store, failedAttempts })
  const flows = trackCalls(createOAuthStateStore(options.prisma), work)
  const loginFlow = createLoginFlow({ flows, cipher, clock, connect, contextOf })
  const oauthFlow = createOAuthFlow({
    flows,
    cipher,
    clock,
    clientOf,
    openWithTokens: opener.openWithTokens.bind(opener),
    store,
    connectLimit,
    // Two calls with a timeout each: the code exchange, and `account()`.
    timeoutMs: 2 * timeouts.totalMs
  })

  return {
    open,
    onNotification: (notification) => {
      if (notification === null) leases.dropAll()
      else if (leases.onNotification(notification)) forget(notification.id)
    },
    routes: {
      connectLimit,
      listConnections: (userId) => connections.list(userId),
      loadProvider,
      connect,
      // Codes and logins can be used only once: the result is stored even if the browser has disconnected.
      loginFlow: { ...loginFlow, poll: (request) => work.run(() => loginFlow.poll(request)) },
      oauthFlow: { ...oauthFlow, finish: (callback) => work.run(() => oauthFlow.finish(callback)) },
      verify: createVerify({ connections, open, invalidate }),
      change: createChangeConnection({ connections, invalidate }),
      disconnect: createDisconnect({
        connections,
        invalidate: (connection) => {
          invalidate(connection)
          health.delete(connection.provider, connection.id)
        },
        revoke: (connection) => {
          revocations.begin(connection)
        },
        onChange
      })
    },
    settled: async () => {
      await refreshes.settled()
      // A refresh of a row that was removed meanwhile starts a revocation.
      await revocations.settled()
    }
  }
}

function random(): number {
  return randomInt(1_000_000) / 1_000_000
}
