import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'

export interface ProgramOptions {
  readonly cwd: string | URL
  readonly env: Record<string, string>
  /** Runs it in a process group of its own; signals go to the whole group. */
  readonly detached?: boolean
  /** The text it prints when it is ready. */
  readonly readyText: string
}

export interface StartedProgram {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  readonly signal: (name: NodeJS.Signals) => void
  /** The exit code. */
  readonly exited: Promise<number | null>
  readonly ready: Promise<void>
  /** Resolves with the exit code of a program that must not start. Rejects if it starts. */
  readonly refused: () => Promise<number | null>
}

/** Far longer than a start on a busy machine. */
const START_TIMEOUT_MS = 120_000

/** Starts a program. Kills it at teardown if it still runs. */
export function startProgram(
  t: Test,
  [command, ...args]: readonly [string, ...string[]],
  { readyText, detached = false, ...options }: ProgramOptions
): StartedProgram {
  const child = spawn(command, args, { ...options, detached, stdio: ['ignore', 'pipe', 'pipe'] })
  const pid = child.pid ?? 0
  const signal = (name: NodeJS.Signals): void => {
    if (detached) process.kill(-pid, name)
    else child.kill(name)
  }
  let out = ''
  let err = ''
  const exited = once(child, 'close').then(([code]) => code as number | null)
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
      if (out.includes(readyText)) resolve()
    })
    const timer = setTimeout(() => {
      reject(new Error(`It did not print ${JSON.stringify(readyText)}: ${out}${err}`))
    }, START_TIMEOUT_MS)
    void exited.then(() => {
      clearTimeout(timer)
      reject(new Error(`It did not start: ${err}`))
    })
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  // Not every test waits for it.
  ready.catch(() => undefined)
  const refused = (): Promise<number | null> =>
    ready.then(
      () => {
        throw new Error(`It started: ${out}`)
      },
      (error: unknown) => {
        // Without an exit code it neither started nor ended in time.
        if (child.exitCode === null && child.signalCode === null) throw error
        return exited
      }
    )
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) signal('SIGKILL')
    await exited
  })
  return { pid, stdout: () => out, stderr: () => err, signal, exited, ready, refused }
}
