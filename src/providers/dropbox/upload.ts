import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { UploadCall, UploadTarget } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import { failure } from '../shared/errors.ts'
import { UploadRetry } from '../shared/upload-retry.ts'
import { type Chunk, chunksOf, exists, requireMediaType, uploadFrom, type UploadSource } from '../shared/upload.ts'
import { type Metadata, fileEntry } from './entries.ts'
import { type DropboxSession, getItem } from './session.ts'
import { commitOnce, UploadSession, type CompleteUpload } from './upload-session.ts'
import { type Destination, findDestination } from './upload-target.ts'

/** A multiple of 4 MiB, as Dropbox recommends. One chunk is buffered in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** Stores a stream: a short one in one call, a longer one in a session. The file is created after the last byte. */
export async function uploadFile(
  session: DropboxSession,
  target: UploadTarget,
  body: Readable,
  call: UploadCall
): Promise<Entry> {
  return uploadFrom(body, call, async (source) => {
    requireMediaType(target.mimeType)
    const destination = await findDestination(session, target, call)
    const { onStored } = call
    const existed = onStored && (await exists(() => getItem(session, destination.path, call, 'OBJECT_NOT_FOUND')))
    try {
      const entry = await uploadContent(session, destination, source, call)
      if (existed !== undefined) onStored?.(!existed)
      return entry
    } catch (error) {
      // Dropbox reports a failed precondition like any other conflict.
      const isPreconditionFailure =
        call.ifMatch !== undefined && isStorageError(error, 'ALREADY_EXISTS', 'OBJECT_NOT_FOUND')
      throw isPreconditionFailure ? failure('PRECONDITION_FAILED') : error
    }
  })
}

async function uploadContent(
  session: DropboxSession,
  destination: Destination,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const hash = new ContentHash()
  let uploadSession: UploadSession | null = null
  let start = 0
  for await (const chunk of chunksOf(source.stream as AsyncIterable<Buffer>, CHUNK_BYTES)) {
    for (const piece of chunk.pieces) hash.update(piece)
    if (chunk.isLast) {
      const upload = { destination, size: source.receivedBytes, hash: hash.digest() }
      const metadata = await (uploadSession?.finish(chunk, start, upload) ??
        uploadInOneCall(session, chunk, upload, call))
      return requireStored(metadata, upload)
    }
    uploadSession ??= new UploadSession(session, call, destination.missing)
    await uploadSession.append(chunk, start)
    start += chunk.length
  }
  throw failure('PROVIDER_ERROR', 'The upload ended without a last chunk')
}

async function uploadInOneCall(
  session: DropboxSession,
  content: Chunk,
  upload: CompleteUpload,
  call: UploadCall
): Promise<Metadata> {
  const { missing, commit } = upload.destination
  return commitOnce(session, upload, call, new UploadRetry(call.signal), async () => {
    const arg = { ...commit, content_hash: upload.hash }
    const result = await session.client.upload('upload', arg, content, { signal: call.signal, missing })
    if ('metadata' in result) return result.metadata
    throw failure('PROVIDER_ERROR', 'Dropbox returned an upload offset, although the upload has no session')
  })
}

/** @throws StorageError `PROVIDER_ERROR` for another file than was sent */
function requireStored(
  metadata: Metadata,
  { destination: { parentId, matches: isIt }, size, hash }: CompleteUpload
): Entry {
  const entry = fileEntry(metadata, parentId)
  if (entry.size === size && entry.hash?.value === hash && isIt(entry)) return entry
  throw failure('PROVIDER_ERROR', `Dropbox did not store these ${size} bytes in the requested place`)
}

const BLOCK_BYTES = 4 * 1024 * 1024

/** Computes Dropbox's `content_hash`: the SHA-256 of the SHA-256s of blocks of 4 MiB ("Content hash"). */
export class ContentHash {
  readonly #fileHash = createHash('sha256')
  #blockHash = createHash('sha256')
  #blockBytesLeft = BLOCK_BYTES

  update(piece: Buffer): void {
    for (let rest = piece; rest.length > 0;) {
      const part = rest.subarray(0, this.#blockBytesLeft)
      this.#blockHash.update(part)
      this.#blockBytesLeft -= part.length
      rest = rest.subarray(part.length)
      if (this.#blockBytesLeft === 0) this.#endBlock()
    }
  }

  /** Returns the digest in hexadecimal. No more bytes can be added afterwards. */
  digest(): string {
    if (this.#blockBytesLeft < BLOCK_BYTES) this.#endBlock()
    return this.#fileHash.digest('hex')
  }

  #endBlock(): void {
    this.#fileHash.update(this.#blockHash.digest())
    this.#blockHash = createHash('sha256')
    this.#blockBytesLeft = BLOCK_BYTES
  }
}
