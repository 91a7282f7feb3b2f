import { setImmediate } from 'node:timers/promises'
import { StorageError } from './errors.ts'

/**
 * Counts work that must end before the host application closes the resources that the work uses, such as the
 * database. The server itself waits for requests, but not for background work or work that outlives its request.
 */
export class WorkInFlight {
  readonly #running = new Set<Promise<unknown>>()
  #isClosed = false

  /** @throws StorageError `SHUTTING_DOWN` once closed */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new StorageError('SHUTTING_DOWN', 'The server is shutting down.')
    const running = work()
    this.add(running)
    return await running
  }

  /** Counts work that has already begun. Its failure is not handled here. */
  add(work: Promise<unknown>): void {
    const ended = work
      .then(
        () => {},
        () => {}
      )
      .finally(() => this.#running.delete(ended))
    this.#running.add(ended)
  }

  /** Resolves when the work that is running now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }

  /** Resolves when no work has run for one turn of the event loop. New work is refused from then on. */
  async close(): Promise<void> {
    do {
      await this.settled()
      // Work that ends often starts other work.
      await setImmediate()
    } while (this.#running.size > 0)
    this.#isClosed = true
  }
}

/** Counts every call of `calls`, an object with asynchronous methods only. */
export function counted<T extends object>(calls: T, work: WorkInFlight): T {
  return new Proxy(calls, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      return (...args: unknown[]) => work.run(() => Reflect.apply(method, target, args) as Promise<unknown>)
    }
  })
}
