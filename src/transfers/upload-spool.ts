import { constants } from 'node:fs'
import { access, type FileHandle, lstat, mkdtemp, open as openFile, opendir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../core/time.ts'
import { Diagnosis, StorageError } from '../errors.ts'
import type { SpooledUpload } from '../core/provider.ts'

export interface SpoolLimits {
  /** Largest upload of unknown size, in bytes. */
  readonly maxBytes: number
  /** Total size of a user's concurrent uploads of unknown size, in bytes. */
  readonly maxBytesPerUser: number
  /** Total size of this process's concurrent uploads of unknown size, in bytes. */
  readonly maxTotalBytes: number
}

export interface SpoolSpaceOptions extends SpoolLimits {
  /** An absolute path. `undefined`: the system's folder for temporary files. */
  readonly folder: string | undefined
  readonly clock: Clock
  /** Opens a file; tests replace it. */
  readonly open?: typeof openFile
}

const READ_BYTES = 256 * 1024
const PREFIX = 'fastify-cloud-storage-upload-'
/** Exceeds the duration of any upload. */
const ABANDONED_AFTER_MS = 86_400_000
/** Codes of a file system that has no space left, in total or for this user, or that rejects larger files. */
const NO_SPACE_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/**
 * Temporary files for uploads of unknown size, if the provider needs the size in advance, and their total size.
 *
 * A file is opened with mode 0600 in a new folder with mode 0700, and unlinked at once, so that nothing is left when
 * the process ends in any way. On systems that cannot unlink open files, and after a crash in between, the folder
 * remains: a process removes folders older than a day before its first upload.
 */
export class SpoolSpace {
  readonly #options: SpoolSpaceOptions
  readonly #bytesByUser = new Map<string, number>()
  #bytes = 0
  #initialSweep: Promise<void> | undefined

  constructor(options: SpoolSpaceOptions) {
    this.#options = options
  }

  /** The bytes of all current uploads. */
  get bytes(): number {
    return this.#bytes
  }

  /** @throws Error if the configured folder is not writable */
  async assertUsable(): Promise<void> {
    const { folder } = this.#options
    if (folder !== undefined) await access(`${folder}/.`, constants.R_OK | constants.W_OK | constants.X_OK)
  }

  /** Creates an empty file of one user. @throws StorageError as `UploadSpool.create` */
  async create(userId: string): Promise<SpooledUpload> {
    const { folder: parent = tmpdir(), open = openFile } = this.#options
    await (this.#initialSweep ??= this.#sweep(parent))
    const folder = await mkdtemp(join(parent, PREFIX)).catch(throwSpoolError)
    const remove = (): Promise<void> => rm(folder, { recursive: true, force: true }).catch(() => {})
    try {
      const handle = await open(join(folder, 'body'), 'wx+', 0o600).catch(throwSpoolError)
      return new SpoolFile(handle, {
        reserve: (bytes, size) => {
          this.#reserve(userId, bytes, size)
        },
        release: async (size) => {
          this.#release(userId, size)
          await remove()
        }
      })
    } finally {
      await remove()
    }
  }

  /** @param size of the upload including these bytes */
  #reserve(userId: string, bytes: number, size: number): void {
    const { maxBytes, maxBytesPerUser, maxTotalBytes } = this.#options
    const userBytes = (this.#bytesByUser.get(userId) ?? 0) + bytes
    if (size > maxBytes) {
      throw new StorageError(
        'PAYLOAD_TOO_LARGE',
        `An upload of unknown size must not be larger than ${maxBytes} bytes. Send the size with the upload.`
      )
    }
    if (userBytes > maxBytesPerUser) {
      throw new StorageError(
        'TOO_MANY_REQUESTS',
        'Your uploads of unknown size use all of your temporary space. Wait for one to end, or send their sizes.'
      )
    }
    if (this.#bytes + bytes > maxTotalBytes)
      throw insufficientStorage(new Diagnosis('Uploads have reached spool.maxTotalBytes'))
    this.#bytesByUser.set(userId, userBytes)
    this.#bytes += bytes
  }

  #release(userId: string, bytes: number): void {
    const remaining = (this.#bytesByUser.get(userId) ?? 0) - bytes
    if (remaining > 0) this.#bytesByUser.set(userId, remaining)
    else this.#bytesByUser.delete(userId)
    this.#bytes -= bytes
  }

  /** Removes the folders of crashed processes. Others may use the parent too: only old folders of ours are removed. */
  async #sweep(parent: string): Promise<void> {
    try {
      for await (const { name } of await opendir(parent)) {
        if (!name.startsWith(PREFIX)) continue
        const path = join(parent, name)
        const stats = await lstat(path).catch(() => null)
        const isAbandoned =
          stats?.isDirectory() === true && this.#options.clock.date() - stats.mtimeMs > ABANDONED_AFTER_MS
        if (isAbandoned) await rm(path, { recursive: true, force: true }).catch(() => {})
      }
    } catch {
      // An unreadable folder fails when a file is opened in it.
    }
  }
}

interface Accounting {
  readonly reserve: (bytes: number, size: number) => void
  readonly release: (size: number) => Promise<void>
}

class SpoolFile implements SpooledUpload {
  size = 0
  readonly #handle: FileHandle
  readonly #accounting: Accounting
  #isClosed = false

  constructor(handle: FileHandle, accounting: Accounting) {
    this.#handle = handle
    this.#accounting = accounting
  }

  async append(bytes: Buffer): Promise<void> {
    this.#accounting.reserve(bytes.length, this.size + bytes.length)
    // Counted before the write, and until the file is closed: a failed write may have stored a part.
    this.size += bytes.length
    await this.#handle.appendFile(bytes).catch(throwSpoolError)
  }

  async *read(): AsyncGenerator<Buffer> {
    for (let at = 0; at < this.size;) {
      const length = Math.min(READ_BYTES, this.size - at)
      const { bytesRead, buffer } = await this.#handle
        .read(Buffer.allocUnsafe(length), 0, length, at)
        .catch(throwSpoolError)
      if (bytesRead === 0) throwSpoolError(new Error('the file is shorter than the written data'))
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    try {
      await this.#handle.close()
    } finally {
      await this.#accounting.release(this.size)
    }
  }
}

function throwSpoolError(cause: NodeJS.ErrnoException): never {
  if (NO_SPACE_CODES.has(cause.code))
    throw insufficientStorage(new Diagnosis('The disk of the spool folder is full', { cause }))
  throw new StorageError('INTERNAL', 'The server cannot store the upload temporarily.', {
    cause: new Diagnosis('The spool folder cannot be written or read', { cause })
  })
}

function insufficientStorage(cause: Diagnosis): StorageError {
  return new StorageError(
    'INSUFFICIENT_STORAGE',
    'The server has no space left for uploads of unknown size. Try again later, or send the size.',
    { cause }
  )
}
