import type { FastifyReply } from 'fastify'

/** The client closed its connection before it had its answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

/**
 * Aborts when the client leaves before its answer is sent. Not Fastify's `request.signal`, which follows the request's
 * `close`: that comes as soon as a body has been read (seen with 5.12), whether the client is still there or not.
 */
export function clientSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new ClientGone('The client is gone'))
  })
  return controller.signal
}
