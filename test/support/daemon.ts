import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
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

/**
 * Ends the whole group once stdin ends, thus also when the test process is killed without any teardown. TERM is ignored
 * only after the program was started: it would inherit that.
 */
const UNTIL_STDIN_ENDS = '"$@" & server=$!; trap "" TERM; read -r _; kill -TERM "$server" 0; wait "$server"'

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
export async function startDaemon(t: Test, { command, env, port, log }: Daemon): Promise<void> {
  const output = openSync(log, 'a')
  const child = spawn('sh', ['-c', UNTIL_STDIN_ENDS, 'sh', ...command], {
    detached: true,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['pipe', output, output]
  })
  closeSync(output)
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.stdin?.end()
    await exited
  })
  // The shell waits for its stdin also when the program has failed: only time tells.
  const deadline = performance.now() + START_MS
  while (!(await accepts(port))) {
    if (performance.now() > deadline) throw new Error(`${command[0]} did not start: ${readFileSync(log, 'utf8')}`)
    await setTimeout(20)
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
