// The limit: Fastify sends bytes that exist already to an authenticated user.
import Fastify from 'fastify'
import { BARE_PATHS } from '../http/cases.mjs'
import { bareRoutes, serve } from './serve.mjs'

const app = Fastify()
await serve(app, { setResponses: bareRoutes(app, BARE_PATHS) })
