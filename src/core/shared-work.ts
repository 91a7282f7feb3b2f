import { setImmediate } from 'node:timers/promises'
import { StorageError } from '../errors.ts'

/** Work in flight that several callers wait for. Each may stop waiting; when the last one does, the work is aborted. */
export class SharedWork<T> {
  readonly #controller = new AbortController()
  readonly #onAbandoned: () => void
  #waiters = 0
  #result: Promise<T> | undefined

  /** @param onAbandoned called before the abort, when the last caller has stopped waiting */
  constructor(onAbandoned: () => void = () => {}) {
    this.#onAbandoned = onAbandoned
  }

  /** Calls `work` once, synchronously. */
  begin(work: (signal: AbortSignal) => Promise<T>): void {
    let result: Promise<T>
    try {
      result = Promise.resolve(work(this.#controller.signal))
    } catch (error) {
      result = Promise.reject(error)
    }
    // Callers have their own promises. This one may reject after all of them have left.
    result.catch(() => {})
    this.#result = result
  }

  /** Returns a promise for one caller. Its signal, which must not be aborted yet, releases only that caller. */
  wait(signal?: AbortSignal): Promise<T> {
    const result = this.#result
    if (result === undefined) return Promise.reject(new TypeError('Shared work cannot wait for itself'))
    this.#waiters += 1
    if (signal === undefined) return result
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => {
        reject(signal.reason as Error)
        this.#waiters -= 1
        if (this.#waiters > 0) return
        this.#onAbandoned()
        this.#controller.abort(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      const cleanUp = (): void => {
        signal.removeEventListener('abort', onAbort)
      }
      result.then(
        (value) => {
          cleanUp()
          resolve(value)
        },
        (error: unknown) => {
          cleanUp()
          reject(error)
        }
      )
    })
  }
}

/**
 * Counts work that must end before the host application closes the resources that the work uses, such as the
 * database. The server itself waits for requests, but not for background work or work that outlives its request.
 */
export class WorkInFlight {
  readonly #running = new Set<Promise<unknown>>()
  #isClosed = false

  /** @throws StorageError `SHUTTING_DOWN` once closed */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new StorageError('SHUTTING_DOWN')
    const running = work()
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  /** Counts work that has already begun. Its failure is not handled here. */
  add(work: Promise<unknown>): void {
    this.#running.add(work)
    const onSettled = (): void => {
      this.#running.delete(work)
    }
    work.then(onSettled, onSettled)
  }

  /** Resolves when the work that is running now has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running)
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

/** Returns an object with the methods of `calls`, which must be asynchronous. Every call of them is counted. */
export function trackCalls<T extends object>(calls: T, work: WorkInFlight): T {
  const tracked = Object.create(calls) as Record<string, unknown>
  const prototype = Object.getPrototypeOf(calls) as object
  const inherited = prototype === Object.prototype ? [] : Object.getOwnPropertyNames(prototype)
  for (const name of [...Object.keys(calls), ...inherited]) {
    const method: unknown = calls[name as keyof T]
    if (name === 'constructor' || typeof method !== 'function') continue
    tracked[name] = (...args: unknown[]) => work.run(() => Reflect.apply(method, calls, args) as Promise<unknown>)
  }
  return tracked as T
}
