import { createHash, type Hash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { UploadCall } from '../../core/backend.ts'
import type { HttpRequest } from '../../core/egress.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { asObject, type JsonObject } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { isSameName } from '../shared/names.ts'
import { apiUrl, readErrorBody } from '../shared/rest-client.ts'
import { MAX_BUFFERED_BYTES, readBuffer, type SizedBody, toSizedBody } from '../shared/sized-body.ts'
import { chunksOf, type UploadSource } from '../shared/upload.ts'
import { checkNameConditions, getReplaced, type ParsedTarget } from '../shared/upload-target.ts'
import { boxEntry, fieldsOf, type ItemId, readEtag, readId } from './entries.ts'
import { boxFailure } from './errors.ts'
import { type BoxSession, getItem } from './session.ts'
import { UploadSession } from './upload-session.ts'

type Target = ParsedTarget<ItemId, ItemId>

/** The minimum size of a chunked upload in bytes ("Create upload session"). */
const SESSION_BYTES = 20_000_000

/** Stores a body in one request, or in parts if it is large. Box derives types from names, so none is sent. */
export async function uploadFile(
  session: BoxSession,
  target: Target,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const destination = await findDestination(session, target, call)
  const sized = await toSizedBody(source, call.size, session.spool)
  try {
    const entry = await uploadContent(session, target, destination, sized, call)
    call.onStored?.('parent' in destination)
    return entry
  } finally {
    await sized.close()
  }
}

async function uploadContent(
  session: BoxSession,
  target: Target,
  destination: Destination,
  sized: SizedBody,
  call: UploadCall
): Promise<Entry> {
  if (sized.size >= SESSION_BYTES) return uploadInParts(session, destination, sized, call)
  if (sized.size > MAX_BUFFERED_BYTES) return uploadAsForm(session, destination, sized.stream, sized.size, call)
  return uploadBuffered(session, target, destination, await readBuffer(sized.stream), call)
}

/** Sends a buffered body. If another client has created the name meanwhile, sends it again as a new version. */
async function uploadBuffered(
  session: BoxSession,
  target: Target,
  destination: Destination,
  content: Buffer,
  call: UploadCall
): Promise<Entry> {
  try {
    return await uploadAsForm(session, destination, content, content.length, call)
  } catch (error) {
    if (!('parent' in destination && isStorageError(error, 'ALREADY_EXISTS'))) throw error
    return await uploadAsForm(session, await findDestination(session, target, call), content, content.length, call)
  }
}

async function uploadAsForm(
  session: BoxSession,
  destination: Destination,
  content: Buffer | AsyncIterable<Buffer>,
  size: number,
  { signal }: UploadCall
): Promise<Entry> {
  const { client, timeouts, uploadOrigin } = session
  const isNew = 'parent' in destination
  const { name } = destination
  const hash = createHash('sha1')
  const isBuffered = Buffer.isBuffer(content)
  if (isBuffered) hash.update(content)
  // Box requires the name for a new version too: the file's current one.
  const attributes = isNew ? { name, parent: { id: destination.parent.id } } : { name }
  const form = encodeForm(attributes, isBuffered ? content : hashed(content, hash), size)
  const url = new URL(
    isNew ? '/api/2.0/files/content' : `/api/2.0/files/${destination.itemId.id}/content`,
    uploadOrigin
  )
  url.searchParams.set('fields', fieldsOf('file'))
  const response = await client.request({
    method: 'POST',
    url,
    signal,
    purpose: 'transfer',
    body: form.body,
    headers: {
      ...form.headers,
      // Despite its name, this header contains a SHA-1.
      ...(isBuffered && { 'content-md5': hash.copy().digest('hex') }),
      ...(!isNew && destination.etag !== null && { 'if-match': destination.etag })
    },
    missing: isNew ? 'FOLDER_NOT_FOUND' : 'OBJECT_NOT_FOUND'
  })
  const { entries } = asObject(await readErrorBody(response, timeouts.idleMs))
  signal.throwIfAborted()
  const stored = asObject(Array.isArray(entries) ? entries[0] : undefined)
  return boxEntry(requireStored(stored, destination, size, hash.digest()))
}

async function uploadInParts(
  session: BoxSession,
  destination: Destination,
  { size, stream }: SizedBody,
  call: UploadCall
): Promise<Entry> {
  const uploadSession = await startUploadSession(session, destination, size, call)
  try {
    const hash = createHash('sha1')
    for await (const chunk of chunksOf(hashed(stream, hash), uploadSession.partBytes)) await uploadSession.send(chunk)
    const sha1 = hash.digest()
    const stored = await uploadSession.commit(sha1, () => findStored(session, destination, sha1, call))
    const itemId = readId(requireStored(stored, destination, size, sha1))
    // A commit cannot request the fields of an entry. If this request fails, the file is stored all the same.
    const item = await getItem(session, itemId, call, 'OBJECT_NOT_FOUND').catch(() => stored)
    call.signal.throwIfAborted()
    return boxEntry(item)
  } catch (error) {
    uploadSession.cancel()
    throw error
  }
}

/** @throws StorageError if Box refuses the upload */
async function startUploadSession(
  session: BoxSession,
  destination: Destination,
  size: number,
  { signal }: UploadCall
): Promise<UploadSession> {
  const isNew = 'parent' in destination
  const path = isNew ? 'upload_sessions' : `${destination.itemId.id}/upload_sessions`
  const created = await session.client.json({
    method: 'POST',
    url: new URL(`/api/2.0/files/${path}`, session.uploadOrigin),
    signal,
    json: isNew
      ? { folder_id: destination.parent.id, file_name: destination.name, file_size: size }
      : { file_size: size },
    missing: isNew ? 'FOLDER_NOT_FOUND' : 'OBJECT_NOT_FOUND'
  })
  return new UploadSession(session, created, size, isNew ? null : destination.etag, signal)
}

/** Returns the stored file after a lost response, if it has the uploaded content. */
async function findStored(
  session: BoxSession,
  destination: Destination,
  sha1: Buffer,
  call: UploadCall
): Promise<JsonObject | null> {
  const found = 'parent' in destination ? await findByName(session, destination, call) : null
  const itemId = 'parent' in destination ? found && readId(found) : destination.itemId
  if (itemId === null || itemId.type !== 'file') return null
  const item = await getItem(session, itemId, call, 'OBJECT_NOT_FOUND')
  return item['sha1'] === sha1.toString('hex') ? item : null
}

/** @throws StorageError `PROVIDER_ERROR` if Box stored something else than was sent */
function requireStored(item: JsonObject, destination: Destination, size: number, sha1: Buffer): JsonObject {
  const { name } = item
  // An existing file may have been renamed meanwhile.
  const isNamed =
    !('parent' in destination) ||
    // Box stores one of the two Unicode forms of a name.
    (typeof name === 'string' && isSameName(name, destination.name, { ignoreCase: false }))
  const isSame = isNamed && item['size'] === size && item['sha1'] === sha1.toString('hex')
  if (isSame && readId(item).type === 'file') return item
  throw failure('PROVIDER_ERROR', `Box did not store these ${size} bytes under this name`)
}

/** Passes the bytes through and updates a digest. */
async function* hashed(stream: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const piece of stream) {
    hash.update(piece)
    yield piece
  }
}

/** A file that does not exist yet. */
interface NewFile {
  readonly parent: ItemId
  readonly name: string
}

/** A file that gets a new version. */
interface ExistingFile {
  readonly itemId: ItemId
  readonly name: string
  /** The `If-Match` condition; `null` to replace any version. */
  readonly etag: string | null
}

type Destination = NewFile | ExistingFile

/** Finds the destination of an upload, and checks everything that Box can check before it receives the body. */
async function findDestination(session: BoxSession, target: Target, call: UploadCall): Promise<Destination> {
  const etag = call.ifMatch ?? null
  if ('id' in target) {
    const itemId = target.id
    if (itemId.type === 'folder') throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
    const getFile = () => getItem(session, itemId, call, 'OBJECT_NOT_FOUND')
    const { entry } = await getReplaced(getFile, boxEntry, call)
    return { itemId, name: entry.name, etag }
  }
  const { parent, name } = target
  // Names are unique in a folder, ignoring case.
  const existing = await findByName(session, { parent, name }, call)
  const itemId = existing && readId(existing)
  const isFile = itemId?.type === 'file'
  checkNameConditions(existing && { version: isFile ? readEtag(existing) : null, hasContent: isFile }, call)
  if (existing === null || itemId === null) return { parent, name }
  if (typeof existing['name'] !== 'string') throw failure('PROVIDER_ERROR', 'Box returned a file without a name')
  return { itemId, name: existing['name'], etag }
}

/**
 * Returns the item that already has a new file's name. Box's preflight checks permissions, names, sizes and quota.
 *
 * @throws StorageError the error that the upload itself would cause
 */
async function findByName(
  { client, origin, timeouts }: BoxSession,
  { parent, name }: NewFile,
  { signal, size }: UploadCall
): Promise<JsonObject | null> {
  const method = 'OPTIONS'
  const url = apiUrl(origin, '/2.0/files/content')
  const json = { name, parent: { id: parent.id }, ...(size !== undefined && { size }) }
  const response = await client.send({ method, url, signal, json, missing: 'FOLDER_NOT_FOUND' })
  if (response.status === 200) {
    await response.discard()
    return null
  }
  const problem = await readErrorBody(response, timeouts.idleMs)
  signal.throwIfAborted()
  const { code, context_info: context } = asObject(problem)
  if (response.status !== 409 || code !== 'item_name_in_use') {
    throw boxFailure(method, response, problem, 'FOLDER_NOT_FOUND')
  }
  const { conflicts } = asObject(context)
  // One item or a list of items: Box has been seen to return both.
  return asObject(Array.isArray(conflicts) ? conflicts[0] : conflicts)
}

/** A form that is ready to be sent. */
interface Form {
  readonly headers: Readonly<Record<string, string>>
  readonly body: NonNullable<HttpRequest['body']>
}

/**
 * Encodes a file as `multipart/form-data` (RFC 7578). The attributes come first: Box validates the upload by them
 * alone, and refuses the other order.
 *
 * @param content bytes, which can be sent again, or a stream of exactly `size` bytes
 */
function encodeForm(
  attributes: Readonly<Record<string, unknown>>,
  content: Buffer | AsyncIterable<Buffer>,
  size: number
): Form {
  const boundary = randomUUID()
  // The attributes contain the name, because JSON can represent any name.
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="attributes"\r\n\r\n${JSON.stringify(attributes)}\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n'
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + size + tail.length)
    },
    body: Buffer.isBuffer(content)
      ? Buffer.concat([head, content, tail])
      : Readable.from(formBody(head, content, tail), { objectMode: false })
  }
}

async function* formBody(head: Buffer, content: AsyncIterable<Buffer>, tail: Buffer): AsyncGenerator<Buffer> {
  yield head
  yield* content
  yield tail
}
