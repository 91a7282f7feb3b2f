import type { Call, UploadCall } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError, providerFailure, type StorageError } from '../../errors.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { asObject, type JsonObject, parseIsoTime, sizeOf } from '../shared/entries.ts'
import { isSameName } from '../shared/names.ts'
import { apiUrl, readErrorBody, readJson } from '../shared/rest-client.ts'
import { MAX_BUFFERED_BYTES, readBuffer, type SizedBody, toSizedBody } from '../shared/sized-body.ts'
import { chunksOf, type UploadSource } from '../shared/upload.ts'
import type { ParsedTarget } from '../shared/upload-target.ts'
import { hasFacet, ITEM_FIELDS, type ItemId, kindOf, namedPathOf, pathOf, requireItem, type SiteId } from './entries.ts'
import { getItem, getOwnDriveId, type GraphSession, retryOnShortcutTarget, toEntry } from './session.ts'
import { UploadSession } from './upload-session.ts'

type Target = ParsedTarget<ItemId | SiteId, ItemId | SiteId>

/** A multiple of 320 KiB, as Graph requires. One fragment is buffered in memory. */
const FRAGMENT_BYTES = 10 * 1024 * 1024
const CONFLICT_BEHAVIOR = '@microsoft.graph.conflictBehavior'

/** Stores a small file in one call, and a larger one in a session, which creates the file after the last byte. */
export async function uploadFile(
  session: GraphSession,
  target: Target,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const destination = await findDestination(session, target, call)
  const { onStored } = call
  const existing = onStored === undefined ? null : await getDestinationItem(session, destination, call)
  const sized = await toSizedBody(source, call.size, session.spool)
  try {
    const isSmall = sized.size <= MAX_BUFFERED_BYTES
    const item = await (isSmall ? uploadBuffered : uploadInFragments)(session, destination, sized, call)
    requireStored(item, destination, sized.size)
    session.ownDrive.updateFromItem(item, { isOwn: destination.isInOwnRoot })
    onStored?.(existing === null)
    return await toEntry(session, item, call)
  } catch (error) {
    throw await toUploadError(error, session, destination, call)
  } finally {
    await sized.close()
  }
}

/** Buffers the content, so that it can be sent to a shortcut's target after a first attempt at the shortcut. */
async function uploadBuffered(
  session: GraphSession,
  destination: Destination,
  { stream }: SizedBody,
  call: UploadCall
): Promise<JsonObject> {
  const { missing, behavior, headers, mimeType } = destination
  const { signal } = call
  const body = await readBuffer(stream)
  const response = await retryOnShortcutTarget(session, destination.base, call, missing, (base) =>
    session.client.request({
      method: 'PUT',
      url: apiUrl(session.origin, `${destinationPath({ ...destination, base })}/content`, {
        [CONFLICT_BEHAVIOR]: behavior
      }),
      signal,
      // An upload over a slow connection can take longer than the deadline of a metadata call.
      purpose: 'transfer',
      headers: { ...headers, 'content-type': mimeType },
      body,
      missing
    })
  )
  const item = await readErrorBody(response, session.timeouts.idleMs)
  signal.throwIfAborted()
  return asObject(item)
}

async function uploadInFragments(
  session: GraphSession,
  destination: Destination,
  { stream, size }: SizedBody,
  call: UploadCall
): Promise<JsonObject> {
  const { signal } = call
  const { missing, behavior, headers } = destination
  const { resolvedDestination, response } = await retryOnShortcutTarget(
    session,
    destination.base,
    call,
    missing,
    async (base) => {
      const resolvedDestination = { ...destination, base }
      const response = await session.client.request({
        method: 'POST',
        url: apiUrl(session.origin, `${destinationPath(resolvedDestination)}/createUploadSession`),
        signal,
        headers,
        // Omits the size: organisations refuse requests that contain it ("driveItemUploadableProperties").
        json: { item: { [CONFLICT_BEHAVIOR]: behavior } },
        missing
      })
      return { resolvedDestination, response }
    }
  )
  const { uploadUrl } = await readJson(response)
  const uploadSession = new UploadSession(session, uploadUrl, size, signal)
  try {
    let start = 0
    for await (const fragment of chunksOf(stream, FRAGMENT_BYTES)) {
      const item = await uploadSession.send(fragment, start)
      if (item !== null) return item
      start += fragment.length
    }
    throw failure('PROVIDER_ERROR', 'The upload ended without a last chunk')
  } catch (error) {
    uploadSession.cancel()
    const startedAtMs = Date.parse(response.headers['date'] ?? '')
    const item = uploadSession.mayBeCommitted
      ? await findStored(session, resolvedDestination, size, startedAtMs, call)
      : null
    if (item === null) throw error
    return item
  }
}

/**
 * Returns the stored file after a lost last response: a file of the same size that was modified after the upload
 * began, and was also created after it if it had to be new. All times are Microsoft's.
 */
async function findStored(
  session: GraphSession,
  destination: Destination,
  sentBytes: number,
  startedAtMs: number,
  call: Call
): Promise<JsonObject | null> {
  const item = await getDestinationItem(session, destination, call)
  const isAfterStart = (time: unknown): boolean => Date.parse(parseIsoTime(time) ?? '') >= startedAtMs
  if (!isAfterStart(item?.['lastModifiedDateTime']) || sizeOf(item?.['size']) !== sentBytes) return null
  return destination.behavior === 'replace' || isAfterStart(item?.['createdDateTime']) ? item : null
}

/** Returns the item at the destination; `null` if there is none or the request fails. */
async function getDestinationItem(
  session: GraphSession,
  destination: Destination,
  call: Call
): Promise<JsonObject | null> {
  const { name, missing } = destination
  const item = await retryOnShortcutTarget(session, destination.base, call, missing, (base) => {
    const path = destinationPath({ base, name })
    // A path by name ends without the colon if nothing follows it.
    const url = apiUrl(session.origin, name === null ? path : path.slice(0, -1), { $select: ITEM_FIELDS })
    return session.client.json({ url, signal: call.signal, missing })
  }).catch(() => null)
  call.signal.throwIfAborted()
  return item
}

/**
 * Maps an error of an upload for its caller. Graph also reports failed conditions to unconditional uploads while
 * another client writes the same file (onedrive-api-docs issue 1143).
 */
async function toUploadError(
  error: unknown,
  session: GraphSession,
  destination: Destination,
  call: UploadCall
): Promise<unknown> {
  const { ifMatch } = call
  if (ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')) return failure('PRECONDITION_FAILED')
  if (ifMatch === undefined && isStorageError(error, 'PRECONDITION_FAILED')) return lockedError(error)
  if (destination.behavior !== 'replace' || !isStorageError(error, 'ALREADY_EXISTS')) return error
  const item = await getDestinationItem(session, destination, call)
  // The id may be that of a shortcut to the file.
  const isFile = item === null || kindOf(item) === 'file' || (destination.name === null && hasFacet(item, 'remoteItem'))
  return isFile ? lockedError(error) : error
}

function lockedError({ cause }: StorageError): StorageError {
  return providerFailure('LOCKED', { cause })
}

/**
 * SharePoint writes a library's properties into some documents, which are then larger than the upload. None of them
 * loses content.
 */
function requireStored({ name, size }: JsonObject, destination: Destination, sentBytes: number): void {
  const stored = sizeOf(size)
  if (stored === null || stored < sentBytes) {
    throw failure('PROVIDER_ERROR', `OneDrive stored fewer than the ${sentBytes} bytes that were sent`)
  }
  const isNamed =
    destination.name === null || (typeof name === 'string' && isSameName(name, destination.name, { ignoreCase: true }))
  if (!isNamed) throw failure('PROVIDER_ERROR', 'OneDrive stored the file under another name')
}

/** The destination of an upload, and how Graph handles an existing item. */
interface Destination {
  /** The item, or the parent folder of `name`. */
  readonly base: ItemId
  /** `null` if the item is identified by its id. */
  readonly name: string | null
  /** Whether the destination is a child of the user's own root. */
  readonly isInOwnRoot: boolean
  readonly missing: NotFoundCode
  readonly behavior: 'fail' | 'replace'
  /** The precondition. */
  readonly headers: Readonly<Record<string, string>>
  readonly mimeType: string
}

/** Characters of an unquoted ETag: excludes wildcards and lists. */
const ETAG = /^[\w.!:%+/=~-]{1,512}$/
/** SharePoint's ETags, which it sends in quotes. */
const SHAREPOINT_ETAG = /^(?:c:)?\{[\da-f-]{1,64}\},\d{1,15}$/i

/** Returns the path of the item, which need not exist. */
function destinationPath({ base, name }: Pick<Destination, 'base' | 'name'>): string {
  return name === null ? pathOf(base) : namedPathOf(base, name)
}

/**
 * Finds the destination of an upload. Graph itself checks the conditions (an unused name, a matching ETag) when the
 * content is stored.
 *
 * @throws StorageError `PRECONDITION_FAILED`, `ALREADY_EXISTS`, `INVALID_REQUEST`
 */
async function findDestination(session: GraphSession, target: Target, call: UploadCall): Promise<Destination> {
  const { ifMatch, ifNoneMatch } = call
  const isNew = ifNoneMatch === '*'
  const common = {
    behavior: isNew ? 'fail' : 'replace',
    headers: preconditionOf(ifMatch),
    mimeType: target.mimeType ?? 'application/octet-stream'
  } as const
  if ('id' in target) {
    const id = requireItem(target.id, 'OBJECT_NOT_FOUND')
    if (isNew) {
      await getItem(session, id, call, 'OBJECT_NOT_FOUND')
      throw failure('ALREADY_EXISTS')
    }
    await getOwnDriveId(session, call)
    return { ...common, base: id, name: null, isInOwnRoot: false, missing: 'OBJECT_NOT_FOUND' }
  }
  const { name } = target
  const parent = requireItem(target.parent, 'FOLDER_NOT_FOUND')
  // Find the user's own drive before the write, since the entry needs it: a completed write must not fail.
  const isInOwnRoot = parent.drive === null
  if (!isInOwnRoot) await getOwnDriveId(session, call)
  return { ...common, base: parent, name, isInOwnRoot, missing: 'FOLDER_NOT_FOUND' }
}

/**
 * Returns the precondition with the ETag as Microsoft sends it: quoted for SharePoint, bare for personal accounts.
 *
 * @throws StorageError `PRECONDITION_FAILED` for an invalid ETag, which matches no version
 */
function preconditionOf(ifMatch: string | undefined): Record<string, string> {
  if (ifMatch === undefined) return {}
  if (SHAREPOINT_ETAG.test(ifMatch)) return { 'if-match': `"${ifMatch}"` }
  if (!ETAG.test(ifMatch)) throw failure('PRECONDITION_FAILED')
  return { 'if-match': ifMatch }
}
