import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isStorageError, StorageError } from '../../src/errors.ts'
import { userOf } from '../../src/http/authentication.ts'
import { sendContentProblem, type Content, sendContent, sendContentHead } from '../../src/http/content-response.ts'
import { addVary } from '../../src/http/headers.ts'
import { clientSignal, type ClientWatch, watchClient } from '../../src/http/in-flight.ts'
import { parseWriteConditions } from '../../src/http/write-conditions.ts'
import { statContent, assertConditions } from './objects.ts'
import { downloadDocumentSchema, removeDocumentSchema } from './schemas.ts'
import { type DocumentRow, type Documents, isManaged, NO_CONTENT } from './store.ts'

const PATH = '/documents/:id/content'

/** Registers `GET` and `HEAD` of a document's content, in any store. */
export function contentRoute(app: FastifyInstance, documents: Documents, minBytesPerSecond: number): void {
  const preHandler = app.storageBackendHook({
    document: (request, user) => documents.find((request.params as { id: string }).id, user)
  })
  const options = {
    schema: downloadDocumentSchema,
    preHandler,
    errorHandler: sendContentProblem,
    exposeHeadRoute: false
  }

  const send =
    (responder: typeof sendContent) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      // The same row that `find` returned to the hook.
      const document = request.storageDocument as DocumentRow
      const watch = watchClient(reply)
      setPrivateHeaders(reply)
      try {
        return await responder(request, reply, toContent(request, document, minBytesPerSecond), watch)
      } catch (error) {
        if (!isStorageError(error, 'OBJECT_NOT_FOUND') || !isManaged(document)) throw error
        return await sendReplacement(request, reply, { responder, document, watch, error })
      }
    }

  /** Sends the new content if an upload has replaced the object meanwhile: new content has a new key. */
  async function sendReplacement(
    request: FastifyRequest,
    reply: FastifyReply,
    missing: MissingObject
  ): Promise<FastifyReply> {
    const { responder, document, watch, error } = missing
    const replacement = await documents.find(document.id, { id: document.userId })
    if (replacement === null || replacement.objectKey === document.objectKey) throw error
    return await responder(request, reply, toContent(request, replacement, minBytesPerSecond), watch)
  }

  app.head(PATH, options, send(sendContentHead))
  app.get(PATH, options, send(sendContent))
}

interface MissingObject {
  readonly responder: typeof sendContent
  readonly document: DocumentRow
  readonly watch: ClientWatch
  readonly error: unknown
}

function toContent(
  { storageBackend: backend }: FastifyRequest,
  document: DocumentRow,
  minBytesPerSecond: number
): Content {
  const { objectKey: id, name, mimeType } = document
  if (id === NO_CONTENT) throw new StorageError('OBJECT_NOT_FOUND', 'This document has no content yet.')
  return { backend, id, name, mimeType, minBytesPerSecond }
}

/** Marks a response as private to its user. Only tokens identify users here. */
export function setPrivateHeaders(reply: FastifyReply): FastifyReply {
  return addVary(reply.header('cache-control', 'private, no-cache'), 'Authorization')
}

/**
 * Registers `DELETE` of a document. A managed object is removed first: if that fails, the document can be removed
 * again, and no object is orphaned. An object in a user's cloud stays, and the cloud is called only for `If-Match`.
 */
export function removalRoute(app: FastifyInstance, documents: Documents): void {
  app.delete<{ Params: { id: string } }>('/documents/:id', { schema: removeDocumentSchema }, async (request, reply) => {
    const user = { id: userOf(request) }
    const conditions = parseWriteConditions(request.headers, { isById: true, canCreate: false })
    const signal = clientSignal(reply)
    for (let isRemoved = false; !isRemoved;) {
      const document = await documents.find(request.params.id, user)
      if (document === null) throw new StorageError('DOCUMENT_NOT_FOUND')
      const { objectKey } = document
      const needsBackend = conditions.ifMatch !== undefined || (isManaged(document) && objectKey !== NO_CONTENT)
      if (needsBackend) {
        const backend = await app.getStorageBackendForDocument(document, user)
        if (conditions.ifMatch !== undefined) {
          assertConditions(conditions, await statContent(backend, objectKey, signal))
        }
        if (isManaged(document)) await backend.remove?.(objectKey, { signal })
      }
      // False if other content was uploaded meanwhile. Then that content is removed too.
      isRemoved = await documents.remove(document)
    }
    return reply.code(204).send()
  })
}
