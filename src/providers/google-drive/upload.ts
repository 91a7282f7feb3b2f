import type { Readable } from 'node:stream'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Call, UploadCall, UploadTarget } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { failure } from '../shared/errors.ts'
import { requireName } from '../shared/names.ts'
import { asObject, readErrorBody } from '../shared/rest-client.ts'
import { chunksOf, requireMediaType, uploadFrom, type UploadSource } from '../shared/upload.ts'
import { type ItemId, fileEntry, isNative, resourceKeyHeader, parseId, readSize, ROOT } from './entries.ts'
import { driveFailure } from './errors.ts'
import { childrenQuery, FILE_FIELDS, listParameters, quote } from './query.ts'
import { type DriveSession, storeRootId, getItem, getFolder, ensureRootId, toEntry } from './session.ts'
import { UploadSession } from './upload-session.ts'

/** A multiple of 256 KiB, as Google requires. One chunk is buffered in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** Stores a stream in a session, chunk by chunk. The file appears only after the last chunk of a complete body. */
export async function uploadFile(
  session: DriveSession,
  target: UploadTarget,
  body: Readable,
  call: UploadCall
): Promise<Entry> {
  return uploadFrom(body, call, async (source) => {
    requireUploadable(target.mimeType)
    const destination = await findDestination(session, target, call)
    const parent = 'parent' in destination ? destination.parent : null
    await ensureRootId(session, parent, call)
    const uploadSession = await startUploadSession(session, destination, target.mimeType, call)
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
  })
}

/** With a type of Google's own, Drive would convert the bytes to a document, or create a folder. */
function requireUploadable(mimeType: string | undefined): void {
  requireMediaType(mimeType)
  if (mimeType !== undefined && isNative(mimeType)) {
    throw new StorageError('INVALID_REQUEST', 'Google document types cannot be uploaded. Use another media type.')
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
export type Destination = { readonly parent: ItemId; readonly name: string } | (ItemId & { readonly mimeType: string })

/**
 * Finds the destination of an upload, and checks its conditions. Drive has neither unique names nor preconditions:
 * the result may be outdated when the last chunk is stored, and both of two concurrent writers may succeed. If both
 * create a name, it exists twice.
 */
export async function findDestination(
  session: DriveSession,
  target: UploadTarget,
  call: UploadCall
): Promise<Destination> {
  return 'id' in target ? destinationById(session, target.id, call) : destinationByName(session, target, call)
}

async function destinationById(session: DriveSession, id: string, call: UploadCall): Promise<Destination> {
  const { ifMatch, ifNoneMatch } = call
  const itemId = parseId(id, 'OBJECT_NOT_FOUND')
  const file = await getItem(session, itemId, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    const isGone = ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
    throw isGone ? failure('PRECONDITION_FAILED') : error
  })
  const entry = fileEntry(file, { parentId: null })
  if (entry.kind === 'folder') throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
  if (ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  if (ifMatch !== undefined && entry.version !== ifMatch) throw failure('PRECONDITION_FAILED')
  if (!hasContent(entry)) throw failure('UNSUPPORTED', 'The item has no file content that an upload could replace')
  return { ...itemId, mimeType: entry.mimeType ?? 'application/octet-stream' }
}

/** A folder with the same name is no conflict. */
async function destinationByName(
  session: DriveSession,
  { parentId, name }: Extract<UploadTarget, { name: string }>,
  call: UploadCall
): Promise<Destination> {
  requireName(name)
  const parent = await requireParentFolder(session, parentId, call)
  const entries = (await findByName(session, parent, name, call)).filter(({ kind }) => kind !== 'folder')
  const [entry] = entries
  const { ifMatch, ifNoneMatch } = call
  if (ifMatch !== undefined && entries.length <= 1 && entry?.version !== ifMatch) throw failure('PRECONDITION_FAILED')
  if (entry === undefined) return { parent, name }
  if (ifNoneMatch === '*' || entries.length > 1 || !hasContent(entry)) throw failure('ALREADY_EXISTS')
  return { ...parseId(entry.id, 'OBJECT_NOT_FOUND'), mimeType: entry.mimeType ?? 'application/octet-stream' }
}

function hasContent({ kind, exportFormats }: Entry): boolean {
  return kind === 'file' && exportFormats.length === 0
}

const PAGE_SIZE = 100
/** Google may return short or empty pages before the last one. */
const MAX_PAGES = 10

/**
 * Checks the parent folder of a write: Google would also write into a folder in the trash.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`
 */
export async function requireParentFolder(session: DriveSession, parentId: string | null, call: Call): Promise<ItemId> {
  const parent = parseId(parentId ?? ROOT, 'FOLDER_NOT_FOUND')
  if (parent.id !== ROOT) await getFolder(session, parent, call)
  return parent
}

/** Returns all items with a name in a folder. Drive matches names loosely, and allows duplicates. */
export async function findByName(
  { client, driveIndex }: DriveSession,
  parent: ItemId,
  name: string,
  { signal }: Call
): Promise<readonly Entry[]> {
  const driveId = driveIndex.driveIdOf(parent.id)
  const corpus = parent.id === ROOT ? 'user' : driveId === null ? null : { driveId }
  const parameters = listParameters(`${childrenQuery(parent.id)} and name = ${quote(name)}`, corpus, PAGE_SIZE)
  const found: Entry[] = []
  let page = parameters
  for (let pages = 1; pages <= MAX_PAGES; pages++) {
    const response = await client.call({ signal, missing: 'FOLDER_NOT_FOUND', itemId: parent }, (drive, options) =>
      drive.files.list(page, options)
    )
    const { files, nextPageToken } = response
    if (!Array.isArray(files)) throw failure('PROVIDER_ERROR', 'Google Drive returned no list of files')
    const entries = files.map((file) => fileEntry(asObject(file), { parentId: parent.id }))
    found.push(...entries.filter((entry) => entry.name === name))
    if (typeof nextPageToken !== 'string' || nextPageToken === '') break
    page = { ...parameters, pageToken: nextPageToken }
  }
  return found
}
