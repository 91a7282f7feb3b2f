import type { FastifyInstance } from 'fastify'
import { StorageError } from '../domain/errors.ts'
import { onceClosed } from '../http/client-signal.ts'

/**
 * Ends the work of a server without cutting it off: what is in flight goes on, what comes anew is refused with 503,
 * and the listener stays open meanwhile, so that a balancer hears 503 and not a refused connection.
 *
 * Not a `preClose` hook: Fastify gives those ten seconds, and the plugin's own would refuse what is in flight.
 */
export class RequestDrain {
  #open = 0
  #draining = false
  #onIdle: (() => void) | undefined

  /** How many requests are in flight. */
  get open(): number {
    return this.#open
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Before anything else is registered, so that its hook is the first of every route. */
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
   * @returns how many were still there after `timeoutMs`: their connections are cut
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
    /** Answered while the server shuts down too. */
    duringDrain?: boolean
  }
}
