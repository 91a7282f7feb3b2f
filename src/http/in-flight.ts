import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { MinimumRate } from '../core/minimum-rate.ts'
import type { InFlightLimit, Permit } from '../core/user-limits.ts'
import { StorageError } from '../errors.ts'
import { userOf } from './authentication.ts'

/**
 * Counts the requests of a scope against the limit per user, from before the body is read until the response has
 * closed and the handler has settled. Register it after authentication and before the routes.
 */
export function limitInFlight(scope: FastifyInstance, limit: InFlightLimit): void {
  const permits = new WeakMap<FastifyRequest, Permit>()

  scope.addHook('onRequest', (request, reply, done) => {
    try {
      permits.set(request, acquirePermit(reply, limit, userOf(request)))
    } catch (error) {
      done(error as Error)
      return
    }
    done()
  })

  scope.addHook('onRoute', (route) => {
    const { handler } = route
    route.handler = async function (request, reply) {
      const release = permits.get(request)?.hold()
      try {
        const result: unknown = await handler.call(this, request, reply)
        return result
      } finally {
        release?.()
      }
    }
  })
}

/** Returns a slot that the response holds until it has closed. @throws StorageError `TOO_MANY_REQUESTS` */
export function acquirePermit(reply: FastifyReply, limit: InFlightLimit, userId: string): Permit {
  const permit = limit.acquire(userId)
  onResponseClosed(reply, permit.hold())
  return permit
}

/** The client closed its connection before the response was complete. */
export class ClientDisconnected extends Error {
  override readonly name = 'ClientGone'
}

export interface ClientWatch {
  /** Aborts when the client disconnects before the response is sent, unless the watch was released. */
  readonly signal: AbortSignal
  readonly release: () => void
}

/**
 * Watches for a disconnecting client. Fastify's `request.signal` does not serve: it follows the request's `close`,
 * which is emitted as soon as the body has been read (seen with 5.12), even if the client is still connected.
 */
export function watchClient(reply: FastifyReply): ClientWatch {
  const controller = new AbortController()
  const release = onResponseClosed(reply, () => {
    if (!reply.raw.writableFinished) controller.abort(new ClientDisconnected('The client has disconnected'))
  })
  return { signal: controller.signal, release }
}

/** Returns a signal that aborts when the client disconnects before the response is sent. */
export function clientSignal(reply: FastifyReply): AbortSignal {
  return watchClient(reply).signal
}

/** The open responses of each connection. They share one listener per socket, which avoids warnings about a leak. */
const openResponses = new WeakMap<Socket, Set<ServerResponse>>()

/**
 * Runs `end` once, when the response has closed: after it was sent, or when the connection is lost. Two cases need
 * more than `close`: a response that waits behind another of the same connection emits none if that connection is
 * lost (Node 20.20), which would leak its resources; and none follows if the connection is lost already.
 *
 * @returns a function that cancels it
 */
export function onResponseClosed({ raw, request }: FastifyReply, callback: () => void): () => void {
  const { socket } = request.raw
  if (raw.destroyed || socket.destroyed) {
    callback()
    return () => {}
  }
  const responses = openResponses.get(socket) ?? watchConnection(socket)
  responses.add(raw)
  const onClose = (): void => {
    responses.delete(raw)
    callback()
  }
  raw.once('close', onClose)
  return () => {
    raw.off('close', onClose)
  }
}

function watchConnection(socket: Socket): Set<ServerResponse> {
  const responses = new Set<ServerResponse>()
  openResponses.set(socket, responses)
  socket.once('close', () => {
    for (const raw of responses) {
      if (raw.destroyed) continue
      // Node does the same for the response that is being sent. Fastify then ends its handler and destroys its body.
      raw.destroyed = true
      raw.emit('close')
    }
  })
  return responses
}

/**
 * The window of one rate measurement. System buffers on the way to the client may accept and release megabytes at
 * once. A client that pauses for longer has to request the rest by `Range`.
 */
const READER_WINDOW_MS = 300_000

/**
 * Ends a response body if its client reads more slowly than `bytesPerSecond`. Such a client would hold its
 * connections, here and at the provider, without limit. Only the time in which the connection accepts no more bytes
 * counts, so that a slow provider is not mistaken for a slow client.
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
  onResponseClosed(reply, () => {
    clearInterval(timer)
  })
}
