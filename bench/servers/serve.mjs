// What all servers of the benchmark have in common: each is a process of its own, which the process that started it
// ends by leaving.
import { authenticate } from '../users.mjs'

/** The settings that this process was started with. */
export const settings = JSON.parse(process.argv[2] ?? '{}')

/** For the servers that are not the plugin, which authenticates by itself. A callback costs less than a promise. */
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

/** Listens, and answers how much CPU time this process has taken, for systems that cannot be asked from outside. */
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
