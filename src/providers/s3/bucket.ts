import type * as ClientS3 from '@aws-sdk/client-s3'
import type { Timeouts } from '../../domain/ports.ts'
import type { Call } from '../../domain/storage-backend.ts'
import type { Missing } from '../shared/http-failure.ts'
import { toStorageError } from './errors.ts'
import type { Keys } from './keys.ts'

/** The SDK's module, imported when the first bucket is opened. */
export type S3Sdk = typeof ClientS3

/**
 * `native`: the server is known to check `If-Match` and `If-None-Match` of writes. `emulated`: it may ignore them, so
 * the backend checks before the write, and sends the headers as well.
 */
export type Preconditions = 'native' | 'emulated'

/** An open bucket, used by every operation of the backend. */
export interface Bucket {
  readonly sdk: S3Sdk
  readonly name: string
  readonly keys: Keys
  readonly timeouts: Timeouts
  readonly preconditions: Preconditions
  /** For calls with prompt responses. */
  readonly calls: ClientS3.S3Client
  /** For uploads: separate sockets, with the same idle timeout as `calls`. */
  readonly uploads: ClientS3.S3Client
  /** For downloads: their sockets may be idle while the body is not read. */
  readonly transfers: ClientS3.S3Client
  /** Signs download links. Their endpoint may have another name for browsers. */
  readonly links: ClientS3.S3Client
}

/**
 * Makes one call to the server. Rejects with the signal's reason after an abort, and with a StorageError otherwise.
 *
 * @param missing the meaning of a 404
 */
export async function attempt<T>(
  { signal }: Call,
  missing: Missing,
  send: (options: { abortSignal: AbortSignal }) => Promise<T>
): Promise<T> {
  signal.throwIfAborted()
  try {
    return await send({ abortSignal: signal })
  } catch (error) {
    signal.throwIfAborted()
    throw toStorageError(error, missing)
  }
}
