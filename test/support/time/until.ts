import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'

/** Far longer than any wait on a busy machine; a wait that never succeeds fails its test, not the whole file. */
const MAX_MS = 120_000

/** Runs the event loop until `condition` holds. Throws, with the source of the condition, if it never does. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const start = performance.now()
  while (!(await condition())) {
    if (performance.now() - start > MAX_MS) throw new Error(`never happened: ${String(condition)}`)
    await setImmediate()
  }
}
