import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'

/** One run of the server: what has been started, to be ended the latest first. */
export class ServerRun {
  /** Once there is one: its log says how the run goes. */
  app: FastifyInstance | undefined
  readonly #steps: (() => unknown)[] = []
  #ending: Promise<void> | undefined

  get isEnding(): boolean {
    return this.#ending !== undefined
  }

  /** @param step ends what has just been started */
  add(step: () => unknown): void {
    this.#steps.push(step)
  }

  /**
   * Ends everything, once.
   *
   * @throws what a step threw, after all the others; an AggregateError where several did
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
    if (failures.length > 1) throw new AggregateError(failures, 'Several things did not end as they should')
    if (failures.length === 1) throw failures[0]
  }
}

export interface UntilSignal {
  /** How long everything together may take to end. */
  readonly delayMs: number
  /** Says why the run cannot go on, or has failed, where there is no application with a log. */
  readonly report: (error: unknown) => void
  readonly start: () => Promise<void>
}

/** Starts, and ends with a signal or an error that nobody caught: exit code 0, or 1 where something went wrong. */
export async function untilSignal(run: ServerRun, { delayMs, report, start }: UntilSignal): Promise<void> {
  const reportFatal = (error: unknown): void => {
    if (run.app === undefined) report(error)
    else run.app.log.fatal({ err: error }, 'cannot go on')
  }
  closeWithGrace(
    {
      delay: delayMs,
      logger: false,
      onSecondSignal: (signal) => run.app?.log.warn(`second ${signal}: leaving at once`),
      onTimeout: () => run.app?.log.error('closing took too long: leaving')
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
    // A start that a signal has ended fails somewhere, and that is no news.
    if (run.isEnding) return
    await run.end()
    throw error
  }
}
