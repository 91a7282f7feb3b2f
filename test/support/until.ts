import { setImmediate } from 'node:timers/promises'

/** Runs the event loop until `condition` holds. The test's own timeout ends a wait that never succeeds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await setImmediate()
}
