import { createHash } from 'node:crypto'
import type { UploadCall } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError } from '../../errors.ts'
import type { JsonObject } from '../shared/entries.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { isSameName } from '../shared/names.ts'
import { chunksOf, exists, type UploadSource } from '../shared/upload.ts'
import { UploadRetry } from '../shared/upload-retry.ts'
import { checkNameConditions, getReplaced, type ParsedTarget, toReplacedObject } from '../shared/upload-target.ts'
import { fileEntry, toEntry } from './entries.ts'
import { isNotApplied } from './errors.ts'
import { type DropboxSession, getFolder, getItem, getParentId } from './session.ts'
import { UploadSession } from './upload-session.ts'

/** A multiple of 4 MiB, as Dropbox recommends. One chunk is buffered in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** Stores a stream: a short one in one call, a longer one in a session. The file is created after the last byte. */
export async function uploadFile(
  session: DropboxSession,
  target: ParsedTarget<string, string | null>,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const destination = await findDestination(session, target, call)
  const { onStored } = call
  const existed = onStored && (await exists(() => getItem(session, destination.path, call, 'OBJECT_NOT_FOUND')))
  try {
    const entry = await uploadContent(session, destination, source, call)
    if (existed !== undefined) onStored?.(!existed)
    return entry
  } catch (error) {
    // Dropbox reports a failed precondition like any other conflict.
    const isPreconditionFailure =
      call.ifMatch !== undefined && isStorageError(error, 'ALREADY_EXISTS', 'OBJECT_NOT_FOUND')
    throw isPreconditionFailure ? failure('PRECONDITION_FAILED') : error
  }
}

async function uploadContent(
  session: DropboxSession,
  destination: Destination,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const { client } = session
  const { commit, missing } = destination
  const options = { signal: call.signal, missing }
  const retry = new UploadRetry(call.signal)
  const contentHash = new ContentHash()
  let uploadSession: UploadSession | null = null
  for await (const chunk of chunksOf(source.stream as AsyncIterable<Buffer>, CHUNK_BYTES)) {
    for (const piece of chunk.pieces) contentHash.update(piece)
    if (!chunk.isLast) {
      uploadSession ??= new UploadSession(client, retry, options)
      await uploadSession.append(chunk)
      continue
    }
    const hash = contentHash.digest()
    const upload = { destination, size: source.receivedBytes, hash }
    const metadata = await commitOnce(session, upload, call, retry, async () => {
      if (uploadSession !== null) return uploadSession.finish(chunk, commit)
      const result = await client.upload('upload', { ...commit, content_hash: hash }, chunk, options)
      if ('metadata' in result) return result.metadata
      throw failure('PROVIDER_ERROR', 'Dropbox returned an upload offset, although the upload has no session')
    })
    return requireStored(metadata, upload)
  }
  throw failure('PROVIDER_ERROR', 'The upload ended without a last chunk')
}

/** A completely received file that is to be committed. */
interface CompleteUpload {
  readonly destination: Destination
  readonly size: number
  /** Dropbox's `content_hash`. */
  readonly hash: string
}

/**
 * Commits a file once. After a lost response the file may already exist, so it is looked up before each retry and
 * when Dropbox reports a conflict. A file that has our content and was not there before counts as ours. With a
 * condition this is wrong in one case: if two clients write the same content at the same time and one loses a
 * response, both succeed. Without a condition, a file with our content is the requested result.
 *
 * @param commit sends the commit; returns `null` if Dropbox asks to repeat it
 */
async function commitOnce(
  session: DropboxSession,
  upload: CompleteUpload,
  call: UploadCall,
  retry: UploadRetry,
  commit: () => Promise<JsonObject | null>
): Promise<JsonObject> {
  let isOutcomeUnknown = false
  for (;;) {
    try {
      const stored = (isOutcomeUnknown ? await findStored(session, upload, call) : null) ?? (await commit())
      if (stored !== null) return stored
    } catch (error) {
      if (isOutcomeUnknown && isStorageError(error, 'ALREADY_EXISTS')) {
        const stored = await findStored(session, upload, call)
        if (stored !== null) return stored
      }
      await retry.backOff(error)
      isOutcomeUnknown ||= !isNotApplied(error)
    }
  }
}

/** Returns the file if it has the uploaded content. */
async function findStored(
  session: DropboxSession,
  { destination, size, hash }: CompleteUpload,
  call: UploadCall
): Promise<JsonObject | null> {
  const metadata = await findItem(session, destination.path, call, 'OBJECT_NOT_FOUND')
  if (metadata === null || metadata['size'] !== size || metadata['content_hash'] !== hash) return null
  // The previous version may have the same content.
  return metadata['rev'] === destination.previousVersion ? null : metadata
}

/** @throws StorageError `PROVIDER_ERROR` for another file than was sent */
function requireStored(
  metadata: JsonObject,
  { destination: { parentId, matches: isIt }, size, hash }: CompleteUpload
): Entry {
  const entry = fileEntry(metadata, parentId)
  if (entry.size === size && entry.hash?.value === hash && isIt(entry)) return entry
  throw failure('PROVIDER_ERROR', `Dropbox did not store these ${size} bytes in the requested place`)
}

const REV = /^[0-9a-f]{9,100}$/

/** The destination of an upload. */
interface Destination {
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
  readonly commit: JsonObject
  /** Returns whether an entry is the intended file. */
  readonly matches: (entry: Entry) => boolean
}

/**
 * Finds the destination, and checks conditions that Dropbox would check only after the last byte.
 *
 * @throws StorageError `FOLDER_NOT_FOUND`, `OBJECT_NOT_FOUND`, `ALREADY_EXISTS`, `PRECONDITION_FAILED`,
 * `INVALID_REQUEST`, `UNSUPPORTED`
 */
async function findDestination(
  session: DropboxSession,
  target: ParsedTarget<string, string | null>,
  call: UploadCall
): Promise<Destination> {
  const { ifMatch, ifNoneMatch } = call
  // Dropbox would report a value that cannot be a version as a malformed request.
  if (ifMatch !== undefined && !REV.test(ifMatch)) throw failure('PRECONDITION_FAILED')
  if ('id' in target) {
    const { id } = target
    const getFile = () => getItem(session, id, call, 'OBJECT_NOT_FOUND')
    const { item, entry } = await getReplaced(getFile, (metadata) => toEntry(metadata, null), call)
    return {
      path: id,
      parentId: await getParentId(session, item, call),
      missing: 'OBJECT_NOT_FOUND',
      previousVersion: entry.version,
      commit: toCommitInfo(id, call),
      matches: (stored) => stored.id === id
    }
  }
  const { parent, name } = target
  if (parent !== null) await getFolder(session, parent, call)
  const path = `${parent ?? ''}/${name}`
  // Without a condition, the previous file need not be distinguished from the stored one after a lost response.
  const isConditional = ifMatch !== undefined || ifNoneMatch !== undefined
  const existing = isConditional ? await findItem(session, path, call, 'FOLDER_NOT_FOUND') : null
  const entry = existing && toEntry(existing, parent)
  if (isConditional) checkNameConditions(entry && toReplacedObject(entry), call)
  return {
    path,
    parentId: parent,
    missing: 'FOLDER_NOT_FOUND',
    previousVersion: entry?.version ?? null,
    commit: toCommitInfo(path, call),
    matches: (stored) => isSameName(stored.name, name, { ignoreCase: true })
  }
}

/** Gets a file or folder. Returns `null` if there is none. */
async function findItem(
  session: DropboxSession,
  path: string,
  call: UploadCall,
  missing: NotFoundCode
): Promise<JsonObject | null> {
  return getItem(session, path, call, missing).catch((error: unknown) => {
    if (isStorageError(error, missing)) return null
    throw error
  })
}

function toCommitInfo(path: string, { ifMatch, ifNoneMatch }: UploadCall): JsonObject {
  const mode =
    ifMatch !== undefined
      ? { '.tag': 'update', update: ifMatch }
      : { '.tag': ifNoneMatch === '*' ? 'add' : 'overwrite' }
  // Otherwise Dropbox accepts an existing file with the same content, and a missing file for a removed version.
  const isStrict = ifMatch !== undefined || ifNoneMatch === '*'
  return { path, mode, autorename: false, strict_conflict: isStrict }
}

const BLOCK_BYTES = 4 * 1024 * 1024

/** Computes Dropbox's `content_hash`: the SHA-256 of the SHA-256s of blocks of 4 MiB ("Content hash"). */
export class ContentHash {
  readonly #fileHash = createHash('sha256')
  #blockHash = createHash('sha256')
  #blockBytesLeft = BLOCK_BYTES

  update(piece: Buffer): void {
    for (let rest = piece; rest.length > 0;) {
      const part = rest.subarray(0, this.#blockBytesLeft)
      this.#blockHash.update(part)
      this.#blockBytesLeft -= part.length
      rest = rest.subarray(part.length)
      if (this.#blockBytesLeft === 0) this.#endBlock()
    }
  }

  /** Returns the digest in hexadecimal. No more bytes can be added afterwards. */
  digest(): string {
    if (this.#blockBytesLeft < BLOCK_BYTES) this.#endBlock()
    return this.#fileHash.digest('hex')
  }

  #endBlock(): void {
    this.#fileHash.update(this.#blockHash.digest())
    this.#blockHash = createHash('sha256')
    this.#blockBytesLeft = BLOCK_BYTES
  }
}
