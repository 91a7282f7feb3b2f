import { type DemoConfig, readConfig, type ServiceConfig } from './config.ts'
import { openDatabase } from './infra/db/open-database.ts'
import { ConfigError } from './server/environment.ts'
import { withoutSecrets } from './server/log-options.ts'
import { listenAt, openApp } from './server/open-app.ts'
import { openDemo } from './server/open-demo.ts'
import { ServerRun, untilSignal } from './server/server-run.ts'

/** For what comes after the requests: the application's own hooks, the database. */
const CLOSING_MS = 5000

async function main(): Promise<void> {
  const config = readConfig(process.env)
  const run = new ServerRun()
  await untilSignal(run, {
    delayMs: config.shutdownTimeoutMs + CLOSING_MS,
    report: reportStart,
    start: () => (config.mode === 'demo' ? startDemo(run, config) : startService(run, config))
  })
}

async function startService(run: ServerRun, service: ServiceConfig): Promise<void> {
  const database = await openDatabase({ url: service.databaseUrl.reveal() }).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : 'unknown'
    throw new Error(`The database that DATABASE_URL names cannot be used: ${reason}`, { cause })
  })
  run.add(database.close)
  await listenAt(await openApp(run, service, { database }), service)
}

async function startDemo(run: ServerRun, config: DemoConfig): Promise<void> {
  process.stdout.write('Preparing the demo (the first time it takes a few seconds) …\n')
  const { app, demo } = await openDemo(run, config)
  const address = await listenAt(app, config)
  // The greeting first, then the log of what is done with it.
  process.stdout.write(await demo.greet(app, reachable(address)))
  app.log.level = config.logLevel
}

/** An address that a client of this machine can use, where the server listens on all of them. */
function reachable(address: string): string {
  return address.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
}

/** In words, without a stack: what stops a start is nearly always the configuration or the machine. */
function reportStart(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  // Our own words hold no secret, and an example of a URL in them should be read as it is.
  const safe = error instanceof ConfigError ? message : withoutSecrets(message)
  process.stderr.write(`fastify-cloud-storage does not start. ${safe}\n`)
}

main().catch((error: unknown) => {
  reportStart(error)
  process.exit(1)
})
