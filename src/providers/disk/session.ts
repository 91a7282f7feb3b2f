import { randomUUID } from 'node:crypto'
import { lstat, mkdir, open, readdir, realpath, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Timeouts } from '../../core/stores.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { invalidId, invalidName, isSegment, isUnambiguous } from '../shared/names.ts'
import { isNotFound } from './errors.ts'

/** An open store, used by every operation. */
export interface DiskSession {
  readonly root: DiskFolder
  /** Order the writes to each path. They work within this process only. */
  readonly locks: Locks
  readonly timeouts: Timeouts
}

/**
 * The folder of unfinished uploads, inside the store so that a rename needs no copy. It is unlisted and has no id.
 */
const PRIVATE_FOLDER = '.fastify-cloud-storage'
/** The length of an S3 key, so that ids can move there. */
const MAX_ID_BYTES = 1024
/** Time without writes after which an upload counts as left behind by an ended process. */
const LEFTOVER_MS = 3_600_000

/**
 * The folder that contains all files, and the only place where ids become paths.
 *
 * The text of an id cannot lead outside the folder. Symbolic links could, so they are not followed: the folder of an
 * object must be its own real path, and the object itself is read with `lstat` and opened with `O_NOFOLLOW`. Only a
 * user with write access could place a link between check and open, and needs no such trick.
 */
export class DiskFolder {
  readonly path: string
  readonly #staging: string

  private constructor(path: string, staging: string) {
    this.path = path
    this.#staging = staging
  }

  static async open(directory: string): Promise<DiskFolder> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const path = await realpath(directory)
      const staging = join(path, PRIVATE_FOLDER)
      await mkdir(staging, { recursive: true, mode: 0o700 })
      if (!(await lstat(staging)).isDirectory()) throw new Error(`${staging} is not a folder`)
      await sweep(staging)
      return new DiskFolder(path, staging)
    } catch (cause) {
      throw new Error(`The folder "${directory}" of a managed store cannot be used.`, { cause })
    }
  }

  /** Returns the path of a file's id. @throws StorageError `INVALID_REQUEST` */
  filePathOf(id: string): string {
    return this.#pathOf(id)
  }

  /**
   * Returns the path of a folder's id, which ends with `/`, or of the root.
   *
   * @throws StorageError `INVALID_REQUEST`, `FOLDER_NOT_FOUND` for a file's
   */
  folderPathOf(id: string | null): string {
    if (id === null) return this.path
    const path = this.#pathOf(id.endsWith('/') ? id.slice(0, -1) : id)
    if (!id.endsWith('/')) throw failure('FOLDER_NOT_FOUND')
    return path
  }

  /** Returns the id of `name` in a folder. @throws StorageError `INVALID_REQUEST`, `FOLDER_NOT_FOUND` */
  childId(parentId: string | null, name: string): string {
    this.folderPathOf(parentId)
    if (!isSegment(name)) throw invalidName()
    return (parentId ?? '') + name
  }

  /** Returns whether a listed name can be used in requests. */
  isUsable(id: string): boolean {
    return isUsable(id.endsWith('/') ? id.slice(0, -1) : id)
  }

  /** Returns whether a name in a folder is internal to the store. */
  isPrivate(folder: string, name: string): boolean {
    return folder === this.path && name === PRIVATE_FOLDER
  }

  /** @throws StorageError `missing` unless `folder` exists, is a folder, and its path contains no link */
  async requireFolder(folder: string, missing: NotFoundCode): Promise<void> {
    try {
      if ((await realpath(folder)) === folder && (await lstat(folder)).isDirectory()) return
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
    throw failure(missing)
  }

  /** Creates the parent folders of a file, because keys of an object store need none. */
  async createParents(id: string): Promise<void> {
    const parents = id.split('/').slice(0, -1)
    let folder = this.path
    for (const name of parents) {
      folder = join(folder, name)
      try {
        await mkdir(folder, { mode: 0o700 })
      } catch {
        // It exists already, or cannot be created: the next line decides, and detects links.
        await this.requireFolder(folder, 'FOLDER_NOT_FOUND')
      }
    }
  }

  /** Returns a path for an unfinished upload. */
  newStagingPath(): string {
    return join(this.#staging, randomUUID())
  }

  /**
   * Removes the leftovers of processes that have ended. Opening the store does this too, but leftovers are still too
   * young right after a crash.
   *
   * @param now the time of the file system, in milliseconds: that of a new file
   */
  async sweep(now: number): Promise<void> {
    await removeLeftovers(this.#staging, now)
  }

  /** Makes a new name in a folder survive a power failure. */
  async syncFolderOf(path: string): Promise<void> {
    const folder = await open(dirname(path), 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }

  /** @param id without the trailing `/` of a folder */
  #pathOf(id: string): string {
    if (!isUsable(id)) throw invalidId()
    return join(this.path, id)
  }
}

/** @param id without the trailing `/` of a folder */
function isUsable(id: string): boolean {
  if (id.includes('\\') || !isUnambiguous(id) || Buffer.byteLength(id) > MAX_ID_BYTES) return false
  const segments = id.split('/')
  // In any case: on a case-insensitive file system, another spelling would lead to the private folder.
  return !segments.includes('') && segments[0]?.toLowerCase() !== PRIVATE_FOLDER
}

/** Removes the leftovers of ended processes. Uses the file system's clock: other processes may be uploading. */
async function sweep(staging: string): Promise<void> {
  const probe = join(staging, randomUUID())
  const handle = await open(probe, 'wx', 0o600)
  try {
    await removeLeftovers(staging, (await handle.stat()).mtimeMs)
  } finally {
    await handle.close()
    await rm(probe, { force: true })
  }
}

async function removeLeftovers(staging: string, now: number): Promise<void> {
  for (const name of await readdir(staging)) {
    const path = join(staging, name)
    const age = await lstat(path).then(
      (stats) => now - stats.mtimeMs,
      () => 0
    )
    if (age > LEFTOVER_MS) await rm(path, { force: true })
  }
}

/** Runs work on the same name one after the other. */
export class Locks {
  readonly #tails = new Map<string, Promise<void>>()

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#tails.get(name) ?? Promise.resolve()).then(work)
    const tail = result.then(
      () => {},
      () => {}
    )
    this.#tails.set(name, tail)
    try {
      return await result
    } finally {
      if (this.#tails.get(name) === tail) this.#tails.delete(name)
    }
  }
}
