/** Work in flight that several callers wait for. Each may stop waiting; when the last one does, the work is aborted. */
export class SharedWork<T> {
  readonly #controller = new AbortController()
  readonly #onAbandoned: () => void
  #waiting = 0
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
    this.#waiting += 1
    if (signal === undefined) return result
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        reject(signal.reason as Error)
        this.#waiting -= 1
        if (this.#waiting > 0) return
        this.#onAbandoned()
        this.#controller.abort(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      const free = (): void => {
        signal.removeEventListener('abort', leave)
      }
      result.then(
        (value) => {
          free()
          resolve(value)
        },
        (error: unknown) => {
          free()
          reject(error)
        }
      )
    })
  }
}
