// The limit: Fastify sends bytes that exist already to an authenticated user. The responses are copies of the
// plugin's own, header by header and byte by byte, each on a route of its own.
import { once } from 'node:events'
import Fastify from 'fastify'
import { authenticateAll, serve } from './serve.mjs'

process.send('waiting')
const [answers] = await once(process, 'message')

const app = Fastify()
authenticateAll(app)
for (const { path, status, headers, body } of answers) {
  const bytes = Buffer.from(body, 'base64')
  app.get(path, (request, reply) => {
    reply.code(status).headers(headers)
    if (bytes.length === 0) reply.send()
    else reply.send(bytes)
  })
}
await serve(app)
