// The limit: Fastify sends bytes that exist already to an authenticated user.
import Fastify from 'fastify'
import { BARE_PATHS } from '../http/cases.mjs'
import { bareRoutes, serve } from './serve.mjs'

// The load generator keeps connections that wait for minutes between rounds.
const app = Fastify({ keepAliveTimeout: 0 })
await serve(app, { setResponses: bareRoutes(app, BARE_PATHS) })
