import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { GUARDED } from '../http/api/answers.ts'
import { CODES, problemsWith } from '../http/api/problems.ts'
import { contentAnswers, contentHeaders } from '../http/api/transfer-operations.ts'
import { answerWithoutContent, type Content, sendContent, sendContentHead } from '../http/content-answer.ts'
import type { DocumentRow, FindDocument } from './documents.ts'

const PATH = '/documents/:id/content'

const SCHEMA = {
  operationId: 'downloadDocument',
  summary: 'Download a document',
  description: 'Its bytes, in the server’s own store or in the user’s cloud.',
  tags: ['Documents'],
  params: { type: 'object', properties: { id: { type: 'string', description: 'The id of a document.' } } },
  headers: contentHeaders,
  response: {
    ...contentAnswers,
    ...problemsWith(GUARDED, CODES.reads, CODES.asksProvider, [
      'INVALID_REQUEST',
      'CONNECTION_MISSING',
      'CONNECTION_AMBIGUOUS',
      'DOCUMENT_NOT_FOUND',
      'OBJECT_NOT_FOUND',
      'PRECONDITION_FAILED',
      'RANGE_NOT_SATISFIABLE',
      'PROVIDER_UNKNOWN'
    ])
  }
}

/** `GET` and `HEAD` of a document's bytes, wherever they are. */
export function contentRoute(app: FastifyInstance, findDocument: FindDocument): void {
  const preHandler = app.storageBackendHook({
    document: (request, user) => findDocument((request.params as { id: string }).id, user)
  })
  const options = { schema: SCHEMA, preHandler, errorHandler: answerWithoutContent, exposeHeadRoute: false }

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
