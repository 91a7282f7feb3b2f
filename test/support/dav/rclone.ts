import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasProgram } from '../process/daemon.ts'

export interface RcloneRemote {
  readonly url: string
  readonly username: string
  readonly password: string
}

const run = promisify(execFile)
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/** Returns whether rclone is installed. */
export function hasRclone(): boolean {
  return hasProgram('rclone')
}

/**
 * Runs rclone with a WebDAV server as `remote:`, and returns its stdout. The machine's environment and configuration
 * are not used. Throws rclone's error message if it fails.
 */
export async function rclone(args: readonly string[], { url, username, password }: RcloneRemote): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'rclone-'))
  const config = join(home, 'rclone.conf')
  await writeFile(config, '')
  const baseEnv = { PATH: process.env['PATH'] ?? '', HOME: home, RCLONE_CONFIG: config, RCLONE_CACHE_DIR: home }
  try {
    const obscured = await run('rclone', ['obscure', password], { env: baseEnv })
    const remote = {
      RCLONE_CONFIG_REMOTE_TYPE: 'webdav',
      RCLONE_CONFIG_REMOTE_VENDOR: 'other',
      RCLONE_CONFIG_REMOTE_URL: url,
      RCLONE_CONFIG_REMOTE_USER: username,
      RCLONE_CONFIG_REMOTE_PASS: obscured.stdout.trim()
    }
    // A refusal is a final result: the test must not wait for rclone's ten attempts.
    const limits = { RCLONE_RETRIES: '1', RCLONE_LOW_LEVEL_RETRIES: '1' }
    const { stdout } = await run('rclone', [...args], {
      env: { ...baseEnv, ...remote, ...limits },
      maxBuffer: MAX_OUTPUT_BYTES
    })
    return stdout
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}
