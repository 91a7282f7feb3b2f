import type { FastifyInstance } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { onceClosed } from '../http/client-signal.ts'

/**
 * Shuts a server down without interrupting requests in flight. New requests get a 503, and the listener stays open
 * meanwhile, so that a load balancer receives the 503 instead of a refused connection.
 *
 * Not a `preClose` hook: Fastify limits those to ten seconds, and the plugin's own would refuse requests in flight.
 */
export class RequestDrain {
  #open = 0
  #draining = false
  #onIdle: (() => void) | undefined

  /** The number of requests in flight. */
  get open(): number {
    return this.#open
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Adds the hook. Call it before anything else is registered, so that the hook is the first of every route. */
  watch(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      this.#open++
      onceClosed(reply, () => {
        this.#open--
        if (this.#open === 0) this.#onIdle?.()
      })
      if (!this.#draining) return
      reply.header('connection', 'close')
      if (request.routeOptions.config.duringDrain !== true) {
        throw new StorageError('SHUTTING_DOWN', 'The server is shutting down.')
      }
    })
  }

  /**
   * Refuses new requests, and waits for those in flight.
   *
   * @returns the number of requests that were cut off after `timeoutMs`
   */
  async drain(app: FastifyInstance, timeoutMs: number): Promise<number> {
    this.#draining = true
    if (this.#open > 0) await this.#idle(timeoutMs)
    const left = this.#open
    if (left > 0) app.server.closeAllConnections()
    return left
  }

  #idle(timeoutMs: number): Promise<void> {
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
