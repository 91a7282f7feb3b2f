import type { Readable } from 'node:stream'
import type { Entry } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { Call, UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { failure } from '../shared/http-failure.ts'
import { readIsoTime } from '../shared/iso-time.ts'
import { requireMediaType } from '../shared/media-type.ts'
import { readJson } from '../shared/read-json.ts'
import { MAX_HELD_BYTES, type SizedBody, withSize } from '../shared/sized-body.ts'
import { chunksOf } from '../shared/upload-chunks.ts'
import { uploadFrom } from '../shared/upload-source.ts'
import { ITEM_FIELDS, readSize, type Resource } from './entries.ts'
import { type GraphServer, toEntry, urlOf } from './server.ts'
import { UploadSession } from './upload-session.ts'
import { type Destination, findDestination } from './upload-target.ts'

/** A multiple of 320 KiB, as Graph wants it; so much of an upload is held in memory. */
const FRAGMENT_BYTES = 10 * 1024 * 1024
const CONFLICT = '@microsoft.graph.conflictBehavior'

/** Stores a small file in one call, and a larger one in a session, which makes a file of it when all has come. */
export async function uploadFile(
  server: GraphServer,
  target: UploadTarget,
  body: Readable,
  call: UploadCall
): Promise<Entry> {
  return uploadFrom(body, call, async (source) => {
    requireMediaType(target.mimeType)
    const destination = await findDestination(server, target, call)
    const sized = await withSize(source, call.size)
    try {
      const isSmall = sized.size <= MAX_HELD_BYTES
      const item = await (isSmall ? putAll : putInFragments)(server, destination, sized, call)
      requireStored(item, destination, sized.size)
      server.own.learn(item, { isOwn: destination.isInOwnRoot })
      return await toEntry(server, item, call)
    } catch (error) {
      const isGone = call.ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
      throw isGone ? failure('PRECONDITION_FAILED') : error
    } finally {
      await sized.close()
    }
  })
}

async function putAll(
  server: GraphServer,
  { path, missing, behavior, headers, mimeType }: Destination,
  { stream }: SizedBody,
  { signal }: UploadCall
): Promise<Resource> {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece)
  return server.rest.json({
    method: 'PUT',
    url: urlOf(server, `${path}/content`, { [CONFLICT]: behavior }),
    signal,
    headers: { ...headers, 'content-type': mimeType },
    body: Buffer.concat(pieces),
    missing
  })
}

async function putInFragments(
  server: GraphServer,
  destination: Destination,
  { stream, size }: SizedBody,
  { signal }: UploadCall
): Promise<Resource> {
  const { path, missing, behavior, headers } = destination
  const answer = await server.rest.ask({
    method: 'POST',
    url: urlOf(server, `${path}/createUploadSession`),
    signal,
    headers,
    // Not its size: organisations refuse to be told ("driveItemUploadableProperties").
    json: { item: { [CONFLICT]: behavior } },
    missing
  })
  const { uploadUrl } = await readJson(answer)
  const session = new UploadSession(server, uploadUrl, size, signal)
  try {
    let start = 0
    for await (const fragment of chunksOf(stream, FRAGMENT_BYTES)) {
      const item = await session.send(fragment, start)
      if (item !== null) return item
      start += fragment.length
    }
    throw failure('PROVIDER_ERROR', 'An upload had no end')
  } catch (error) {
    session.cancel()
    const begunAt = Date.parse(answer.headers['date'] ?? '')
    const item = session.isForgotten ? await storedSince(server, destination, size, begunAt, { signal }) : null
    if (item === null) throw error
    return item
  }
}

/**
 * What an upload has become whose last answer was lost: a file that was changed after the upload began, and is as
 * large. Both times are Microsoft's.
 */
async function storedSince(
  server: GraphServer,
  { path, missing, name }: Destination,
  sent: number,
  begunAt: number,
  { signal }: Call
): Promise<Resource | null> {
  // Behind the path of a name nothing follows.
  const url = urlOf(server, name === null ? path : path.slice(0, -1), { $select: ITEM_FIELDS })
  const item = await server.rest.json({ url, signal, missing }).catch(() => null)
  signal.throwIfAborted()
  const changedAt = Date.parse(readIsoTime(item?.['lastModifiedDateTime']) ?? '')
  return changedAt >= begunAt && readSize(item?.['size']) === sent ? item : null
}

/**
 * SharePoint writes the properties of a library into some documents, which are larger then than what was sent; none
 * has lost anything.
 */
function requireStored({ name, size }: Resource, destination: Destination, sent: number): void {
  const stored = readSize(size)
  if (stored === null || stored < sent) {
    throw failure('PROVIDER_ERROR', `OneDrive stored less than the ${sent} bytes that were sent`)
  }
  const isNamed = destination.name === null || (typeof name === 'string' && keyOf(name) === keyOf(destination.name))
  if (!isNamed) throw failure('PROVIDER_ERROR', 'OneDrive stored something under another name')
}

/** Names that differ in their case alone are one name to OneDrive. */
function keyOf(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
