import type { Clock } from '../clock.ts'
import { toProblem, type PickerProblem } from '../problem.ts'

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
  readonly autoRetry: boolean
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
  #controller: AbortController | null = null
  #cancelTimer: (() => void) | null = null
  #attempts = 0

  constructor(options: TaskOptions) {
    this.#options = options
  }

  get isBusy(): boolean {
    return this.state.type === 'busy'
  }

  /** Whether it retries automatically after a countdown. */
  get autoRetry(): boolean {
    return this.#options.autoRetry
  }

  get problem(): PickerProblem | null {
    return this.state.type === 'failed' ? this.state.problem : null
  }

  /** Runs `work` and aborts the previous job. Never rejects. */
  async run(work: Work): Promise<void> {
    this.#attempts = 0
    this.#work = work
    await this.retry()
  }

  /** Runs the same job again. */
  async retry(): Promise<void> {
    const work = this.#work
    this.#abortCurrent()
    if (work === null) return
    const controller = new AbortController()
    const { clock } = this.#options
    this.#controller = controller
    this.#attempts++
    this.#cancelTimer = clock.after(SLOW_MS, () => {
      this.#setState({ type: 'busy', isSlow: true })
    })
    this.#setState({ type: 'busy', isSlow: false })
    try {
      await work(controller.signal)
      if (controller.signal.aborted) return
      this.stop()
    } catch (error) {
      if (!controller.signal.aborted) this.#fail(toProblem(error))
    }
  }

  /** Aborts the job on the user's request. */
  cancel(): void {
    this.#abortCurrent()
    this.#setState({ type: 'cancelled' })
  }

  /** Aborts the job because its result is no longer needed. */
  stop(): void {
    this.#abortCurrent()
    this.#setState({ type: 'idle' })
  }

  #fail(problem: PickerProblem): void {
    this.#abortCurrent()
    const { retryAfterMs } = problem
    if (retryAfterMs === null) {
      this.#setState({ type: 'failed', problem, secondsLeft: null })
    } else {
      const waitMs = retryAfterMs * 2 ** Math.min(this.#attempts - 1, MAX_DOUBLINGS)
      this.#countDown(problem, this.#options.clock.now() + waitMs)
    }
    this.#options.onProblem(problem)
  }

  /** Compares clock times instead of counting ticks: browsers throttle the timers of hidden pages. */
  #countDown(problem: PickerProblem, retryAt: number): void {
    const { clock, autoRetry } = this.#options
    const remainingMs = retryAt - clock.now()
    if (remainingMs <= 0 && autoRetry) {
      void this.retry()
      return
    }
    const secondsLeft = remainingMs <= 0 ? null : Math.ceil(remainingMs / 1000)
    this.#setState({ type: 'failed', problem, secondsLeft })
    if (secondsLeft === null) return
    this.#cancelTimer = clock.after(Math.min(TICK_MS, remainingMs), () => {
      this.#countDown(problem, retryAt)
    })
  }

  #abortCurrent(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#controller?.abort()
    this.#controller = null
  }

  #setState(state: TaskState): void {
    this.state = state
    this.#options.onChange()
  }
}
