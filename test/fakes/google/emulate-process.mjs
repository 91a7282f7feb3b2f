// A process of its own for `emulate`, with what it is to hold in its first argument. It listens on every interface and
// cannot be told otherwise: here it gets 127.0.0.1 and a port of the system's choice, and says which.
import { Server } from 'node:net'

const { listen } = Server.prototype
Server.prototype.listen = function (...args) {
  const [port, host, ...rest] = args
  if (typeof port !== 'number' || host !== undefined || rest.length > 0) {
    throw new Error(`emulate listens in a way that is not known here: ${JSON.stringify(args)}`)
  }
  this.once('listening', () => process.send(this.address()))
  return listen.call(this, { port, host: '127.0.0.1' })
}

// Also when the test is killed without any teardown.
process.once('disconnect', () => process.exit())

const { createEmulator } = await import('emulate')
await createEmulator(JSON.parse(process.argv[2]))
