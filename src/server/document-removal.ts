import type { FastifyInstance } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { userOf } from '../http/users.ts'
import { writeConditions } from '../http/write-conditions.ts'
import { clientSignal } from '../http/client-signal.ts'
import { contentAt, requireConditions } from './document-conditions.ts'
import { removeDocumentSchema } from './document-schemas.ts'
import { isManaged } from './document-view.ts'
import { type Documents, NO_CONTENT } from './documents.ts'

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
      if (document === null) throw new StorageError('DOCUMENT_NOT_FOUND', 'The document was not found.')
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
