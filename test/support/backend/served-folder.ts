import { chown, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { serverOwner } from '../process/daemon.ts'

/** The user of Debian's packages. A server that is started as root switches to this user. */
export const SERVER_USER = 'www-data'
/** Servers detect changes by a file's modification time in seconds and its size. */
const OLD_MTIME_SECONDS = 1_700_000_000

/** A temporary folder for a server, with a subfolder that it serves. */
export interface ServedFolder {
  readonly home: string
  readonly folder: string
  readonly isRoot: boolean
  /** Writes a file below `home` and its parent folders, owned by the server. */
  readonly write: (path: string, content: string | Buffer) => Promise<void>
  /** The same below `folder`, with an old modification time. */
  readonly seed: (path: string, content: string | Buffer) => Promise<void>
}

export interface ServedFolderOptions {
  /** Whether the server switches to {@link SERVER_USER}. */
  readonly isOwned?: boolean
  /** Empty folders below `folder`. */
  readonly subfolders?: readonly string[]
}

/** Creates a folder that is removed at teardown. */
export async function newServedFolder(
  t: Test,
  name: string,
  { isOwned = true, subfolders = [] }: ServedFolderOptions = {}
): Promise<ServedFolder> {
  const home = await mkdtemp(join(tmpdir(), `${name}-`))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const folder = join(home, 'files')
  const owner = isOwned ? serverOwner(SERVER_USER) : undefined
  const chownToServer = async (path: string) => {
    if (owner !== undefined) await chown(path, owner.uid, owner.gid)
  }
  for (const path of [home, folder, join(home, 'tmp'), ...subfolders.map((path) => join(folder, path))]) {
    await mkdir(path, { recursive: true })
    await chownToServer(path)
  }
  // The server appends to it as its own user.
  await writeFile(join(home, 'log'), '')
  await chownToServer(join(home, 'log'))
  const write = async (path: string, content: string | Buffer) => {
    const file = join(home, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
    for (let created = file; created !== home; created = dirname(created)) await chownToServer(created)
  }
  return {
    home,
    folder,
    isRoot: owner !== undefined,
    write,
    async seed(path, content) {
      await write(join('files', path), content)
      await utimes(join(folder, path), OLD_MTIME_SECONDS, OLD_MTIME_SECONDS)
    }
  }
}
