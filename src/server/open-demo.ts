import type { DemoConfig } from '../config.ts'
import { openDatabase } from '../infra/db/open-database.ts'
import type { AppDeps } from './build-app.ts'
import { Demo, openDemoFolder } from './demo.ts'
import { type OpenApp, openApp } from './open-app.ts'
import type { ServerRun } from './server-run.ts'

export interface OpenDemo extends OpenApp {
  readonly demo: Demo
}

export interface OpenDemoDeps extends Pick<AppDeps, 'providers' | 'built'> {
  /** Receives the name of each slow step. */
  readonly onStep?: (step: string) => void
}

/** Opens the demo with its samples, not listening yet. It logs only warnings until the greeting is printed. */
export async function openDemo(
  run: ServerRun,
  config: DemoConfig,
  { onStep = () => {}, ...deps }: OpenDemoDeps = {}
): Promise<OpenDemo> {
  const folder = await openDemoFolder(config)
  onStep('Opening the database')
  const database = await openDatabase({ dataDir: folder.path })
  run.add(database.close)
  onStep('Filling the sample bucket')
  const demo = await Demo.open(config, folder)
  run.add(() => demo.close())
  onStep('Starting the server')
  const opened = await openApp(run, demo.app, { database, summary: { type: 'embedded' }, ...deps, isDemo: true })
  opened.app.log.level = 'warn'
  await demo.furnish(opened.app, database)
  return { ...opened, demo }
}
