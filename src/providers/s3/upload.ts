import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3'
import type { UploadCall } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { raceSignal } from '../../core/time.ts'
import { StorageError } from '../../errors.ts'
import { failure } from '../shared/errors.ts'
import { importSdk } from '../shared/backend.ts'
import type { UploadSource } from '../shared/upload.ts'
import { fileEntry } from './entries.ts'
import { toStorageError } from './errors.ts'
import { Precondition } from './precondition.ts'
import { COMPLETE_MS } from './responses.ts'
import type { S3Session } from './session.ts'

const MIB = 1024 * 1024
/** S3's limit. */
const MAX_PARTS = 10_000
const MIN_PART_BYTES = 8 * MIB
/** Larger parts are sent one after the other, so that a huge upload does not need several times as much memory. */
const MAX_PARALLEL_PART_BYTES = 16 * MIB

/** Returns a part size with which 10,000 parts hold the body, or 78 GiB if its size is unknown. */
export function partSizeFor(size: number | undefined): number {
  return Math.max(MIN_PART_BYTES, Math.ceil((size ?? 0) / MAX_PARTS / MIB) * MIB)
}

/**
 * Stores a stream under a key: in one PUT if it fits into a part, and in several parts otherwise. Only a complete
 * body is ever committed.
 */
export async function uploadFile(
  session: S3Session,
  id: string,
  mimeType: string | undefined,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const key = session.keys.keyOf(id)
  const condition = new Precondition(session, key, call)
  const { Upload } = await importSdk('@aws-sdk/lib-storage', import('@aws-sdk/lib-storage'))
  call.signal.throwIfAborted()
  const params: PutObjectCommandInput = { Bucket: session.bucket, Key: key, Body: source.stream }
  if (mimeType !== undefined) params.ContentType = mimeType

  const sender = new UploadCommandSender(session, source, condition, call.signal)
  const partSize = partSizeFor(call.size)
  const queueSize = partSize > MAX_PARALLEL_PART_BYTES ? 1 : 2
  // Otherwise it does not abort requests in flight, and loses the original error if its own clean-up fails (3.1169).
  const upload = new Upload({ client: sender.client, params, partSize, queueSize, leavePartsOnError: true })
  const run = async () => {
    try {
      return await upload.done()
    } catch (error) {
      if (upload.uploadId !== undefined) await abortMultipartUpload(session, key, upload.uploadId)
      call.signal.throwIfAborted()
      throw sender.toError(error)
    }
  }
  // An abort rejects at once. The clean-up continues in the background.
  const { ETag: etag } = await raceSignal(run(), call.signal)
  requireETag(etag)
  return fileEntry(session.keys, id, { size: source.receivedBytes, etag, mimeType })
}

/** @throws StorageError `PROVIDER_ERROR` for a response without an ETag: a captive portal's page is a 200 too */
export function requireETag(etag: string | undefined): void {
  if (etag === undefined) throw failure('PROVIDER_ERROR', 'S3 returned 200 without an ETag')
}

/** Sends the commands of one upload to the server, and ends all of them with the first failure. */
class UploadCommandSender {
  /** The client that the SDK's `Upload` receives. */
  readonly client: S3Client
  readonly #session: S3Session
  readonly #source: UploadSource
  readonly #condition: Precondition
  readonly #signal: AbortSignal
  #firstFailure: { readonly error: unknown } | undefined

  constructor(session: S3Session, source: UploadSource, condition: Precondition, signal: AbortSignal) {
    this.#session = session
    this.#source = source
    this.#condition = condition
    this.#signal = signal
    const send = (command: unknown) => this.#send(command)
    this.client = Object.create(session.client, { send: { value: send } }) as S3Client
  }

  /** Maps the upload's error. */
  toError(error: unknown): StorageError {
    const cause = this.#firstFailure === undefined ? error : this.#firstFailure.error
    if (cause instanceof Error && cause.message.startsWith('Exceeded')) {
      return new StorageError('PAYLOAD_TOO_LARGE', 'An upload of this size needs a Content-Length.', { cause })
    }
    return toStorageError(cause, 'OBJECT_NOT_FOUND')
  }

  async #send(command: unknown): Promise<unknown> {
    try {
      this.#signal.throwIfAborted()
      return await this.#dispatch(command)
    } catch (error) {
      this.#firstFailure ??= { error }
      // The uploader notices the failure only with the next bytes; an idle source would block it.
      this.#source.destroy(new Error('The upload failed.'))
      throw error
    }
  }

  async #dispatch(command: unknown): Promise<unknown> {
    const { sdk, client, uploadClient, transferClient } = this.#session
    // The duration of a body depends on its size; the client's idle timeout applies.
    const bodyOptions = { abortSignal: this.#signal, requestTimeout: 0 }
    if (command instanceof sdk.UploadPartCommand) return uploadClient.send(command, bodyOptions)
    if (command instanceof sdk.CreateMultipartUploadCommand) {
      // An early check, before all parts are sent. The check before the completion is the decisive one.
      await this.#condition.check()
      // Not aborted by the signal: without its response, the started upload could not be removed.
      const created = await client.send(command)
      if (!created.UploadId) throw failure('PROVIDER_ERROR', 'S3 returned 200 without an UploadId')
      return created
    }
    if (command instanceof sdk.PutObjectCommand) {
      return this.#condition.write((headers) =>
        uploadClient.send(new sdk.PutObjectCommand({ ...command.input, ...headers }), bodyOptions)
      )
    }
    if (command instanceof sdk.CompleteMultipartUploadCommand) {
      const options = { abortSignal: this.#signal, requestTimeout: COMPLETE_MS }
      return this.#condition.write(
        (headers) =>
          transferClient.send(new sdk.CompleteMultipartUploadCommand({ ...command.input, ...headers }), options),
        true
      )
    }
    throw new TypeError('@aws-sdk/lib-storage sent an unsupported command')
  }
}

/** Removes the parts, which would be invisible and billed. A lifecycle rule of the bucket is the last resort. */
async function abortMultipartUpload({ sdk, client, bucket }: S3Session, key: string, uploadId: string): Promise<void> {
  const command = new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId })
  await client
    .send(command)
    .catch(() => client.send(command))
    .catch(() => {})
}
