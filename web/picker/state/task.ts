import type { Clock } from '../clock.ts'
import { asProblem, type PickerProblem } from '../problem.ts'

/** The state of a task. */
export type TaskState =
  | { readonly type: 'idle' }
  | { readonly type: 'busy'; readonly isSlow: boolean }
  | { readonly type: 'cancelled' }
  /** `secondsLeft` counts down to the server's Retry-After. `null` if there is none, or if it has passed. */
  | { readonly type: 'failed'; readonly problem: PickerProblem; readonly secondsLeft: number | null }

export interface TaskOptions {
  readonly clock: Clock
  readonly onChange: () => void
  readonly onProblem: (problem: PickerProblem) => void
  /** Whether to retry automatically after a countdown. False if a retry needs the user. */
  readonly isPatient: boolean
}

type Work = (signal: AbortSignal) => Promise<void>

/** Delay after which a task counts as slow. */
export const SLOW_MS = 4000
const TICK_MS = 1000
/** Limit of the exponential backoff: after "Retry-After: 1", at most 2^4 = 16 seconds. */
const MAX_DOUBLINGS = 4

/** Runs one job at a time, and handles slowness, failure, retries with countdown, and cancellation. */
export class Task {
  state: TaskState = { type: 'idle' }
  readonly #options: TaskOptions
  #work: Work | null = null
  #abort: AbortController | null = null
  #callOff: (() => void) | null = null
  #tries = 0

  constructor(options: TaskOptions) {
    this.#options = options
  }

  get isBusy(): boolean {
    return this.state.type === 'busy'
  }

  /** Whether it retries automatically after a countdown. */
  get isPatient(): boolean {
    return this.#options.isPatient
  }

  get problem(): PickerProblem | null {
    return this.state.type === 'failed' ? this.state.problem : null
  }

  /** Runs `work` and aborts the previous job. Never rejects. */
  async run(work: Work): Promise<void> {
    this.#tries = 0
    this.#work = work
    await this.retry()
  }

  /** Runs the same job again. */
  async retry(): Promise<void> {
    const work = this.#work
    this.#halt()
    if (work === null) return
    const abort = new AbortController()
    const { clock } = this.#options
    this.#abort = abort
    this.#tries++
    this.#callOff = clock.after(SLOW_MS, () => {
      this.#become({ type: 'busy', isSlow: true })
    })
    this.#become({ type: 'busy', isSlow: false })
    try {
      await work(abort.signal)
      if (abort.signal.aborted) return
      this.stop()
    } catch (error) {
      if (!abort.signal.aborted) this.#fail(asProblem(error))
    }
  }

  /** Aborts the job on the user's request. */
  cancel(): void {
    this.#halt()
    this.#become({ type: 'cancelled' })
  }

  /** Aborts the job because its result is no longer needed. */
  stop(): void {
    this.#halt()
    this.#become({ type: 'idle' })
  }

  #fail(problem: PickerProblem): void {
    this.#halt()
    const { retryAfterMs } = problem
    if (retryAfterMs === null) {
      this.#become({ type: 'failed', problem, secondsLeft: null })
    } else {
      const waitMs = retryAfterMs * 2 ** Math.min(this.#tries - 1, MAX_DOUBLINGS)
      this.#countDown(problem, this.#options.clock.now() + waitMs)
    }
    this.#options.onProblem(problem)
  }

  /** Compares clock times instead of counting ticks: browsers throttle the timers of hidden pages. */
  #countDown(problem: PickerProblem, until: number): void {
    const { clock, isPatient } = this.#options
    const leftMs = until - clock.now()
    if (leftMs <= 0 && isPatient) {
      void this.retry()
      return
    }
    const secondsLeft = leftMs <= 0 ? null : Math.ceil(leftMs / 1000)
    this.#become({ type: 'failed', problem, secondsLeft })
    if (secondsLeft === null) return
    this.#callOff = clock.after(Math.min(TICK_MS, leftMs), () => {
      this.#countDown(problem, until)
    })
  }

  #halt(): void {
    this.#callOff?.()
    this.#callOff = null
    this.#abort?.abort()
    this.#abort = null
  }

  #become(state: TaskState): void {
    this.state = state
    this.#options.onChange()
  }
}
