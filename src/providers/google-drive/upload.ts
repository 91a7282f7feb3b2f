import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { UploadCall } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
import { asObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { apiUrl, readErrorBody } from '../shared/rest-client.ts'
import { chunksOf, type UploadSource } from '../shared/upload.ts'
import { checkNameConditions, getReplaced, type ParsedTarget, toReplacedObject } from '../shared/upload-target.ts'
import { FILE_FIELDS, fileEntry, isNative, type ItemId, parseId, readSize } from './entries.ts'
import { driveFailure } from './errors.ts'
import { findByName } from './list.ts'
import {
  type DriveSession,
  ensureRootId,
  getItem,
  requireParentFolder,
  resourceKeyHeader,
  storeRootId,
  toEntry
} from './session.ts'
import { UploadSession } from './upload-session.ts'

/** A multiple of 256 KiB, as Google requires. One chunk is buffered in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** Stores a stream in a session, chunk by chunk. The file appears only after the last chunk of a complete body. */
export async function uploadFile(
  session: DriveSession,
  target: ParsedTarget<ItemId, ItemId>,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const { mimeType } = target
  // Drive would convert the bytes to a document, or create a folder.
  if (mimeType !== undefined && isNative(mimeType)) {
    throw new StorageError('INVALID_REQUEST', 'Google document types cannot be uploaded. Use another media type.')
  }
  const destination = await findDestination(session, target, call)
  const parent = 'parent' in destination ? destination.parent : null
  await ensureRootId(session, parent, call)
  const uploadSession = await startUploadSession(session, destination, mimeType, call)
  try {
    const file = await sendChunks(uploadSession, source)
    if (typeof file.id !== 'string') throw failure('PROVIDER_ERROR', 'Google Drive returned no id of the stored file')
    if (readSize(file.size) !== source.receivedBytes) {
      throw failure('PROVIDER_ERROR', `Google Drive did not store exactly ${source.receivedBytes} bytes`)
    }
    storeRootId(session, parent, file)
    call.onStored?.('name' in destination)
    const { resourceKey } = 'id' in destination ? destination : file
    return await toEntry(session, { ...file, resourceKey: file.resourceKey ?? resourceKey ?? null }, call)
  } catch (error) {
    uploadSession.cancel()
    throw error
  }
}

async function sendChunks(uploadSession: UploadSession, source: UploadSource): Promise<drive_v3.Schema$File> {
  let start = 0
  for await (const chunk of chunksOf(source.stream as AsyncIterable<Buffer>, CHUNK_BYTES)) {
    const file = await uploadSession.send(chunk, start)
    if (chunk.isLast) return asObject(file)
    start += chunk.length
  }
  throw failure('PROVIDER_ERROR', 'The upload ended without a last chunk')
}

/** Starts a session for a new file, or for new content of an existing one. */
async function startUploadSession(
  session: DriveSession,
  destination: Destination,
  mimeType: string | undefined,
  { signal, size }: UploadCall
): Promise<UploadSession> {
  const { send, origin, timeouts } = session
  const isNew = 'name' in destination
  const path = isNew ? '/upload/drive/v3/files' : `/upload/drive/v3/files/${destination.id}`
  const url = apiUrl(origin, path, { uploadType: 'resumable', supportsAllDrives: 'true', fields: FILE_FIELDS })
  const type = mimeType ?? (isNew ? 'application/octet-stream' : destination.mimeType)
  const method = isNew ? 'POST' : 'PATCH'
  const response = await send({
    method,
    url,
    signal,
    headers: {
      'content-type': 'application/json; charset=UTF-8',
      'x-upload-content-type': type,
      ...(size !== undefined && { 'x-upload-content-length': String(size) }),
      ...resourceKeyHeader(isNew ? destination.parent : destination)
    },
    body: JSON.stringify({
      mimeType: type,
      ...(isNew && { name: destination.name, parents: [destination.parent.id] })
    })
  })
  if (response.status !== 200) {
    const problem = await readErrorBody(response, timeouts.idleMs)
    signal.throwIfAborted()
    throw driveFailure(method, response, problem, isNew ? 'FOLDER_NOT_FOUND' : 'OBJECT_NOT_FOUND')
  }
  await response.discard()
  return new UploadSession(session, response.headers['location'], signal)
}

/** A new file, or an existing file that gets new content. */
type Destination = { readonly parent: ItemId; readonly name: string } | (ItemId & { readonly mimeType: string })

/**
 * Finds the destination of an upload, and checks its conditions. Drive has neither unique names nor preconditions:
 * the result may be outdated when the last chunk is stored, and both of two concurrent writers may succeed. If both
 * create a name, it exists twice.
 */
async function findDestination(
  session: DriveSession,
  target: ParsedTarget<ItemId, ItemId>,
  call: UploadCall
): Promise<Destination> {
  if ('id' in target) {
    const getFile = () => getItem(session, target.id, call, 'OBJECT_NOT_FOUND')
    const { entry } = await getReplaced(getFile, (file) => fileEntry(file, { parentId: null }), call)
    return { ...target.id, mimeType: mimeTypeOf(entry) }
  }
  const { parent, name } = target
  await requireParentFolder(session, parent, call)
  // A folder with the same name is no conflict.
  const entries = (await findByName(session, parent, name, call)).filter(({ kind }) => kind !== 'folder')
  if (entries.length > 1) throw failure('ALREADY_EXISTS')
  const [entry] = entries
  checkNameConditions(entry === undefined ? null : toReplacedObject(entry), call)
  if (entry === undefined) return { parent, name }
  return { ...parseId(entry.id, 'OBJECT_NOT_FOUND'), mimeType: mimeTypeOf(entry) }
}

function mimeTypeOf({ mimeType }: Entry): string {
  return mimeType ?? 'application/octet-stream'
}
