import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freePort, hasProgram, startDaemon } from '../process/daemon.ts'

export interface SabreOptions {
  /** Default `basic`. */
  readonly auth?: 'basic' | 'bearer'
  /** The base path of the folder, with a slash at both ends: `/`, or `/remote.php/dav/files/u/` as in Nextcloud. */
  readonly basePath?: string
  /** Nextcloud's layout: the folder is `files/` below the base path, next to chunked uploads. */
  readonly hasUploads?: boolean
}

export interface RunningSabre {
  /** With the base path; ends with a slash. */
  readonly url: string
  readonly username: string
  readonly password: string
  readonly token: string
  /** The folder on disk that is served. */
  readonly folder: string
}

const ROUTER = fileURLToPath(new URL('sabre-server.php', import.meta.url))

/** Returns whether Debian's `php-cli` and `php-sabre-dav` are installed. */
export function hasSabre(): boolean {
  return hasProgram('php') && existsSync('/usr/share/php/Sabre/autoload.php')
}

/**
 * Starts sabre/dav, which Nextcloud is built on, over a temporary folder and without locks. Stops at teardown. PHP's
 * built-in server buffers the whole request body before sabre sees it, so an interrupted upload leaves nothing.
 */
export async function startSabre(
  t: Test,
  { auth = 'basic', basePath = '/', hasUploads = false }: SabreOptions = {}
): Promise<RunningSabre> {
  const home = await mkdtemp(join(tmpdir(), 'sabre-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const folder = join(home, 'files')
  await mkdir(folder)
  const port = await freePort()
  const account = { username: 'sabre-user', password: 'sabre: pässword', token: 'sabre-token' }
  await startDaemon(t, {
    command: ['php', '-S', `127.0.0.1:${port}`, ROUTER],
    env: {
      // One process serves one request at a time, so concurrent requests need several.
      PHP_CLI_SERVER_WORKERS: '4',
      SABRE_AUTH: auth,
      SABRE_BASE_PATH: basePath,
      SABRE_FOLDER: folder,
      ...(hasUploads && { SABRE_UPLOADS: join(home, 'uploads') }),
      SABRE_USERNAME: account.username,
      SABRE_PASSWORD: account.password,
      SABRE_TOKEN: account.token
    },
    port,
    log: join(home, 'log')
  })
  const url = `http://127.0.0.1:${port}${basePath}`
  return { url: hasUploads ? `${url}files/` : url, ...account, folder }
}
