import { ConfigError } from '../src/server/environment.ts'
import { ServerRun, untilSignal } from '../src/server/server-run.ts'
import { greeting } from './greeting.ts'
import { readSettings } from './settings.ts'
import { openDemoWorld } from './world.ts'

/** For all that is in flight, and for all that has been started. */
const CLOSING_MS = 20_000

async function main(): Promise<void> {
  const { port, logLevel } = readSettings(process.env)
  const run = new ServerRun()
  await untilSignal(run, {
    delayMs: CLOSING_MS,
    report,
    start: async () => {
      process.stdout.write('Preparing a server, three clouds and some thousand files …\n')
      const onMistakes = (error: Error): void => {
        process.stderr.write(`By the way: ${error.message}\n`)
      }
      process.stdout.write(greeting(await openDemoWorld(run, { port, logLevel, onMistakes })))
    }
  })
}

/** In words, without a stack: what stops a start is nearly always the environment or the machine. */
function report(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`The demo ${error instanceof ConfigError ? 'does not start' : 'cannot go on'}. ${message}\n`)
}

main().catch((error: unknown) => {
  report(error)
  process.exit(1)
})
