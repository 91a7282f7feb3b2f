import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'

/** A server program that belongs to one test. */
export interface DaemonOptions {
  readonly command: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  /** The port on 127.0.0.1 where it listens once it has started. */
  readonly port: number
  /** A file for its output. The error contains it if the program does not start. */
  readonly log: string
}

/** A running daemon, for tests that send it signals. */
export interface RunningDaemon {
  /** Signals the program itself, not its workers. Throws after `stop`. */
  signal(signal: NodeJS.Signals): void
  /** Sends TERM to the whole group, including exited or paused programs. Waits until the program has exited. */
  stop(): Promise<void>
}

/**
 * Stops the whole group when stdin ends, also if the test process is killed. Ignores TERM and PIPE only after the
 * start, because the program would inherit that. A paused program needs CONT to receive TERM.
 */
const UNTIL_STDIN_ENDS = [
  '"$@" 3>&- & server=$!; trap "" TERM PIPE; echo "$server" >&3; exec 3>&-',
  'read -r _; kill -TERM "$server" 0; kill -CONT "$server" 0; wait "$server"'
].join('; ')

const START_MS = 10_000

/** Returns whether the program is on the PATH. */
export function hasProgram(name: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { stdio: 'ignore' }).status === 0
}

/** Returns the IDs of the user to which a server switches if the test runs as root; `undefined` if it does not. */
export function serverOwner(user: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** Below Linux's ephemeral range (32768 to 60999), so that no other socket takes the port by chance. */
const PORTS = { from: 10_240, to: 32_767 }

/** Returns a port that was free a moment ago, for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to)
    const probe = createServer().listen(port, '127.0.0.1')
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false
    )
    if (!isFree) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}

/** Starts a server in a process group of its own and waits until it accepts connections. Stops it at teardown. */
export async function startDaemon(t: Test, { command, env, port, log }: DaemonOptions): Promise<RunningDaemon> {
  const output = openSync(log, 'a')
  const child = spawn('sh', ['-c', UNTIL_STDIN_ENDS, 'sh', ...command], {
    detached: true,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['pipe', output, output, 'pipe']
  })
  closeSync(output)
  const exited = once(child, 'exit')
  let isStopped = false
  const stop = async () => {
    isStopped = true
    child.stdin?.end()
    await exited
  }
  t.teardown(stop)
  const [pidOutput] = (await once(child.stdio[3] as Readable, 'data')) as [Buffer]
  const pid = Number(pidOutput.toString())
  // The shell waits for its stdin even if the program has failed, so only the deadline detects a failure.
  const deadline = performance.now() + START_MS
  while (!(await acceptsConnections(port))) {
    if (performance.now() > deadline) throw new Error(`${command[0]} did not start: ${readFileSync(log, 'utf8')}`)
    await setTimeout(20)
  }
  return {
    stop,
    signal(signal) {
      // The shell reaps the program when it is stopped. After that another process may have its PID.
      if (isStopped) throw new Error(`${command[0]} was stopped`)
      process.kill(pid, signal)
    }
  }
}

/** Returns whether a server on 127.0.0.1 accepts connections at the port. */
export async function acceptsConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const connected = await once(socket, 'connect').then(
    () => true,
    () => false
  )
  socket.destroy()
  return connected
}
