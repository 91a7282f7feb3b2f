import type { Entry } from '../../core/entry.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import type { UploadCall, UploadTarget } from '../../core/backend.ts'
import { requireName } from '../shared/names.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import type { Metadata } from './entries.ts'
import { fileEntry } from './entries.ts'
import { parseId } from './entries.ts'
import { type DropboxSession, getItem, getFolder, getParentId } from './session.ts'

const REV = /^[0-9a-f]{9,100}$/

/** The destination of an upload. */
export interface Destination {
  /**
   * An id, or a name below an id. A folder or file that is moved meanwhile is still found. One that is removed is not
   * created again, as it would be by path.
   */
  readonly path: string
  readonly parentId: string | null
  /** The meaning of a missing path. */
  readonly missing: NotFoundCode
  /** The previous version; `null` if there was none or it was not requested. */
  readonly previousVersion: string | null
  /** The path and write mode for Dropbox ("CommitInfo", "WriteMode"). */
  readonly commit: Metadata
  /** Returns whether an entry is the intended file. */
  readonly matches: (entry: Entry) => boolean
}

/**
 * Finds the destination, and checks conditions that Dropbox would check only after the last byte.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`, `OBJECT_NOT_FOUND`, `ALREADY_EXISTS`, `PRECONDITION_FAILED`,
 * `INVALID_REQUEST`, `UNSUPPORTED`
 */
export async function findDestination(
  session: DropboxSession,
  target: UploadTarget,
  call: UploadCall
): Promise<Destination> {
  return 'id' in target ? destinationById(session, target.id, call) : destinationByName(session, target, call)
}

async function destinationById(session: DropboxSession, id: string, call: UploadCall): Promise<Destination> {
  const { ifMatch, ifNoneMatch } = call
  const path = parseId(id, 'OBJECT_NOT_FOUND')
  requireRev(ifMatch)
  const metadata = await getItem(session, path, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    const isGone = ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
    throw isGone ? failure('PRECONDITION_FAILED') : error
  })
  if (metadata['.tag'] === 'folder') throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
  if (ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  const previousVersion = requireReplaceable(metadata, ifMatch)
  return {
    path,
    parentId: await getParentId(session, metadata, call),
    missing: 'OBJECT_NOT_FOUND',
    previousVersion,
    commit: toCommitInfo(path, call),
    matches: (entry) => entry.id === id
  }
}

async function destinationByName(
  session: DropboxSession,
  { parentId, name }: Extract<UploadTarget, { name: string }>,
  call: UploadCall
): Promise<Destination> {
  requireName(name)
  const parent = parentId === null ? null : parseId(parentId, 'FOLDER_NOT_FOUND')
  requireRev(call.ifMatch)
  if (parent !== null) await getFolder(session, parent, call)
  const path = `${parent ?? ''}/${name}`
  return {
    path,
    parentId,
    missing: 'FOLDER_NOT_FOUND',
    previousVersion: await checkCondition(session, path, call),
    commit: toCommitInfo(path, call),
    matches: (entry) => isSameName(entry.name, name)
  }
}

/**
 * Checks the condition on a name. Without this check, a lost response would make the previous file indistinguishable
 * from the stored one.
 *
 * @returns the version to be replaced, or `null`
 */
async function checkCondition(session: DropboxSession, path: string, call: UploadCall): Promise<string | null> {
  const { ifMatch, ifNoneMatch } = call
  if (ifMatch === undefined && ifNoneMatch === undefined) return null
  const metadata = await getItem(session, path, call, 'FOLDER_NOT_FOUND').catch((error: unknown) => {
    if (isStorageError(error, 'FOLDER_NOT_FOUND')) return null
    throw error
  })
  if (ifMatch !== undefined) {
    if (metadata === null || metadata['.tag'] === 'folder') throw failure('PRECONDITION_FAILED')
    return requireReplaceable(metadata, ifMatch)
  }
  if (metadata !== null) throw failure('ALREADY_EXISTS')
  return null
}

/** @returns its version @throws StorageError `PRECONDITION_FAILED`, `UNSUPPORTED` */
function requireReplaceable(metadata: Metadata, ifMatch: string | undefined): string | null {
  const { kind, size, version } = fileEntry(metadata, null)
  if (ifMatch !== undefined && version !== ifMatch) throw failure('PRECONDITION_FAILED')
  if (kind === 'file' && size !== null) return version
  throw failure('UNSUPPORTED', 'The item has no file content that an upload could replace')
}

/** Rejects a value that cannot be a version. Dropbox would report it as a malformed request. */
function requireRev(ifMatch: string | undefined): void {
  if (ifMatch !== undefined && !REV.test(ifMatch)) throw failure('PRECONDITION_FAILED')
}

/** Compares names as Dropbox does. It may retain the spelling of the existing file. */
function isSameName(a: string, b: string): boolean {
  return a.normalize().toLowerCase() === b.normalize().toLowerCase()
}

function toCommitInfo(path: string, { ifMatch, ifNoneMatch }: UploadCall): Metadata {
  const mode =
    ifMatch !== undefined
      ? { '.tag': 'update', update: ifMatch }
      : { '.tag': ifNoneMatch === '*' ? 'add' : 'overwrite' }
  // Otherwise Dropbox accepts an existing file with the same content, and a missing file for a removed version.
  const isStrict = ifMatch !== undefined || ifNoneMatch === '*'
  return { path, mode, autorename: false, strict_conflict: isStrict }
}
