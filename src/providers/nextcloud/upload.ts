import type { UploadCall } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import type { DavPaths } from '../dav/paths.ts'
import { checkTarget, type ExistingFile, requireParent } from '../dav/precondition.ts'
import type { DavSession } from '../dav/session.ts'
import { type DavTarget, getStoredEntry, isStored, put, writeFailure } from '../dav/upload.ts'
import { failure } from '../shared/errors.ts'
import { type Chunk, chunksOf, type UploadSource } from '../shared/upload.ts'
import { chunkBytesFor, ChunkedUpload, MAX_CHUNKS } from './upload-session.ts'

/**
 * Stores a stream. Nextcloud 34 writes a PUT over an existing file in place, and stores a part of a PUT of unknown
 * length as a whole file. Therefore only a new file that fits into one chunk is stored by a PUT, and an empty file,
 * which cannot be truncated. All others use chunked upload v2, which replaces the file in one MOVE.
 *
 * @param uploads the collection of the user's chunked uploads
 * @param options `maxChunks` is Nextcloud's limit; tests lower it
 */
export async function uploadFile(
  session: DavSession,
  uploads: DavPaths,
  target: DavTarget,
  source: UploadSource,
  call: UploadCall,
  { maxChunks = MAX_CHUNKS }: { readonly maxChunks?: number } = {}
): Promise<Entry> {
  const chunkBytes = chunkBytesFor(call.size)
  const existing = await checkTarget(session, target.url, call)
  if (existing === null) await requireParent(session, target.id, call)
  let upload: ChunkedUpload | null = null
  try {
    for await (const chunk of chunksOf(source.stream as AsyncIterable<Buffer>, chunkBytes)) {
      const isSingleChunk = upload === null && chunk.isLast
      if (isSingleChunk && (existing === null || chunk.length === 0)) {
        const isNew = await putFile(session, target, chunk, existing, call)
        if (isNew !== null) return await completeUpload(session, target, source, isNew, call)
      }
      upload ??= new ChunkedUpload(session, uploads, target, call, maxChunks)
      await upload.append(chunk)
    }
    if (upload === null) throw failure('PROVIDER_ERROR', 'The upload ended without a last chunk')
    const isNew = await upload.finish(existing, source.receivedBytes)
    return await completeUpload(session, target, source, isNew, call)
  } catch (error) {
    await upload?.discard()
    throw error
  }
}

async function completeUpload(
  session: DavSession,
  target: DavTarget,
  { receivedBytes }: UploadSource,
  isNew: boolean,
  call: UploadCall
): Promise<Entry> {
  const entry = await getStoredEntry(session, target, receivedBytes, call)
  call.onStored?.(isNew)
  return entry
}

/**
 * Stores content in one PUT. A new name must still be unused, and with `ifMatch` the version must match.
 *
 * @returns whether the file is new; `null` if another client has just created one and the call allows replacing it
 */
async function putFile(
  session: DavSession,
  target: DavTarget,
  { pieces, length }: Chunk,
  existing: ExistingFile | null,
  call: UploadCall
): Promise<boolean | null> {
  const etag = existing?.etag ?? null
  const condition: Record<string, string> =
    existing === null ? { 'if-none-match': '*' } : etag === null ? {} : { 'if-match': `"${etag.opaque}"` }
  const response = await put(session, target, Buffer.concat(pieces), length, call, condition)
  if (isStored(response)) return response.status === 201
  if (response.status === 412 && call.ifMatch === undefined && call.ifNoneMatch === undefined) return null
  throw await writeFailure(session, 'PUT', target.id, response, call)
}
