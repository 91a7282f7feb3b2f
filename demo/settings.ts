import { type DemoConfig, readConfig } from '../server/config.ts'
import { ConfigError, type Variables } from '../server/env.ts'

/** The settings from the environment. The demo itself determines its folder and the reachable hosts. */
export interface DemoSettings {
  readonly port: number
  readonly logLevel: DemoConfig['logLevel']
}

/** Settings that are known once the clouds run. */
export interface DemoEndpoints {
  readonly port: number
  readonly folder: string
  readonly publicUrl: string
  /** `127.0.0.1:port` of the WebDAV server. */
  readonly webdav: string
}

export const HOST = '127.0.0.1'
/** Users cause failures on the controls page. Their log lines would scroll the link away. */
const LOG_LEVEL = 'error'
/**
 * Shorter than the `Retry-After` of a throttled Google. Otherwise the server would wait by itself, and users would
 * not see the error.
 */
const TOTAL_MS = 15_000

/**
 * Longest time for which a listing is returned without a check. Much shorter than the default, so that users see a
 * change while they still look at the folder.
 */
export const CHECK_AFTER_MS = 2000

/** @throws ConfigError if the environment is that of a service, or a variable is invalid */
export function readSettings({ DATABASE_URL = '', NODE_ENV, PORT, LOG_LEVEL: level }: Variables): DemoSettings {
  const problems = [
    ...(NODE_ENV === 'production' ? ['NODE_ENV is "production": the demo is for evaluation only'] : []),
    ...(DATABASE_URL === '' ? [] : ['DATABASE_URL is set: the demo uses its own database only'])
  ]
  if (problems.length > 0) throw new ConfigError([...problems, '`npm start` runs the server as a service'])
  const { port, logLevel } = readConfig({
    PORT,
    LOG_LEVEL: level === undefined || level === '' ? LOG_LEVEL : level
  }) as DemoConfig
  return { port, logLevel }
}

/** Returns the server's configuration, made only of these values. */
export function createDemoConfig({ port, folder, publicUrl, webdav }: DemoEndpoints, logLevel: string): DemoConfig {
  const config = readConfig({
    HOST,
    PORT: String(port),
    LOG_LEVEL: logLevel,
    DATA_DIR: folder,
    PUBLIC_URL: publicUrl,
    WEBDAV_ALLOW_HOSTS: webdav,
    TIMEOUT_TOTAL_MS: String(TOTAL_MS),
    CACHE_CHECK_AFTER_MS: String(CHECK_AFTER_MS)
  })
  if (config.mode !== 'demo') throw new Error('The configuration is not that of a demo')
  return config
}
