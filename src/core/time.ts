import type { Readable } from 'node:stream'

/** A source of time, injectable for tests. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. May stand still while the machine sleeps. */
  now(): number
  /** Wall-clock milliseconds since 1970. May jump. */
  date(): number
}

/** One point in time on both clocks. */
export class Moment {
  readonly #now: number
  readonly #date: number

  /** @param agoMs milliseconds before now */
  constructor(clock: Clock, agoMs = 0) {
    this.#now = clock.now() - agoMs
    this.#date = clock.date() - agoMs
  }

  /** Returns the age in milliseconds, by the clock that has advanced more. Data expires even if the machine slept. */
  ageMs(clock: Clock): number {
    return Math.max(clock.now() - this.#now, clock.date() - this.#date, 0)
  }

  /** Returns the age at `moment` in milliseconds. Comparing several moments takes one reading of the clocks. */
  ageAt(moment: Moment): number {
    return Math.max(moment.#now - this.#now, moment.#date - this.#date, 0)
  }
}

/** Runs callbacks later, injectable for tests. */
export interface Timers {
  /** Runs `run` once, after `ms` milliseconds. Returns a function that cancels it. */
  after(ms: number, run: () => void): () => void
}

/** Timers that let the process end. */
export const systemTimers: Timers = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms).unref()
    return () => {
      clearTimeout(timer)
    }
  }
}

const BASE_MS = 500
const CAP_MS = 32_000

/**
 * Returns the delay before a retry, with full jitter: a random time below a bound that doubles with each retry. The
 * jitter keeps calls that failed together from being retried together.
 *
 * @param retry counted from 0
 * @param random returns a number in [0, 1), as `Math.random`
 */
export function backoffMs(retry: number, random: () => number): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** retry)
}

/** Waits. Rejects with the signal's reason if it aborts. Leaves no timer or listener behind in either case. */
export function sleep(waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, Math.ceil(waitMs))
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** Resolves when `work` has settled, or after `timeoutMs` milliseconds. */
export async function waitUntilSettled(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  const settled = new AbortController()
  const onSettled = (): void => {
    settled.abort()
  }
  work.then(onSettled, onSettled)
  await sleep(timeoutMs, settled.signal).catch(() => {})
}

/**
 * Returns the outcome of `work`, or rejects with the signal's reason as soon as it aborts. For clients that react to
 * a signal late, such as undici 7 while it resolves a name and connects.
 *
 * @param discard releases a result that arrives after the abort
 */
export function raceSignal<T>(
  work: Promise<T>,
  signal: AbortSignal,
  discard: (result: T) => void = () => {}
): Promise<T> {
  return new Promise((resolve, reject) => {
    // Rejects at once: an error that `work` derives from the abort is later, so it does not replace the reason.
    const onAbort = (): void => {
      reject(signal.reason)
      work.then(discard, () => {})
    }
    const onSettled = (): void => {
      signal.removeEventListener('abort', onAbort)
    }
    work.then(onSettled, onSettled)
    work.then(resolve, reject)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * A signal that aborts with the caller's reason, or with `toError()` after `timeoutMs` milliseconds. For work that
 * outlives one promise, such as reading a body; {@link withTimeout} is for all other work.
 *
 * A response that arrives in time is never lost to a busy process: sockets are read once more before the timeout
 * applies. Its own timer and controller are necessary: Node 20 may garbage-collect a composed timeout signal before it
 * fires. Unlike `AbortSignal.timeout`, it keeps the process alive, so that work that holds no socket or file ends too.
 */
export class Deadline {
  readonly #controller = new AbortController()
  readonly signal: AbortSignal = this.#controller.signal
  readonly #caller: AbortSignal | null
  readonly #timer: NodeJS.Timeout
  #immediate: NodeJS.Immediate | undefined

  /** @param caller the caller's signal; `null` if only the timeout applies */
  constructor(timeoutMs: number, caller: AbortSignal | null, toError: () => Error) {
    this.#caller = caller
    this.#timer = setTimeout(() => {
      this.#immediate = setImmediate(() => {
        this.abort(toError())
      })
    }, timeoutMs)
    caller?.addEventListener('abort', this.#onAbort, { once: true })
    if (caller?.aborted) this.#onAbort()
  }

  /** Aborts the signal before the timeout. */
  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  /** Lets the process end before the timeout. */
  unref(): void {
    this.#timer.unref()
  }

  /** Ends with a stream. Until then, only the stream's own socket keeps the process alive. */
  clearOnClose(stream: Readable): void {
    this.unref()
    if (stream.closed) this.clear()
    else stream.once('close', this.clear)
  }

  /** Ends the timeout. The caller's signal still applies. */
  clearTimer(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#immediate)
  }

  /** Ends the timeout and the effect of the caller's signal. Bound, for use as a listener. */
  readonly clear = (): void => {
    this.clearTimer()
    this.#caller?.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    this.abort(this.#caller?.reason)
  }
}

/**
 * Runs `run` with the signal of a {@link Deadline}. Rejects with its reason at once, even if `run` ignores the signal:
 * the caller's reason, or `toError()` after `timeoutMs` milliseconds. A result that arrives later is lost.
 *
 * @param signal the caller's; if it is already aborted, `run` is not called. `null` if only the timeout applies
 */
export async function withTimeout<T>(
  timeoutMs: number,
  signal: AbortSignal | null,
  toError: () => Error,
  run: (signal: AbortSignal) => PromiseLike<T>
): Promise<T> {
  signal?.throwIfAborted()
  const deadline = new Deadline(timeoutMs, signal, toError)
  try {
    return await new Promise<T>((resolve, reject) => {
      // Listens before `run` does, so that its own reaction to the abort does not replace the reason.
      deadline.signal.addEventListener('abort', () => {
        reject(deadline.signal.reason)
      })
      run(deadline.signal).then(resolve, reject)
    })
  } finally {
    deadline.clear()
  }
}

/** The system clocks. No other code reads them. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now()
}
