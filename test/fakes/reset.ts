import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'

/** Linux's table of connections, with the bytes that lie in their buffers. */
const TABLE = '/proc/net/tcp'

/** Resets a connection when its peer, on this machine, has read what was sent: a reset drops what the peer has not read. */
export async function resetWhenRead(socket: Socket | null): Promise<void> {
  if (socket === null) return
  if (existsSync(TABLE)) while (!socket.destroyed && (await hasUnread(socket))) await setImmediate()
  else await setTimeout(20)
  socket.resetAndDestroy()
}

/** Whether bytes lie in the receive buffer of the peer. */
async function hasUnread({ localPort = 0, remotePort = 0 }: Socket): Promise<boolean> {
  const port = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0')
  const peer = new RegExp(`^ *\\d+: \\w+:${port(remotePort)} \\w+:${port(localPort)} \\w+ \\w+:(\\w+) `, 'm')
  const [, queued = '0'] = peer.exec(await readFile(TABLE, 'latin1')) ?? []
  return Number.parseInt(queued, 16) > 0
}
