import { type DemoConfig, readConfig, type ServiceConfig } from './config.ts'
import { openDatabase } from '../src/db/open-database.ts'
import { buildFrontEnd } from './front-end.ts'
import { ConfigError } from './env.ts'
import { redactSecrets } from './logging.ts'
import { assertPortFree, type DatabaseSummary, openApp } from './app.ts'
import { openDemo } from './demo/demo.ts'
import { readArguments, runUntilSignal, ServerRun } from './run.ts'

const HELP = `
Usage: npm start                (built: node build/server/main.js)

Runs the server: with DATABASE_URL as a service on PostgreSQL, otherwise as a demo with its own database and bucket. It
takes no arguments. .env.example explains every environment variable.

Other programs: npm run demo, npm run migrate, npm run rotate-keys.
`

/** Time for closing after the requests: the application's own hooks, and the database. */
const CLOSE_TIMEOUT_MS = 5000

async function main(): Promise<void> {
  readArguments(HELP)
  const config = readConfig(process.env)
  await assertPortFree(config)
  const run = new ServerRun()
  await runUntilSignal(run, {
    shutdownTimeoutMs: config.shutdownTimeoutMs + CLOSE_TIMEOUT_MS,
    report: reportStartFailure,
    start: () => (config.mode === 'demo' ? startDemo(run, config) : startService(run, config))
  })
}

async function startService(run: ServerRun, service: ServiceConfig): Promise<void> {
  const { databaseUrl, databaseDirectUrl, shouldMigrate: migrates } = service
  const database = await openDatabase({
    url: databaseUrl.reveal(),
    directUrl: databaseDirectUrl?.reveal(),
    migrate: migrates || 'check'
  }).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : 'unknown'
    throw new Error(`The database in DATABASE_URL cannot be used: ${reason}`, { cause })
  })
  run.add(database.close)
  const { listen, logStart } = await openApp(run, service, {
    database,
    summary: summarizeDatabase(databaseUrl.reveal())
  })
  logStart(await listen())
}

async function startDemo(run: ServerRun, config: DemoConfig): Promise<void> {
  // The SDK's switch for its warning about future versions of Node.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true'
  process.stdout.write('Preparing the demo. This takes a few seconds, and longer the first time.\n')
  const onStep = (step: string): void => {
    process.stdout.write(`  ${step} …\n`)
  }
  await buildFrontEnd(import.meta.url, onStep)
  const { app, demo, listen, logStart } = await openDemo(run, config, { onStep })
  const address = await listen()
  // The greeting comes before the log.
  process.stdout.write(demo.greeting(app, toLocalAddress(address)))
  app.log.level = config.logLevel
  logStart(address)
}

function summarizeDatabase(databaseUrl: string): DatabaseSummary {
  const { host, pathname } = new URL(databaseUrl)
  return { type: 'postgres', host, name: pathname.slice(1) }
}

/** Returns an address for clients on this machine if the server listens on all addresses. */
function toLocalAddress(address: string): string {
  return address.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
}

/** Prints the message without a stack: a failed start is nearly always caused by the configuration or the machine. */
function reportStartFailure(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  // Our own messages contain no secret, and their examples of URLs should remain readable.
  const safe = error instanceof ConfigError ? message : redactSecrets(message)
  process.stderr.write(`fastify-cloud-storage cannot start. ${safe}\n`)
}

main().catch((error: unknown) => {
  reportStartFailure(error)
  process.exit(1)
})
