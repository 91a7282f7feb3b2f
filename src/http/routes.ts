import sensible from '@fastify/sensible'
import type { FastifyInstance } from 'fastify'
import type { InFlightLimit } from '../domain/user-limits.ts'
import { admitKnown } from './admit.ts'
import type { Authenticate } from './authenticate.ts'
import { type AuthorizeRouteDeps, authorizeRoutes } from './authorize-routes.ts'
import { type CallbackRouteDeps, callbackRoute } from './callback-route.ts'
import { type ConnectionRouteDeps, connectionRoutes, connectRoutes } from './connection-routes.ts'
import { countInFlight } from './count-in-flight.ts'
import { type ListingRouteDeps, listingRoute } from './listing-route.ts'
import { describeFor } from './described.ts'
import { answerProblem } from './problem.ts'
import { type ProviderRouteDeps, providerRoutes } from './provider-routes.ts'
import { publicPlaces } from './public-places.ts'
import { type TransferRouteDeps, transferRoutes } from './transfer-routes.ts'
import { decorateWithUser } from './users.ts'

export interface RoutesDeps
  extends ListingRouteDeps, ConnectionRouteDeps, AuthorizeRouteDeps, CallbackRouteDeps, ProviderRouteDeps {
  readonly authenticate: Authenticate
  /** Where browsers reach the application. */
  readonly publicUrl: URL | undefined
  /** Origins of front ends elsewhere. */
  readonly allowedOrigins: ReadonlySet<string>
  /** The connects, verifies, authorizes and login polls of each user in flight. */
  readonly connects: InFlightLimit
  /** `false`: listings alone. */
  readonly transfers: TransferRouteDeps | false
}

/** All routes, in a scope of their own: its error handler and its validators never touch the host's. */
export async function registerRoutes(app: FastifyInstance, deps: RoutesDeps): Promise<void> {
  if (!app.hasReplyDecorator('vary')) await app.register(sensible)
  app.setErrorHandler(answerProblem)
  // Ajv is half of what this package costs to import: whoever only wants the decorators never pays for it.
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
