// Common to all servers of the benchmark. Each is a process of its own that ends with its parent.
import { authenticateFirst, USERS } from '../users.mjs'

/** The settings of this process. */
export const settings = JSON.parse(process.argv[2] ?? '{}')

export const authenticate = authenticateFirst(Math.max(USERS, settings.users ?? 0))

/** Authenticates, for routes other than the plugin's. A callback costs less than a promise. */
export function authenticateAll(app) {
  app.decorateRequest('user', '')
  app.addHook('onRequest', (request, reply, done) => {
    const user = authenticate(request)
    if (user === undefined) {
      reply.code(401).send()
      return
    }
    request.user = user
    done()
  })
}

/**
 * Adds routes that send constant bytes: the limit of what Fastify can do. Returns a function that sets their
 * responses, which are copies of the plugin's own, header by header and byte by byte.
 *
 * @param paths a route each
 */
export function bareRoutes(app, paths) {
  authenticateAll(app)
  const responses = new Map(paths.map((path) => [path, { status: 0, headers: {}, bytes: Buffer.alloc(0) }]))
  for (const [path, response] of responses) {
    app.get(path, (request, reply) => {
      const { status, headers, bytes } = response
      reply.code(status).headers(headers)
      if (bytes.length === 0) reply.send()
      else reply.send(bytes)
    })
  }
  return (copies) => {
    for (const { path, status, headers, body } of copies) {
      Object.assign(responses.get(path), { status, headers, bytes: Buffer.from(body, 'base64') })
    }
  }
}

/**
 * Listens. On request it reports the CPU time of this process, for systems without `/proc`, and sets the responses
 * of bare routes.
 */
export async function serve(app, { ready = async () => {}, setResponses } = {}) {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address()
  await ready(port)
  process.on('message', ({ responses }) => {
    if (responses !== undefined) setResponses(responses)
    const { user, system } = process.cpuUsage()
    process.send({ cpuMs: (user + system) / 1000 })
  })
  process.on('disconnect', () => process.exit())
  process.send({ port })
}
