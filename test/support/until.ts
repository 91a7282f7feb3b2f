import { setImmediate } from 'node:timers/promises'

/** Lets the event loop turn until `condition` holds. The test's own time limit ends what never happens. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await setImmediate()
}
