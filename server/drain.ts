import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { StorageError } from '../src/errors.ts'
import { endEventStreams } from '../src/http/events-route.ts'
import { onResponseClosed } from '../src/http/in-flight.ts'

/**
 * Shuts a server down without interrupting requests in flight. New requests get a 503, and the listener stays open
 * meanwhile, so that a load balancer receives the 503 instead of a refused connection.
 *
 * Not a `preClose` hook: Fastify limits those to ten seconds, and the plugin's own would refuse requests in flight.
 */
export class RequestDrain {
  #inFlight = 0
  #isDraining = false
  #onIdle: (() => void) | undefined

  /** The number of requests in flight. */
  get inFlight(): number {
    return this.#inFlight
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Adds the hook. Call it before anything else is registered, so that the hook is the first of every route. */
  watch(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      this.#inFlight++
      onResponseClosed(reply, () => {
        this.#inFlight--
        if (this.#inFlight === 0) this.#onIdle?.()
      })
      if (!this.#isDraining) return
      reply.header('connection', 'close')
      if (request.routeOptions.config.duringDrain !== true) {
        throw new StorageError('SHUTTING_DOWN')
      }
    })
  }

  /**
   * Refuses new requests, and waits for those in flight.
   *
   * @returns the number of requests that were cut off after `timeoutMs`
   */
  async drain(app: FastifyInstance, timeoutMs: number): Promise<number> {
    this.#isDraining = true
    endEventStreams(app)
    if (this.#inFlight > 0) await this.#waitUntilIdle(timeoutMs)
    const remaining = this.#inFlight
    if (remaining > 0) app.server.closeAllConnections()
    return remaining
  }

  #waitUntilIdle(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#onIdle = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True for a route that responds during a shutdown too. */
    duringDrain?: boolean
  }
}

/**
 * Closes a connection if its request has not arrived within `ms`. Uploads may take longer, as long as they make
 * progress. Node's own limit for this cannot distinguish routes.
 */
export function limitReceiveTime(app: FastifyInstance, ms: number): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const { raw, headers } = request
    const hasBody = 'content-length' in headers || 'transfer-encoding' in headers
    if (hasBody && request.routeOptions.config.streamsBody !== true) startReceiveTimeout(raw, ms)
    done()
  })
}

function startReceiveTimeout(raw: IncomingMessage, ms: number): void {
  const timer = setTimeout(() => {
    // Closes the connection too, if there is one: the demo sends requests to its own application without any.
    if (!raw.complete) raw.destroy()
  }, ms).unref()
  // The deadline stays if the response was sent before the body was complete: the rest is still received.
  raw.once('close', () => {
    if (raw.complete) clearTimeout(timer)
  })
}
