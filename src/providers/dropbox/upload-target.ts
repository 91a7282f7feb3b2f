import type { Entry } from '../../domain/entry.ts'
import { isStorageError, StorageError } from '../../domain/errors.ts'
import type { UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { requireName } from '../shared/file-name.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import type { Facts } from './facts.ts'
import { fileEntry } from './entries.ts'
import { parseId } from './ids.ts'
import { type DropboxServer, look, lookAtFolder, parentIdOf } from './server.ts'

const REV = /^[0-9a-f]{9,100}$/

/** Where an upload goes. */
export interface Destination {
  /**
   * An id, or a name below one: a folder or file that is moved meanwhile is still meant, and one that is removed is not
   * made anew, as it would be by its path.
   */
  readonly path: string
  readonly parentId: string | null
  /** What it means that there is nothing at its path. */
  readonly missing: Missing
  /** The version that was there before; `null` where there was none, or nobody has looked. */
  readonly before: string | null
  /** What Dropbox takes for where something goes, and what may be there ("CommitInfo", "WriteMode"). */
  readonly commit: Facts
  /** Whether an entry is what should have been written. */
  readonly isIt: (entry: Entry) => boolean
}

/**
 * Finds it, and refuses what Dropbox would refuse only after the last byte.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`, `OBJECT_NOT_FOUND`, `ALREADY_EXISTS`, `PRECONDITION_FAILED`,
 * `INVALID_REQUEST`, `UNSUPPORTED`
 */
export async function findDestination(
  server: DropboxServer,
  target: UploadTarget,
  call: UploadCall
): Promise<Destination> {
  return 'id' in target ? overObject(server, target.id, call) : underName(server, target, call)
}

async function overObject(server: DropboxServer, id: string, call: UploadCall): Promise<Destination> {
  const { ifMatch, ifNoneMatch } = call
  const path = parseId(id, 'OBJECT_NOT_FOUND')
  requireRev(ifMatch)
  const facts = await look(server, path, call, 'OBJECT_NOT_FOUND').catch((error: unknown) => {
    const isGone = ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
    throw isGone ? failure('PRECONDITION_FAILED') : error
  })
  if (facts['.tag'] === 'folder') throw new StorageError('INVALID_REQUEST', 'A folder has no content of its own.')
  if (ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  const before = requireReplaceable(facts, ifMatch)
  return {
    path,
    parentId: await parentIdOf(server, facts, call),
    missing: 'OBJECT_NOT_FOUND',
    before,
    commit: commitOf(path, call),
    isIt: (entry) => entry.id === id
  }
}

async function underName(
  server: DropboxServer,
  { parentId, name }: Extract<UploadTarget, { name: string }>,
  call: UploadCall
): Promise<Destination> {
  requireName(name)
  const parent = parentId === null ? null : parseId(parentId, 'FOLDER_NOT_FOUND')
  requireRev(call.ifMatch)
  if (parent !== null) await lookAtFolder(server, parent, call)
  const path = `${parent ?? ''}/${name}`
  return {
    path,
    parentId,
    missing: 'FOLDER_NOT_FOUND',
    before: await meetCondition(server, path, call),
    commit: commitOf(path, call),
    isIt: (entry) => isSameName(entry.name, name)
  }
}

/**
 * Looks at a name, where there is a condition on what has it: after an answer that was lost, what was there before could
 * not be told from what was stored.
 *
 * @returns the version that is to be replaced, or `null`
 */
async function meetCondition(server: DropboxServer, path: string, call: UploadCall): Promise<string | null> {
  const { ifMatch, ifNoneMatch } = call
  if (ifMatch === undefined && ifNoneMatch === undefined) return null
  const facts = await look(server, path, call, 'FOLDER_NOT_FOUND').catch((error: unknown) => {
    if (isStorageError(error, 'FOLDER_NOT_FOUND')) return null
    throw error
  })
  if (ifMatch !== undefined) {
    if (facts === null || facts['.tag'] === 'folder') throw failure('PRECONDITION_FAILED')
    return requireReplaceable(facts, ifMatch)
  }
  if (facts !== null) throw failure('ALREADY_EXISTS')
  return null
}

/** @returns its version @throws StorageError `PRECONDITION_FAILED`, `UNSUPPORTED` */
function requireReplaceable(facts: Facts, ifMatch: string | undefined): string | null {
  const { kind, size, version } = fileEntry(facts, null)
  if (ifMatch !== undefined && version !== ifMatch) throw failure('PRECONDITION_FAILED')
  if (kind === 'file' && size !== null) return version
  throw failure('UNSUPPORTED', 'What is no file of bytes cannot be replaced by one')
}

/** A version of nobody: Dropbox would call it a mistake. */
function requireRev(ifMatch: string | undefined): void {
  if (ifMatch !== undefined && !REV.test(ifMatch)) throw failure('PRECONDITION_FAILED')
}

/** To Dropbox these are one file: it may keep the name that was there first. */
function isSameName(a: string, b: string): boolean {
  return a.normalize().toLowerCase() === b.normalize().toLowerCase()
}

function commitOf(path: string, { ifMatch, ifNoneMatch }: UploadCall): Facts {
  const mode =
    ifMatch !== undefined
      ? { '.tag': 'update', update: ifMatch }
      : { '.tag': ifNoneMatch === '*' ? 'add' : 'overwrite' }
  // Else what is there is good enough for Dropbox where it has the same content, and nothing for a version that is gone.
  const isStrict = ifMatch !== undefined || ifNoneMatch === '*'
  return { path, mode, autorename: false, strict_conflict: isStrict }
}
