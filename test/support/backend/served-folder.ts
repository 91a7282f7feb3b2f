import { execFileSync } from 'node:child_process'
import { chown, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'

/** The user of Debian's packages. A server that is started as root switches to this user. */
export const SERVER_USER = 'www-data'
/** Servers detect changes by a file's modification time in seconds and its size. */
const OLD_MTIME_SECONDS = 1_700_000_000

/** A temporary folder for a server, with a subfolder that it serves. */
export interface ServedFolder {
  readonly home: string
  readonly folder: string
  readonly isRoot: boolean
  /** Writes a file for the server itself, such as its configuration. */
  readonly write: (name: string, content: string) => Promise<void>
  /** Writes a served file and its parent folders, owned by the server. */
  readonly seed: (path: string, content: string | Buffer) => Promise<void>
}

/** Creates a folder that is removed at teardown. @param options.isOwned the server switches to {@link SERVER_USER} */
export async function newServedFolder(t: Test, name: string, { isOwned = true } = {}): Promise<ServedFolder> {
  const home = await mkdtemp(join(tmpdir(), `${name}-`))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const folder = join(home, 'files')
  const owner = isOwned ? serverOwner() : undefined
  const chownToServer = async (path: string) => {
    if (owner !== undefined) await chown(path, owner.uid, owner.gid)
  }
  for (const path of [home, folder, join(home, 'tmp')]) {
    await mkdir(path, { recursive: true })
    await chownToServer(path)
  }
  // The server appends to it as its own user.
  await writeFile(join(home, 'log'), '')
  await chownToServer(join(home, 'log'))
  return {
    home,
    folder,
    isRoot: owner !== undefined,
    async write(name, content) {
      await writeFile(join(home, name), content)
      await chownToServer(join(home, name))
    },
    async seed(path, content) {
      const file = join(folder, path)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, content)
      await utimes(file, OLD_MTIME_SECONDS, OLD_MTIME_SECONDS)
      for (let created = file; created !== folder; created = dirname(created)) await chownToServer(created)
    }
  }
}

/** Returns the IDs of {@link SERVER_USER} if the test runs as root. */
export function serverOwner(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, SERVER_USER], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
