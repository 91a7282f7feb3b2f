import { isStorageError, StorageError } from '../../domain/errors.ts'
import type { Entry } from '../../domain/entry.ts'
import type { UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { requireName } from '../shared/file-name.ts'
import { failure } from '../shared/http-failure.ts'
import { fileEntry } from './entries.ts'
import { type DriveId, parseId } from './ids.ts'
import { checkedParent, namesakes } from './names.ts'
import { type DriveServer, look } from './server.ts'

/** A new file, or an existing file that gets new content. */
export type Destination =
  { readonly parent: DriveId; readonly name: string } | (DriveId & { readonly mimeType: string })

/**
 * Finds the destination of an upload, and checks its conditions. Drive has neither unique names nor preconditions:
 * the result may be outdated when the last chunk is stored, and both of two concurrent writers may succeed. If both
 * create a name, it exists twice.
 */
export async function findDestination(
  server: DriveServer,
  target: UploadTarget,
  call: UploadCall
): Promise<Destination> {
  return 'id' in target ? overObject(server, target.id, call) : underName(server, target, call)
}

async function overObject(server: DriveServer, id: string, call: UploadCall): Promise<Destination> {
  const { ifMatch, ifNoneMatch } = call
  const about = parseId(id, 'OBJECT_NOT_FOUND')
  const file = await look(server, about, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    const isGone = ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
    throw isGone ? failure('PRECONDITION_FAILED') : error
  })
  const entry = fileEntry(file, { parentId: null })
  if (entry.kind === 'folder') throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
  if (ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  if (ifMatch !== undefined && entry.version !== ifMatch) throw failure('PRECONDITION_FAILED')
  if (!hasContent(entry)) throw failure('UNSUPPORTED', 'The item has no file content that an upload could replace')
  return { ...about, mimeType: entry.mimeType ?? 'application/octet-stream' }
}

/** A folder with the same name is no conflict. */
async function underName(
  server: DriveServer,
  { parentId, name }: Extract<UploadTarget, { name: string }>,
  call: UploadCall
): Promise<Destination> {
  requireName(name)
  const parent = await checkedParent(server, parentId, call)
  const entries = (await namesakes(server, parent, name, call)).filter(({ kind }) => kind !== 'folder')
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
