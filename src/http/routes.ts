import sensible from '@fastify/sensible'
import type { FastifyInstance } from 'fastify'
import type { InFlightLimit } from '../core/user-limits.ts'
import { type Authenticate, authenticationHook, decorateWithUser } from './authentication.ts'
import { type AuthorizeRouteDeps, authorizeRoutes } from './authorize-routes.ts'
import { type CallbackRouteDeps, callbackRoute, createPublicUrls } from './callback-route.ts'
import { type ConnectionRouteDeps, connectionRoutes, connectRoutes, providerRoutes } from './connection-routes.ts'
import { type EventsRouteDeps, eventsRoute } from './events-route.ts'
import { limitInFlight } from './in-flight.ts'
import { type ListingRouteDeps, listingRoute } from './listing-route.ts'
import { createDescribeRoute } from './openapi/describe.ts'
import { sendProblem } from './problem.ts'
import { type TransferRouteDeps, transferRoutes } from './transfer-routes.ts'

export interface RoutesDeps
  extends ListingRouteDeps, EventsRouteDeps, ConnectionRouteDeps, AuthorizeRouteDeps, CallbackRouteDeps {
  readonly authenticate: Authenticate
  /** The URL at which browsers reach the application. */
  readonly publicUrl: URL | undefined
  /** The origins of other front ends. */
  readonly allowedOrigins: ReadonlySet<string>
  /** The limit of concurrent connects, verifies, authorizes and login polls per user. */
  readonly connectLimit: InFlightLimit
  /** `false`: transfers have no routes. */
  readonly transfers: TransferRouteDeps | false
}

/** Registers all routes in a scope of their own: its error handler and its validators never affect the host. */
export async function registerRoutes(app: FastifyInstance, deps: RoutesDeps): Promise<void> {
  if (!app.hasReplyDecorator('vary')) await app.register(sensible)
  app.setErrorHandler(sendProblem)
  // Ajv takes half of the package's import time. Hosts that use only the decorators do not load it.
  const { compileBody, setCompilers: useOwnCompilers } = await import('./validation.ts')
  useOwnCompilers(app)
  const describe = await createDescribeRoute(app)
  const { publicUrl, allowedOrigins } = deps
  const urls = createPublicUrls(publicUrl, app.prefix, allowedOrigins)
  const sites = { publicHost: publicUrl?.host, allowedOrigins }

  await app.register(async (publicScope) => {
    callbackRoute(publicScope, deps, urls, describe)
  })
  await app.register(async (authenticatedScope) => {
    decorateWithUser(authenticatedScope)
    authenticatedScope.addHook('onRequest', authenticationHook(deps.authenticate, sites))
    listingRoute(authenticatedScope, deps, describe)
    eventsRoute(authenticatedScope, deps, describe)
    providerRoutes(authenticatedScope, deps, describe)
    connectionRoutes(authenticatedScope, deps, describe)
    await authenticatedScope.register(async (connectScope) => {
      limitInFlight(connectScope, deps.connectLimit)
      connectRoutes(connectScope, deps, describe, compileBody)
      authorizeRoutes(connectScope, { ...deps, urls, sites }, describe, compileBody)
    })
    const { transfers } = deps
    if (transfers === false) return
    await authenticatedScope.register(async (transferScope) => {
      transferRoutes(transferScope, transfers, describe)
    })
  })
}
