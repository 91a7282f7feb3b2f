import type { FastifyReply } from 'fastify'

/** The client closed its connection before it had its answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

export interface ClientWatch {
  /** Aborts when the client leaves before its answer is sent, unless it was released by then. */
  readonly signal: AbortSignal
  readonly release: () => void
}

/**
 * Watches whether the client leaves. Not Fastify's `request.signal`, which follows the request's `close`: that comes as
 * soon as a body has been read (seen with 5.12), whether the client is still there or not.
 */
export function watchClient(reply: FastifyReply): ClientWatch {
  const controller = new AbortController()
  const leave = (): void => {
    if (!reply.raw.writableFinished) controller.abort(new ClientGone('The client is gone'))
  }
  reply.raw.once('close', leave)
  return {
    signal: controller.signal,
    release: () => {
      reply.raw.off('close', leave)
    }
  }
}

/** Aborts when the client leaves before its answer is sent. */
export function clientSignal(reply: FastifyReply): AbortSignal {
  return watchClient(reply).signal
}
