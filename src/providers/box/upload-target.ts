import { isStorageError, StorageError } from '../../errors.ts'
import type { UploadCall, UploadTarget } from '../../core/backend.ts'
import { apiUrl } from '../shared/rest-client.ts'
import { requireName } from '../shared/names.ts'
import { failure } from '../shared/errors.ts'
import { asObject } from '../shared/rest-client.ts'
import { readProblem } from '../shared/rest-client.ts'
import { type BoxItem, readEtag } from './entries.ts'
import { boxFailure } from './errors.ts'
import { type BoxId, parseFolderId, parseId, readId } from './entries.ts'
import { type BoxServer, look } from './session.ts'

/** A file that does not exist yet. */
export interface NewFile {
  readonly parent: BoxId
  readonly name: string
}

/** A file that gets a new version. */
export interface KnownFile {
  readonly about: BoxId
  readonly name: string
  /** The `If-Match` condition; `null` to replace any version. */
  readonly etag: string | null
}

export type Destination = NewFile | KnownFile

/** Finds the destination of an upload, and checks everything that Box can check before it receives the body. */
export async function findDestination(server: BoxServer, target: UploadTarget, call: UploadCall): Promise<Destination> {
  return 'id' in target ? overObject(server, target.id, call) : underName(server, target, call)
}

async function overObject(server: BoxServer, id: string, call: UploadCall): Promise<KnownFile> {
  const about = parseId(id, 'OBJECT_NOT_FOUND')
  if (about.type === 'folder') throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
  const item = await look(server, about, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    const isGone = call.ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
    throw isGone ? failure('PRECONDITION_FAILED') : error
  })
  if (call.ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  if (about.type === 'web_link') throw failure('UNSUPPORTED', 'A web link has no content')
  return overItem(item, call)
}

/** Names are unique in a folder, ignoring case. An upload with the name of a file replaces its content. */
async function underName(
  server: BoxServer,
  { parentId, name }: Extract<UploadTarget, { name: string }>,
  call: UploadCall
): Promise<Destination> {
  requireName(name)
  const parent = parseFolderId(parentId)
  const taken = await findNamesake(server, { parent, name }, call)
  if (taken === null || readId(taken).type !== 'file') {
    if (call.ifMatch !== undefined) throw failure('PRECONDITION_FAILED')
    if (taken !== null) throw failure('ALREADY_EXISTS')
    return { parent, name }
  }
  if (call.ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  return overItem(taken, call)
}

function overItem(item: BoxItem, { ifMatch }: UploadCall): KnownFile {
  const { name } = item
  const etag = readEtag(item)
  if (typeof name !== 'string') throw failure('PROVIDER_ERROR', 'Box returned a file without a name')
  if (ifMatch === undefined) return { about: readId(item), name, etag: null }
  if (etag !== ifMatch) throw failure('PRECONDITION_FAILED')
  return { about: readId(item), name, etag }
}

/**
 * Returns the item that already has a new file's name. Box's preflight checks permissions, names, sizes and quota.
 *
 * @throws StorageError the error that the upload itself would cause
 */
export async function findNamesake(
  server: BoxServer,
  { parent, name }: NewFile,
  { signal, size }: UploadCall
): Promise<BoxItem | null> {
  const { client, timeouts } = server
  const method = 'OPTIONS'
  const url = apiUrl(server.api, '/2.0/files/content')
  const json = { name, parent: { id: parent.id }, ...(size !== undefined && { size }) }
  const answer = await client.exchange({ method, url, signal, json, missing: 'FOLDER_NOT_FOUND' })
  if (answer.status === 200) {
    await answer.discard()
    return null
  }
  const problem = await readProblem(answer, timeouts.idleMs)
  signal.throwIfAborted()
  const { code, context_info: context } = asObject(problem)
  if (answer.status !== 409 || code !== 'item_name_in_use') {
    throw boxFailure(method, answer, problem, 'FOLDER_NOT_FOUND')
  }
  const { conflicts } = asObject(context)
  // One item or a list of items: Box has been seen to return both.
  return asObject(Array.isArray(conflicts) ? conflicts[0] : conflicts)
}
