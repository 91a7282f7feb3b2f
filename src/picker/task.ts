import type { Clock } from './clock.ts'
import { asProblem, type PickerProblem } from './problem.ts'

/** How far some work has come. */
export type TaskState =
  | { readonly type: 'idle' }
  | { readonly type: 'busy'; readonly isSlow: boolean }
  | { readonly type: 'cancelled' }
  /** `secondsLeft` counts down to when the server wants to be asked again; `null`: it did not say, or it is over. */
  | { readonly type: 'failed'; readonly problem: PickerProblem; readonly secondsLeft: number | null }

export interface TaskOptions {
  readonly clock: Clock
  readonly onChange: () => void
  readonly onProblem: (problem: PickerProblem) => void
  /** Whether to try again when a countdown has ended. Not where a try needs the user. */
  readonly isPatient: boolean
}

type Work = (signal: AbortSignal) => Promise<void>

/** After so long an answer is late enough to be spoken of. */
export const SLOW_MS = 4000
const TICK_MS = 1000
/** The longest growth of a wait, as a power of two: a server that says "1 s" for ever is asked every 16. */
const MAX_DOUBLINGS = 4

/** One piece of work at a time: it can be late, fail, be tried again, be waited with, or be cancelled. */
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

  /** It tries again by itself when a countdown has ended. */
  get isPatient(): boolean {
    return this.#options.isPatient
  }

  get problem(): PickerProblem | null {
    return this.state.type === 'failed' ? this.state.problem : null
  }

  /** Begins `work`, instead of what went on. Never rejects. */
  async run(work: Work): Promise<void> {
    this.#tries = 0
    this.#work = work
    await this.retry()
  }

  /** The same work once more. */
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

  /** Ends the work because the user wants it to. */
  cancel(): void {
    this.#halt()
    this.#become({ type: 'cancelled' })
  }

  /** Ends the work because nobody needs it any more. */
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

  /** By the clock and not by ticks: a browser holds back the timers of a page that nobody sees. */
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
