import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort, hasProgram, startDaemon, type RunningDaemon } from '../process/daemon.ts'

/** A Redis server for one test: on loopback, in a temporary folder, on its own port, without persistence. */
export interface RedisServer {
  /** On 127.0.0.1; constant for the whole test. */
  readonly port: number
  /** Sends TERM, like an administrator. Also works if the server is paused or has already stopped. */
  stop(): Promise<void>
  /** Kills it without a shutdown. */
  kill(): Promise<void>
  /** Restarts the server on its port, empty. Throws if it was not stopped. */
  start(): Promise<void>
  /** Pauses it: connections stay open and the kernel accepts new ones, but there are no replies. */
  pause(): void
  /** Resumes it. It also replies to the commands received while it was paused. */
  resume(): void
}

/** Both speak the same protocol; `undefined` if neither is installed. */
const PROGRAM = ['valkey-server', 'redis-server'].find(hasProgram)

export const isRedisInstalled = PROGRAM !== undefined

/** Starts a server, and removes it at teardown. */
export async function startRedis(t: Test): Promise<RedisServer> {
  if (PROGRAM === undefined) throw new Error('Redis is not installed')
  const program = PROGRAM
  const folder = await mkdtemp(join(tmpdir(), 'fcs-redis-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const settings = {
    bind: '127.0.0.1',
    port: String(port),
    'protected-mode': 'yes',
    dir: folder,
    save: '',
    appendonly: 'no'
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  let daemon: RunningDaemon | undefined

  const requireDaemon = () => {
    if (daemon === undefined) throw new Error('Redis does not run')
    return daemon
  }
  const start = async () => {
    if (daemon !== undefined) throw new Error('Redis runs already')
    daemon = await startDaemon(t, { command: [program, ...flags], env: {}, port, log: join(folder, 'log') })
  }
  const stop = async () => {
    const current = daemon
    daemon = undefined
    await current?.stop()
  }
  await start()
  return {
    port,
    start,
    stop,
    async kill() {
      requireDaemon().signal('SIGKILL')
      await stop()
    },
    pause() {
      requireDaemon().signal('SIGSTOP')
    },
    resume() {
      requireDaemon().signal('SIGCONT')
    }
  }
}
