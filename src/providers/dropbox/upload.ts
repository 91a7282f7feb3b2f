import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { UploadCall, UploadTarget } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import { failure } from '../shared/errors.ts'
import { Patience } from '../shared/upload-retry.ts'
import { type Chunk, chunksOf, isThere, requireMediaType, uploadFrom, type UploadSource } from '../shared/upload.ts'
import { type Facts, fileEntry } from './entries.ts'
import { type DropboxServer, look } from './session.ts'
import { commitOnce, UploadSession, type Whole } from './upload-session.ts'
import { type Destination, findDestination } from './upload-target.ts'

/** A multiple of 4 MiB, as Dropbox recommends. One chunk is buffered in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** Stores a stream: a short one in one call, a longer one in a session. The file is created after the last byte. */
export async function uploadFile(
  server: DropboxServer,
  target: UploadTarget,
  body: Readable,
  call: UploadCall
): Promise<Entry> {
  return uploadFrom(body, call, async (source) => {
    requireMediaType(target.mimeType)
    const destination = await findDestination(server, target, call)
    const { onStored } = call
    const before = onStored && (await isThere(() => look(server, destination.path, call, 'OBJECT_NOT_FOUND')))
    try {
      const entry = await store(server, destination, source, call)
      if (before !== undefined) onStored?.(!before)
      return entry
    } catch (error) {
      // Dropbox reports a failed precondition like any other conflict.
      const isUnmet = call.ifMatch !== undefined && isStorageError(error, 'ALREADY_EXISTS', 'OBJECT_NOT_FOUND')
      throw isUnmet ? failure('PRECONDITION_FAILED') : error
    }
  })
}

async function store(
  server: DropboxServer,
  destination: Destination,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const hash = new ContentHash()
  let session: UploadSession | null = null
  let start = 0
  for await (const chunk of chunksOf(source.stream as AsyncIterable<Buffer>, CHUNK_BYTES)) {
    for (const piece of chunk.pieces) hash.update(piece)
    if (chunk.isLast) {
      const whole = { destination, size: source.count, hash: hash.digest() }
      const facts = await (session?.finish(chunk, start, whole) ?? storeAtOnce(server, chunk, whole, call))
      return requireStored(facts, whole)
    }
    session ??= new UploadSession(server, call, destination.missing)
    await session.append(chunk, start)
    start += chunk.length
  }
  throw failure('PROVIDER_ERROR', 'The upload ended without a last chunk')
}

async function storeAtOnce(server: DropboxServer, content: Chunk, whole: Whole, call: UploadCall): Promise<Facts> {
  const { missing, commit } = whole.destination
  return commitOnce(server, whole, call, new Patience(call.signal), async () => {
    const arg = { ...commit, content_hash: whole.hash }
    const taken = await server.client.upload('upload', arg, content, { signal: call.signal, missing })
    if ('facts' in taken) return taken.facts
    throw failure('PROVIDER_ERROR', 'Dropbox returned an upload offset, although the upload has no session')
  })
}

/** @throws StorageError `PROVIDER_ERROR` for another file than was sent */
function requireStored(facts: Facts, { destination: { parentId, isIt }, size, hash }: Whole): Entry {
  const entry = fileEntry(facts, parentId)
  if (entry.size === size && entry.hash?.value === hash && isIt(entry)) return entry
  throw failure('PROVIDER_ERROR', `Dropbox did not store these ${size} bytes in the requested place`)
}

const BLOCK_BYTES = 4 * 1024 * 1024

/** Computes Dropbox's `content_hash`: the SHA-256 of the SHA-256s of blocks of 4 MiB ("Content hash"). */
export class ContentHash {
  readonly #all = createHash('sha256')
  #block = createHash('sha256')
  #room = BLOCK_BYTES

  update(piece: Buffer): void {
    for (let rest = piece; rest.length > 0;) {
      const part = rest.subarray(0, this.#room)
      this.#block.update(part)
      this.#room -= part.length
      rest = rest.subarray(part.length)
      if (this.#room === 0) this.#endBlock()
    }
  }

  /** Returns the digest in hexadecimal. No more bytes can be added afterwards. */
  digest(): string {
    if (this.#room < BLOCK_BYTES) this.#endBlock()
    return this.#all.digest('hex')
  }

  #endBlock(): void {
    this.#all.update(this.#block.digest())
    this.#block = createHash('sha256')
    this.#room = BLOCK_BYTES
  }
}
