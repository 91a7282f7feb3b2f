/** Work in flight that several wait for. Each may leave alone; the last who does aborts it. */
export class SharedWork<T> {
  readonly #controller = new AbortController()
  readonly #onAbandoned: () => void
  #waiting = 0
  #result: Promise<T> | undefined

  /** @param onAbandoned is called before the abort, when nobody waits any more */
  constructor(onAbandoned: () => void = () => {}) {
    this.#onAbandoned = onAbandoned
  }

  /** Calls `work` now, once. */
  begin(work: (signal: AbortSignal) => Promise<T>): void {
    let result: Promise<T>
    try {
      result = Promise.resolve(work(this.#controller.signal))
    } catch (error) {
      result = Promise.reject(error)
    }
    // Those who wait have promises of their own. This one may end when all of them have left.
    result.catch(() => {})
    this.#result = result
  }

  /** A caller's own promise. Its signal, which is not aborted yet, frees that caller alone. */
  wait(signal?: AbortSignal): Promise<T> {
    const result = this.#result
    if (result === undefined) return Promise.reject(new TypeError('Work cannot wait for itself'))
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
