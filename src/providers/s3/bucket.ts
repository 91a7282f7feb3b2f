import type * as ClientS3 from '@aws-sdk/client-s3'
import type { Timeouts } from '../../domain/ports.ts'
import type { Call } from '../../domain/storage-backend.ts'
import type { Missing } from '../shared/http-failure.ts'
import { toStorageError } from './errors.ts'
import type { Keys } from './keys.ts'

/** The SDK's module, imported when the first bucket is opened. */
export type S3Sdk = typeof ClientS3

/**
 * `native`: the server is known to check `If-Match` and `If-None-Match` of writes. `emulated`: it may ignore them,
 * so we look before we write, and send them nevertheless.
 */
export type Preconditions = 'native' | 'emulated'

/** An opened bucket: what every operation of the backend works on. */
export interface Bucket {
  readonly sdk: S3Sdk
  readonly name: string
  readonly keys: Keys
  readonly timeouts: Timeouts
  readonly preconditions: Preconditions
  /** For calls that answer soon. */
  readonly calls: ClientS3.S3Client
  /** For bodies that are sent: on sockets of their own, with the same limit of silence as `calls`. */
  readonly uploads: ClientS3.S3Client
  /** For bodies, whose sockets may rest while nobody reads. */
  readonly transfers: ClientS3.S3Client
  /** What download links are signed with: their endpoint may have another name for browsers. */
  readonly links: ClientS3.S3Client
}

/**
 * Makes one call to the server. Rejects with the caller's own reason where the caller aborted it, and with a
 * StorageError otherwise.
 *
 * @param missing what a 404 means here
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
