import type { Readable } from 'node:stream'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Entry } from '../../domain/entry.ts'
import { StorageError } from '../../domain/errors.ts'
import type { UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { requireMediaType } from '../shared/media-type.ts'
import { asObject } from '../shared/read-json.ts'
import { readProblem } from '../shared/read-problem.ts'
import { uploadFrom, type UploadSource } from '../shared/upload-source.ts'
import { readSize } from './entries.ts'
import { driveFailure } from './failure.ts'
import { keyHeader } from './ids.ts'
import { isNative } from './media-types.ts'
import { FILE_FIELDS } from './query.ts'
import { type DriveServer, learnRoot, rootIdFor, toEntry } from './server.ts'
import { chunksOf } from '../shared/upload-chunks.ts'
import { UploadSession } from './upload-session.ts'
import { findDestination, type Destination } from './upload-target.ts'

/** A multiple of 256 KiB, as Google requires. One chunk is buffered in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** Stores a stream in a session, chunk by chunk. The file appears only after the last chunk of a complete body. */
export async function uploadFile(
  server: DriveServer,
  target: UploadTarget,
  body: Readable,
  call: UploadCall
): Promise<Entry> {
  return uploadFrom(body, call, async (source) => {
    requireUploadable(target.mimeType)
    const destination = await findDestination(server, target, call)
    const parent = 'parent' in destination ? destination.parent : null
    await rootIdFor(server, parent, call)
    const session = await begin(server, destination, target.mimeType, call)
    try {
      const file = await sendAll(session, source)
      if (typeof file.id !== 'string') throw failure('PROVIDER_ERROR', 'Google Drive returned no id of the stored file')
      if (readSize(file.size) !== source.count) {
        throw failure('PROVIDER_ERROR', `Google Drive did not store exactly ${source.count} bytes`)
      }
      learnRoot(server, parent, file)
      call.onStored?.('name' in destination)
      const { resourceKey } = 'id' in destination ? destination : file
      return await toEntry(server, { ...file, resourceKey: file.resourceKey ?? resourceKey ?? null }, call)
    } catch (error) {
      session.cancel()
      throw error
    }
  })
}

/** With a type of Google's own, Drive would convert the bytes to a document, or create a folder. */
function requireUploadable(mimeType: string | undefined): void {
  requireMediaType(mimeType)
  if (mimeType !== undefined && isNative(mimeType)) {
    throw new StorageError('INVALID_REQUEST', 'Google document types cannot be uploaded. Use another media type.')
  }
}

async function sendAll(session: UploadSession, source: UploadSource): Promise<drive_v3.Schema$File> {
  let start = 0
  for await (const chunk of chunksOf(source.stream as AsyncIterable<Buffer>, CHUNK_BYTES)) {
    const file = await session.send(chunk, start)
    if (chunk.isLast) return asObject(file)
    start += chunk.length
  }
  throw failure('PROVIDER_ERROR', 'The upload ended without a last chunk')
}

/** Starts a session for a new file, or for new content of an existing one. */
async function begin(
  server: DriveServer,
  destination: Destination,
  mimeType: string | undefined,
  { signal, size }: UploadCall
): Promise<UploadSession> {
  const { send, origin, timeouts } = server
  const isNew = 'name' in destination
  const path = isNew ? '/upload/drive/v3/files' : `/upload/drive/v3/files/${destination.id}`
  const url = new URL(path, origin)
  for (const [name, value] of Object.entries({
    uploadType: 'resumable',
    supportsAllDrives: 'true',
    fields: FILE_FIELDS
  })) {
    url.searchParams.set(name, value)
  }
  const type = mimeType ?? (isNew ? 'application/octet-stream' : destination.mimeType)
  const method = isNew ? 'POST' : 'PATCH'
  const answer = await send({
    method,
    url,
    signal,
    headers: {
      'content-type': 'application/json; charset=UTF-8',
      'x-upload-content-type': type,
      ...(size !== undefined && { 'x-upload-content-length': String(size) }),
      ...keyHeader(isNew ? destination.parent : destination)
    },
    body: JSON.stringify({
      mimeType: type,
      ...(isNew && { name: destination.name, parents: [destination.parent.id] })
    })
  })
  if (answer.status !== 200) {
    const problem = await readProblem(answer, timeouts.idleMs)
    signal.throwIfAborted()
    throw driveFailure(method, answer, problem, isNew ? 'FOLDER_NOT_FOUND' : 'OBJECT_NOT_FOUND')
  }
  await answer.discard()
  return new UploadSession(server, answer.headers['location'], signal)
}
