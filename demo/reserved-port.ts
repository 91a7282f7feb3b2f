import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { explainListen } from '../src/server/open-app.ts'
import { HOST } from './settings.ts'

export interface ReservedPort {
  readonly port: number
  /** Then somebody else may listen there. */
  release(): Promise<void>
}

/**
 * A port that nobody else gets meanwhile: users come back from Google to it, so that Google has to know it before
 * anything can listen there; and one that is in use should be said before the preparations, not after them.
 *
 * @param port 0: any that is free
 * @throws Error that says what to do about it
 */
export async function reservePort(port: number): Promise<ReservedPort> {
  const server = createServer((socket) => socket.destroy())
  try {
    await once(server.listen({ host: HOST, port }), 'listening')
  } catch (error) {
    throw new Error(explainListen(error, HOST, port), { cause: error })
  }
  let closed: Promise<unknown> | undefined
  return {
    port: (server.address() as AddressInfo).port,
    release: async () => {
      await (closed ??= once(server.close(), 'close'))
    }
  }
}
