import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { answerWithoutContent, type Content, sendContent, sendContentHead } from '../http/content-answer.ts'
import type { DocumentRow, FindDocument } from './documents.ts'

const PATH = '/documents/:id/content'

/** `GET` and `HEAD` of a document's bytes, wherever they are. */
export function contentRoute(app: FastifyInstance, findDocument: FindDocument): void {
  const preHandler = app.storageBackendHook({
    document: (request, user) => findDocument((request.params as { id: string }).id, user)
  })
  const options = { preHandler, errorHandler: answerWithoutContent, exposeHeadRoute: false }

  app.head(PATH, options, (request, reply) => sendContentHead(request, forBearers(reply), contentOf(request)))
  app.get(PATH, options, (request, reply) => sendContent(request, forBearers(reply), contentOf(request)))
}

function contentOf({ storageBackend: backend, storageDocument }: FastifyRequest): Content {
  // The very row that `findDocument` gave to the hook.
  const { objectKey: id, name, mimeType } = storageDocument as DocumentRow
  return { backend, id, name, mimeType }
}

/** Tokens are all that users are known by here. */
function forBearers(reply: FastifyReply): FastifyReply {
  return reply.header('cache-control', 'private, no-cache').header('vary', 'Authorization')
}
