import type { FastifyInstance } from 'fastify'
import type { DemoConfig } from '../config.ts'
import { openDatabase } from '../infra/db/open-database.ts'
import type { AppDeps } from './build-app.ts'
import { Demo, openDemoFolder } from './demo.ts'
import { openApp } from './open-app.ts'
import type { ServerRun } from './server-run.ts'

export interface OpenDemo {
  readonly app: FastifyInstance
  readonly demo: Demo
}

/** The demo with its samples, not listening yet, and silent so far: it is greeted before it logs. */
export async function openDemo(
  run: ServerRun,
  config: DemoConfig,
  deps: Pick<AppDeps, 'providers' | 'built'> = {}
): Promise<OpenDemo> {
  const folder = await openDemoFolder(config)
  const database = await openDatabase({ dataDir: folder.path })
  run.add(database.close)
  const demo = await Demo.open(config, folder)
  run.add(() => demo.close())
  const app = await openApp(run, demo.app, { database, ...deps, isDemo: true })
  app.log.level = 'warn'
  await demo.furnish(app, database)
  return { app, demo }
}
