import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort, hasProgram, startDaemon, type RunningDaemon } from './daemon.ts'

/** A Redis server that belongs to one test: on loopback, in a folder and on a port of its own, and in memory alone. */
export interface RedisServer {
  /** On 127.0.0.1; the same for as long as the test takes. */
  readonly port: number
  /** As an administrator would, with TERM. Also when it was paused, or has stopped before. */
  stop(): Promise<void>
  /** Without a word to anybody. */
  kill(): Promise<void>
  /** The same server again, on its port and empty. Throws if it was not stopped before. */
  start(): Promise<void>
  /** It keeps its connections, and the system accepts new ones for it, but it says nothing. */
  pause(): void
  /** It answers what it was asked meanwhile, too. */
  resume(): void
}

/** Of the same protocol; `undefined` where neither is installed. */
const PROGRAM = ['valkey-server', 'redis-server'].find(hasProgram)

export const redisIsInstalled = PROGRAM !== undefined

/** Starts a server, which stops and vanishes at teardown. */
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

  const running = () => {
    if (daemon === undefined) throw new Error('Redis does not run')
    return daemon
  }
  const start = async () => {
    if (daemon !== undefined) throw new Error('Redis runs already')
    daemon = await startDaemon(t, { command: [program, ...flags], env: {}, port, log: join(folder, 'log') })
  }
  const stop = async () => {
    const stopping = daemon
    daemon = undefined
    await stopping?.stop()
  }
  await start()
  return {
    port,
    start,
    stop,
    async kill() {
      running().signal('SIGKILL')
      await stop()
    },
    pause() {
      running().signal('SIGSTOP')
    },
    resume() {
      running().signal('SIGCONT')
    }
  }
}
