import sensible from '@fastify/sensible'
import type { FastifyInstance } from 'fastify'
import type { InFlightLimit } from '../core/user-limits.ts'
import { admitKnown } from './authentication.ts'
import type { Authenticate } from './authentication.ts'
import { type AuthorizeRouteDeps, authorizeRoutes } from './authorize-routes.ts'
import { type CallbackRouteDeps, callbackRoute } from './callback-route.ts'
import { type ConnectionRouteDeps, connectionRoutes, connectRoutes } from './connection-routes.ts'
import { countInFlight } from './in-flight.ts'
import { type ListingRouteDeps, listingRoute } from './listing-route.ts'
import { describeFor } from './openapi/describe.ts'
import { answerProblem } from './problem.ts'
import { type ProviderRouteDeps, providerRoutes } from './connection-routes.ts'
import { publicPlaces } from './callback-route.ts'
import { type TransferRouteDeps, transferRoutes } from './transfer-routes.ts'
import { decorateWithUser } from './authentication.ts'

export interface RoutesDeps
  extends ListingRouteDeps, ConnectionRouteDeps, AuthorizeRouteDeps, CallbackRouteDeps, ProviderRouteDeps {
  readonly authenticate: Authenticate
  /** The URL at which browsers reach the application. */
  readonly publicUrl: URL | undefined
  /** The origins of other front ends. */
  readonly allowedOrigins: ReadonlySet<string>
  /** The limit of concurrent connects, verifies, authorizes and login polls per user. */
  readonly connects: InFlightLimit
  /** `false`: transfers have no routes. */
  readonly transfers: TransferRouteDeps | false
}

/** Registers all routes in a scope of their own: its error handler and its validators never affect the host. */
export async function registerRoutes(app: FastifyInstance, deps: RoutesDeps): Promise<void> {
  if (!app.hasReplyDecorator('vary')) await app.register(sensible)
  app.setErrorHandler(answerProblem)
  // Ajv takes half of the package's import time. Hosts that use only the decorators do not load it.
  const { compileBody, useOwnCompilers } = await import('./validation.ts')
  useOwnCompilers(app)
  const describe = await describeFor(app)
  const { publicUrl, allowedOrigins } = deps
  const places = publicPlaces(publicUrl, app.prefix, allowedOrigins)
  const sites = { publicHost: publicUrl?.host, allowedOrigins }

  await app.register(async (open) => {
    callbackRoute(open, deps, places, describe)
  })
  await app.register(async (authenticated) => {
    decorateWithUser(authenticated)
    authenticated.addHook('onRequest', admitKnown(deps.authenticate, sites))
    listingRoute(authenticated, deps, describe)
    providerRoutes(authenticated, deps, describe)
    connectionRoutes(authenticated, deps, describe)
    await authenticated.register(async (connecting) => {
      countInFlight(connecting, deps.connects)
      connectRoutes(connecting, deps, describe, compileBody)
      authorizeRoutes(connecting, { ...deps, places, sites }, describe, compileBody)
    })
    const { transfers } = deps
    if (transfers === false) return
    await authenticated.register(async (transferring) => {
      transferRoutes(transferring, transfers, describe)
    })
  })
}
