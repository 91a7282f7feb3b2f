import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isStorageError, StorageError } from '../domain/errors.ts'
import { type ClientWatch, watchClient } from '../http/client-signal.ts'
import { answerWithoutContent, type Content, sendContent, sendContentHead } from '../http/content-answer.ts'
import { addVary } from '../http/private-answer.ts'
import { downloadDocumentSchema } from './document-schemas.ts'
import { isManaged } from './document-view.ts'
import { type DocumentRow, type Documents, NO_CONTENT } from './documents.ts'

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
