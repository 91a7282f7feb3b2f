import { type DemoConfig, readConfig } from '../src/config.ts'
import { ConfigError, type Variables } from '../src/server/environment.ts'

/** What of the environment counts: where the demo's own folder is, and what may be reached, is its own affair. */
export interface DemoSettings {
  readonly port: number
  readonly logLevel: DemoConfig['logLevel']
}

/** What is known once the clouds are there. */
export interface DemoPlaces {
  readonly port: number
  readonly folder: string
  readonly publicUrl: string
  /** `127.0.0.1:port` of the WebDAV server. */
  readonly webdav: string
}

export const HOST = '127.0.0.1'
/** Failures here are what the user asked for on the page of the controls; their lines would scroll the link away. */
const LOG_LEVEL = 'error'
/**
 * Below the wait that a throttled Google asks for, which the server would else sit out by itself: here one wants to see
 * what a user is shown.
 */
const TOTAL_MS = 15_000

/** @throws ConfigError where a service is meant, or a variable makes no sense */
export function readSettings({ DATABASE_URL = '', NODE_ENV, PORT, LOG_LEVEL: level }: Variables): DemoSettings {
  const problems = [
    ...(NODE_ENV === 'production' ? ['NODE_ENV is "production": the demo is for looks and trials alone'] : []),
    ...(DATABASE_URL === '' ? [] : ['DATABASE_URL is set: the demo has a database of its own, and touches no other'])
  ]
  if (problems.length > 0) throw new ConfigError([...problems, '`npm start` runs the server that can be a service'])
  const { port, logLevel } = readConfig({
    PORT,
    LOG_LEVEL: level === undefined || level === '' ? LOG_LEVEL : level
  }) as DemoConfig
  return { port, logLevel }
}

/** The server's configuration, made of nothing but these. */
export function configOf({ port, folder, publicUrl, webdav }: DemoPlaces, logLevel: string): DemoConfig {
  const config = readConfig({
    HOST,
    PORT: String(port),
    LOG_LEVEL: logLevel,
    DATA_DIR: folder,
    PUBLIC_URL: publicUrl,
    WEBDAV_ALLOW_HOSTS: webdav,
    TIMEOUT_TOTAL_MS: String(TOTAL_MS)
  })
  if (config.mode !== 'demo') throw new Error('This is no demo')
  return config
}
