import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { StorageError } from '../../src/errors.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import { clientSignal } from '../../src/http/in-flight.ts'
import {
  acceptRawBody,
  type IncomingBodyOptions,
  runUpload,
  sendUploadProblem,
  toIncomingUpload
} from '../../src/http/upload-body.ts'
import { parseWriteConditions, type WriteConditions } from '../../src/http/write-conditions.ts'
import { assertConditions, isConditional, preconditionFailed, removeOrphanedObject, statContent } from './objects.ts'
import { uploadDocumentSchema } from './schemas.ts'
import { type DocumentRow, type Documents, isManaged, NO_CONTENT, viewOf } from './store.ts'

/** An upload of content into a document. */
interface DocumentUpload {
  readonly documents: Documents
  readonly document: DocumentRow
  readonly backend: StorageBackend
  readonly conditions: WriteConditions
  readonly body: Readable
  readonly mimeType: string | undefined
  readonly size: number | undefined
  readonly signal: AbortSignal
  readonly log: FastifyBaseLogger
}

/** Registers `PUT` of a document's content, in any store. */
export function uploadRoute(app: FastifyInstance, documents: Documents, uploads: IncomingBodyOptions): void {
  acceptRawBody(app)
  const options = {
    schema: uploadDocumentSchema,
    preHandler: app.storageBackendHook({
      document: (request, user) => documents.find((request.params as { id: string }).id, user)
    }),
    errorHandler: sendUploadProblem,
    config: { streamsBody: true }
  }
  app.put('/documents/:id/content', options, async (request, reply) => {
    // The same row that `find` returned to the hook.
    const document = request.storageDocument as DocumentRow
    const conditions = parseWriteConditions(request.headers, { isById: true, canCreate: true })
    const { source, ...upload } = toIncomingUpload(request, uploads)
    const signal = clientSignal(reply)
    const { storageBackend: backend, log } = request
    const documentUpload = { documents, document, backend, conditions, signal, log, ...upload }
    const stored = await runUpload(source, signal, () =>
      isManaged(document) ? storeManaged(documentUpload) : storeConnected(app, documentUpload)
    )
    return reply
      .code(document.objectKey === NO_CONTENT ? 201 : 200)
      .header('cache-control', 'no-store')
      .send(viewOf(stored))
  })
}

/**
 * Stores the content under a new key. The document points to it in one step, once it is complete: readers get the old
 * content or the new one, and an interrupted upload leaves the document unchanged. Of two uploads the last to end
 * wins, and the other object is removed. No part of a key comes from a client.
 */
async function storeManaged(documentUpload: DocumentUpload): Promise<DocumentRow> {
  const { documents, document, backend, conditions, body, mimeType, size, signal, log } = documentUpload
  if (backend.upload === undefined) {
    throw new StorageError('UNSUPPORTED', 'The store of managed documents does not support uploads.')
  }
  if (isConditional(conditions)) assertConditions(conditions, await statContent(backend, document.objectKey, signal))
  const objectKey = `documents/${randomUUID()}`
  const target = { id: objectKey, ...(mimeType !== undefined && { mimeType }) }
  const entry = await backend.upload(target, body, { signal, ...(size !== undefined && { size }) })

  for (let previous: DocumentRow | null = document; previous !== null;) {
    const metadata = { objectKey, size: entry.size, mimeType: mimeType ?? previous.mimeType }
    const updated = await documents.replace(previous, metadata).catch((error: unknown) => {
      // It is unknown whether the row points to it now. An orphaned object is better than a document without one.
      log.warn({ objectKey }, 'the store may contain an uploaded object without a document')
      throw error
    })
    if (updated !== null) {
      if (previous.objectKey !== NO_CONTENT) await removeOrphanedObject(backend, previous.objectKey, log)
      return updated
    }
    previous = await documents.find(document.id, { id: document.userId })
    if (previous !== null && isConditional(conditions)) {
      await removeOrphanedObject(backend, objectKey, log)
      throw preconditionFailed()
    }
  }
  await removeOrphanedObject(backend, objectKey, log)
  throw new StorageError('DOCUMENT_NOT_FOUND')
}

/** Replaces the object in the user's cloud. */
async function storeConnected(app: FastifyInstance, documentUpload: DocumentUpload): Promise<DocumentRow> {
  const { documents, document, backend, conditions, body, mimeType, size, signal } = documentUpload
  const { objectKey, userId, storageBackend: provider, connectionId } = document
  if (backend.upload === undefined) throw new StorageError('UNSUPPORTED', 'This provider does not support uploads.')
  const { ifMatch } = conditions
  if (ifMatch !== undefined && backend.capabilities.updateIfMatch === 'unsupported') {
    throw new StorageError('UNSUPPORTED', 'This provider does not support If-Match.')
  }
  const current = await statContent(backend, objectKey, signal)
  assertConditions(conditions, current)
  if (current === null) throw new StorageError('OBJECT_NOT_FOUND')
  // The provider compares the version again, since it may change before the write.
  const version = ifMatch !== undefined && current.version !== null ? { ifMatch: current.version } : {}
  try {
    const target = { id: objectKey, ...(mimeType !== undefined && { mimeType }) }
    const entry = await backend.upload(target, body, { signal, ...(size !== undefined && { size }), ...version })
    const metadata = { objectKey: entry.id, size: entry.size, mimeType: mimeType ?? document.mimeType }
    // Even if the document was removed meanwhile, its object has changed.
    return (await documents.replace(document, metadata)) ?? document
  } finally {
    // A failed upload may have changed the object too.
    if (connectionId === null) app.folderCache.invalidateProvider(userId, provider)
    else app.folderCache.invalidateConnection(connectionId)
  }
}
