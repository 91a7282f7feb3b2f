import { isStorageError, StorageError } from '../../errors.ts'
import type { UploadCall, UploadTarget } from '../../core/backend.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { requireName } from '../shared/names.ts'
import { failure } from '../shared/errors.ts'
import { asObject } from '../shared/rest-client.ts'
import { readErrorBody } from '../shared/rest-client.ts'
import { type BoxItem, readEtag } from './entries.ts'
import { boxFailure } from './errors.ts'
import { type ItemId, parseFolderId, parseId, readId } from './entries.ts'
import { type BoxSession, getItem } from './session.ts'

/** A file that does not exist yet. */
export interface NewFile {
  readonly parent: ItemId
  readonly name: string
}

/** A file that gets a new version. */
export interface ExistingFile {
  readonly itemId: ItemId
  readonly name: string
  /** The `If-Match` condition; `null` to replace any version. */
  readonly etag: string | null
}

export type Destination = NewFile | ExistingFile

/** Finds the destination of an upload, and checks everything that Box can check before it receives the body. */
export async function findDestination(
  session: BoxSession,
  target: UploadTarget,
  call: UploadCall
): Promise<Destination> {
  return 'id' in target ? destinationById(session, target.id, call) : destinationByName(session, target, call)
}

async function destinationById(session: BoxSession, id: string, call: UploadCall): Promise<ExistingFile> {
  const itemId = parseId(id, 'OBJECT_NOT_FOUND')
  if (itemId.type === 'folder') throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
  const item = await getItem(session, itemId, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    const isGone = call.ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
    throw isGone ? failure('PRECONDITION_FAILED') : error
  })
  if (call.ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  if (itemId.type === 'web_link') throw failure('UNSUPPORTED', 'A web link has no content')
  return toExistingFile(item, call)
}

/** Names are unique in a folder, ignoring case. An upload with the name of a file replaces its content. */
async function destinationByName(
  session: BoxSession,
  { parentId, name }: Extract<UploadTarget, { name: string }>,
  call: UploadCall
): Promise<Destination> {
  requireName(name)
  const parent = parseFolderId(parentId)
  const existing = await findByName(session, { parent, name }, call)
  if (existing === null || readId(existing).type !== 'file') {
    if (call.ifMatch !== undefined) throw failure('PRECONDITION_FAILED')
    if (existing !== null) throw failure('ALREADY_EXISTS')
    return { parent, name }
  }
  if (call.ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  return toExistingFile(existing, call)
}

function toExistingFile(item: BoxItem, { ifMatch }: UploadCall): ExistingFile {
  const { name } = item
  const etag = readEtag(item)
  if (typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Box returned a file without a name')
  if (ifMatch === undefined) return { itemId: readId(item), name, etag: null }
  if (etag !== ifMatch) throw failure('PRECONDITION_FAILED')
  return { itemId: readId(item), name, etag }
}

/**
 * Returns the item that already has a new file's name. Box's preflight checks permissions, names, sizes and quota.
 *
 * @throws StorageError the error that the upload itself would cause
 */
export async function findByName(
  session: BoxSession,
  { parent, name }: NewFile,
  { signal, size }: UploadCall
): Promise<BoxItem | null> {
  const { client, timeouts } = session
  const method = 'OPTIONS'
  const url = apiUrl(session.origin, '/2.0/files/content')
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
