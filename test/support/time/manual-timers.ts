import { mock } from 'node:test'
import type { Test } from 'tap'

/** Stops timers until the end of the test. Returns a function that advances them by a number of milliseconds. */
export function useManualTimers(
  t: Test,
  apis: ('setTimeout' | 'setInterval')[] = ['setTimeout']
): (ms: number) => void {
  mock.timers.enable({ apis })
  t.teardown(() => {
    mock.timers.reset()
  })
  return (ms) => {
    mock.timers.tick(ms)
  }
}
