// Runs `emulate` in a process of its own, with the seed in its first argument. `emulate` listens on every interface
// and has no option for it, so this file makes it listen on 127.0.0.1 and a free port, and reports the port.
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

// Also exits if the test is killed without a teardown.
process.once('disconnect', () => process.exit())

const { createEmulator } = await import('emulate')
await createEmulator(JSON.parse(process.argv[2]))
