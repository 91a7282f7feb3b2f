// A hand-written cache: the entries in an LRU cache with a TTL, and JSON made by Fastify for every response. It
// shares no loads, never invalidates, and has no connections.
import Fastify from 'fastify'
import { LRUCache } from 'lru-cache'
import { listingOf } from '../entries.mjs'
import { authenticateAll, serve } from './serve.mjs'

const cache = new LRUCache({ max: 1000, ttl: 60_000 })
const load = async (folder) => listingOf(folder)

// The load generator keeps connections that wait for minutes between rounds.
const app = Fastify({ keepAliveTimeout: 0 })
authenticateAll(app)
app.get('/cloud/:provider/listing', async (request, reply) => {
  const { provider } = request.params
  const { folder } = request.query
  const key = `${request.user}:${provider}:${folder}`
  let listing = cache.get(key)
  if (listing === undefined) {
    listing = await load(folder)
    cache.set(key, listing)
  }
  return reply.header('cache-control', 'private, no-cache').send(listing)
})
await serve(app)
