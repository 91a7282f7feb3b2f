import type { FolderRef, PickerApi } from '../api.ts'
import { type Clock, pause } from '../clock.ts'
import { toProblem, type PickerProblem } from '../problem.ts'

const MIN_DELAY_MS = 1000
const MAX_DELAY_MS = 60_000
/** A stream that lasted longer has worked; the next attempt follows at once. */
const STABLE_MS = 30_000
/** Three heartbeats. A stream that is silent for longer is broken, for example after the computer has slept. */
const SILENCE_MS = 75_000
/** Errors that another attempt does not change, for this folder. All other errors of clients mean an older server. */
const FOLDER_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 410, 422])

export interface LiveOptions {
  readonly api: () => PickerApi
  readonly clock: Clock
  /** Returns a number from 0 to 1. */
  readonly random: () => number
  /** Reads the folder again. Returns the problem if that has failed. */
  readonly onChanged: () => Promise<PickerProblem | null>
}

/** Watches one folder at a time, and reconnects. It is quiet: its own failures are not displayed. */
export class LiveFolder {
  readonly #options: LiveOptions
  #key = ''
  #controller: AbortController | null = null
  #isUnsupported = false

  constructor(options: LiveOptions) {
    this.#options = options
  }

  /** Watches another folder, or none. Does nothing if it is the same folder. */
  watch(folder: FolderRef | null): void {
    const key = folder === null ? '' : JSON.stringify([folder.connectionId, folder.folderId])
    if (key === this.#key) return
    this.#controller?.abort()
    this.#controller = null
    this.#key = key
    if (folder === null || this.#isUnsupported) return
    this.#controller = new AbortController()
    void this.#run(folder, this.#controller.signal)
  }

  /** Forgets the folder, and with `isNewServer` that the server has no events. */
  reset(isNewServer = false): void {
    this.watch(null)
    if (isNewServer) this.#isUnsupported = false
  }

  async #run(folder: FolderRef, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    for (let failures = 0; ;) {
      const startedAt = clock.now()
      const problem = await this.#stream(folder, signal)
      if (signal.aborted || (problem !== null && this.#isFinal(problem))) return
      if (clock.now() - startedAt > STABLE_MS) failures = 0
      if (problem === null && clock.now() - startedAt > STABLE_MS) continue
      const delayMs = Math.min(MAX_DELAY_MS, MIN_DELAY_MS * 2 ** failures)
      failures = Math.min(failures + 1, 10)
      const jittered = MIN_DELAY_MS + (delayMs - MIN_DELAY_MS) * (0.5 + random() / 2) + (MIN_DELAY_MS * random()) / 4
      const waitMs = Math.max(problem?.retryAfterMs ?? 0, Math.min(jittered, MAX_DELAY_MS))
      await pause(clock, waitMs, signal).catch(() => undefined)
    }
  }

  /** Returns how the stream ended: `null` if the server ended it. */
  async #stream(folder: FolderRef, signal: AbortSignal): Promise<PickerProblem | null> {
    const { api, clock } = this.#options
    const silence = new AbortController()
    let isRetrying = false
    const watched = AbortSignal.any([signal, silence.signal])
    let cancelTimer = (): void => undefined
    const heard = (): void => {
      cancelTimer()
      cancelTimer = clock.after(SILENCE_MS, () => {
        silence.abort()
      })
    }
    // Reads the folder again, until that has worked, the user must act, or another stream does it.
    const reread = async (): Promise<void> => {
      if (isRetrying) return
      for (let delayMs = 2 * MIN_DELAY_MS; !watched.aborted; delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)) {
        const problem = await this.#options.onChanged()
        if (problem === null) return
        const { status, retryAfterMs } = problem
        if (status !== null && status !== 429 && status < 500) return
        isRetrying = true
        await pause(clock, Math.max(retryAfterMs ?? 0, delayMs), watched).catch(() => undefined)
        isRetrying = false
      }
    }
    try {
      heard()
      for await (const { type } of api().watch(folder, watched)) {
        watched.throwIfAborted()
        heard()
        if (type !== 'keep-alive') void reread()
      }
      return null
    } catch (error) {
      return toProblem(error)
    } finally {
      cancelTimer()
      silence.abort()
    }
  }

  #isFinal({ status, code }: PickerProblem): boolean {
    if (status === null) return false
    if (code === 'CONNECTION_NOT_FOUND' || code === 'CONNECTION_INACTIVE') {
      // The listing fails too, and its problem is displayed.
      void this.#options.onChanged()
      return code === 'CONNECTION_NOT_FOUND'
    }
    if (FOLDER_STATUSES.has(status) || code === 'FOLDER_NOT_FOUND') return true
    if (status === 404 || status === 405 || status === 501) this.#isUnsupported = true
    return this.#isUnsupported
  }
}
