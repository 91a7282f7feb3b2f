// Common to all servers of the benchmark. Each is a process of its own that ends with its parent.
import { authenticate } from '../users.mjs'

/** The settings of this process. */
export const settings = JSON.parse(process.argv[2] ?? '{}')

/** Authenticates, for servers other than the plugin. A callback costs less than a promise. */
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

/** Listens, and reports the CPU time of this process on request, for systems without `/proc`. */
export async function serve(app, ready = async () => {}) {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address()
  await ready(port)
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send({ cpuMs: (user + system) / 1000 })
  })
  process.on('disconnect', () => process.exit())
  process.send({ port })
}
