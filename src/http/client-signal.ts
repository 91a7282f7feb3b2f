import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import type { Readable } from 'node:stream'
import { StorageError } from '../domain/errors.ts'
import { MinimumRate } from '../domain/minimum-rate.ts'

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
  const release = onceClosed(reply, () => {
    if (!reply.raw.writableFinished) controller.abort(new ClientGone('The client is gone'))
  })
  return { signal: controller.signal, release }
}

/** Aborts when the client leaves before its answer is sent. */
export function clientSignal(reply: FastifyReply): AbortSignal {
  return watchClient(reply).signal
}

/** The responses of each connection. One listener per socket, so that many of them cause no warning of a leak. */
const responsesOf = new WeakMap<Socket, Set<ServerResponse>>()

/**
 * Runs `end` once, when the response has closed: after it was sent, or with its connection. A response that waits behind
 * another one of the same connection emits no `close` of its own when that is lost (Node 20.20), so all that it holds
 * would stay; and one whose connection is lost already emits nothing.
 *
 * @returns cancels it
 */
export function onceClosed({ raw, request }: FastifyReply, end: () => void): () => void {
  const { socket } = request.raw
  if (raw.destroyed || socket.destroyed) {
    end()
    return () => {}
  }
  const responses = responsesOf.get(socket) ?? watchConnection(socket)
  responses.add(raw)
  const run = (): void => {
    responses.delete(raw)
    end()
  }
  raw.once('close', run)
  return () => {
    raw.off('close', run)
  }
}

function watchConnection(socket: Socket): Set<ServerResponse> {
  const responses = new Set<ServerResponse>()
  responsesOf.set(socket, responses)
  socket.once('close', () => {
    for (const raw of responses) {
      if (raw.destroyed) continue
      // As Node does for the response whose turn it is: Fastify then ends its handler, and destroys its body.
      raw.destroyed = true
      raw.emit('close')
    }
  })
  return responses
}

/**
 * How long a client may take for the bytes of one measurement. Buffers of the system between us and a client may take
 * and give megabytes at once; a client that pauses for longer has to ask for the rest by `Range`.
 */
const READER_WINDOW_MS = 300_000

/**
 * Ends the body of a response whose client reads more slowly than `bytesPerSecond`: it would hold its connections, here
 * and at the provider, for as long as it likes. Only time counts in which the connection takes no more bytes, so that a
 * slow provider is not mistaken for a slow client.
 */
export function endSlowReader(reply: FastifyReply, body: Readable, bytesPerSecond: number): void {
  const { raw } = reply
  const { socket } = reply.request.raw
  const rate = new MinimumRate({ bytesPerSecond, windowMs: READER_WINDOW_MS })
  let written = socket.bytesWritten
  const timer = setInterval(() => {
    rate.count(socket.bytesWritten - written)
    written = socket.bytesWritten
    if (!raw.writableNeedDrain || rate.tick()) return
    body.destroy(new StorageError('INVALID_REQUEST', `The client reads fewer than ${bytesPerSecond} bytes per second.`))
  }, rate.tickMs)
  timer.unref()
  onceClosed(reply, () => {
    clearInterval(timer)
  })
}
