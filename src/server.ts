import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { type AppConfig, type DemoConfig, readConfig, type ServiceConfig } from './config.ts'
import type { MetricsRegistry, RedisClient } from './index.ts'
import { type Database, openDatabase } from './infra/db/open-database.ts'
import { buildApp } from './server/build-app.ts'
import { Demo, openDemoFolder } from './server/demo.ts'
import { ConfigError } from './server/environment.ts'
import { isMain } from './server/is-main.ts'
import { withoutSecrets } from './server/log-options.ts'
import { RequestDrain } from './server/request-drain.ts'

/** For what comes after the requests: the application's own hooks, the database. */
const CLOSING_MS = 5000

/** Ends what has been started, the latest first. */
class Shutdown {
  readonly #steps: (() => Promise<unknown>)[] = []
  #begun = false

  get begun(): boolean {
    return this.#begun
  }

  add(step: () => Promise<unknown>): void {
    this.#steps.push(step)
  }

  async run(): Promise<void> {
    this.#begun = true
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step()
  }
}

async function main(): Promise<void> {
  const config = readConfig(process.env)
  const shutdown = new Shutdown()
  let app: FastifyInstance | undefined
  closeWithGrace(
    {
      delay: config.shutdownTimeoutMs + CLOSING_MS,
      logger: false,
      onSecondSignal: (signal) => app?.log.warn(`second ${signal}: leaving at once`),
      onTimeout: () => app?.log.error('closing took too long: leaving')
    },
    async ({ err, signal }) => {
      if (err !== undefined) reportFatal(app, err)
      else app?.log.info(`${signal ?? 'end'}: shutting down`)
      try {
        await shutdown.run()
      } catch (error) {
        reportFatal(app, error)
        throw error
      }
    }
  )
  try {
    await (config.mode === 'demo' ? startDemo(config) : startService(config))
  } catch (error) {
    // A start that a signal has ended fails somewhere, and that is no news.
    if (shutdown.begun) return
    await shutdown.run()
    throw error
  }

  async function startService(service: ServiceConfig): Promise<void> {
    const database = await openDatabase({ url: service.databaseUrl.reveal() }).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : 'unknown'
      throw new Error(`The database that DATABASE_URL names cannot be used: ${reason}`, { cause })
    })
    shutdown.add(database.close)
    await listen(await build(service, database))
  }

  async function startDemo(demoConfig: DemoConfig): Promise<void> {
    process.stdout.write('Preparing the demo (the first time it takes a few seconds) …\n')
    const folder = await openDemoFolder(demoConfig)
    const database = await openDatabase({ dataDir: folder.path })
    shutdown.add(database.close)
    const demo = await Demo.open(demoConfig, folder)
    shutdown.add(() => demo.close())
    const started = await build(demo.app, database)
    // The greeting first, then the log of what is done with it.
    started.log.level = 'warn'
    await demo.furnish(started, database)
    const address = await listen(started)
    process.stdout.write(await demo.greet(started, reachable(address)))
    started.log.level = demoConfig.logLevel
  }

  async function build(appConfig: AppConfig, database: Database): Promise<FastifyInstance> {
    const drain = new RequestDrain()
    const redis = await openShared(appConfig)
    const metrics = await openMetrics(appConfig)
    const built = buildApp(appConfig, { database, drain, redis, metrics })
    app = built
    shutdown.add(() => built.close())
    shutdown.add(async () => {
      const cut = await drain.drain(built, appConfig.shutdownTimeoutMs)
      if (cut > 0) built.log.warn(`${cut} requests were cut off`)
    })
    await built.ready()
    return built
  }

  async function openShared({ redisUrl }: AppConfig): Promise<RedisClient | undefined> {
    if (redisUrl === undefined) return undefined
    const { openRedis } = await import('./server/redis.ts')
    const redis = openRedis(redisUrl.reveal())
    shutdown.add(async () => {
      redis.disconnect()
    })
    return redis
  }

  /** Until the end: how the last requests go is worth knowing too. */
  async function openMetrics({ metricsPort, host }: AppConfig): Promise<MetricsRegistry | undefined> {
    if (metricsPort === undefined) return undefined
    const { buildMetricsServer, createRegistry } = await import('./server/metrics-server.ts')
    const registry = createRegistry()
    const server = buildMetricsServer(registry)
    shutdown.add(() => server.close())
    try {
      await server.listen({ host, port: metricsPort })
    } catch (error) {
      throw new Error(`METRICS_${explainListen(error, host, metricsPort)}`, { cause: error })
    }
    return registry
  }

  async function listen(built: FastifyInstance): Promise<string> {
    const { host, port } = config
    try {
      return await built.listen({ host, port })
    } catch (error) {
      throw new Error(explainListen(error, host, port), { cause: error })
    }
  }
}

function explainListen(error: unknown, host: string, port: number): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE')
    return `PORT ${port} on ${host} is in use by another process: set another PORT, or end that process`
  if (code === 'EACCES') return `PORT ${port} may not be used by this user: set one from 1024 on`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `HOST ${host} is no address of this machine`
  return message
}

/** An address that a client of this machine can use, where the server listens on all of them. */
function reachable(address: string): string {
  return address.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
}

function reportFatal(app: FastifyInstance | undefined, error: unknown): void {
  if (app === undefined) reportStart(error)
  else app.log.fatal({ err: error }, 'cannot go on')
}

/** In words, without a stack: what stops a start is nearly always the configuration or the machine. */
function reportStart(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  // Our own words hold no secret, and an example of a URL in them should be read as it is.
  const safe = error instanceof ConfigError ? message : withoutSecrets(message)
  process.stderr.write(`fastify-cloud-storage does not start. ${safe}\n`)
}

if (isMain(import.meta.url)) {
  main().catch((error: unknown) => {
    reportStart(error)
    process.exit(1)
  })
}
