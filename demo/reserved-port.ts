import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describeListenError } from '../server/app.ts'
import { HOST } from './settings.ts'

export interface ReservedPort {
  readonly port: number
  /** Frees the port for another listener. */
  release(): Promise<void>
}

/**
 * Reserves a port. Google redirects users to it, so that Google has to know it before the server can listen there. A
 * port that is in use is reported before the preparations, not after them.
 *
 * @param port 0: any free port
 * @throws Error that states the remedy
 */
export async function reservePort(port: number): Promise<ReservedPort> {
  const server = createServer((socket) => socket.destroy())
  try {
    await once(server.listen({ host: HOST, port }), 'listening')
  } catch (error) {
    throw new Error(describeListenError(error, HOST, port), { cause: error })
  }
  let closed: Promise<unknown> | undefined
  return {
    port: (server.address() as AddressInfo).port,
    release: async () => {
      await (closed ??= once(server.close(), 'close'))
    }
  }
}
