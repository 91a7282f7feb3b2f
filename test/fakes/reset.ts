import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'

/** Linux's table of TCP connections, with the number of bytes in their buffers. */
const TCP_TABLE = '/proc/net/tcp'

/** Resets a connection after its peer, on this machine, has read all bytes sent: a reset discards unread ones. */
export async function resetWhenRead(socket: Socket | null): Promise<void> {
  if (socket === null) return
  if (existsSync(TCP_TABLE)) while (!socket.destroyed && (await hasUnreadBytes(socket))) await setImmediate()
  else await setTimeout(20)
  socket.resetAndDestroy()
}

/** Returns whether the receive buffer of the peer holds bytes. */
async function hasUnreadBytes({ localPort = 0, remotePort = 0 }: Socket): Promise<boolean> {
  const port = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0')
  const peer = new RegExp(`^ *\\d+: \\w+:${port(remotePort)} \\w+:${port(localPort)} \\w+ \\w+:(\\w+) `, 'm')
  const [, queued = '0'] = peer.exec(await readFile(TCP_TABLE, 'latin1')) ?? []
  return Number.parseInt(queued, 16) > 0
}
