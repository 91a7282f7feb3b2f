import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'

/** A server program that belongs to one test. */
export interface Daemon {
  readonly command: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  /** Where it listens on 127.0.0.1 once it is up. */
  readonly port: number
  /** What it writes goes here, and into the error if it does not start. */
  readonly log: string
}

/** A daemon that was started, for tests which do not leave it in peace until they end. */
export interface RunningDaemon {
  /** To the program itself, not to its workers. Throws once it was stopped. */
  signal(signal: NodeJS.Signals): void
  /** TERM to the whole group, also to what does not run any more or was paused; waits until the program has ended. */
  stop(): Promise<void>
}

/**
 * Ends the whole group once stdin ends, thus also when the test process is killed without any teardown. TERM and PIPE
 * are ignored only after the program was started: it would inherit that. TERM reaches what was paused with CONT alone.
 */
const UNTIL_STDIN_ENDS = [
  '"$@" 3>&- & server=$!; trap "" TERM PIPE; echo "$server" >&3; exec 3>&-',
  'read -r _; kill -TERM "$server" 0; kill -CONT "$server" 0; wait "$server"'
].join('; ')

const START_MS = 10_000

/** Whether a PATH has the program. */
export function hasProgram(name: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { stdio: 'ignore' }).status === 0
}

/** Below what Linux gives to those who ask for any port, 32768 to 60999: nobody takes one of these by chance. */
const PORTS = { from: 10_240, to: 32_767 }

/** A port that was free a moment ago, for programs which cannot choose one themselves. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to)
    const probe = createServer().listen(port, '127.0.0.1')
    const free = await once(probe, 'listening').then(
      () => true,
      () => false
    )
    if (!free) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}

/** Starts a server, with its workers in a process group of its own, and waits until it accepts; it ends with the test. */
export async function startDaemon(t: Test, { command, env, port, log }: Daemon): Promise<RunningDaemon> {
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
  const [said] = (await once(child.stdio[3] as Readable, 'data')) as [Buffer]
  const pid = Number(said.toString())
  // The shell waits for its stdin also when the program has failed: only time tells.
  const deadline = performance.now() + START_MS
  while (!(await accepts(port))) {
    if (performance.now() > deadline) throw new Error(`${command[0]} did not start: ${readFileSync(log, 'utf8')}`)
    await setTimeout(20)
  }
  return {
    stop,
    signal(signal) {
      // The shell keeps the number of a program that has ended until it is stopped; then it may be anybody's.
      if (isStopped) throw new Error(`${command[0]} was stopped`)
      process.kill(pid, signal)
    }
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const connected = await once(socket, 'connect').then(
    () => true,
    () => false
  )
  socket.destroy()
  return connected
}
