import type { Readable } from 'node:stream'
import type { Entry } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { isThere } from '../shared/is-there.ts'
import { requireMediaType } from '../shared/media-type.ts'
import { Patience } from '../shared/patience.ts'
import { type Chunk, chunksOf } from '../shared/upload-chunks.ts'
import { uploadFrom, type UploadSource } from '../shared/upload-source.ts'
import type { Facts } from './facts.ts'
import { ContentHash } from './content-hash.ts'
import { fileEntry } from './entries.ts'
import { type DropboxServer, look } from './server.ts'
import { commitOnce, type Whole } from './upload-outcome.ts'
import { UploadSession } from './upload-session.ts'
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
