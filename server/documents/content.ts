import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isStorageError, StorageError } from '../../src/errors.ts'
import { userOf } from '../../src/http/authentication.ts'
import { answerWithoutContent, type Content, sendContent, sendContentHead } from '../../src/http/content-response.ts'
import { addVary } from '../../src/http/headers.ts'
import { clientSignal, type ClientWatch, watchClient } from '../../src/http/in-flight.ts'
import { writeConditions } from '../../src/http/write-conditions.ts'
import { contentAt, requireConditions } from './objects.ts'
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
    errorHandler: answerWithoutContent,
    exposeHeadRoute: false
  }

  const send =
    (answer: typeof sendContent) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      // The same row that `find` returned to the hook.
      const document = request.storageDocument as DocumentRow
      const watch = watchClient(reply)
      forBearers(reply)
      try {
        return await answer(request, reply, contentOf(request, document, minBytesPerSecond), watch)
      } catch (error) {
        if (!isStorageError(error, 'OBJECT_NOT_FOUND') || !isManaged(document)) throw error
        return await sendNewer(request, reply, { answer, document, watch, error })
      }
    }

  /** Sends the new content if an upload has replaced the object meanwhile: new content has a new key. */
  async function sendNewer(request: FastifyRequest, reply: FastifyReply, missed: Missed): Promise<FastifyReply> {
    const { answer, document, watch, error } = missed
    const now = await documents.find(document.id, { id: document.userId })
    if (now === null || now.objectKey === document.objectKey) throw error
    return await answer(request, reply, contentOf(request, now, minBytesPerSecond), watch)
  }

  app.head(PATH, options, send(sendContentHead))
  app.get(PATH, options, send(sendContent))
}

interface Missed {
  readonly answer: typeof sendContent
  readonly document: DocumentRow
  readonly watch: ClientWatch
  readonly error: unknown
}

function contentOf(
  { storageBackend: backend }: FastifyRequest,
  document: DocumentRow,
  minBytesPerSecond: number
): Content {
  const { objectKey: id, name, mimeType } = document
  if (id === NO_CONTENT) throw new StorageError('OBJECT_NOT_FOUND', 'This document has no content yet.')
  return { backend, id, name, mimeType, minBytesPerSecond }
}

/** Marks a response as private to its user. Only tokens identify users here. */
export function forBearers(reply: FastifyReply): FastifyReply {
  return addVary(reply.header('cache-control', 'private, no-cache'), 'Authorization')
}

/**
 * Registers `DELETE` of a document. A managed object is removed first: if that fails, the document can be removed
 * again, and no object is orphaned. An object in a user's cloud stays, and the cloud is called only for `If-Match`.
 */
export function removalRoute(app: FastifyInstance, documents: Documents): void {
  app.delete<{ Params: { id: string } }>('/documents/:id', { schema: removeDocumentSchema }, async (request, reply) => {
    const user = { id: userOf(request) }
    const conditions = writeConditions(request.headers, { isById: true, canBeNew: false })
    const signal = clientSignal(reply)
    for (let isRemoved = false; !isRemoved;) {
      const document = await documents.find(request.params.id, user)
      if (document === null) throw new StorageError('DOCUMENT_NOT_FOUND')
      const { objectKey } = document
      const mustOpen = conditions.ifMatch !== undefined || (isManaged(document) && objectKey !== NO_CONTENT)
      if (mustOpen) {
        const backend = await app.getStorageBackendForDocument(document, user)
        if (conditions.ifMatch !== undefined) {
          requireConditions(conditions, await contentAt(backend, objectKey, signal))
        }
        if (isManaged(document)) await backend.remove?.(objectKey, { signal })
      }
      // False if other content was uploaded meanwhile. Then that content is removed too.
      isRemoved = await documents.remove(document)
    }
    return reply.code(204).send()
  })
}
