import type { FastifyInstance } from 'fastify'
import type { AppConfig } from '../config.ts'
import type { MetricsRegistry, RedisClient } from '../index.ts'
import { type AppDeps, buildApp } from './build-app.ts'
import { RequestDrain } from './request-drain.ts'
import type { ServerRun } from './server-run.ts'

/** The application with all that it needs, not listening yet. It ends with the run, and drains before. */
export async function openApp(
  run: ServerRun,
  config: AppConfig,
  deps: Pick<AppDeps, 'database' | 'providers' | 'built' | 'isDemo'>
): Promise<FastifyInstance> {
  const drain = new RequestDrain()
  const redis = await openShared(run, config)
  const metrics = await openMetrics(run, config)
  const app = buildApp(config, { ...deps, drain, redis, metrics })
  run.app = app
  run.add(() => app.close())
  run.add(async () => {
    const cut = await drain.drain(app, config.shutdownTimeoutMs)
    if (cut > 0) app.log.warn(`${cut} requests were cut off`)
  })
  await app.ready()
  return app
}

/** @throws Error that says what to do about it */
export async function listenAt(
  app: FastifyInstance,
  { host, port }: Pick<AppConfig, 'host' | 'port'>
): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (error) {
    throw new Error(explainListen(error, host, port), { cause: error })
  }
}

/** Why nothing listens there, in words that name the variables. */
export function explainListen(error: unknown, host: string, port: number): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE')
    return `PORT ${port} on ${host} is in use by another process: set another PORT, or end that process`
  if (code === 'EACCES') return `PORT ${port} may not be used by this user: set one from 1024 on`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `HOST ${host} is no address of this machine`
  return message
}

async function openShared(run: ServerRun, { redisUrl }: AppConfig): Promise<RedisClient | undefined> {
  if (redisUrl === undefined) return undefined
  const { openRedis } = await import('./redis.ts')
  const redis = openRedis(redisUrl.reveal())
  run.add(() => {
    redis.disconnect()
  })
  return redis
}

/** Until the end: how the last requests go is worth knowing too. */
async function openMetrics(run: ServerRun, { metricsPort, host }: AppConfig): Promise<MetricsRegistry | undefined> {
  if (metricsPort === undefined) return undefined
  const { buildMetricsServer, createRegistry } = await import('./metrics-server.ts')
  const registry = createRegistry()
  const server = buildMetricsServer(registry)
  run.add(() => server.close())
  try {
    await server.listen({ host, port: metricsPort })
  } catch (error) {
    throw new Error(`METRICS_${explainListen(error, host, metricsPort)}`, { cause: error })
  }
  return registry
}
