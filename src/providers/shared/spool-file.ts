import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Diagnosis, StorageError } from '../../domain/errors.ts'

const READ_BYTES = 256 * 1024

/** A file of this process alone, which has no name any more: it is gone with the process, however that ends. */
export class SpoolFile {
  readonly #handle: FileHandle
  #size = 0

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  static async create(): Promise<SpoolFile> {
    // Of mode 0700.
    const folder = await mkdtemp(join(tmpdir(), 'upload-')).catch(notKept)
    try {
      return new SpoolFile(await open(join(folder, 'body'), 'wx+', 0o600).catch(notKept))
    } finally {
      // A system that keeps the names of open files keeps this one, in a folder for this user alone.
      await rm(folder, { recursive: true, force: true }).catch(() => {})
    }
  }

  get size(): number {
    return this.#size
  }

  async append(bytes: Buffer): Promise<void> {
    await this.#handle.appendFile(bytes).catch(notKept)
    this.#size += bytes.length
  }

  /** All of it, from the beginning. */
  async *read(): AsyncGenerator<Buffer> {
    for (let at = 0; at < this.#size;) {
      const length = Math.min(READ_BYTES, this.#size - at)
      const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafe(length), 0, length, at).catch(notKept)
      if (bytesRead === 0) notKept(new Error('it is shorter than what was written'))
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

function notKept(cause: unknown): never {
  throw new StorageError('INTERNAL', 'The server cannot keep the upload while it comes in.', {
    cause: new Diagnosis('The temporary folder takes no more', { cause })
  })
}
