// async-cache-dedupe with its memory storage, as in its documentation: `define`, and JSON made by Fastify for every
// response.
import { createCache } from 'async-cache-dedupe'
import Fastify from 'fastify'
import { listingOf } from '../entries.mjs'
import { authenticateAll, serve } from './serve.mjs'

const cache = createCache({ ttl: 60, storage: { type: 'memory', options: { size: 1000 } } })
cache.define('listing', async ({ folder }) => listingOf(folder))

// The load generator keeps connections that wait for minutes between rounds.
const app = Fastify({ keepAliveTimeout: 0 })
authenticateAll(app)
app.get('/cloud/:provider/listing', async (request, reply) => {
  const { provider } = request.params
  const { folder } = request.query
  const listing = await cache.listing({ user: request.user, provider, folder })
  return reply.header('cache-control', 'private, no-cache').send(listing)
})
await serve(app)
