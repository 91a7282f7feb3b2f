import { buildFrontEnd } from '../server/front-end.ts'
import { ConfigError } from '../server/env.ts'
import { assertPortFree } from '../server/app.ts'
import { readArguments, runUntilSignal, ServerRun } from '../server/run.ts'
import { formatGreeting } from './greeting.ts'
import { HOST, readSettings } from './settings.ts'
import { openDemoWorld } from './world.ts'

const HELP = `
Usage: npm run demo

Runs the server with an emulated Google Drive, WebDAV and an S3-compatible store, all on this machine. It takes no
arguments. Environment: PORT (3000; 0: any free port), LOG_LEVEL (error).
`

/** Time limit for requests in flight, and for stopping everything that was started. */
const SHUTDOWN_TIMEOUT_MS = 20_000

async function main(): Promise<void> {
  readArguments(HELP)
  // Disables the warning of the AWS SDK about future versions of Node.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true'
  const { port, logLevel } = readSettings(process.env)
  if (port !== 0) await assertPortFree({ host: HOST, port })
  const run = new ServerRun()
  await runUntilSignal(run, {
    shutdownTimeoutMs: SHUTDOWN_TIMEOUT_MS,
    report,
    start: async () => {
      process.stdout.write('Preparing the demo: a server and three clouds. This takes a few seconds.\n')
      const onStep = (step: string): void => {
        process.stdout.write(`  ${step} …\n`)
      }
      const onMistakes = (error: Error): void => {
        process.stderr.write(`Note: ${error.message}\n`)
      }
      await buildFrontEnd(import.meta.url, onStep)
      process.stdout.write(formatGreeting(await openDemoWorld(run, { port, logLevel, onMistakes, onStep })))
    }
  })
}

/** Prints a message without a stack: the cause is nearly always the environment or the machine. */
function report(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`The demo ${error instanceof ConfigError ? 'cannot start' : 'failed'}. ${message}\n`)
}

main().catch((error: unknown) => {
  report(error)
  process.exit(1)
})
