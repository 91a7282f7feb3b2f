// bentocache with its memory driver, as in its documentation: `getOrSet`, and JSON made by Fastify for every
// response. By default the driver stores JSON and parses it for every hit.
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import Fastify from 'fastify'
import { listingOf } from '../entries.mjs'
import { authenticateAll, serve } from './serve.mjs'

const bento = new BentoCache({
  default: 'memory',
  stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 1000 })) }
})

// The load generator keeps connections that wait for minutes between rounds.
const app = Fastify({ keepAliveTimeout: 0 })
authenticateAll(app)
app.get('/cloud/:provider/listing', async (request, reply) => {
  const { provider } = request.params
  const { folder } = request.query
  const listing = await bento.getOrSet({
    key: `${request.user}:${provider}:${folder}`,
    factory: async () => listingOf(folder),
    ttl: '60s'
  })
  return reply.header('cache-control', 'private, no-cache').send(listing)
})
await serve(app)
