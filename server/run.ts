import { parseArgs } from 'node:util'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'

/** A run of the server. At its end, it stops everything that was started, in reverse order. */
export class ServerRun {
  /** The application, once there is one. Its log reports the state of the run. */
  app: FastifyInstance | undefined
  readonly #steps: (() => unknown)[] = []
  #ending: Promise<void> | undefined

  get isEnding(): boolean {
    return this.#ending !== undefined
  }

  /** @param step stops the part that has just been started */
  add(step: () => unknown): void {
    this.#steps.push(step)
  }

  /**
   * Runs all steps, once.
   *
   * @throws the error of a step, after all others have run; an AggregateError if several failed
   */
  end(): Promise<void> {
    return (this.#ending ??= this.#end())
  }

  async #end(): Promise<void> {
    const failures: unknown[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 1) throw new AggregateError(failures, 'Several shutdown steps failed')
    if (failures.length === 1) throw failures[0]
  }
}

export interface RunOptions {
  /** Time limit for stopping everything. */
  readonly shutdownTimeoutMs: number
  /** Reports why the run failed, if there is no application with a log. */
  readonly report: (error: unknown) => void
  readonly start: () => Promise<void>
}

/** Starts a run. It ends with a signal or an uncaught error: exit code 0, or 1 after a failure. */
export async function runUntilSignal(run: ServerRun, { shutdownTimeoutMs, report, start }: RunOptions): Promise<void> {
  const reportFatal = (error: unknown): void => {
    if (run.app === undefined) report(error)
    else run.app.log.fatal({ err: error }, 'the server failed')
  }
  closeWithGrace(
    {
      delay: shutdownTimeoutMs,
      logger: false,
      onSecondSignal: (signal) => run.app?.log.warn(`second ${signal}: exiting immediately`),
      onTimeout: () => run.app?.log.error('shutdown timed out: exiting')
    },
    async ({ err, signal }) => {
      if (err !== undefined) reportFatal(err)
      else run.app?.log.info(`${signal ?? 'end'}: shutting down`)
      try {
        await run.end()
      } catch (error) {
        reportFatal(error)
        throw error
      }
    }
  )
  try {
    await start()
  } catch (error) {
    // A start that a signal interrupts fails as expected.
    if (run.isEnding) return
    await run.end()
    throw error
  }
}

/**
 * Reads the arguments of a program that takes none but `--help`, before it does anything.
 *
 * @param help printed for `--help`; then the process ends
 * @throws Error for any other argument
 */
export function readArguments(help: string, args: readonly string[] = process.argv.slice(2)): void {
  const { values } = parseArgs({ args: [...args], options: { help: { type: 'boolean', short: 'h' } }, strict: true })
  if (values.help !== true) return
  process.stdout.write(`${help.trim()}\n`)
  process.exit(0)
}
